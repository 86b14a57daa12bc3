"""What the ledger says of the past is what it said then."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import attrs
import pytest

from nessus_sched.config.delivery import SlaSettings
from nessus_sched.core.targets.scope import Rules, parse_rules
from nessus_sched.results.ledger.as_of import AsOfQuery, PastFinding
from nessus_sched.results.ledger.news import NewsQuery
from nessus_sched.results.ledger.sla import SlaQuery, state_of
from nessus_sched.results.ledger.trend import TrendQuery
from nessus_sched.store.ledger.schema import REASON_NUMBERS
from support.ledger_book import DAY, T0, Book, machine, open_book
from support.ledger_chronicle import WORDS, Chronicle, Now, as_text
from support.nessus_xml import item

HOSTS = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
PLUGINS = (10001, 10002, 10003)
RAN = (*PLUGINS, 110385, 117885)
SERIES = ("weekly", "narrow")


@attrs.frozen(kw_only=True)
class Scanned:
    """A scan that took place `days` after the one before; `found` are severities by host and
    plugin. `only` verifies some plugins, and `again` applies its task once more with a later scan
    of its hosts."""

    days: int
    series: str
    only: frozenset[int] | None
    again: bool
    found: dict[str, dict[int, int]]


def scans_of(chance: random.Random) -> list[Scanned]:
    return [
        Scanned(
            days=chance.choice([1, 1, 1, 2, 7, 0, -1]),
            series=chance.choice([*SERIES, SERIES[0]]),
            only=frozenset(chance.sample(PLUGINS, chance.randint(1, 3)))
            if chance.random() < 0.2
            else None,
            again=chance.random() < 0.2,
            found={
                host: {
                    plugin: chance.choice([0, 1, 3, 3, 3, 4])
                    for plugin in PLUGINS
                    if chance.random() < 0.5
                }
                for host in chance.sample(HOSTS, chance.randint(1, 3))
            },
        )
        for _ in range(chance.randint(1, 10))
    ]


async def play(book: Book, chronicle: Chronicle, scans: Sequence[Scanned]) -> list[str]:
    """The tasks, in the order in which they were entered."""
    at, tasks = T0, list[str]()
    for number, scan in enumerate(scans):
        at += scan.days * DAY
        task_id = tasks[-1] if scan.again and tasks else f"t-{number}"
        hosts = (
            machine(name, *(item(plugin, severity=each) for plugin, each in found.items()), at=at)
            for name, found in scan.found.items()
        )
        await book.scan(
            *hosts, task_id=task_id, at=at, series=scan.series, only=scan.only, plugins=RAN
        )
        chronicle.note(task_id, at)
        tasks += [] if task_id in tasks else [task_id]
    return tasks


async def everything(book: Book, query: AsOfQuery) -> list[PastFinding]:
    found = list[PastFinding]()
    while True:
        page = await book.ledger.as_of(query)
        found += page.findings
        if page.after is None:
            return found
        assert len(page.findings) == query.limit
        query = attrs.evolve(query, after=page.after)


def then(finding: PastFinding) -> Now:
    return Now(
        state=finding.state, severity=finding.severity, since=finding.since,
        reason=0 if finding.reason is None else REASON_NUMBERS[finding.reason],
        unverified_since=finding.unverified_since, resurfaced=finding.resurfaced,
        last_seen=finding.last_seen or 0,
    )  # fmt: skip


async def judge_as_of(book: Book, chronicle: Chronicle, time: int, limit: int) -> None:
    expected = chronicle.as_of(time)
    found = await everything(book, AsOfQuery(at=time, fixed_since=0, least_severity=0, limit=limit))
    assert {(each.host, each.plugin_id, each.port, 0): then(each) for each in found} == expected
    assert len(found) == len(expected)
    for each in found:
        exact = expected[each.host, each.plugin_id, each.port, 0].last_seen
        assert each.last_seen in (None, exact)
        assert (each.last_seen is None) == (each.state != 3 and each.reason is None)
    keys = [(each.host, each.plugin_id) for each in found]
    assert keys == sorted(keys)
    still = await everything(book, AsOfQuery(at=time, limit=limit))
    assert {(each.host, each.plugin_id) for each in still} == {
        key[:2] for key, now in expected.items() if now.is_open and now.severity != 0
    }


async def judge_news(
    book: Book,
    chronicle: Chronicle,
    tasks: Sequence[str],
    region: tuple[str, ...] | None,
    least: int,
) -> None:
    query = NewsQuery(
        task_ids=tuple(tasks), groups=1000, hosts=1000, region=rules(region), least_severity=least
    )
    news = await book.ledger.news(query)
    counts, groups, hosts, baseline = chronicle.news(tasks, region, least)
    assert as_text(news.counts) == counts
    assert {(each.change.value, each.plugin_id): set(each.hosts) for each in news.groups} == groups
    assert all(each.host_count == len(each.hosts) for each in news.groups)
    assert news.baseline_hosts == hosts
    assert news.baseline_counts == baseline


def rules(region: tuple[str, ...] | None) -> Rules | None:
    return None if region is None else parse_rules(region)


async def judge_trend(
    book: Book, chronicle: Chronicle, until: int, region: tuple[str, ...] | None, least: int
) -> None:
    query = TrendQuery(
        since=T0 - DAY, until=until, zone="Europe/Berlin", least_severity=least,
        region=rules(region),
    )  # fmt: skip
    points = await book.ledger.trend(query)
    assert [attrs.asdict(each) for each in points] == chronicle.trend(query.bounds, region, least)


async def judge_sla(book: Book, chronicle: Chronicle, now: int, since: int) -> None:
    limits = SlaSettings(critical=2.0 * DAY, high=5.0 * DAY, medium=None, low=9.0 * DAY)
    counts = await book.ledger.sla(SlaQuery(limits=limits, since=since, now=now))
    expected: dict[str, dict[str, int]] = {}
    unlimited = 0
    for finding in chronicle.findings.values():
        if finding.now.severity == 0 or not (finding.now.is_open or finding.now.since >= since):
            continue
        state = state_of(
            limits, first_seen=finding.first_seen, severity=finding.now.severity, exploited=False,
            now=now, fixed_at=None if finding.now.is_open else finding.now.since,
        )  # fmt: skip
        if state is None:
            unlimited += 1
        else:
            words = expected.setdefault(state, {})
            word = WORDS[finding.now.severity]
            words[word] = words.get(word, 0) + 1
    assert as_text(counts.counts) == expected
    assert counts.unlimited == unlimited


async def judge(directory: Path, chance: random.Random) -> None:
    scans = scans_of(chance)
    async with open_book(directory) as book:
        with closing(sqlite3.connect(directory / "ledger.db")) as ledger:
            chronicle = Chronicle(ledger)
            tasks = await play(book, chronicle, scans)
            for days in range(-1, 16):
                await judge_as_of(book, chronicle, T0 + days * DAY - days % 2, 2)
            for _ in range(6):
                some = [each for each in tasks if chance.random() < 0.5]
                region = chance.choice([None, ("192.0.2.1", "192.0.2.3")])
                least = chance.choice([0, 1, 3])
                await judge_news(book, chronicle, some, region, least)
                until = T0 + chance.randrange(1, 20) * DAY
                await judge_trend(book, chronicle, until, region, least)
            last = T0 + sum(each.days for each in scans) * DAY
            await judge_sla(book, chronicle, last + 2 * DAY, T0 + DAY)


@pytest.mark.parametrize("seed", range(15))
async def test_the_past_is_what_it_was(seed: int, tmp_path: Path) -> None:
    await judge(tmp_path, random.Random(seed))


@pytest.mark.slow
async def test_many_pasts(tmp_path: Path) -> None:
    for seed in range(1000, 1080):
        place = tmp_path / str(seed)
        place.mkdir()
        await judge(place, random.Random(seed))
