"""What can go wrong with a request to a scanner, and a source of such troubles from a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from random import Random

import attrs

from nessus_sched.core.scanner import (
    BadExport,
    NoCapacity,
    NotReady,
    OutcomeUnknown,
    Refused,
    ScannerError,
    TransientError,
    Unreachable,
)


class Effect(Enum):
    """What became of a request that was answered with an error."""

    NONE = "it changed nothing"
    DONE = "it took effect, and the answer was lost"
    LATE = "it was held up on its way and takes effect later"


@attrs.frozen(kw_only=True)
class Trouble:
    """`takes` seconds until the error is here; a late effect comes `delay` seconds after."""

    error: ScannerError
    effect: Effect = Effect.NONE
    takes: float = 0.025
    delay: float = 0.0


CHANGES = ("create_scan", "launch", "pause", "resume", "stop", "delete")
READS = ("info", "list_scans", "details", "export")


def lost(effect: Effect, *, delay: float = 0.0, takes: float = 0.025) -> Trouble:
    """The answer to a change never came."""
    error = OutcomeUnknown("the answer was lost")
    return Trouble(error=error, effect=effect, delay=delay, takes=takes)


def kinds_for(request: str, random: Random) -> Sequence[Trouble]:
    """Every kind of trouble that this request can meet."""
    slow = random.choice([0.025, 5.0, 60.0])
    unreachable = Trouble(error=Unreachable("no connection to the scanner"), takes=slow)
    broken = Trouble(error=TransientError("the scanner answered 500"), takes=slow)
    busy = Trouble(error=NotReady("the scanner answered 503"))
    if request == "export":
        return (unreachable, broken, busy, Trouble(error=BadExport("a truncated report")))
    if request in READS:
        return (unreachable, broken, busy, Trouble(error=NoCapacity("slow down")))
    delay = random.choice([0.5, 4.0, 30.0, 120.0])
    changed = tuple(lost(effect, delay=delay, takes=slow) for effect in Effect)
    took_effect = Trouble(error=TransientError("the scanner answered 500"), effect=Effect.DONE)
    more: Mapping[str, Sequence[Trouble]] = {
        "launch": (Trouble(error=NoCapacity("the scanner runs all it may")),),
        "pause": (Trouble(error=Refused("it is not running")),),
        "resume": (Trouble(error=Refused("it is not paused")),),
        "stop": (Trouble(error=Refused("it is about to end")),),
    }
    return (unreachable, broken, busy, took_effect, *changed, *more.get(request, ()))
