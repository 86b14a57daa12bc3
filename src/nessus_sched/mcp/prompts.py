"""Prompts for common jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from nessus_sched.api.operations import ToolError
from nessus_sched.mcp.definitions import PromptArgument, PromptDef
from nessus_sched.results.untrusted import clean_line

LONGEST: Final = 500
_TARGETS: Final = PromptArgument(
    name="targets", description="Addresses, networks or names to scan.", required=True
)
_TASK: Final = PromptArgument(name="task_id", description="The task.", required=True)

_SCAN: Final = """\
Scan these targets and tell me what is critical: {targets}

1. submit_scan with these targets, a short name and an idempotency_key. If they are refused as \
out of scope, stop and tell me.
2. wait_for_scan once or twice. If it is not completed by then, tell me the task_id and when it \
should be done, and stop.
3. get_scan_summary: tell me its warnings first (hosts not seen, incomplete report), then the \
findings by severity.
4. get_scan_results with filters ["severity=critical"] for the critical ones: host, port, name, \
CVE and solution."""
_WHY: Final = """\
Why is task {task_id} not starting? Call get_scan_status and explain its wait reason, queue \
position and estimate in plain words. If it waits for a scanner that is down, check it with \
list_scanners. Change nothing without asking me."""
_LOGINS: Final = """\
On which hosts of task {task_id} did logins fail? Call get_scan_summary and read verdict and \
host_verdicts: for each host give the reason and the advice. If host_verdicts_left_out is not 0, \
mention that there are more hosts, and call it again with detail "full"."""
_CHANGED: Final = """\
What changed between the scans {before_task_id} and {after_task_id}? Call compare_scans for the \
new findings, then with change "fixed" and "changed". Read counts.notes and say what was not \
checked and why: it may still be there."""


def _prompt(
    name: str, description: str, text: str, arguments: tuple[PromptArgument, ...]
) -> PromptDef:
    async def render(given: Mapping[str, str]) -> str:
        missing = [each.name for each in arguments if not given.get(each.name)]
        if missing:
            raise ToolError("invalid_arguments", f"{name} needs {', '.join(missing)}")
        return text.format_map({key: clean_line(value, LONGEST) for key, value in given.items()})

    return PromptDef(name=name, description=description, arguments=arguments, render=render)


PROMPTS: Final = (
    _prompt("scan_and_report", "Scan targets and report what is critical.", _SCAN, (_TARGETS,)),
    _prompt("why_waiting", "Why a scan does not start.", _WHY, (_TASK,)),
    _prompt("failed_logins", "On which hosts logins failed, and why.", _LOGINS, (_TASK,)),
    _prompt(
        "what_changed",
        "What is new and what is fixed between two scans.",
        _CHANGED,
        (
            PromptArgument(
                name="before_task_id", description="The earlier scan's task.", required=True
            ),
            PromptArgument(
                name="after_task_id", description="The later scan's task.", required=True
            ),
        ),
    ),
)
