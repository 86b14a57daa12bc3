"""A living network, scans of it over the months, and what the ledger may say after each.

Shares nothing with the ledger: what a report shows is read off its text, and what is true is
known because the network is made here.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from support import compare_model as model

DAY: Final = 86_400
START: Final = 1_700_000_000

Key = tuple[str, int, int]
"""Host as scanned, plugin, port."""

_HOST: Final = re.compile(r'<ReportHost name="([^"]+)">')
_ITEM: Final = re.compile(
    r'<ReportItem port="(\d+)"[^>]*pluginID="(\d+)"[^>]*>(?=.*?</ReportItem>)', re.DOTALL
)
_CHECKS: Final = {check.id: check for check in model.CHECKS}


@attrs.frozen(kw_only=True)
class Visit:
    """One scan of the network as it was at that time. `series` is equal for scans ordered alike,
    `late` ones are imported after the next scan."""

    number: int
    at: int
    scan: model.Scan
    machines: tuple[model.Machine, ...]
    series: str
    late: bool
    text: str = attrs.field()
    shown: Mapping[str, frozenset[Key]] = attrs.field()
    """What the report shows, by host."""

    @property
    def task_id(self) -> str:
        return f"t-{self.number}"

    @property
    def targets(self) -> frozenset[str]:
        return frozenset(
            model.called(self.scan, machine)
            for machine in self.machines
            if machine.number in self.scan.targets
        )

    def machine(self, host: str) -> model.Machine:
        return next(m for m in self.machines if host in (m.address, m.name))

    @text.default
    def _document(self) -> str:
        return model.document(self.scan, list(self.machines), self.at).decode()

    @shown.default
    def _sightings(self) -> Mapping[str, frozenset[Key]]:
        pieces = _HOST.split(self.text)
        return {
            host: frozenset((host, int(plugin), int(port)) for port, plugin in _ITEM.findall(piece))
            for host, piece in zip(pieces[1::2], pieces[2::2], strict=True)
        }


def history(seed: int) -> list[Visit]:
    """Scans in the order in which they reach the ledger."""
    chance = random.Random(seed)
    machines = model.network(chance)
    visits: list[Visit] = []
    scan, series = None, 0
    for number in range(chance.randint(3, 7)):
        following = model.scan_of(chance, machines, scan)
        if scan is None or not _alike(scan, following):
            series += 1
        scan = following
        visits.append(
            Visit(
                number=number, at=START + number * DAY, scan=scan, machines=tuple(machines),
                series=f"series {series}", late=chance.random() < 0.1,
            )
        )  # fmt: skip
        # Machines keep their number and name when another one takes their address.
        machines = model.later(chance, machines)
    return sorted(visits, key=lambda visit: visit.at + 1.5 * DAY * visit.late)


def _alike(one: model.Scan, other: model.Scan) -> bool:
    return all(
        getattr(one, name) == getattr(other, name)
        for name in ("targets", "by_name", "ports", "scanners", "thorough", "paranoia", "plugins")
    )


# -- what may be said


@attrs.frozen(kw_only=True)
class Entry:
    """What the ledger says about a finding. `state` and `reason` are words."""

    state: str
    reason: str | None
    first_seen: int
    last_seen: int
    since: int
    unverified_since: int | None
    resurfaced: int


@attrs.define
class _Known:
    """The history of a finding as the oracle follows it."""

    last: Visit
    first_seen: int
    last_seen: int
    sightings: int
    resurfaced: int = 0
    fixed: bool = False
    since: int = 0


@attrs.define
class Oracle:
    """Follows the scans and finds fault with what the ledger says after each."""

    entries: dict[Key, _Known] = attrs.field(factory=dict)
    tried: dict[str, int] = attrs.field(factory=dict)
    series: dict[str, str] = attrs.field(factory=dict)
    previous: Mapping[Key, Entry] = attrs.field(factory=dict)
    knowable: int = 0
    fixed: int = 0
    late: int = 0
    reasons: set[str] = attrs.field(factory=set)

    def check(self, visit: Visit, ledger: Mapping[Key, Entry]) -> None:
        """Raises AssertionError."""
        shown = visit.shown
        applied = {host for host in shown if visit.at >= self.tried.get(host, 0)}
        self.late += len(shown) - len(applied)
        absent = {
            host for host in visit.targets - shown.keys()
            if host in self.tried and visit.at >= self.tried[host]
        }  # fmt: skip
        for host in applied:
            for key in shown[host]:
                self._sighted(key, visit)
        assert ledger.keys() == self.entries.keys(), ledger.keys() ^ self.entries.keys()
        for key, entry in ledger.items():
            sighted = key[0] in applied and key in shown[key[0]]
            self._check(visit, key, entry, sighted=sighted, host_in=key[0] in applied,
                        absent=key[0] in absent)  # fmt: skip
        if visit.scan.cut_at is not None:  # a broken report tells what was to confirm it only
            absent = {host for host in absent if self.series[host] == visit.series}
        for host in applied | absent:
            self.tried[host] = visit.at
        for host in applied:
            self.series[host] = visit.series
        self.previous = ledger

    def _sighted(self, key: Key, visit: Visit) -> None:
        known = self.entries.get(key)
        if known is None:
            self.entries[key] = _Known(visit, visit.at, visit.at, 1, since=visit.at)
            return
        if known.fixed:
            known.fixed, known.since = False, visit.at
            known.resurfaced += 1
        known.last, known.last_seen, known.sightings = visit, visit.at, known.sightings + 1

    def _check(
        self, visit: Visit, key: Key, entry: Entry, *, sighted: bool, host_in: bool, absent: bool
    ) -> None:
        known, before = self.entries[key], self.previous.get(key)
        where = (visit.number, key, entry)
        if entry.state == "fixed" and not known.fixed:
            assert host_in, where
            assert not sighted, where
            self._must_be_gone(visit, key, known)
            known.fixed, known.since = True, visit.at
        assert entry.state == _state(known), where
        assert entry.first_seen == known.first_seen, where
        assert entry.last_seen == known.last_seen, where
        assert entry.since == known.since, where
        assert entry.resurfaced == known.resurfaced, where
        if sighted or known.fixed:
            assert entry.reason is None, where
        elif host_in or absent:
            assert before is not None, where
            self._check_doubt(visit, key, entry, before, known, absent=absent)
        else:
            assert entry == before, where
        assert (entry.unverified_since is None) == (entry.reason is None), where
        if host_in and not sighted and key[1] in _CHECKS and self._knowable(visit, key, known):
            self.knowable += 1
            self.fixed += entry.state == "fixed"

    def _must_be_gone(self, visit: Visit, key: Key, known: _Known) -> None:
        now, then = visit.machine(key[0]), known.last.machine(key[0])
        assert now.serial == then.serial, ("another machine", visit.number, key)
        there = any((w.check.id, w.port) == key[1:] for w in now.weaknesses)
        assert not there, ("fixed while vulnerable", visit.number, key)

    def _knowable(self, visit: Visit, key: Key, known: _Known) -> bool:
        host, plugin, port = key
        now, then = visit.machine(host), known.last.machine(host)
        weakness = model.Weakness(_CHECKS[plugin], port)
        return (
            model.readable(visit.scan)
            and model.readable(known.last.scan)
            and now.serial == then.serial
            and weakness not in now.weaknesses
            and model.certain(known.last.scan, then, visit.scan, now, weakness)
            and now.number not in visit.scan.unfinished | known.last.scan.unfinished
        )

    def _check_doubt(
        self, visit: Visit, key: Key, entry: Entry, before: Entry, known: _Known, *, absent: bool
    ) -> None:
        where = (visit.number, key, entry, before)
        series = self.series[key[0]] if absent else known.last.series
        other_kind = series != visit.series
        if (entry.reason, entry.unverified_since) == (before.reason, before.unverified_since):
            if entry.reason is not None and entry.reason in _true(visit, key, known):
                return
            # Nothing changed: only a scan of another kind may leave an open finding alone.
            assert other_kind, where
            assert visit.machine(key[0]).alive or visit.scan.cut_at is not None, where
            return
        assert entry.reason is not None, where
        assert entry.reason in _true(visit, key, known), (where, _true(visit, key, known))
        if other_kind and entry.reason == "login_failed":
            assert visit.scan.login[visit.machine(key[0]).number] != "none", where
        elif other_kind:
            assert entry.reason in ("host_down", "host_changed", "host_unfinished"), where
        begun = visit.at if before.reason is None else before.unverified_since
        assert entry.unverified_since == begun, where
        self.reasons.add(entry.reason)


def _state(known: _Known) -> str:
    if known.fixed:
        return "fixed"
    if known.resurfaced:
        return "resurfaced"
    return "new" if known.sightings == 1 else "active"


def _true(visit: Visit, key: Key, known: _Known) -> set[str]:
    """The reasons not to know that are true."""
    return set(_reasons(visit, key, known))


def _reasons(visit: Visit, key: Key, known: _Known) -> Iterator[str]:
    host, plugin, port = key
    scan, machine, then = visit.scan, visit.machine(host), known.last.machine(host)
    login, was = scan.login[machine.number], known.last.scan.login[machine.number]
    shown = visit.shown.get(host, frozenset())
    if not any(shown_port or shown_plugin == 10180 for _, shown_plugin, shown_port in shown):
        yield "host_down"  # there is no sign of life in the report
    if machine.serial != then.serial:
        yield "host_changed"
    if machine.number in scan.unfinished:
        yield "host_unfinished"
    if scan.cut_at is not None or scan.least_severity or 19506 not in scan.plugins:
        yield "report_incomplete"
    if plugin not in scan.plugins or not scan.lists_plugins:
        yield "plugin_not_run"
    if not scan.thorough or scan.paranoia < 2:
        yield "settings_weaker"
    kind = _CHECKS[plugin].kind if plugin in _CHECKS else "summary"
    if kind != "remote" and (login != "full" or was != login or not scan.plugins >= model.EVIDENCE):
        yield "login_failed"
    entered = login in ("full", "unprivileged", "intermittent")
    if port and not ("netstat" in scan.scanners and entered):
        looked = "nessus_syn_scanner" in scan.scanners and port in model.RANGES[scan.ports]
        if not looked or scan.ports == "default":
            yield "port_not_scanned"
