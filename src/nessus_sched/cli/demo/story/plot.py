"""The plot: what people, patches and broken machines do in the two weeks.

Everything else is what the daemon makes of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import attrs
import trio

from nessus_sched.cli.demo.story.clock import BEGIN
from nessus_sched.cli.demo.story.config import NETWORKS, PLANT
from nessus_sched.cli.demo.story.lines import Chapter
from nessus_sched.cli.demo.story.narrator import Narrator
from nessus_sched.cli.demo.story.stage import Stage
from nessus_sched.core.text import pluralize
from nessus_sched.delivery.text import plain_text
from nessus_sched.results.untrusted import clean_line

DAYS: Final = 14
_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR
_LOST: Final = "south"
_OUT_FOR: Final = 34 * _HOUR
_OFFICE: Final = [network for network in NETWORKS if network != PLANT]
_SETTLED_WITHIN: Final = 6 * _HOUR
_LOOK_EVERY: Final = 600.0
_UNTRUSTED_CERTIFICATE: Final = 51192
_DIGEST_LINES: Final = 6


class StoryFailed(Exception):
    """The story did not go as it has to; the text says what is missing."""


@attrs.define(kw_only=True)
class Ending:
    """What is left at the end: the report as HTML, and the numbers."""

    report: str
    changes: dict[str, int]
    """Findings above info by what scans changed about them."""
    severity_counts: dict[str, int]
    excepted: int
    exceptions: int
    tasks: list[dict[str, Any]]


async def _until(day: int, hour: float) -> None:
    """A time of the story; its first day is 0."""
    await trio.sleep_until(day * _DAY + hour * _HOUR)


async def play(stage: Stage, narrator: Narrator) -> Ending:
    """Two weeks. Raises `StoryFailed` and `CallRefused`."""
    await _set_up(stage, narrator)
    await _until(2, 9)
    await _except(stage)
    await _until(2, 15)
    await _fix(stage, narrator)
    await _digest(stage, narrator, 6)
    await _until(7, 2.25)
    # It does not say goodbye, so there is no line until the daemon notices.
    stage.scanners[_LOST].restart(down_seconds=_OUT_FOR)
    await _until(9, 9)
    await narrator.catch_up()
    await _compare(stage, narrator)
    await _digest(stage, narrator, 13)
    return await _end(stage, narrator)


async def _set_up(stage: Stage, narrator: Narrator) -> None:
    answer = await stage.desk.call(
        "create_schedule",
        name="weekly",
        scan={"targets": list(NETWORKS)},
        cron="0 2 * * mon",
    )
    when = answer["schedule"]["when"]
    narrator.tell(Chapter.SCHEDULE, f"schedule weekly is created: {when}, three networks")


async def _except(stage: Stage) -> None:
    answer = await stage.desk.call(
        "propose_exception",
        plugins=[_UNTRUSTED_CERTIFICATE],
        hosts=[_OFFICE[0]],
        kind="accepted",
        reason="The certificates are from our own CA.",
        owner="web team",
        until="90d",
    )
    await _until(2, 14)
    await stage.desk.operate(
        "decide_exception",
        exception_id=answer["exception"]["exception_id"],
        decision="approve",
        reason="The CA is ours.",
    )


async def _fix(stage: Stage, narrator: Narrator) -> None:
    """The worst finding outside the plant is patched, and the fix verified."""
    found = await stage.desk.call(
        "search_findings",
        filters=["severity>=high", f"host in {','.join(_OFFICE)}"],
        group_by="plugin",
        page_size=1,
    )
    if not found["findings"]:
        raise StoryFailed("the first scan found nothing to fix")
    worst = found["findings"][0]
    for nessus in stage.scanners.values():
        fixed = nessus.options.patched | {worst["plugin_id"]}
        nessus.options = attrs.evolve(nessus.options, patched=fixed)
    where = pluralize(worst["hosts"], "host")
    narrator.tell(Chapter.FIX, f"a team patches {where}: {clean_line(worst['plugin_name'], 100)}")
    asked = await stage.desk.call("verify_fix", plugin_ids=[worst["plugin_id"]], hosts=_OFFICE)
    for scan in asked["scans"]:
        await _settled(stage, scan["task_id"])
    await trio.sleep(60)
    await narrator.catch_up()
    for scan in asked["scans"]:
        answer = await stage.desk.call("verify_fix", task_id=scan["task_id"])
        told = ", ".join(f"{count} {result}" for result, count in answer["counts"].items())
        narrator.tell(Chapter.FIX, f"verified: {told}")


async def _settled(stage: Stage, task_id: str) -> None:
    with trio.move_on_after(_SETTLED_WITHIN):
        while True:
            found = await stage.desk.call("get_scan_status", task_id=task_id)
            if found["settled"]:
                return
            await trio.sleep(_LOOK_EVERY)
    raise StoryFailed(f"task {task_id} did not end")


async def _compare(stage: Stage, narrator: Narrator) -> None:
    answer = await stage.desk.call("get_changes", schedule="weekly")
    told = ", ".join(f"{sum(counts.values())} {change}" for change, counts in _counts(answer))
    narrator.tell(Chapter.RESULTS, f"changes since the week before: {told}")


def _counts(answer: dict[str, Any]) -> list[tuple[str, dict[str, int]]]:
    order = ("new", "resurfaced", "fixed", "unverified")
    return [(change, answer["counts"][change]) for change in order if change in answer["counts"]]


async def _digest(stage: Stage, narrator: Narrator, day: int) -> None:
    """Shows the digest of Sunday evening, which the route sends by itself."""
    await _until(day, 19.5)
    before = len(stage.mailbox.messages)
    with trio.move_on_after(_HOUR):
        while len(stage.mailbox.messages) == before:
            await stage.mailbox.arrived.wait()
    if len(stage.mailbox.messages) == before:
        raise StoryFailed("the weekly digest was not sent")
    message = stage.mailbox.messages[-1]
    lines = [line for line in plain_text(message).splitlines() if line.strip()]
    more = [f"and {len(lines) - _DIGEST_LINES} more lines"] if len(lines) > _DIGEST_LINES else []
    narrator.tell(
        Chapter.DIGEST,
        f"weekly digest: {message.title}",
        *(clean_line(line.strip(), 100) for line in lines[:_DIGEST_LINES]),
        *more,
    )


async def _end(stage: Stage, narrator: Narrator) -> Ending:
    await narrator.catch_up()
    begin = datetime.fromtimestamp(BEGIN, UTC).isoformat()
    made = await stage.desk.operate("read_report", kind="management", since=begin)
    first = pluralize(made["rows"], "solution")
    narrator.tell(Chapter.REPORT, f"management report: what to do first, out of {first}")
    changes = await stage.desk.call("get_changes", since=begin, limit=1)
    found = await stage.desk.call("search_findings", filters=["severity>=low"], page_size=1)
    listed = await stage.desk.call("list_tasks", limit=100)
    exceptions = await stage.desk.call("list_exceptions", status="approved")
    return Ending(
        report=made["text"],
        changes={change: sum(counts.values()) for change, counts in _counts(changes)},
        severity_counts={
            severity: count for severity, count in found["severity_counts"].items() if count
        },
        excepted=sum((found["excepted"] or {}).values()),
        exceptions=len(exceptions["exceptions"]),
        tasks=listed["tasks"],
    )
