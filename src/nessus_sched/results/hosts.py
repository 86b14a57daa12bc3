"""Counts the hosts of a report by their verdicts, each once even if it has several elements."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from typing import Final

import attrs

from nessus_sched.results.logins.used import LoginUsed, distinct
from nessus_sched.results.logins.verdict import (
    NOT_TRIED,
    URGENCY,
    HostVerdict,
    Login,
    Privilege,
    ScanVerdict,
    judge_scan,
    login_of_both,
    privilege_of_both,
)
from nessus_sched.results.model import HostReport

_PER_LOGIN: Final = 100
"""Hosts kept per verdict; further ones are only counted."""
_REMEMBERED: Final = 500_000
"""Hosts remembered in case they occur again."""
_LOGINS: Final = 100
"""Different logins that are counted."""
_FIRED: Final = 10_000_000
"""Plugin numbers kept for all hosts together, 4 bytes each."""


@attrs.frozen(kw_only=True)
class HostRecord:
    """The relevant facts about a host. `advice` concerns its login; `finished`: the scanner
    recorded an end if it recorded a start; `unscanned`: no port scanner ran. `plugins` are the
    numbers of those that fired (`rankings.PluginCounts`), `logins` those that worked."""

    login: Login
    privilege: Privilege
    alive: bool
    advice: str | None
    finished: bool
    unscanned: bool
    severities: Mapping[str, int]
    plugins: array[int]
    logins: tuple[LoginUsed, ...] = ()


class Hosts:
    """Counts the hosts of a report; `serious` ones have findings above info. `logins` are those
    that worked, with the number of hosts."""

    def __init__(self) -> None:
        self.total = self.dead = self.unfinished = self.unscanned = self.serious = 0
        self._logins: Counter[Login] = Counter()
        self._privileges: Counter[Privilege] = Counter()
        self._advice: Counter[tuple[Login, str]] = Counter()
        self.logins: Counter[LoginUsed] = Counter()
        self._verdicts: dict[Login, dict[int, HostVerdict]] = {login: {} for login in Login}
        self._records: dict[int, HostRecord] = {}
        self._fired = 0

    def record(self, index: int) -> HostRecord | None:
        """The record from an earlier element of the same host."""
        return self._records.get(index)

    def add(self, index: int, verdict: HostVerdict, record: HostRecord) -> HostRecord:
        """Counts an element of a host and returns the combined record of the host so far."""
        earlier = self._records.get(index)
        if earlier is not None:
            self._count(earlier, -1)
            record = _of_both(earlier, record)
            verdict = _verdict_of_both(self._verdicts[earlier.login].pop(index, None), verdict)
            verdict = attrs.evolve(
                verdict, login=record.login, privilege=record.privilege, alive=record.alive
            )
        self._count(record, 1)
        kept = self._verdicts[record.login]
        if len(kept) < _PER_LOGIN:
            kept[index] = verdict
        self._remember(index, record)
        return record

    def urgent(self, most: int) -> list[HostVerdict]:
        """The most urgent verdicts."""
        ordered = [host for login in URGENCY for host in self._verdicts[login].values()]
        return ordered[:most]

    def verdict(self, *, no_login: bool = False) -> ScanVerdict:
        """The verdict on the whole scan, without advice on logins that nobody wanted."""
        advice = {
            (login, text): count
            for (login, text), count in self._advice.items()
            if not (no_login and login in NOT_TRIED)
        }
        return judge_scan(self._logins, self._privileges, advice)

    def _remember(self, index: int, record: HostRecord) -> None:
        if index in self._records or (
            len(self._records) < _REMEMBERED and self._fired + len(record.plugins) <= _FIRED
        ):
            self._fired += len(record.plugins)
            self._records[index] = record

    def _count(self, record: HostRecord, by: int) -> None:
        self.total += by
        self.serious += by * any(n for name, n in record.severities.items() if name != "info")
        if not record.alive:
            self.dead += by
            return
        self._logins[record.login] += by
        self._privileges[record.privilege] += by
        self._count_logins(record, by)
        if record.advice:
            self._advice[record.login, record.advice] += by
        self.unfinished += by * (not record.finished)
        self.unscanned += by * record.unscanned

    def _count_logins(self, record: HostRecord, by: int) -> None:
        for login in record.logins:
            if login in self.logins or len(self.logins) < _LOGINS:
                self.logins[login] += by


def finished(host: HostReport) -> bool:
    """False if the scanner recorded a start of the host but no end."""
    began = host.started_at is not None or "HOST_START" in host.properties
    return not began or host.ended_at is not None or "HOST_END" in host.properties


def _of_both(one: HostRecord, other: HostRecord) -> HostRecord:
    return HostRecord(
        login=login_of_both(one.login, other.login),
        privilege=privilege_of_both(one.privilege, other.privilege),
        alive=one.alive or other.alive,
        advice=one.advice or other.advice,
        finished=one.finished and other.finished,
        unscanned=one.unscanned or other.unscanned,
        severities=Counter(one.severities) + Counter(other.severities),
        plugins=other.plugins,  # which began with those of the first
        logins=distinct((*one.logins, *other.logins)),
    )


def _verdict_of_both(one: HostVerdict | None, other: HostVerdict) -> HostVerdict:
    if one is None:
        return other
    return attrs.evolve(
        other,
        logins=distinct((*one.logins, *other.logins)),
        reasons=tuple(dict.fromkeys((*one.reasons, *other.reasons))),
        evidence=tuple(dict.fromkeys((*one.evidence, *other.evidence))),
        evidence_left_out=one.evidence_left_out + other.evidence_left_out,
        advice=one.advice or other.advice,
    )
