"""The changes of a reload, grouped by what it takes to apply them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import attrs

from nessus_sched.config.scanners import ScannerSettings
from nessus_sched.config.schema import Config


class Aspect(StrEnum):
    """The kind of change to a scanner, which decides what it takes to apply it."""

    LIMIT = "limit"
    """A different number of slots."""
    CONNECTION = "connection"
    """Needs a new client; running scans are kept."""
    FLAGS = "flags"
    """Whether it gets work."""
    ROUTING = "routing"
    """Which tasks may go to it."""
    LABELS = "labels"
    """Text for people only."""


ASPECTS: Final[Mapping[str, Aspect]] = MappingProxyType(
    {
        "name": Aspect.LABELS,
        "labels": Aspect.LABELS,
        "url": Aspect.CONNECTION,
        "auth": Aspect.CONNECTION,
        "tls": Aspect.CONNECTION,
        "folder": Aspect.CONNECTION,
        "timeout": Aspect.CONNECTION,
        "max_concurrent_scans": Aspect.LIMIT,
        "enabled": Aspect.FLAGS,
        "pool": Aspect.ROUTING,
        "networks": Aspect.ROUTING,
    }
)

AT_START_ONLY: Final = (
    ("state_directory",),
    ("store",),
    ("store_password",),
    ("leaders",),
    ("socket", "path"),
    ("socket", "mode"),
    ("socket", "group"),
    ("http", "bind"),
    ("http", "hosts"),
    ("http", "status_page"),
    ("log", "format"),
)
"""Keys that the daemon reads only at start."""


@attrs.frozen(kw_only=True)
class ScannerChange:
    """A scanner whose settings changed."""

    before: ScannerSettings
    after: ScannerSettings
    aspects: frozenset[Aspect]

    @property
    def id(self) -> str:
        return self.after.id


@attrs.frozen(kw_only=True)
class NameChanges:
    """Names that were added, removed or changed (a rotated secret counts)."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@attrs.frozen(kw_only=True)
class ConfigDiff:
    """`sections` are the other top-level keys that changed and apply immediately; `restart`
    are the keys whose new value takes effect only after a restart."""

    scanners_added: tuple[ScannerSettings, ...] = ()
    scanners_removed: tuple[str, ...] = ()
    scanners_changed: tuple[ScannerChange, ...] = ()
    credentials: NameChanges = attrs.field(factory=NameChanges)
    scope_changed: bool = False
    sections: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self != ConfigDiff()

    def lines(self) -> tuple[str, ...]:
        """The changes, for the log and the answer to `reload`; without secrets."""
        changed = (
            f"scanner {change.id} changed: {', '.join(sorted(change.aspects))}"
            for change in self.scanners_changed
        )
        return (
            *(f"scanner {scanner.id} added" for scanner in self.scanners_added),
            *(f"scanner {scanner} removed" for scanner in self.scanners_removed),
            *changed,
            *(f"credential {name} added" for name in self.credentials.added),
            *(f"credential {name} removed" for name in self.credentials.removed),
            *(f"credential {name} changed" for name in self.credentials.changed),
            *(["scope changed"] if self.scope_changed else []),
            *(f"{section} changed" for section in self.sections),
            *(f"{key} changed: needs a restart" for key in self.restart),
        )


def diff(old: Config, new: Config) -> ConfigDiff:
    """The changes from `old`, which is in effect, to `new`."""
    before = {scanner.id: scanner for scanner in old.scanners}
    after = {scanner.id: scanner for scanner in new.scanners}
    return ConfigDiff(
        scanners_added=tuple(after[key] for key in after if key not in before),
        scanners_removed=tuple(key for key in before if key not in after),
        scanners_changed=tuple(
            ScannerChange(
                before=before[key], after=after[key], aspects=_aspects(before[key], after[key])
            )
            for key in after
            if key in before and after[key] != before[key]
        ),
        credentials=_name_changes(old.credentials, new.credentials),
        scope_changed=old.targets != new.targets,
        sections=_sections(old, new),
        restart=tuple(".".join(path) for path in AT_START_ONLY if _at(old, path) != _at(new, path)),
    )


def _aspects(before: ScannerSettings, after: ScannerSettings) -> frozenset[Aspect]:
    return frozenset(
        aspect for key, aspect in ASPECTS.items() if getattr(before, key) != getattr(after, key)
    )


def _name_changes(old: Iterable[Any], new: Iterable[Any]) -> NameChanges:
    before = {item.name: item for item in old}
    after = {item.name: item for item in new}
    return NameChanges(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed=tuple(name for name in after if name in before and after[name] != before[name]),
    )


def _sections(old: Config, new: Config) -> tuple[str, ...]:
    """Changed top-level keys, except those with their own field in the diff."""
    own = {"scanners", "credentials", "targets"}
    names = (field.name for field in attrs.fields(Config) if field.name not in own)
    return tuple(name for name in names if _live(old, name) != _live(new, name))


def _live(config: Config, name: str) -> Any:
    """A section without the keys that are read only at start; None if nothing is left."""
    value = getattr(config, name)
    if (name,) in AT_START_ONLY:
        return None
    at_start = {path[1]: None for path in AT_START_ONLY if path[0] == name and len(path) == 2}
    return attrs.evolve(value, **at_start) if at_start else value


def _at(config: Config, path: tuple[str, ...]) -> Any:
    value: Any = config
    for key in path:
        value = getattr(value, key)
    return value
