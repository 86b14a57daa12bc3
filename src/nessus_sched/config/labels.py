"""The labels of hosts that are configured."""

from __future__ import annotations

from functools import lru_cache

from nessus_sched.config.delivery import LabelSettings
from nessus_sched.core.targets.labels import LABELS, LabelRule, Labels
from nessus_sched.core.targets.scope import parse_rules


@lru_cache(maxsize=4)
def labels_of(items: tuple[LabelSettings, ...]) -> Labels:
    """Raises `BadTargets` for a host that is no name."""
    return Labels([_rule(each) for each in items])


def _rule(item: LabelSettings) -> LabelRule:
    given = {name: getattr(item, name) for name in LABELS}
    return LabelRule(
        parse_rules((*item.networks, *item.hosts)),
        {name: value for name, value in given.items() if value is not None},
    )
