"""The texts of the prompts.

A call is written as a tool's name and its arguments as JSON. `$name` stands for an argument of the
prompt, `${name_json}` for its value in a call. Words in capitals are for the model to replace.
"""

from __future__ import annotations

from typing import Final

import attrs

_NOTHING_YET: Final = "Do not start, change or cancel anything until I say so."


@attrs.frozen
class Job:
    """What to do, the steps as paragraphs, and what to do last."""

    goal: str
    text: str
    end: str = ""

    @property
    def steps(self) -> tuple[str, ...]:
        return tuple(" ".join(each.split()) for each in self.text.split("\n\n"))


SCAN: Final = Job(
    "Scan these targets and tell me what is critical: $targets",
    """\
submit_scan {"targets": ${targets_json}, "name": "NAME", "idempotency_key": "KEY"}. If they are
refused as out of scope, stop and tell me.

wait_for_scan {"task_id": "TASK_ID"} once or twice. If it is not completed by then, tell me the
task_id and when it should be done, and stop.

get_scan_summary {"task_id": "TASK_ID"}: tell me its warnings first (hosts not seen, incomplete
report), then the findings by severity.

get_scan_results {"task_id": "TASK_ID", "filters": ["severity=critical"]}: host, port, name, CVE
and solution.""",
)

WHY: Final = Job(
    "Why is task $task_id not starting?",
    """\
get_scan_status {"task_id": ${task_id_json}}: explain its wait reason, queue position and estimate
in plain words.

list_scanners {}: if it waits for a scanner that is down, what is wrong with that.""",
    _NOTHING_YET,
)

LOGINS: Final = Job(
    "On which hosts of task $task_id did logins fail?",
    """\
get_scan_summary {"task_id": ${task_id_json}, "detail": "full"}: read verdict and host_verdicts, and
for each host give the reason and the advice.

get_scan_results {"task_id": ${task_id_json}, "group_by": "host", "filters":
["host_login=failed"]}: if host_verdicts_left_out is not 0, here are the other hosts.""",
)

CHANGED: Final = Job(
    "What changed between the scans $before_task_id and $after_task_id?",
    """\
compare_scans {"before_task_id": ${before_task_id_json}, "after_task_id": ${after_task_id_json},
"change": "new"}; then the same with "fixed" and "changed". Read counts.notes and say what was not
checked and why: it may still be there.""",
)

REVIEW: Final = Job(
    "Review the last week of scans of $targets for me.",
    """\
get_changes {"targets": ${targets_json}, "severity": "medium"}: what is new or resurfaced, and how
much is fixed. unverified is not fixed: give the reasons.

search_findings {"group_by": "plugin", "filters": ["host in ${targets_list}", "severity>=high",
"exception absent"]}: what is open now; known to be exploited and on many hosts first.

search_findings {"group_by": "host", "filters": ["host in ${targets_list}", "severity>=high",
"age_days>30", "exception absent"]}: where serious findings are open for more than a month.

get_coverage {"targets": ${targets_json}, "days": 7}: what was not scanned, did not answer, or was
scanned without a login.

list_schedules {} and list_dead_letters {}: which schedules missed a run, and which scans failed.

list_exceptions {}: which end in the next two weeks, and which wait for a decision.""",
    "Write at most one page: what needs a decision or work this week, then numbers. Say "
    f"plainly what the scans could not see. {_NOTHING_YET}",
)

CLEAN: Final = Job(
    "Is $host clean?",
    """\
get_host {"host": ${host_json}}: answer with clean and why. unknown is not clean. If there are
findings, list those that are high or critical with port and age.

list_credentials {} and submit_trusted_scan {"targets": [${host_json}], "credential":
["CREDENTIAL"], "dry_run": true}: if clean is unknown, find out which scan would answer it, and
offer that scan.

If I agree: submit_trusted_scan {"targets": [${host_json}], "credential": ["CREDENTIAL"]},
wait_for_scan {"task_id": "TASK_ID"}, then get_host {"host": ${host_json}} again.""",
    _NOTHING_YET,
)

MAINTENANCE: Final = Job(
    "Prepare one scan with a login of $targets between $begin and $end.",
    """\
get_plan {"hours": 168} and list_scanners {}: what is due in that time already, and which scanners
will be free.

list_credentials {} and submit_trusted_scan {"targets": ${targets_json}, "credential":
["CREDENTIAL"], "dry_run": true}: whether the scope allows it, and what would be left out.

create_schedule {"name": "maintenance-night", "kind": "trusted", "scan": {"targets":
${targets_json}, "credential": ["CREDENTIAL"]}, "at": ${begin_json}, "dry_run": true}: whether it
fits. Set scan.max_runtime_minutes so that it ends by $end.

Show me all this. If I agree, create_schedule again without dry_run.

Tell me what to ask on the next day: get_coverage with the task_id says what was reached, and
rescan repeats it for hosts that were not.""",
    _NOTHING_YET,
)

ONBOARD: Final = Job(
    "We have a new network: $targets. Find out what is there, scan it with a login, and keep "
    "scanning it.",
    """\
list_scanners {} and submit_quick_scan {"targets": ${targets_json}, "dry_run": true}: whether a
scanner reaches it. If it is refused, stop and tell me what the operator has to change.

If I agree: submit_quick_scan {"targets": ${targets_json}, "name": "NAME", "idempotency_key":
"KEY"} and wait_for_scan {"task_id": "TASK_ID"}. Then get_scan_summary {"task_id": "TASK_ID"}: how
many addresses answered.

list_credentials {} and submit_trusted_scan {"targets": ${targets_json}, "credential":
["CREDENTIAL"], "dry_run": true}: propose which logins to use. Never ask me for a password.

If I agree: submit_trusted_scan {"targets": ${targets_json}, "credential": ["CREDENTIAL"]} and
wait_for_scan {"task_id": "TASK_ID"}. Then get_scan_summary {"task_id": "TASK_ID"}: where logins
failed and why, and the worst findings.

create_schedule {"name": "NAME", "kind": "trusted", "scan": {"targets": ${targets_json},
"credential": ["CREDENTIAL"]}, "cron": "0 2 * * mon", "time_zone": "UTC", "dry_run": true}:
propose a weekly scan at a time that suits me.

get_coverage {"targets": ${targets_json}}: what never answered or has no login yet.""",
    _NOTHING_YET,
)
