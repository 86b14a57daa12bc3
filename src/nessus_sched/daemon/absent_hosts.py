"""Which hosts of a task were absent, for the second tries of its schedule."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from nessus_sched.api.operations import ToolError
from nessus_sched.api.outcomes.coverage import coverage_as
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.targets.ranges import merged
from nessus_sched.core.targets.targets import TargetSet
from nessus_sched.core.task import Task
from nessus_sched.results.ledger.port import LedgerReader
from nessus_sched.scheduler.queries import TaskQueries
from nessus_sched.store.findings.store import FindingsStore


@attrs.frozen(kw_only=True)
class AbsentHosts:
    queries: TaskQueries
    findings: FindingsStore
    ledger: LedgerReader

    async def __call__(self, task: Task) -> Sequence[str] | None:
        """The targets that were silent or not reached and that some scan has ever seen: the dead
        space of a network is not scanned again. None if the coverage is not known. Raises
        `StoreUnavailable`."""
        try:
            silent, missed = await coverage_as(
                self, task, lambda coverage, _: (coverage.silent, coverage.missed)
            )
        except ToolError as error:
            if error.code == "store_unavailable":
                raise StoreUnavailable(error.message) from error
            return None
        both = TargetSet(
            ranges=merged((*silent.ranges, *missed.ranges)), names=(*silent.names, *missed.names)
        )
        return await self.ledger.ever_seen(both.ranges, both.names)
