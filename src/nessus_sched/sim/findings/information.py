"""Plugin 19506, `Nessus Scan Information`, which describes the scan on each host."""

from __future__ import annotations

import time

from nessus_sched.sim.findings.logins import Login
from nessus_sched.sim.findings.plugins import Item, catalog
from nessus_sched.sim.findings.report import ScanOrder, Span
from nessus_sched.sim.findings.sight import Sight

SCAN_INFORMATION = 19506
_FEED_AGE = 86400
"""Seconds from the publication of the plugins to a scan with them."""
_NO_PORT_SCANNER = """
 WARNING : No port scanner was enabled during the scan. This may
 lead to incomplete results.
"""
_PARANOIA = {"Avoid false alarms": 0, "Paranoid (more false alarms)": 2}
_VERBOSITY = {"Quiet": 0, "Verbose": 2}


def scan_information(order: ScanOrder, sight: Sight, login: Login, span: Span) -> Item:
    """The output in the format of Nessus 10."""
    conduct = order.conduct
    started = time.strftime("%Y/%m/%d %H:%M UTC", time.gmtime(span.start))
    # Updated once a day: all hosts of a scan have the same plugins, unless midnight passes.
    feed = time.strftime("%Y%m%d0000", time.gmtime(span.start - _FEED_AGE))
    scanners = ", ".join(sight.scanner_names)
    output = f"""Information about this scan :

Nessus version : 10.8.3
Nessus build : 20010
Plugin feed version : {feed}
Scanner edition used : Nessus
Scanner OS : LINUX
Scanner distribution : debian10-x86-64
Scan type : Normal
Scan name : {order.scan_name}
Scan policy used : {order.policy}
Scanner IP : 192.0.2.1
{f"Port scanner(s) : {scanners}" if scanners else _NO_PORT_SCANNER}
Port range : {conduct.ports.text}
Ping RTT : {"1.024 ms" if conduct.ping else "Unavailable"}
Thorough tests : {_yes(conduct.on("thorough_tests"))}
Experimental tests : no
Scan for Unpatched Vulnerabilities : no
Plugin debugging enabled : {_yes(conduct.on("enable_plugin_debugging"))}
Paranoia level : {_PARANOIA.get(conduct.settings.get("report_paranoia", ""), 1)}
Report verbosity : {_VERBOSITY.get(conduct.settings.get("report_verbosity", ""), 1)}
Safe checks : {_yes(conduct.settings.get("safe_checks") != "no")}
Optimize the test : yes
Credentialed checks : {login.credentialed}
Patch management checks : None
Display superseded patches : yes (supersedence plugin launched)
CGI scanning : {_enabled(conduct.on("scan_webapps"))}
Web application tests : {_enabled(conduct.on("generic_webapp_tests"))}
Max hosts : {conduct.max_hosts}
Max checks : {conduct.max_checks}
Recv timeout : {conduct.number("network_receive_timeout", 5)}
Backports : None
Allow post-scan editing : {_yes(conduct.settings.get("allow_post_scan_editing") != "no").title()}
Nessus Plugin Signature Checking : Enabled
Audit File Signature Checking : Disabled
Scan Start Date : {started}
Scan duration : {int(span.end - span.start)} sec
"""
    return Item(plugin=catalog()[SCAN_INFORMATION], severity=0, output=output)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _enabled(value: bool) -> str:
    return "enabled" if value else "disabled"
