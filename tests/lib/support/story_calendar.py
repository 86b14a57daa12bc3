"""Blackouts and deadlines of a random story, and an account of them that is kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

import attrs

from nessus_sched.config.calendar import BlackoutSettings
from nessus_sched.core.calendar.timetable import AtEnd
from nessus_sched.core.targets.targets import parse_targets
from support.world import EPOCH

NETWORKS = ("192.0.2.0/26", "192.0.2.128/25")


@attrs.frozen(kw_only=True)
class Closure:
    """From `begin` to `end` (seconds after the story's begin) nothing may start on `scanner` or in
    `network`; None: anywhere."""

    begin: float
    end: float
    scanner: str | None
    network: str | None
    at_end: AtEnd

    def settings(self, number: int) -> BlackoutSettings:
        return BlackoutSettings(
            name=f"closure-{number}",
            times=(f"{_text(self.begin)} to {_text(self.end)}",),
            networks=(self.network,) if self.network else (),
            scanners=(self.scanner,) if self.scanner else (),
            at_end=self.at_end,
        )

    def concerns(self, scanner_id: str, targets: Sequence[str]) -> bool:
        if self.scanner not in (None, scanner_id):
            return False
        addresses = parse_targets(text.partition("[")[0] for text in targets)
        return self.network is None or addresses.overlaps(parse_targets([self.network]))


def closures(random: Random, lasts: float, scanners: Sequence[str]) -> list[Closure]:
    """Some blackouts while the story lasts, in whole minutes."""
    made = []
    for _ in range(random.randint(3, 12)):
        begin = 60.0 * random.randrange(1, int(lasts / 240))
        made.append(
            Closure(
                begin=begin,
                end=begin + 60.0 * random.choice([1, 2, 5, max(6, int(lasts / 240))]),
                scanner=random.choice([None, *scanners]) if random.random() < 0.5 else None,
                network=random.choice([None, *NETWORKS]),
                at_end=random.choice(list(AtEnd)),
            )
        )
    return made


def _text(seconds: float) -> str:
    return f"{datetime.fromtimestamp(EPOCH + seconds, UTC):%Y-%m-%d %H:%M}"
