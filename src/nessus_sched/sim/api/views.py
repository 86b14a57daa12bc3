"""Scans as shown by the API. The inconsistencies are Nessus's own and intentional: `enabled` is
true in a list and 1 in an object, and `default_permisssions` has three s."""

from __future__ import annotations

from typing import Any

from nessus_sched.sim.runs import Run, RunStatus
from nessus_sched.sim.scans import Scan


def scan_row(scan: Scan, *, empty_dated: bool = False) -> dict[str, Any]:
    """A row of GET /scans. A scan that never ran shows no type and, unless `empty_dated`,
    no uuid and both dates 0."""
    run = scan.latest
    changed, created, uuid = (
        (run.modified_at, run.created_at, run.uuid)
        if run
        else (scan.modified_at, scan.created_at, scan.uuid)
        if empty_dated
        else (0, 0, None)
    )
    return {
        "folder_id": scan.folder_id,
        "type": "local" if run else None,
        "read": scan.read,
        "last_modification_date": int(changed),
        "creation_date": int(created),
        "status": scan.status_text,
        "uuid": uuid,
        "shared": False,
        "user_permissions": 128,
        "owner": scan.owner,
        "timezone": scan.settings.get("timezone"),
        "rrules": scan.settings.get("rrules"),
        "starttime": scan.settings.get("starttime"),
        "enabled": scan.enabled,
        "control": True,
        "live_results": 0,
        "name": scan.name,
        "id": scan.id,
    }


def scan_object(scan: Scan) -> dict[str, Any]:
    """The response to creating or configuring a scan."""
    return {
        "container_id": 0,
        "uuid": scan.uuid,
        "name": scan.name,
        "description": scan.settings.get("description"),
        "policy_id": scan.policy_id or 0,
        "scanner_id": 1,
        "emails": scan.settings.get("emails"),
        "attach_report": 0,
        "attached_report_maximum_size": 26214400,
        "attached_report_type": None,
        "sms": None,
        "enabled": int(scan.enabled),
        "use_dashboard": 0,
        "dashboard_file": None,
        "live_results": 0,
        "scan_time_window": None,
        "custom_targets": ",".join(scan.targets),
        "migrated": 0,
        "starttime": scan.settings.get("starttime"),
        "rrules": scan.settings.get("rrules"),
        "timezone": scan.settings.get("timezone"),
        "notification_filters": None,
        "shared": 0,
        "user_permissions": 128,
        "default_permisssions": 0,
        "owner": scan.owner,
        "owner_id": scan.owner_id,
        "last_modification_date": int(scan.modified_at),
        "creation_date": int(scan.created_at),
        "type": "public",
        "tag_id": scan.folder_id,
        "id": scan.id,
    }


def scan_copy(scan: Scan) -> dict[str, Any]:
    """The response to copying a scan: a flat mixture of row and object."""
    return {
        "timezone": scan.settings.get("timezone"),
        "enabled": scan.enabled,
        "last_modification_date": int(scan.modified_at),
        "id": scan.id,
        "status": "empty",
        "user_permissions": 128,
        "owner": scan.owner,
        "starttime": scan.settings.get("starttime"),
        "control": True,
        "uuid": scan.uuid,
        "rrules": scan.settings.get("rrules"),
        "creation_date": int(scan.created_at),
        "read": scan.read,
        "shared": False,
        "name": scan.name,
        "folder_id": scan.folder_id,
    }


def history_row(run: Run) -> dict[str, Any]:
    return {
        "alt_targets_used": run.alt_targets,
        "scheduler": 0,
        "schedule_type": "manual",
        "status": run.status_text,
        "type": "local",
        "uuid": run.uuid,
        "last_modification_date": int(run.modified_at),
        "creation_date": int(run.created_at),
        "owner_id": run.owner_id,
        "history_id": run.history_id,
    }


def run_info(scan: Scan, run: Run | None) -> dict[str, Any]:
    """The `info` of GET /scans/{id}, without times that are not known yet."""
    info: dict[str, Any] = {
        "acls": [_DEFAULT_ACL],
        "edit_allowed": True,
        "alt_targets_used": run.alt_targets if run else False,
        "status": run.status_text if run else "empty",
        "policy": scan.policy_title,
        "pci-can-upload": False,
        "hasaudittrail": run is not None,
        "haskb": run is not None,
        "user_permissions": 128,
        "folder_id": scan.folder_id,
        "no_target": False,
        "targets": ",".join(run.targets if run else scan.targets),
        "control": True,
        "timestamp": int(run.modified_at if run else scan.modified_at),
        "offline": False,
        "object_id": scan.id,
        "scanner_name": "Local Scanner",
        "uuid": run.uuid if run else None,
        "hostcount": 0,
        "scan_type": "local" if run else None,
        "migrated": 0,
        "name": scan.name,
    }
    if run and run.started_at is not None:
        info["scan_start"] = info["scanner_start"] = int(run.started_at)
    if run and run.ended_at is not None and run.status is not RunStatus.IMPORTED:
        info["scan_end"] = info["scanner_end"] = int(run.ended_at)
    return info


_DEFAULT_ACL = {
    "permissions": 0,
    "owner": None,
    "display_name": None,
    "name": None,
    "id": None,
    "type": "default",
}
