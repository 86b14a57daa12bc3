"""What routes report: of tasks, findings and everything else, at once and as digests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from nessus_sched.config.calendar import CalendarSettings
from nessus_sched.config.delivery import DigestReport, LabelSettings, Weekday, When
from nessus_sched.config.scanners import ApiKeys, ScannerSettings
from nessus_sched.config.types import Severity
from nessus_sched.core.calendar.recurrence import Recurrence
from nessus_sched.core.calendar.schedule import Schedule
from nessus_sched.core.delivery.happenings import Happening
from nessus_sched.core.delivery.message import MAX_BYTES
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.masking import Masker
from nessus_sched.core.secret import Secret
from nessus_sched.core.states import TaskState
from nessus_sched.core.task import Part, ScheduledFor, TaskError
from nessus_sched.delivery.compose import EVENTS, TASKS, Report, compose
from nessus_sched.delivery.ecs import events_of
from nessus_sched.delivery.router import LEDGER_PATIENCE, NotWritten
from nessus_sched.delivery.routes import Route
from nessus_sched.delivery.text import plain_text
from nessus_sched.results.ledger.news import News, NewsGroup, NewsQuery
from nessus_sched.results.ledger.questions import Change
from support.mortality import Life, mortal_connect
from support.post_office import FakeNews, a_summary, config, post_office, route
from support.stored import START, a_request

DAY = 86400.0

A_GROUP = NewsGroup(
    change=Change.NEW,
    plugin_id=10_000,
    name="Old \x1b[31mOpenSSL",
    check=None,
    severity="critical",
    solution="Upgrade to 3.0.15",
    exploited=True,
    hosts=("192.0.2.1",),
    host_count=3,
    first_seen=START,
)
CRITICAL = News(counts={"new": {"critical": 3}, "fixed": {"high": 1}}, groups=(A_GROUP,))


def test_checks_of_audits_are_counted_apart() -> None:
    check = attrs.evolve(A_GROUP, check="1.1 Passwords", severity="high")
    news = News(counts={"fixed": {"low": 1}}, checks={"new": 2}, groups=(check,))
    message = compose(Report(news=news), message_id="m", route="r", at=START, mask=Masker(()))
    assert message.title == "1 fixed (1 low), 2 compliance checks new"
    assert message.document["compliance_changes"] == {"new": 2}
    assert message.document["groups"][0]["compliance_check_name"] == "1.1 Passwords"
    text = plain_text(message)
    assert "New, to be fixed (2 compliance checks):" in text
    assert "* Compliance checks\n  - 1.1 Passwords on 192.0.2.1 and 2 more" in text
    (finding,) = (each for each in events_of(message) if each.fields.get("host"))
    assert finding.fields["rule"] == {"id": "10000", "name": "1.1 Passwords", "ruleset": "Nessus"}
    assert finding.fields["nessus_sched"]["plugin_name"] == "Old [31mOpenSSL"


async def test_a_task_that_changed_something_is_reported(
    tmp_path: Path, autojump_clock: object
) -> None:
    ledger = FakeNews(by_task={"t00000001": CRITICAL})
    async with post_office(
        config(tmp_path, route(severity=Severity.HIGH)), ledger=ledger
    ) as office:
        await trio.sleep(3)
        await office.end(summary=a_summary())
        await trio.sleep(3)
    (message,) = office.sink.taken
    assert message.title == "3 new (3 critical), 1 fixed (1 high): Weekly DMZ"
    (group,) = message.document["groups"]
    assert group == {
        "change": "new", "severity": "critical", "plugin_id": 10_000,
        "plugin_name": "Old [31mOpenSSL", "solution": "Upgrade to 3.0.15", "cisa_kev": True,
        "hosts": 3, "where": ["192.0.2.1"], "first_seen": "2023-11-14T22:13:20+00:00",
    }  # fmt: skip
    assert message.document["changes"] == {"new": {"critical": 3}, "fixed": {"high": 1}}
    assert message.document["tasks"][0]["task_id"] == message.task_id == "t00000001"
    (asked,) = ledger.asked
    assert asked.labelled is None
    assert (asked.least_severity, asked.changes) == (
        3, (Change.NEW, Change.RESURFACED, Change.FIXED)
    )  # fmt: skip


async def test_a_task_without_news_is_not(tmp_path: Path, autojump_clock: object) -> None:
    async with post_office(config(tmp_path, route())) as office:
        await trio.sleep(3)
        await office.end(summary=a_summary())
        await trio.sleep(3)
    assert office.sink.taken == []


async def test_the_first_scan_of_hosts_is_one_line(tmp_path: Path, autojump_clock: object) -> None:
    baseline = News(baseline_hosts=40, baseline_counts={"critical": 12})
    ledger = FakeNews(by_task={"t00000001": baseline})
    async with post_office(config(tmp_path, route()), ledger=ledger) as office:
        await trio.sleep(3)
        await office.end(summary=a_summary())
        await trio.sleep(3)
    (message,) = office.sink.taken
    assert message.title == "First scan of 40 hosts: Weekly DMZ"
    assert message.document["baseline"] == {"hosts": 40, "severity_counts": {"critical": 12}}
    assert "groups" not in message.document


async def test_what_happened_before_a_route_is_not_reported(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with post_office(config(tmp_path, route()), running=False) as office:
        await office.end(TaskState.DEAD)
    async with post_office(config(tmp_path, route())) as office:
        await trio.sleep(3)
        await office.end(TaskState.DEAD, order=2)
        await trio.sleep(3)
    assert [message.task_id for message in office.sink.taken] == ["t00000002"]


@pytest.mark.parametrize(
    ("on", "state", "summary", "title"),
    [
        (Happening.COMPLETED, TaskState.COMPLETED, {}, "Weekly DMZ"),
        (Happening.FAILED, TaskState.PARTIAL, {}, "Weekly DMZ (did not complete)"),
        (Happening.FAILED, TaskState.CANCELED, {}, "Weekly DMZ (did not complete)"),
        (Happening.FAILED, TaskState.TIMED_OUT, {}, "Weekly DMZ (did not complete)"),
        (Happening.DEAD, TaskState.DEAD, {}, "Weekly DMZ (failed)"),
        (
            Happening.NOT_REACHED,
            TaskState.COMPLETED,
            {"coverage": {"requested": 9, "answered": 2, "silent": 2, "not_reached": 5}},
            "Weekly DMZ (5 not reached)",
        ),
        (
            Happening.LOGIN_FAILED,
            TaskState.COMPLETED,
            {"verdict": {"counts": {"failed": 1}}},
            "Weekly DMZ (logins failed on 1 host)",
        ),
    ],
)
async def test_ends_of_tasks(
    on: Happening,
    state: TaskState,
    summary: dict[str, Any],
    title: str,
    tmp_path: Path,
    autojump_clock: object,
) -> None:
    wanted = route(on=(on,))
    others = route("others", on=tuple(each for each in Happening if each is not on))
    async with post_office(config(tmp_path, wanted, others)) as office:
        await trio.sleep(3)
        await office.end(state, summary=a_summary(**summary))
        await trio.sleep(3)
    assert office.sinks["soc"].titles == [title]
    said = office.sinks["others"].taken
    assert not said or on not in (Happening.FAILED, Happening.DEAD)


async def test_errors_are_in_it_and_parts_are_not_reported(
    tmp_path: Path, autojump_clock: object
) -> None:
    error = TaskError(
        kind="scanner_unreachable", message="a secret of the sink", transient=True, at=1
    )
    part = Part(task_id="t00000001", number=1, group=0, start=0, size=1, hosts=1)
    async with post_office(config(tmp_path, route())) as office:
        await trio.sleep(3)
        await office.end(TaskState.DEAD, last_error=error)
        await office.end(TaskState.DEAD, part=part)
        await trio.sleep(3)
    (message,) = office.sink.taken
    assert message.document["tasks"][0]["error"] == {
        "code": "scanner_unreachable",
        "message": "***",
    }


REPORTED = [
    ("schedule_failed", {"schedule": "weekly"}, "Schedule weekly could not submit its task: why"),
    ("schedule_skipped", {"schedule": "weekly"}, "Schedule weekly skipped a firing: why"),
    ("scanner_down", {"scanner_instance": "east"}, "Scanner east cannot be used: why"),
    ("scanner_up", {"scanner_instance": "east"}, "Scanner east can be used again: why"),
    (
        "exception_expiring",
        {"exception_id": "x-1", "owner": "web", "hosts": ["192.0.2.1"]},
        "Exception x-1 of web expires soon: why",
    ),
    ("exception_lapsed", {"exception_id": "x-1"}, "Exception x-1 has ended: why"),
]


@pytest.mark.parametrize(("event", "detail", "title"), REPORTED)
async def test_events(
    event: str, detail: dict[str, Any], title: str, tmp_path: Path, autojump_clock: object
) -> None:
    async with post_office(config(tmp_path, route(on=tuple(Happening)))) as office:
        await trio.sleep(3)
        await office.note(event, "why", **detail)
        await office.note("reloaded")
        await trio.sleep(3)
    assert office.sink.titles == [title]


async def test_logins_that_fail_in_a_running_scan(tmp_path: Path, autojump_clock: object) -> None:
    """Routes that report tasks at their end say so then."""
    routes = (route(), route("ends", when=When.TASK_END))
    async with post_office(config(tmp_path, *routes)) as office:
        await trio.sleep(3)
        task = await office.end()
        entry = JournalEntry(
            at=START, event="logins_fail", task_id=task.task_id, cause="logins fail"
        )
        await office.store.record(task, entry)
        await trio.sleep(3)
    assert office.sinks["soc"].titles == ["Logins fail"]
    assert office.sinks["ends"].titles == []


@pytest.mark.parametrize(
    ("settings", "reported"),
    [
        ({"networks": ("192.0.2.0/25",)}, True),
        ({"networks": ("198.51.100.0/24",)}, False),
        ({"schedules": ("weekly",)}, True),
        ({"schedules": ("monthly",)}, False),
    ],
)
async def test_only_some_tasks(
    settings: dict[str, Any], reported: bool, tmp_path: Path, autojump_clock: object
) -> None:
    schedule = ScheduledFor(schedule_id="s-1", name="weekly", nominal=START)
    async with post_office(config(tmp_path, route(**settings))) as office:
        await trio.sleep(3)
        await office.end(TaskState.DEAD, schedule=schedule)
        await trio.sleep(3)
    assert len(office.sink.taken) == reported


async def test_a_task_waits_for_the_ledger(tmp_path: Path, autojump_clock: object) -> None:
    ledger = FakeNews(entered=set(), by_task={"t00000001": CRITICAL})
    async with post_office(config(tmp_path, route()), ledger=ledger) as office:
        await trio.sleep(3)
        await office.end(summary=a_summary())
        await office.end(TaskState.DEAD)
        await trio.sleep(60)
        assert office.sink.taken == []
        ledger.entered = {"t00000001"}
        await trio.sleep(3)
    assert [message.task_id for message in office.sink.taken] == ["t00000001", "t00000002"]


async def test_but_not_for_ever(tmp_path: Path, autojump_clock: object) -> None:
    ledger = FakeNews(entered=set())
    async with post_office(config(tmp_path, route()), ledger=ledger) as office:
        await trio.sleep(3)
        await office.end(summary=a_summary())
        await office.end(TaskState.DEAD)
        await trio.sleep(LEDGER_PATIENCE + 60)
    assert [message.task_id for message in office.sink.taken] == ["t00000002"]


# -- digests; START is a Tuesday, 22:13:20 UTC


def daily(**more: Any) -> Any:
    return route(when=When.DAILY, at="07:00", **more)


@pytest.mark.slow
async def test_a_digest_has_all_that_happened(tmp_path: Path, autojump_clock: object) -> None:
    ledger = FakeNews(by_task={"t00000001": CRITICAL})
    async with post_office(config(tmp_path, daily()), ledger=ledger) as office:
        await trio.sleep(3)
        await office.end(summary=a_summary())
        await office.end(TaskState.DEAD, request=a_request(name="Lab"))
        await office.note("scanner_down", "no route to host", scanner_instance="east")
        await trio.sleep(DAY / 2)
        await office.end(TaskState.DEAD)
        await trio.sleep(DAY)
    first, second = office.sink.taken
    assert first.title == "3 new (3 critical), 1 fixed (1 high): Lab (failed), 1 event"
    assert [each["name"] for each in first.document["tasks"]] == ["Lab"]
    assert first.document["period"] == {
        "from": "2023-11-14T22:13:20+00:00",
        "to": "2023-11-15T07:00:00+00:00",
    }
    assert ledger.asked[0].task_ids == ("t00000001", "t00000002")
    assert second.title == "Weekly DMZ (failed)"


@pytest.mark.slow
@pytest.mark.parametrize("unchanged", [True, False])
async def test_nothing_changed_is_one_line_or_none(
    unchanged: bool, tmp_path: Path, autojump_clock: object
) -> None:
    async with post_office(config(tmp_path, daily(unchanged=unchanged))) as office:
        await trio.sleep(3 * DAY)
    assert office.sink.titles == ["Nothing has changed"] * (3 if unchanged else 0)
    assert len({message.message_id for message in office.sink.taken}) == len(office.sink.taken)


@pytest.mark.slow
async def test_weekly_in_the_zone_of_the_calendar(tmp_path: Path, autojump_clock: object) -> None:
    weekly = route(when=When.WEEKLY, day=Weekday.WED, at="00:30", unchanged=True)
    zone = CalendarSettings(time_zone="Europe/Berlin")
    async with post_office(config(tmp_path, weekly, calendar=zone)) as office:
        await trio.sleep(9 * DAY)
    # 23:13 on a Tuesday in Berlin: the first is an hour and a quarter later.
    assert [message.at - START for message in office.sink.taken] == [
        76 * 60 + 40,
        76 * 60 + 40 + 7 * DAY,
    ]


async def test_after_a_week_without_a_daemon_one_digest_is_sent(
    tmp_path: Path, autojump_clock: object
) -> None:
    settings = config(tmp_path, daily())
    async with post_office(settings) as office:
        await trio.sleep(3)
    async with post_office(settings, running=False) as office:
        await office.end(TaskState.DEAD)
        await trio.sleep(7 * DAY)
    async with post_office(settings) as office:
        await trio.sleep(10)
    assert office.sink.titles == ["Weekly DMZ (failed)"]


@pytest.mark.slow
async def test_a_clock_that_was_set_stops_no_digest(tmp_path: Path, autojump_clock: object) -> None:
    async with post_office(config(tmp_path, daily(unchanged=True))) as office:
        await trio.sleep(3)
        office.offset = 400 * DAY
        await trio.sleep(400)
        office.offset = 0
        await trio.sleep(2 * DAY)
    assert len(office.sink.taken) == 3


async def test_what_a_configuration_adds_and_takes_away(
    tmp_path: Path, autojump_clock: object
) -> None:
    """A route begins when it is configured."""
    both = config(tmp_path, route(), route("lab"))
    async with post_office(both) as office:
        office.configure(config(tmp_path, route()))
        await trio.sleep(3)
        await office.end(TaskState.DEAD)
        await trio.sleep(3)
        office.configure(both)
        await trio.sleep(3)
        await office.end(TaskState.DEAD)
        await trio.sleep(3)
        assert [len(each.taken) for each in office.sinks.values()] == [2, 1]
        office.configure(attrs.evolve(both, routes=()))
        await trio.sleep(3)
        assert await office.store.outbox.positions() == {}


# -- regions of what is not a task

EAST = ScannerSettings(
    id="east",
    url="https://192.0.2.200:8834",
    auth=ApiKeys(access_key=Secret("x" * 20), secret_key=Secret("y" * 20)),
    networks=("192.0.2.0/24",),
)


LABELS = (
    LabelSettings(networks=("192.0.2.0/29",), owner="web"),
    LabelSettings(networks=("198.51.100.0/24",), owner="lab"),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "reported"),
    [
        ({}, {"scanner", "exception", "firing", "alarm"}),
        ({"networks": ("192.0.2.0/28",)}, {"scanner", "exception", "firing", "alarm"}),
        ({"networks": ("198.51.100.0/24",)}, set()),
        ({"labels": {"owner": "web"}}, {"scanner", "exception", "firing", "alarm"}),
        ({"labels": {"owner": "lab"}}, set()),
        ({"labels": {"owner": "web"}, "networks": ("198.51.100.0/24",)}, set()),
        ({"schedules": ("weekly",)}, {"firing"}),
        ({"schedules": ("monthly",)}, set()),
    ],
)
async def test_events_only_of_a_region_or_schedule(
    settings: dict[str, Any], reported: set[str], tmp_path: Path, autojump_clock: object
) -> None:
    whole = config(tmp_path, route(**settings), scanners=(EAST,), labels=LABELS)
    async with post_office(whole) as office:
        await trio.sleep(3)
        schedule = Schedule(
            schedule_id="s-1",
            name="weekly",
            recurrence=Recurrence(cron="0 2 * * mon"),
            request=a_request(),
            actor="cli:alice",
            created_at=START,
            catch_up=60.0,
            decided=START,
        )
        await office.store.save_schedule(schedule)
        await office.note("scanner_down", "scanner", scanner_instance="east")
        await office.note("exception_expired", "exception", hosts=["192.0.2.7"])
        await office.note("schedule_skipped", "firing", schedule="weekly")
        task = await office.end()
        alarm = JournalEntry(at=START, event="logins_fail", task_id=task.task_id, cause="alarm")
        await office.store.record(task, alarm)
        await trio.sleep(3)
    words = {"scanner", "exception", "firing", "alarm"}
    found = {title.rpartition(" ")[2].lower() for title in office.sink.titles}
    assert found & words == reported


async def test_a_region_of_names(tmp_path: Path, autojump_clock: object) -> None:
    """What has no hosts, such as an exception for all, concerns everybody."""
    async with post_office(config(tmp_path, route(networks=("192.0.2.0/24",)))) as office:
        await trio.sleep(3)
        await office.note("exception_expired", "all hosts", hosts=[])
        await office.note("scanner_down", "not configured any more", scanner_instance="gone")
        await office.note("schedule_failed", "no such schedule", schedule="deleted")
        await trio.sleep(3)
    assert len(office.sink.taken) == 2


# -- bounds


@pytest.mark.slow
async def test_a_digest_is_bounded_and_counts_the_rest(
    tmp_path: Path, autojump_clock: object
) -> None:
    many = tuple(attrs.evolve(A_GROUP, name="x" * 9000, solution="y" * 9000) for _ in range(400))
    ledger = FakeNews(by_task={"t00000001": attrs.evolve(CRITICAL, groups=many, left_out=7)})
    async with post_office(config(tmp_path, daily()), ledger=ledger) as office:
        await trio.sleep(3)
        for _ in range(TASKS + 10):
            await office.end(TaskState.DEAD)
        for number in range(EVENTS + 20):
            await office.note("scanner_down", f"{number}", scanner_instance="east")
        await trio.sleep(DAY)
    (message,) = office.sink.taken
    document = message.document
    assert (len(document["tasks"]), document["tasks_left_out"]) == (TASKS, 10)
    assert (len(document["events"]), document["events_left_out"]) == (EVENTS, 20)
    assert document["events"][-1]["text"].endswith(f": {EVENTS + 19}")
    assert len(document["groups"]) + document["groups_left_out"] == 407
    assert len(json.dumps(document).encode()) <= MAX_BYTES
    assert len(message.title) <= 150


@pytest.mark.slow
async def test_a_digest_waits_for_the_ledger(tmp_path: Path, autojump_clock: object) -> None:
    ledger = FakeNews(entered=set(), by_task={"t00000001": CRITICAL})
    async with post_office(config(tmp_path, daily()), ledger=ledger) as office:
        await trio.sleep(3)
        await office.end(summary=a_summary())
        await trio.sleep(9 * 3600)
        assert office.sink.taken == []
        ledger.entered = {"t00000001"}
        await trio.sleep(10)
        assert len(office.sink.taken) == 1
        ledger.entered = set()
        await office.end(summary=a_summary())
        await office.note("scanner_down", scanner_instance="east")
        await trio.sleep(DAY + LEDGER_PATIENCE)
    assert office.sink.titles[1] == "Scanner east cannot be used"


async def test_no_secret_is_in_a_title(tmp_path: Path, autojump_clock: object) -> None:
    async with post_office(config(tmp_path, route())) as office:
        await trio.sleep(3)
        await office.note("scanner_down", "a secret of the sink", scanner_instance="east")
        await trio.sleep(3)
    assert office.sink.titles == ["Scanner east cannot be used: ***"]
    assert "secret" not in json.dumps(office.sink.taken[0].document)


async def test_what_happens_while_rows_are_read_is_not_missed(
    tmp_path: Path, autojump_clock: object
) -> None:
    class Busy(FakeNews):
        async def news(self, query: NewsQuery) -> News:
            if len(self.asked) == 0:
                await office.end(TaskState.DEAD, request=a_request(name="Second"))
            return await super().news(query)

    async with post_office(config(tmp_path, route()), ledger=Busy()) as office:
        await trio.sleep(3)
        await office.end(TaskState.DEAD)
        await trio.sleep(5)
    assert office.sink.titles == ["Weekly DMZ (failed)", "Second (failed)"]


# -- reports


async def test_a_digest_brings_a_report(tmp_path: Path, autojump_clock: object) -> None:
    """Even if nothing has happened; if it cannot be written, the digest says why."""
    asked: list[tuple[str, float, float]] = []

    async def write(wanted: Route, begin: float, end: float) -> str:
        asked.append((wanted.name, begin, end))
        if len(asked) == 2:
            raise NotWritten("a secret of the sink")
        if len(asked) == 3:
            await trio.sleep_forever()
        return f"/reports/{len(asked)}.html"

    settings = config(tmp_path, daily(report=DigestReport.TEAM), route("urgent"))
    async with post_office(settings) as office:
        office.delivery.router.write_report = write
        await trio.sleep(2.4 * DAY)
        await office.end(TaskState.DEAD)
        await trio.sleep(60)
        assert len(office.sinks["urgent"].taken) == 1, "it does not wait for a report"
        await trio.sleep(DAY)
    first, second, third, *_ = office.sinks["soc"].taken
    assert (first.title, first.attachment) == ("Nothing has changed", "/reports/1.html")
    assert second.attachment is None
    assert second.title == "The team report could not be written: ***"
    assert third.document["events"][0]["text"].endswith("it took longer than 600 s")
    assert asked[1][1:] == (asked[0][2], asked[0][2] + DAY)


async def test_a_digest_lists_tasks_that_did_not_reach_everything_first(
    tmp_path: Path, autojump_clock: object
) -> None:
    coverage = {"requested": 9, "answered": 2, "silent": 2, "not_reached": 5}
    async with post_office(config(tmp_path, daily())) as office:
        await trio.sleep(3)
        for number in range(3 * TASKS):
            summary = a_summary(coverage=coverage) if number == TASKS else None
            await office.end(TaskState.DEAD, summary=summary)
        await trio.sleep(DAY)
    document = office.sink.taken[0].document
    first, second, *_ = document["tasks"]
    assert (first["task_id"], first["not_reached"]) == (f"t{TASKS + 1:08d}", 5)
    assert second["task_id"] == "t00000001"
    assert (len(document["tasks"]), document["tasks_left_out"]) == (TASKS, 2 * TASKS)


async def test_a_route_that_becomes_a_digest_begins_then(
    tmp_path: Path, autojump_clock: object
) -> None:
    async with post_office(config(tmp_path, route())) as office:
        await trio.sleep(3)
        await office.end(TaskState.DEAD)
        await trio.sleep(3 * DAY)
        await office.end(TaskState.DEAD, request=a_request(name="Second"))
        await trio.sleep(60)
        office.configure(config(tmp_path, daily(unchanged=True)))
        await trio.sleep(60)
        assert len(office.sink.taken) == 2, "no digest at once"
        await trio.sleep(DAY)
    digest = office.sink.taken[2]
    assert digest.title == "Nothing has changed"
    assert digest.document["period"]["from"].startswith("2023-11-17T22:13:")


async def test_a_report_is_not_written_while_its_digest_cannot_be_stored(
    tmp_path: Path, autojump_clock: object
) -> None:
    life, written = Life(), list[str]()

    async def write(wanted: Route, _begin: float, _end: float) -> str:
        written.append(wanted.name)
        return "/reports/1.html"

    connect = mortal_connect(life, lambda _what, _when: None)
    settings = config(tmp_path, route(when=When.DAILY, at="22:30", report=DigestReport.TEAM))
    async with post_office(settings, connect=connect) as office:
        office.delivery.router.write_report = write
        await trio.sleep(3)
        life.disk_fails = True
        await trio.sleep(3600)
        assert len(written) <= 1
        life.disk_fails = False
        await trio.sleep(600)
    assert len(office.sink.taken) == 1
