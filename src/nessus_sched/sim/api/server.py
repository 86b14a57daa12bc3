"""The server itself: status, properties, restart, advanced settings, scanners."""

from __future__ import annotations

import time
from typing import Any

from nessus_sched.sim.api.calls import Call
from nessus_sched.sim.messages import EMPTY, ApiError, NotFound, Response, reply
from nessus_sched.sim.refusals import Refusal
from nessus_sched.sim.scans import Scan
from nessus_sched.sim.state import SimulatedNessus
from nessus_sched.sim.templates import templates

_DAY = 86_400
_LICENSED_FOR = 365 * _DAY
SCANNER_ID = 1
SCANNER_NAME = "Local Scanner"


def status(call: Call) -> Response:
    """The HTTP status mirrors `code`."""
    percent = call.nessus.loading_percent(call.now)
    if percent is None:
        return reply({"code": 200, "progress": None, "status": "ready"})
    return reply({"code": 503, "progress": percent, "status": "loading"}, 503)


def properties(call: Call) -> Response:
    """Without a login only versions are shown."""
    edition = call.nessus.options.license
    known: dict[str, Any] = {
        "nessus_type": edition.title,
        "nessus_ui_version": "10.8.3",
        "nessus_ui_build": "20010",
        "server_version": "19.8.3",
        "server_build": "20010",
        "platform": "LINUX",
        "login_banner": None,
        "enterprise": edition.name == "manager",
    }
    if call.login is not None:
        known |= _details(call)
    return reply(known)


def _details(call: Call) -> dict[str, Any]:
    nessus = call.nessus
    plugin_set: str | None = time.strftime("%Y%m%d0000", time.gmtime(call.now - _DAY))
    version = plugin_set
    expires = int(nessus.boot_time) + _LICENSED_FOR
    if Refusal.LICENSE_EXPIRED in nessus.refuses:
        expires = int(nessus.boot_time) - _DAY
    days_left = max(0, expires - int(call.now)) // _DAY
    if Refusal.NO_PLUGINS in nessus.refuses:
        plugin_set = None
    return {
        "installers": {},
        "loaded_plugin_set": plugin_set,
        "plugin_set": plugin_set,
        "features": {"report": True, "remote_link": False, "local_scanner": True},
        "server_uuid": nessus.server_uuid,
        "users_count": 1,
        "template_version": version,
        "update": {"href": None, "new_version": 0, "restart": 0},
        "restart_pending": {"reason": None, "type": None},
        "restart_needed": None,
        "license": _license(call, expires),
        "feed": "ProFeed",
        "feed_error": 0,
        "capabilities": {"multi_scanner": False, "multi_user": "full", "report_email_config": True},
        "used_ip_count": _used_ips(nessus),
        "idle_timeout": str(max(1, int(nessus.options.idle_timeout // 60))),
        "scanner_boottime": int(nessus.boot_time),
        "disable_rss_widget": None,
        "npv7": 1,
        "npv7_downgrade_required": False,
        "npv7_upgrade_required": False,
        "expiration": expires,
        "expiration_time": days_left,
        "notifications": [],
        "tenable_links": [],
    }


def _license(call: Call, expires: int) -> dict[str, Any]:
    edition = call.nessus.options.license
    scan_api = call.nessus.scan_api
    return {
        "type": edition.license_type,
        "name": edition.title,
        "restricted": not scan_api,
        "ips": _ip_limit(call.nessus),
        "activation_code": "SIMU-LATE-DSIM-ULAT",
        "expiration_date": expires,
        "evaluation": call.nessus.options.trial,
        "agents": 0,
        "scanners": 1,
        "users": 1,
        "features": {"api": True, "scan_api": scan_api, "report": True},
    }


def _ip_limit(nessus: SimulatedNessus) -> int:
    """0 for no limit."""
    full = Refusal.HOST_LIMIT in nessus.refuses
    return nessus.options.ip_limit or (max(16, len(nessus.used_ips)) if full else 0)


def _used_ips(nessus: SimulatedNessus) -> int:
    full = Refusal.HOST_LIMIT in nessus.refuses
    return _ip_limit(nessus) if full else len(nessus.used_ips)


def restart(call: Call) -> Response:
    call.nessus.restart()
    return EMPTY


def preferences(call: Call) -> Response:
    return reply({"preferences": call.nessus.preferences.as_json()})


def modify_preferences(call: Call) -> Response:
    call.nessus.preferences.modify(call.body)
    return reply({"restart": None})


def health(call: Call) -> Response:
    sample = {
        "timestamp": int(call.now),
        "nessus_cpu": 3,
        "sys_cores": 2,
        "nessus_mem": 512,
        "sys_ram": 4096,
        "sys_ram_used": 1024,
        "num_scans": call.nessus.engine.under_way(),
        "num_hosts": 0,
        "num_tcp_sessions": 0,
        "nessus_data_disk_free": 50_000,
        "temp_disk_free": 50_000,
    }
    return reply({"perf_stats_current": sample, "perf_stats_history": [sample]})


def alerts(call: Call) -> Response:
    return reply([])


def front_page(_call: Call) -> Response:
    """The page that loads the web UI."""
    page = b'<!doctype html><title>Nessus</title><script src="nessus6.js"></script>\n'
    return Response(body=page, content_type="text/html")


def scanners(call: Call) -> Response:
    return reply({"scanners": [_scanner(call)]})


def scanner(call: Call) -> Response:
    _check_scanner(call)
    return reply(_scanner(call))


def scanner_key(call: Call) -> Response:
    _check_scanner(call)
    return reply({"key": call.nessus.server_uuid.replace("-", "")})


def running_scans(call: Call) -> Response:
    """`scans` is null if none is running."""
    _check_scanner(call)
    busy = [scan for scan in call.nessus.scans.values() if scan.busy]
    return reply({"scans": [_running(scan) for scan in busy] or None})


def control_scan(call: Call) -> Response:
    _check_scanner(call)
    engine = call.nessus.engine
    actions = {"pause": engine.pause, "resume": engine.resume, "stop": engine.stop}
    action = actions.get(str(call.body.get("action")))
    if action is None:
        raise ApiError(400, "Invalid 'action' field")
    scan = engine.by_run_uuid(call.params["uuid"])
    action(scan, call.now)
    call.record(str(call.body["action"]), scan.name)
    return EMPTY


def _check_scanner(call: Call) -> None:
    if call.id != SCANNER_ID:
        raise NotFound(f"Scanner with id {call.id} not found.")


def _scanner(call: Call) -> dict[str, Any]:
    nessus = call.nessus
    return {
        "id": SCANNER_ID,
        "uuid": nessus.server_uuid,
        "name": SCANNER_NAME,
        "type": "local",
        "status": "on",
        "scan_count": nessus.engine.under_way(),
        "num_scans": nessus.engine.under_way(),
        "num_hosts": 0,
        "num_sessions": len(nessus.accounts.last_used),
        "num_tcp_sessions": 0,
        "loadavg": 0.1,
        "platform": "LINUX",
        "ui_version": "10.8.3",
        "engine_version": "19.8.3",
        "loaded_plugin_set": None,
        "linked": 1,
        "owner": "system",
        "owner_id": 1,
        "shared": 1,
        "user_permissions": 128,
        "last_modification_date": int(nessus.boot_time),
        "creation_date": int(nessus.boot_time),
        "template_count": len(templates()),
    }


def _running(scan: Scan) -> dict[str, Any]:
    return {
        "scan_id": scan.id,
        "id": scan.latest.uuid if scan.latest else None,
        "name": scan.name,
        "status": scan.status_text,
        "user": scan.owner,
        "start_time": int(scan.latest.created_at) if scan.latest else None,
    }
