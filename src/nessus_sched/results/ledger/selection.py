"""Findings of the ledger that are to be looked for again, with what a scan of them needs."""

from __future__ import annotations

import attrs

from nessus_sched.results.absence import took_login
from nessus_sched.results.coverage import HostCoverage
from nessus_sched.results.ledger.questions import Entry, Shown


@attrs.frozen(kw_only=True)
class Selection:
    """Which findings: on hosts with these addresses (numbers of `core.targets.ranges`) or names,
    by these plugins or with these CVEs. What is empty does not limit, except that hosts are
    limited by `ranges` and `names` together."""

    ranges: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = ()
    plugins: tuple[int, ...] = ()
    cves: tuple[str, ...] = ()
    shown: Shown = Shown.OPEN
    least_severity: int = 0
    limit: int | None = None


@attrs.frozen(kw_only=True)
class Selected:
    """A finding, with its plugin's family and type as in the report, what the scan that last saw
    it covered on the host, and the series of that scan."""

    entry: Entry
    family: str | None
    plugin_type: str | None
    seen_on: HostCoverage | None
    series: str

    @property
    def took_login(self) -> bool:
        """Whether it may have been found with a login only."""
        return took_login(self.plugin_type, self.seen_on)
