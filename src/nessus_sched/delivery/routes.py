"""The routes of a configuration, with what they are limited to."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

import attrs

from nessus_sched.config.delivery import RouteSettings, SinkSettings, WebhookSink, When
from nessus_sched.config.labels import labels_of
from nessus_sched.config.schema import Config, WebhookSettings
from nessus_sched.config.types import NotifyOn
from nessus_sched.core.calendar.recurrence import Recurrence
from nessus_sched.core.delivery.happenings import Happening
from nessus_sched.core.targets.labels import Labelled
from nessus_sched.core.targets.ranges import overlap
from nessus_sched.core.targets.scope import Rules, parse_rules
from nessus_sched.core.targets.targets import TargetSet

_OUTCOMES: Final = {
    NotifyOn.COMPLETED: Happening.COMPLETED,
    NotifyOn.FAILED: Happening.FAILED,
    NotifyOn.DEAD: Happening.DEAD,
}


@attrs.frozen(kw_only=True)
class Route:
    """A route and its sink. `region` and `labelled` limit the hosts; None means all.
    `task_document`: it is one of `notifications`, which send the document of a task that these
    have always sent."""

    settings: RouteSettings
    sink: SinkSettings
    region: Rules | None = None
    labelled: Labelled | None = None
    task_document: bool = False

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def is_digest(self) -> bool:
        return self.settings.when in (When.DAILY, When.WEEKLY)

    def wants(self, happening: Happening) -> bool:
        return happening in self.settings.on

    def reaches(self, targets: TargetSet) -> bool:
        """Whether some of the targets are hosts that it reports on."""
        return (self.region is None or _has_some(self.region, targets)) and (
            self.labelled is None or self.labelled.has_some(targets)
        )

    def of_schedule(self, name: str | None) -> bool:
        """Whether it reports tasks of a schedule, or of none."""
        return not self.settings.schedules or name in self.settings.schedules

    def next_digest(self, after: float, zone: str) -> float | None:
        """When its next digest is due (epoch seconds)."""
        if not self.is_digest:
            return None
        hour, minute = map(int, self.settings.at.split(":"))
        day = self.settings.day.value if self.settings.when is When.WEEKLY else "*"
        return Recurrence(cron=f"{minute} {hour} * * {day}", zone=zone).next_after(after)


@attrs.define
class Routes:
    """Gives the routes of the configuration in effect, and makes them once per configuration."""

    config: Callable[[], Config]
    _made_of: Config | None = attrs.field(default=None, init=False)
    _made: tuple[Route, ...] = attrs.field(default=(), init=False)

    def __call__(self) -> tuple[Route, ...]:
        config = self.config()
        if config is not self._made_of:
            self._made, self._made_of = routes_of(config), config
        return self._made


def routes_of(config: Config) -> tuple[Route, ...]:
    """All routes, first those that `notifications` stand for."""
    sinks = {sink.name: sink for sink in config.sinks}
    labels = labels_of(config.labels)
    return (
        *map(_notification, config.notifications),
        *(
            Route(
                settings=_settings(each, sinks[each.sink]),
                sink=sinks[each.sink],
                region=parse_rules(each.networks) if each.networks else None,
                labelled=Labelled(labels, each.labels) if each.labels else None,
            )
            for each in config.routes
        ),
    )


def _settings(settings: RouteSettings, sink: SinkSettings) -> RouteSettings:
    if sink.defectdojo is None:
        return settings
    return attrs.evolve(settings, on=(Happening.COMPLETED, Happening.FAILED))


def _notification(hook: WebhookSettings) -> Route:
    digest = hashlib.sha256(hook.url.encode()).hexdigest()
    name = f"webhook-{digest[:8]}"
    return Route(
        settings=RouteSettings(
            name=name, sink=name, on=tuple(_OUTCOMES[each] for each in hook.events)
        ),
        sink=SinkSettings(name=name, webhook=WebhookSink(url=hook.url, secret=hook.secret)),
        task_document=True,
    )


def _has_some(region: Rules, targets: TargetSet) -> bool:
    return overlap(region.networks, targets.ranges) or any(map(region.match_name, targets.names))
