"""Every tool of the daemon once as it is meant, and once wrong: for any client that can call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zlib import crc32

import attrs

from nessus_sched.mcp.client import Tools
from support.processes import settled

TARGET = ["192.0.2.4"]
DRY = {"targets": TARGET, "dry_run": True}
NO_TASK = {"task_id": "t-nosuchtask"}

EXCEPTION = {
    "plugins": [51192],
    "hosts": TARGET,
    "kind": "accepted",
    "reason": "behind a proxy",
    "owner": "web team",
}

CREDENTIALS = [
    {
        "name": "linux",
        "kind": "ssh_password",
        "username": "scan",
        "password": "a-login-on-targets",
        "escalation": {"method": "sudo", "password": "a-login-on-targets"},
    }
]


AUDITS = [{"name": "base", "file": "base.audit"}, {"name": "missing", "builtin": "No Such Audit"}]
"""The file has to be there, as an absolute path; a scan with the other becomes a dead letter."""
ROLES = [{"name": "all", "users": ["*"], "operator_tools": True, "approve_exceptions": True}]
"""Whoever calls has all tools."""


@attrs.frozen(kw_only=True)
class Step:
    """One call; `code` is that of the refusal which is expected, None for an answer."""

    tool: str
    arguments: Mapping[str, Any]
    code: str | None = None


def wrong() -> list[Step]:
    """A mistake in a call of each tool."""
    refused: dict[str, tuple[Mapping[str, Any], str]] = {
        "submit_scan": ({"targets": ["203.0.113.9"]}, "targets_out_of_scope"),
        "submit_trusted_scan": ({"targets": TARGET}, "invalid_arguments"),
        "submit_privileged_scan": ({**DRY, "credential": "linx"}, "unknown_credential"),
        "submit_custom_scan": (DRY, "template_or_policy"),
        "submit_quick_scan": ({**DRY, "scanner_instance": "noscanner"}, "unknown_scanner"),
        "submit_compliance_scan": (
            {**DRY, "credential": "linux", "audit": "nosuch"},
            "unknown_audit",
        ),
        "rescan": ({**NO_TASK, "hosts": "not_reached"}, "unknown_task"),
        "verify_fix": ({"hosts": TARGET, "cves": ["log4j"]}, "bad_arguments"),
        "create_schedule": (
            {"name": "weekly", "scan": {"targets": TARGET}, "cron": "0 2 * mon"},
            "bad_schedule",
        ),
        "list_schedules": ({"name": "nosuch"}, "unknown_schedule"),
        "change_schedule": ({"name": "nosuch", "action": "pause"}, "unknown_schedule"),
        "get_plan": ({"hours": 0}, "invalid_arguments"),
        "get_host": ({"host": ""}, "invalid_arguments"),
        "get_changes": ({"schedule": "nightly-x"}, "unknown_schedule"),
        "create_report": ({"kind": "technical", **NO_TASK}, "unknown_task"),
        "get_coverage": (NO_TASK, "unknown_task"),
        "propose_exception": ({**EXCEPTION, "until": "yesterday"}, "bad_exception"),
        "list_exceptions": ({"about": "x-nosuch"}, "unknown_exception"),
        "get_scan_status": (NO_TASK, "unknown_task"),
        "wait_for_scan": ({**NO_TASK, "timeout_seconds": 0}, "unknown_task"),
        "list_tasks": ({"limit": 1000}, "invalid_arguments"),
        "cancel_scan": (NO_TASK, "unknown_task"),
        "pause_scan": (NO_TASK, "unknown_task"),
        "resume_scan": (NO_TASK, "unknown_task"),
        "get_scan_results": (NO_TASK, "unknown_task"),
        "get_scan_summary": (NO_TASK, "unknown_task"),
        "compare_scans": (
            {"before_task_id": "t-nosuchtask", "after_task_id": "t-nosuchtask"},
            "unknown_task",
        ),
        "search_findings": ({"task_ids": ["t-nosuchtask"]}, "unknown_task"),
        "get_queue_status": ({"limit": 0}, "invalid_arguments"),
        "list_scanners": ({"pool": "nopool"}, "unknown_pool"),
        "list_dead_letters": ({"limt": 3}, "invalid_arguments"),
        "list_scan_templates": ({"scanner_instance": "noscanner"}, "unknown_scanner"),
        "list_credentials": ({"verbose": True}, "invalid_arguments"),
        "pause_everything": ({"running": "kill"}, "invalid_arguments"),
        "resume_everything": ({"running": "keep"}, "invalid_arguments"),
        "drain_scanner": ({"scanner_instance": "noscanner"}, "unknown_scanner"),
        "undrain_scanner": ({"scanner_instance": "noscanner"}, "unknown_scanner"),
        "retry_dead_letters": ({"task_ids": []}, "invalid_arguments"),
        "purge_dead_letters": ({"task_ids": ["t-nosuchtask"]}, "unknown_task"),
        "decide_exception": (
            {"exception_id": "x-nosuch", "decision": "approve"},
            "unknown_exception",
        ),
    }
    return [
        Step(tool=tool, arguments=arguments, code=code)
        for tool, (arguments, code) in refused.items()
    ]


def happy(
    done: str, other: str, running: str, *, dead: str, proposed: str, slow: str
) -> list[Step]:
    """Each tool once; `done` and `other` are completed tasks, `running` runs for long on the
    scanner `slow`, `dead` is a dead letter, `proposed` an exception. Where a call takes effect on
    the scanner later, the next may have to be repeated."""
    named = {"targets": TARGET, "credential": "linux", "dry_run": True}
    meant: dict[str, Mapping[str, Any]] = {
        "submit_scan": DRY,
        "submit_trusted_scan": named,
        "submit_privileged_scan": named,
        "submit_custom_scan": {
            **DRY,
            "template": "advanced",
            "settings": {"portscan_range": "1-1024"},
        },
        "submit_quick_scan": {**DRY, "discovery": "ports"},
        "submit_compliance_scan": {**named, "audit": "base"},
        "rescan": {"task_id": done, "hosts": "silent", "dry_run": True},
        "verify_fix": {"hosts": ["192.0.2.16/28"], "dry_run": True},
        "create_schedule": {
            "name": "weekly",
            "scan": {"targets": TARGET},
            "cron": "0 2 * * mon",
            "replace": True,
        },
        "list_schedules": {},
        "change_schedule": {"name": "weekly", "action": "skip"},
        "get_plan": {"hours": 12},
        "get_host": {"host": "192.0.2.1"},
        "get_changes": {},
        "create_report": {"kind": "management"},
        "get_coverage": {"task_id": done},
        "propose_exception": {**EXCEPTION, "until": "30d", "plugins": [crc32(done.encode()) >> 1]},
        "list_exceptions": {},
        "get_scan_status": {"task_id": done},
        "wait_for_scan": {"task_id": done},
        "list_tasks": {"target": "192.0.2.0/24"},
        "get_scan_results": {"task_id": done, "filters": ["severity>=low"]},
        "get_scan_summary": {"task_id": done},
        "compare_scans": {"before_task_id": done, "after_task_id": other},
        "search_findings": {"filters": ["severity>=high"]},
        "get_queue_status": {},
        "list_scanners": {},
        "list_dead_letters": {},
        "list_scan_templates": {},
        "list_credentials": {},
        "pause_scan": {"task_id": running},
        "resume_scan": {"task_id": running},
        "cancel_scan": {"task_id": running},
        "decide_exception": {"exception_id": proposed, "decision": "reject"},
        "drain_scanner": {"scanner_instance": slow, "until": "8h"},
        "undrain_scanner": {"scanner_instance": slow},
        "retry_dead_letters": {"task_ids": [dead]},
        "purge_dead_letters": {"task_ids": [dead]},
        "pause_everything": {"running": "keep"},
        "resume_everything": {},
    }
    return [Step(tool=tool, arguments=arguments) for tool, arguments in meant.items()]


async def prepared(tools: Tools, name: str, *, fast: str, slow: str) -> list[Step]:
    """The happy calls, with tasks of their own: two completed on the scanner `fast`, one that
    runs on the scanner `slow`."""
    place = {"name": name, "scanner_instance": fast}
    first = await tools.call("submit_scan", targets=["192.0.2.16/29"], **place)
    second = await tools.call("submit_scan", targets=["192.0.2.16/28"], **place)
    third = await tools.call(
        "submit_quick_scan", targets=["198.51.100.7"], name=name, scanner_instance=slow
    )
    for each in (first, second):
        assert (await settled(tools, each["task_id"]))["status"] == "completed"
    dead = await tools.call(
        "submit_compliance_scan",
        targets=["192.0.2.17"], credential="linux", audit="missing", **place,
    )  # fmt: skip
    assert (await settled(tools, dead["task_id"]))["status"] == "dead"
    plugin = crc32(name.encode()) >> 1
    proposal = await tools.call(
        "propose_exception", **{**EXCEPTION, "plugins": [plugin], "until": "30d"}
    )
    return happy(
        first["task_id"],
        second["task_id"],
        third["task_id"],
        dead=dead["task_id"],
        proposed=proposal["exception"]["exception_id"],
        slow=slow,
    )
