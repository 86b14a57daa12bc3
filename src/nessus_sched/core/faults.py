"""What can go wrong with a task, in one table: whose fault it is and what follows from it.

Retries, dead letters, suspended scanners, advice and the page `etc/doc/errors.md` are all
derived from this table.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from nessus_sched.core.error_kinds import Blame, ErrorKind, Fault, Response

_B, _R = Blame, Response

FAULTS: Mapping[ErrorKind, Fault] = MappingProxyType(
    {
        ErrorKind.SCANNER_ERROR: Fault(
            _B.SCANNER,
            _R.BURY,
            False,
            "Tell the operator: the message says what the scanner did.",
        ),
        ErrorKind.SCANNER_TROUBLE: Fault(
            _B.SCANNER,
            _R.REPEAT,
            True,
            "The scanner answered with an error; list_scanners shows its state.",
        ),
        ErrorKind.SCANNER_UNREACHABLE: Fault(
            _B.SCANNER,
            _R.REQUEUE,
            True,
            "The scanner cannot be reached; list_scanners shows its state.",
            "Check url and firewall, and whether the scanner's service is running.",
        ),
        ErrorKind.SCANNER_NOT_READY: Fault(
            _B.SCANNER,
            _R.REQUEUE,
            True,
            "The scanner is still starting, which can take half an hour.",
        ),
        ErrorKind.SCANNER_FULL: Fault(
            _B.SCANNER,
            _R.REQUEUE,
            True,
            "The scanner has no room for another scan at the moment.",
        ),
        ErrorKind.SCANNER_REMOVED: Fault(
            _B.OURS,
            _R.BURY,
            False,
            "Its scanner is no longer configured: submit it again without scanner_instance.",
        ),
        ErrorKind.SCANNER_REFUSED: Fault(
            _B.UNCLEAR,
            _R.REROUTE,
            False,
            "The scanner rejects this request: correct it according to the message and submit "
            "it again.",
        ),
        ErrorKind.SCANNER_DISK_FULL: Fault(
            _B.SCANNER,
            _R.SUSPEND,
            False,
            "Tell the operator to free disk space on the scanner.",
        ),
        ErrorKind.CERTIFICATE_MISMATCH: Fault(
            _B.SCANNER,
            _R.SUSPEND,
            False,
            "Tell the operator to find out why the scanner's certificate has changed before "
            "trusting it.",
            "Compare the fingerprint on the scanner itself before you change tls.fingerprint.",
        ),
        ErrorKind.LOGIN_REFUSED: Fault(
            _B.SCANNER,
            _R.SUSPEND,
            False,
            "Tell the operator to correct the scanner's API keys or password in the "
            "configuration and reload.",
            "Create new API keys on the scanner (My Account, API Keys), or correct the password.",
        ),
        ErrorKind.PERMISSION_DENIED: Fault(
            _B.SCANNER,
            _R.SUSPEND,
            False,
            "Tell the operator to give our user on the scanner the role Standard or higher.",
        ),
        ErrorKind.LICENSE_REFUSES_API: Fault(
            _B.SCANNER,
            _R.SUSPEND,
            False,
            "Tell the operator that this scanner's license needs auth.ui_session instead of "
            "API keys.",
        ),
        ErrorKind.LICENSE_LIMIT: Fault(
            _B.SCANNER,
            _R.SUSPEND,
            False,
            "The license has no room for these hosts: find the live ones with "
            "submit_quick_scan and scan fewer.",
        ),
        ErrorKind.LICENSE_EXPIRED: Fault(
            _B.SCANNER,
            _R.SUSPEND,
            False,
            "Tell the operator to renew or activate the scanner's license.",
        ),
        ErrorKind.TEMPLATE_NOT_LICENSED: Fault(
            _B.TASK,
            _R.REROUTE,
            False,
            "The license does not include this template: choose another from "
            "list_scan_templates, or another scanner.",
        ),
        ErrorKind.NO_TEMPLATES: Fault(
            _B.SCANNER,
            _R.SUSPEND,
            False,
            "Tell the operator that the scanner offers no usable template: check its license "
            "and plugins.",
        ),
        ErrorKind.NO_PLUGINS: Fault(
            _B.SCANNER,
            _R.SUSPEND,
            False,
            "Tell the operator to update the plugins on the scanner.",
        ),
        ErrorKind.LAUNCH_REFUSED: Fault(
            _B.SCANNER,
            _R.SUSPEND,
            False,
            "Tell the operator that the scanner accepts scans but does not launch them; the "
            "message says why.",
        ),
        ErrorKind.LAUNCH_IN_DOUBT: Fault(
            _B.SCANNER,
            _R.RETRY,
            True,
            "Whether the scan was launched could not be determined; list_scanners shows the "
            "scanner's state.",
        ),
        ErrorKind.OUTCOME_UNKNOWN: Fault(
            _B.SCANNER,
            _R.REPEAT,
            True,
            "An answer was lost; what happened is checked before anything is sent again.",
        ),
        ErrorKind.NOT_FOUND: Fault(
            _B.TASK,
            _R.REROUTE,
            False,
            "The scanner does not have what the request names: see list_scan_templates and "
            "submit a corrected request.",
        ),
        ErrorKind.NOT_OURS: Fault(
            _B.PERSON,
            _R.BURY,
            False,
            "Someone renamed, moved or edited the scan on the scanner, so it is left alone there: "
            "tell the operator.",
        ),
        ErrorKind.BAD_ORDER: Fault(
            _B.TASK,
            _R.BURY,
            False,
            "No scan can be made from this request: correct it, or ask the operator to "
            "correct the credential or audit file it names.",
        ),
        ErrorKind.NAME_NOT_RESOLVED: Fault(
            _B.TARGET,
            _R.RETRY,
            True,
            "A host name among the targets does not resolve: check its spelling, or submit "
            "the IP address instead.",
        ),
        ErrorKind.NAME_SERVERS_SILENT: Fault(
            _B.OURS,
            _R.POSTPONE,
            True,
            "The name servers do not answer for a host name among the targets: tell the operator "
            "to check them.",
        ),
        ErrorKind.TARGETS_REFUSED: Fault(
            _B.OURS,
            _R.BURY,
            False,
            "The targets are no longer in the configured scope: tell the user, and do not "
            "look for ways around it.",
        ),
        ErrorKind.NOT_PERMITTED: Fault(
            _B.TASK,
            _R.BURY,
            False,
            "The submitter's role no longer allows this scan: ask the operator, under roles in "
            "the configuration.",
        ),
        ErrorKind.UNKNOWN_CREDENTIAL: Fault(
            _B.OURS,
            _R.BURY,
            False,
            "The credential is no longer configured: submit the scan again with one from "
            "list_credentials.",
        ),
        ErrorKind.UNKNOWN_AUDIT: Fault(
            _B.OURS,
            _R.BURY,
            False,
            "The audit is no longer configured: submit the scan again with one from "
            "list_credentials.",
        ),
        ErrorKind.UNKNOWN_PROFILE: Fault(
            _B.OURS,
            _R.BURY,
            False,
            "The scan profile is no longer configured: submit the scan again with one from "
            "list_credentials, or without.",
        ),
        ErrorKind.NOT_TOGETHER: Fault(
            _B.OURS,
            _R.BURY,
            False,
            "The configuration has changed, and the parts of the request no longer go together: "
            "submit the scan again as the message says.",
        ),
        ErrorKind.SETTINGS_REFUSED: Fault(
            _B.OURS,
            _R.BURY,
            False,
            "The operator no longer allows these settings: submit the scan again without them.",
        ),
        ErrorKind.SCAN_PENDING: Fault(
            _B.SCANNER,
            _R.REPEAT,
            True,
            "The scan was launched and is waiting for a free slot on the scanner.",
        ),
        ErrorKind.LOGINS_FAIL: Fault(
            _B.OURS,
            _R.REPEAT,
            True,
            "Logins fail on the first hosts with a credential that worked before: check whether "
            "its password has expired or its account is locked. The scan is not stopped.",
        ),
        ErrorKind.SCAN_NOT_STARTED: Fault(
            _B.SCANNER,
            _R.RETRY,
            True,
            "The scanner accepted the launch but never started the scan.",
        ),
        ErrorKind.SCAN_ABORTED: Fault(
            _B.SCANNER,
            _R.RETRY,
            True,
            "The scanner aborted the scan; it may have restarted, or an error occurred there.",
        ),
        ErrorKind.WINDOW_CLOSED: Fault(
            _B.PERSON,
            _R.RETRY,
            True,
            "The scan was stopped at the end of its window, or paused for too long; the rest is "
            "scanned at the next opening.",
        ),
        ErrorKind.SCAN_VANISHED: Fault(
            _B.PERSON,
            _R.BURY,
            False,
            "Someone deleted the scan on the scanner: submit it again if it is still wanted.",
        ),
        ErrorKind.VANISHED_AT_LAUNCH: Fault(
            _B.PERSON,
            _R.RETRY,
            True,
            "Someone deleted the scan on the scanner just as it was launched.",
        ),
        ErrorKind.STOPPED_ON_SCANNER: Fault(
            _B.PERSON,
            _R.END,
            False,
            "Someone stopped the scan on the scanner: ask before submitting it again.",
        ),
        ErrorKind.NOT_STOPPED: Fault(
            _B.SCANNER,
            _R.END,
            False,
            "The scan may still be running on the scanner: tell the operator to stop it there.",
        ),
        ErrorKind.MAX_RUNTIME: Fault(
            _B.TASK,
            _R.END,
            False,
            "Submit it again with fewer targets or a larger max_runtime_minutes.",
        ),
        ErrorKind.DEADLINE: Fault(
            _B.TASK,
            _R.END,
            False,
            "Its deadline passed. What was found by then is kept; submit the rest again.",
        ),
        ErrorKind.BAD_EXPORT: Fault(
            _B.SCANNER,
            _R.REPEAT,
            True,
            "The report arrived damaged or was not ready in time.",
        ),
        ErrorKind.EXPORT_NOT_ALLOWED: Fault(
            _B.SCANNER,
            _R.BURY,
            False,
            "Tell the operator that this scanner does not export reports, as in trial mode: get a "
            "license that allows it, or use another scanner.",
        ),
        ErrorKind.REPORT_TOO_LARGE: Fault(
            _B.OURS,
            _R.REPEAT,
            False,
            "The report exceeds limits.export_size: ask the operator to raise it, or scan "
            "fewer hosts at once.",
        ),
        ErrorKind.REPORT_UNREADABLE: Fault(
            _B.OURS,
            _R.BURY,
            False,
            "Reading the report has crashed the daemon repeatedly: tell the operator, who can "
            "find it on the scanner.",
        ),
        ErrorKind.INTERNAL_ERROR: Fault(
            _B.OURS,
            _R.REPEAT,
            True,
            "Tell the operator that nessus-sched failed because of an internal error; its log has "
            "the details.",
        ),
        ErrorKind.USERS_UNAVAILABLE: Fault(
            _B.OURS,
            _R.POSTPONE,
            True,
            "The system's user database does not answer, so it is not known what the submitter "
            "may scan: tell the operator to check the directory server.",
        ),
        ErrorKind.DISK_TROUBLE: Fault(
            _B.OURS,
            _R.REPEAT,
            True,
            "The daemon cannot write to its disk: tell the operator to free some space.",
        ),
    }
)

_FORMER: Mapping[str, ErrorKind] = MappingProxyType({"scan_not_ours": ErrorKind.NOT_OURS})
"""Codes that earlier versions stored."""


def kind_of(code: str) -> ErrorKind:
    """The kind with a stored code, which another version may have written."""
    if code in _FORMER:
        return _FORMER[code]
    return ErrorKind(code) if code in set(ErrorKind) else ErrorKind.SCANNER_ERROR


_OUTLOOK: Mapping[Response, str] = MappingProxyType(
    {
        Response.REPEAT: "This is retried automatically.",
        Response.REQUEUE: "It starts automatically once that has passed.",
        Response.SUSPEND: "Until then its tasks wait, or run on other scanners.",
        Response.REROUTE: "Other scanners are tried first.",
        Response.POSTPONE: "This task is retried automatically.",
        Response.RETRY: "It is retried automatically.",
        Response.BURY: "",
        Response.END: "",
    }
)


def remedy(code: str) -> str:
    """What the operator, who looks at the scanner, does about an error with that code."""
    fault = FAULTS[kind_of(code)]
    said = re.sub(r"^Tell the operator(: | to | that )", "", fault.remedy or fault.advice)
    return said[0].upper() + said[1:]


def advice(code: str, *, goes_on: bool) -> str:
    """What to do about an error with that code, in the words of MCP clients; `goes_on`: the
    task has not settled."""
    fault = FAULTS[kind_of(code)]
    return f"{fault.advice} {_OUTLOOK[fault.response]}".rstrip() if goes_on else fault.advice
