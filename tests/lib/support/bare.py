"""A scheduler's surroundings without scanners: for what needs a store and clocks alone."""

from __future__ import annotations

from random import Random
from typing import Any, cast

from nessus_sched.config.schema import Config
from nessus_sched.core.clock import Now
from nessus_sched.scheduler.context import Context
from nessus_sched.store.tasks.store import TaskStore
from support.seals import SEAL


def bare_context(store: TaskStore, now: Now, config: Config | None = None) -> Context:
    nothing = cast(Any, None)
    return Context(
        config=config or Config(),
        pool=nothing,
        store=store,
        exports=nothing,
        digest=nothing,
        resolve=nothing,
        now=now,
        wall=now,
        seal=SEAL,
        random=Random(0),
    )
