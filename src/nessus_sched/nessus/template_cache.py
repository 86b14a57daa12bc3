"""Caches the templates described by a scanner's editor."""

from __future__ import annotations

from functools import partial
from typing import Final

import attrs
import trio

from nessus_sched.core.clock import Now
from nessus_sched.core.scanner import (
    ApiRefused,
    CertificateMismatch,
    LicenseExpired,
    LicenseLimit,
    LoginRefused,
    NoCapacity,
    NotReady,
    ScannerError,
    Unreachable,
)
from nessus_sched.nessus import routes
from nessus_sched.nessus.editor import EditorTemplate, read_template
from nessus_sched.nessus.session import NessusSession
from nessus_sched.nessus.stand_in import stand_in

TEMPLATE_TTL: Final = 12 * 3600.0
"""Seconds; new inputs and audits come with plugin sets, which are detected separately."""
STAND_IN_TTL: Final = 600.0
"""Seconds until an editor that could not be read is tried again."""
_NOT_ABOUT_THE_EDITOR: Final = (
    ApiRefused,
    CertificateMismatch,
    LicenseExpired,
    LicenseLimit,
    LoginRefused,
    NoCapacity,
    NotReady,
)


@attrs.frozen
class _CachedTemplate:
    template: EditorTemplate
    read_at: float
    plugin_set: float | None


class TemplateCache:
    """The templates of one scanner. `plugin_set` is the time of its plugins, if known; a change
    makes every template stale."""

    def __init__(self, session: NessusSession, now: Now) -> None:
        self._session = session
        self._now = now
        self._cached: dict[str, _CachedTemplate] = {}
        self._unanswered: set[str] = set()
        self._reading = trio.Lock()
        self.plugin_set: float | None = None

    async def template(self, name: str, uuid: str) -> EditorTemplate:
        """Returns a cached template, or reads it from the scanner. If the editor cannot be read,
        the result is a stand-in. If the scanner does not answer, this raises; the second time in
        a row it returns a stand-in, since just this answer may be too large or too slow."""
        async with self._reading:
            cached = self._cached.get(uuid)
            if cached is None or not self._fresh(cached):
                found = await self._read(name, uuid)
                cached = _CachedTemplate(found, self._now(), self.plugin_set)
                self._cached[uuid] = cached
            return cached.template

    def _fresh(self, cached: _CachedTemplate) -> bool:
        age = self._now() - cached.read_at
        longest = STAND_IN_TTL if cached.template.problem else TEMPLATE_TTL
        return 0 <= age < longest and cached.plugin_set == self.plugin_set

    async def _read(self, name: str, uuid: str) -> EditorTemplate:
        try:
            found = await self._session.read(
                routes.template(uuid), partial(read_template, uuid=uuid)
            )
        except _NOT_ABOUT_THE_EDITOR:
            raise
        except ScannerError as error:
            if isinstance(error, Unreachable) and uuid not in self._unanswered:
                self._unanswered.add(uuid)
                raise
            problem = f"could not be read ({error})"
        else:
            self._unanswered.discard(uuid)
            if any(each.default is not None for tab in found.tabs for each in tab.inputs):
                return found
            if found.names - {"name", "description"}:
                return found
            problem = "lists no settings"
        return stand_in(
            name,
            f"The scanner's editor for the template {name!r} {problem}: the scan was sent the "
            "defaults of Nessus 10.8's web interface instead of its own.",
        )
