"""The routes, and the access they need."""

from __future__ import annotations

import re
from enum import Enum, auto

import attrs

from nessus_sched.sim.api import (
    details,
    downloads,
    editor,
    folders,
    imports,
    library,
    people,
    policies,
    scans,
    server,
    session,
)
from nessus_sched.sim.api.calls import Handler


class Access(Enum):
    OPEN = auto()
    """Without a login."""
    KNOWN = auto()
    """With a login of any kind."""
    GATED = auto()
    """A write on scans: in addition the license must have `scan_api`, or the request the token
    of the web UI."""


@attrs.frozen
class Route:
    """`pattern` has variable parts in braces. `awake` routes respond while plugins load."""

    method: str
    pattern: str
    handler: Handler
    access: Access = Access.KNOWN
    awake: bool = False
    _regex: re.Pattern[str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        regex = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.pattern)
        object.__setattr__(self, "_regex", re.compile(regex + r"\Z"))

    @property
    def label(self) -> str:
        return f"{self.method} {self.pattern}"

    def match(self, method: str, path: str) -> dict[str, str] | None:
        found = self._regex.match(path) if method == self.method else None
        return None if found is None else found.groupdict()


_GATED = Access.GATED
_OPEN = Access.OPEN

ROUTES = (
    Route("GET", "/", server.front_page, _OPEN, awake=True),
    Route("GET", "/nessus6.js", session.ui_script, _OPEN, awake=True),
    Route("POST", "/session", session.log_in, _OPEN),
    Route("DELETE", "/session", session.log_out),
    Route("GET", "/session", session.who_am_i),
    Route("PUT", "/session", session.edit_self),
    Route("PUT", "/session/chpasswd", session.change_password),
    Route("PUT", "/session/keys", session.renew_keys),
    Route("GET", "/server/status", server.status, _OPEN, awake=True),
    Route("GET", "/server/properties", server.properties, _OPEN, awake=True),
    Route("GET", "/server/restart", server.restart),
    Route("GET", "/settings/advanced", server.preferences),
    Route("PUT", "/settings/advanced", server.modify_preferences),
    Route("GET", "/settings/health/stats", server.health),
    Route("GET", "/settings/health/alerts", server.alerts),
    Route("GET", "/scanners", server.scanners),
    Route("GET", "/scanners/{id}", server.scanner),
    Route("GET", "/scanners/{id}/key", server.scanner_key),
    Route("GET", "/scanners/{id}/scans", server.running_scans),
    Route("POST", "/scanners/{id}/scans/{uuid}/control", server.control_scan, _GATED),
    Route("GET", "/editor/{type}/templates", editor.template_list),
    Route("GET", "/editor/{type}/templates/{uuid}", editor.template_details),
    Route("GET", "/editor/{type}/{id}", editor.object_details),
    Route("GET", "/editor/{type}/{id}/audits/{audit_id}/prepare", editor.prepare_audit),
    Route(
        "GET",
        "/editor/{type}/{id}/families/{family_id}/plugins/{plugin_id}",
        editor.plugin_of_family,
    ),
    Route("GET", "/plugins/families", library.families),
    Route("GET", "/plugins/families/{id}", library.family),
    Route("GET", "/plugins/plugin/{id}", library.plugin),
    Route("GET", "/users", people.users),
    Route("GET", "/users/{id}", people.user),
    Route("GET", "/permissions/{type}/{id}", people.permissions),
    Route("PUT", "/permissions/{type}/{id}", people.set_permissions),
    Route("GET", "/agents", people.agents),
    Route("GET", "/agent-groups", people.agent_groups),
    Route("GET", "/folders", folders.list_folders),
    Route("POST", "/folders", folders.create_folder),
    Route("PUT", "/folders/{id}", folders.rename_folder),
    Route("DELETE", "/folders/{id}", folders.delete_folder),
    Route("GET", "/policies", policies.list_policies),
    Route("POST", "/policies", policies.create_policy),
    Route("DELETE", "/policies", policies.delete_policies),
    Route("POST", "/policies/import", policies.import_policy),
    Route("GET", "/policies/{id}", policies.policy_details),
    Route("PUT", "/policies/{id}", policies.edit_policy),
    Route("DELETE", "/policies/{id}", policies.delete_policy),
    Route("POST", "/policies/{id}/copy", policies.copy_policy),
    Route("GET", "/policies/{id}/export/prepare", policies.prepare_export),
    Route("POST", "/file/upload", downloads.upload),
    Route("GET", "/scans", scans.list_scans),
    Route("POST", "/scans", scans.create_scan, _GATED),
    Route("DELETE", "/scans", scans.delete_scans, _GATED),
    Route("GET", "/scans/timezones", scans.timezones),
    Route("POST", "/scans/import", imports.import_scan, _GATED),
    Route("GET", "/scans/{id}", details.scan_details),
    Route("PUT", "/scans/{id}", scans.configure_scan, _GATED),
    Route("DELETE", "/scans/{id}", scans.delete_scan, _GATED),
    Route("POST", "/scans/{id}/launch", scans.launch_scan, _GATED),
    Route("POST", "/scans/{id}/pause", scans.pause_scan, _GATED),
    Route("POST", "/scans/{id}/resume", scans.resume_scan, _GATED),
    Route("POST", "/scans/{id}/stop", scans.stop_scan, _GATED),
    Route("POST", "/scans/{id}/kill", scans.kill_scan, _GATED),
    Route("POST", "/scans/{id}/copy", scans.copy_scan, _GATED),
    Route("PUT", "/scans/{id}/folder", scans.move_scan, _GATED),
    Route("PUT", "/scans/{id}/status", scans.mark_read, _GATED),
    Route("PUT", "/scans/{id}/schedule", scans.schedule_scan, _GATED),
    Route("DELETE", "/scans/{id}/history/{history_id}", scans.delete_history, _GATED),
    Route("GET", "/scans/{id}/hosts/{host_id}", details.host_details),
    Route("GET", "/scans/{id}/hosts/{host_id}/plugins/{plugin_id}", details.plugin_output),
    Route("GET", "/scans/{id}/attachments/{attachment_id}", downloads.attachment),
    Route("GET", "/scans/{id}/export/formats", downloads.export_formats),
    Route("POST", "/scans/{id}/export", downloads.export_scan),
    Route("GET", "/scans/{id}/export/{file_id}/status", downloads.export_status),
    Route("GET", "/scans/{id}/export/{file_id}/download", downloads.export_download),
    Route("GET", "/tokens/{token}/status", downloads.token_status),
    Route("GET", "/tokens/{token}/download", downloads.token_download),
)


def find_route(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The first route that matches and the variable parts of the path."""
    for route in ROUTES:
        params = route.match(method, path)
        if params is not None:
            return route, params
    return None
