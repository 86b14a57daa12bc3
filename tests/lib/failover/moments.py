"""When a fault begins: at any time, when a scanner gets a request, or when a step was journaled."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

import attrs
import psycopg
import trio

from failover.database import DATABASE, Database
from failover.stage import Trap

PATIENCE: Final = 6.0
"""Seconds for the moment to come."""
SHORTLY: Final = 0.02
"""Seconds in which a scanner answers, and a daemon sends its next request."""
LOOK: Final = 0.001
_HEAD: Final = b"SELECT head_seq FROM nessus_sched.chain"
_SINCE: Final = b"SELECT seq, content FROM nessus_sched.journal WHERE seq > %s ORDER BY seq"

Strike = Callable[[], None]


@attrs.frozen
class AtAnyTime:
    def __str__(self) -> str:
        return ""


@attrs.frozen
class AtRequest:
    """When a scanner has got such a request, or (`after`) shortly afterwards: then its answer gets
    through, and the next request does not."""

    method: str
    path: str
    after: bool = False

    def __str__(self) -> str:
        return f"{'after' if self.after else 'at'} {self.method} {self.path}"


@attrs.frozen
class AtRow:
    """As soon as others can see such an entry in the journal: the daemon is about to act on it."""

    event: str

    def __str__(self) -> str:
        return f"at row {self.event}"


Moment = AtAnyTime | AtRequest | AtRow

_REQUESTS: Final = (
    ("POST", "/scans"),
    ("POST", "/scans/*/launch"),
    ("POST", "/scans/*/export"),
    ("GET", "/scans"),
)
MOMENTS: Final[Sequence[Moment]] = (
    *(AtAnyTime() for _ in range(8)),
    *(AtRequest(*each, after=after) for each in _REQUESTS for after in (False, True)),
    *(AtRow(each) for each in ("taken", "taken", "scan_created", "launched")),
)


@attrs.frozen
class Moments:
    """Waits for them. `base` is None where tasks are in files, whose journal is not looked at."""

    traps: Sequence[Trap]
    base: Database | None
    random: Random

    async def wait(self, moment: Moment, strike: Strike) -> bool:
        """Calls `strike` at the moment, or after a while if it does not come; returns whether it
        came. It may be called more than once."""
        came = not isinstance(moment, AtRow)
        with trio.move_on_after(PATIENCE) as waiting:
            match moment:
                case AtRequest():
                    await self._request(moment, strike)
                case AtRow(event) if self.base is not None:
                    came = await self._row(self.base, event)
        strike()
        return came and not waiting.cancelled_caught

    async def _request(self, moment: AtRequest, strike: Strike) -> None:
        arrived = trio.Event()

        def notice() -> None:
            if not moment.after:
                strike()
            arrived.set()

        for trap in self.traps:
            trap.arm(moment.method, moment.path, notice)
        try:
            await arrived.wait()
        finally:
            for trap in self.traps:
                trap.disarm()
        if moment.after:
            await trio.sleep(self.random.uniform(0, SHORTLY))

    async def _row(self, base: Database, event: str) -> bool:
        given = f"host={base.primary.directory} user=postgres dbname={DATABASE}"
        try:
            with psycopg.connect(given, connect_timeout=2, autocommit=True) as connection:
                row = connection.execute(_HEAD).fetchone()
                last = 0 if row is None else row[0]
                while True:
                    for seq, content in connection.execute(_SINCE, (last,)).fetchall():
                        last = seq
                        if json.loads(content).get("event") == event:
                            return True
                    await trio.sleep(LOOK)
        except psycopg.Error:
            return False
