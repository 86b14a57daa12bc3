"""What the tools work on, over a scheduler in virtual time."""

from __future__ import annotations

from typing import Any, cast

from nessus_sched.api.app import App
from nessus_sched.scheduler.exceptions import Exceptions
from nessus_sched.scheduler.operator import OperatorControls
from nessus_sched.scheduler.schedules import Schedules
from support.world import World


def app_of(w: World) -> App:
    """For tools and resources that look at tasks and scanners only: there are no stores for
    results, and no housekeeping."""
    nothing = cast(Any, None)
    return App(
        queries=w.queries,
        service=w.service,
        schedules=Schedules(w.context, w.service),
        exceptions=Exceptions(w.context),
        operator=OperatorControls(w.context, w.fleet),
        housekeeping=nothing,
        findings=nothing,
        ledger=nothing,
    )
