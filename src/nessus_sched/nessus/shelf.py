"""Templates as the scanner's editor describes them, read once and kept for a while."""

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
from nessus_sched.nessus.session import Link
from nessus_sched.nessus.stand_in import stand_in

FRESH: Final = 12 * 3600.0
"""Seconds; new inputs and audits come with plugin sets, which are noticed at once."""
STAND_IN_FRESH: Final = 600.0
"""Seconds until an editor that could not be read is asked again."""
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
class _Kept:
    template: EditorTemplate
    read_at: float
    plugin_set: float | None


class Shelf:
    """The templates of one scanner. `plugin_set` is when its plugins were made, as far as
    known; a newer set makes every template stale."""

    def __init__(self, link: Link, now: Now) -> None:
        self._link = link
        self._now = now
        self._kept: dict[str, _Kept] = {}
        self._unanswered: set[str] = set()
        self._reading = trio.Lock()
        self.plugin_set: float | None = None

    async def template(self, name: str, uuid: str) -> EditorTemplate:
        """Asks the scanner only where nothing fresh is kept. An editor that cannot be read
        gives a stand-in; a scanner that does not answer raises, and the second time in a row
        gives a stand-in as well, since it may be this one answer that is too large or slow."""
        async with self._reading:
            kept = self._kept.get(uuid)
            if kept is None or not self._fresh(kept):
                found = await self._read(name, uuid)
                kept = _Kept(found, self._now(), self.plugin_set)
                self._kept[uuid] = kept
            return kept.template

    def _fresh(self, kept: _Kept) -> bool:
        age = self._now() - kept.read_at
        longest = STAND_IN_FRESH if kept.template.problem else FRESH
        return 0 <= age < longest and kept.plugin_set == self.plugin_set

    async def _read(self, name: str, uuid: str) -> EditorTemplate:
        try:
            found = await self._link.read(routes.template(uuid), partial(read_template, uuid=uuid))
        except _NOT_ABOUT_THE_EDITOR:
            raise
        except ScannerError as error:
            if isinstance(error, Unreachable) and uuid not in self._unanswered:
                self._unanswered.add(uuid)
                raise
            problem = f"could not be read ({error})"
        else:
            self._unanswered.discard(uuid)
            if any(each.default is not None for part in found.parts for each in part.inputs):
                return found
            if found.names - {"name", "description"}:
                return found
            problem = "lists no settings"
        return stand_in(
            name,
            f"The scanner's editor for the template {name!r} {problem}: the scan was sent the "
            "defaults of Nessus 10.8's web interface instead of its own.",
        )
