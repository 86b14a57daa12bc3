"""Runs certifications in the daemon; each holds a slot while it has scans on a scanner.

The slot is reserved before the first scan is created and released when the last one is deleted,
even across a restart: a file records the certification, and markers identify its scans.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from urllib.parse import urlsplit

import attrs
import trio

from nessus_sched.certify.examination import Outcome, examine
from nessus_sched.certify.files import CertificationFiles
from nessus_sched.certify.recorder import Recorder, Transport, Wrap
from nessus_sched.certify.scans import Subject, TestedScanner, remove
from nessus_sched.certify.scrub import Scrubber
from nessus_sched.config.scanners import ScannerSettings
from nessus_sched.config.secrets import secrets_of
from nessus_sched.core.ids import new_task_id
from nessus_sched.core.journal import JournalEntry
from nessus_sched.core.run_sync import RunSync
from nessus_sched.core.scanner import RemoteScan, ScannerError
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.core.targets.ranges import difference
from nessus_sched.core.targets.scope import Scope, parse_rules
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import ScanKind, ScanRequest
from nessus_sched.scheduler.admission.admit import admit
from nessus_sched.scheduler.context import Context
from nessus_sched.scheduler.errors import NotPossible, StoreDown, TargetsRefused
from nessus_sched.telemetry import events

SLOT_WITHIN: Final = 1800.0
"""Seconds to wait for a running scan to end if all slots are taken."""
LOOK_EVERY: Final = 1.0
REMOVED_WITHIN: Final = 300.0
MOST_SCANS: Final = 9
"""More than a certification creates."""
TRY_AGAIN: Final = 30.0
"""Seconds between attempts to delete leftover scans."""

OpenScanner = Callable[[ScannerSettings, Wrap], TestedScanner]
"""Opens a separate connection, which the certification closes; `Wrap` records it."""


class Certifier:
    """All certifications of a daemon, one at a time per scanner."""

    def __init__(
        self,
        context: Context,
        files: CertificationFiles,
        open_scanner: OpenScanner,
        run_sync: RunSync,
    ) -> None:
        self._context = context
        self._files = files
        self._open = open_scanner
        self._run_sync = run_sync
        self._left = trio.Event()
        self._busy: set[str] = set()

    async def restore(self) -> None:
        """Reads stored results, and reserves slots for certifications that a stop or crash
        interrupted. Call it before any task is dequeued."""
        for settings in self._context.config.scanners:
            measured = await self._run_sync(partial(self._files.measured, settings.id))
            if measured is not None:
                self._context.measured[settings.id] = measured
        for scanner_id, certification in (await self._run_sync(self._files.under_way)).items():
            self._reserve(scanner_id, certification)
            self._left.set()

    async def run(self) -> None:
        """Deletes scans that certifications left on scanners, until canceled."""
        while True:
            await self._left.wait()
            self._left = trio.Event()
            for scanner_id, certification in list(self._context.certifying.items()):
                if scanner_id not in self._busy:
                    await self._remove_left(scanner_id, certification)
            if self._context.certifying.keys() - self._busy:
                await trio.sleep(TRY_AGAIN)
                self._left.set()

    async def certify(
        self, scanner_id: str, target: str, *, actor: str, scopes: Sequence[Scope] = ()
    ) -> Outcome:
        """Raises `RequestError` if it is not allowed or not possible now. If canceled, its scans
        are deleted, at the latest by `run`."""
        settings, target = await self._admit(scanner_id, target, scopes)
        certification = new_task_id(self._context.random, self._context.wall())
        with self._slot(scanner_id, certification):
            await self._wait_for_slot(scanner_id)
            outcome = await self._examine(settings, target, certification)
            if outcome.clean:
                self._release(scanner_id)
        await self._keep(scanner_id, outcome, actor)
        return outcome

    async def _admit(
        self, scanner_id: str, target: str, scopes: Sequence[Scope]
    ) -> tuple[ScannerSettings, str]:
        request = ScanRequest(kind=ScanKind.BASIC, targets=(target,), scanner_instance=scanner_id)
        admitted = await admit(request, self._context, scopes)
        settings = next(s for s in self._context.config.scanners if s.id == scanner_id)
        if parse_targets(admitted.request.targets).address_count != 1:
            raise TargetsRefused(
                f"{target} is more than one host", hint="name one address or host name"
            )
        networks = parse_rules(settings.networks).networks if settings.networks else None
        if networks is not None and difference(admitted.targets.ranges, networks):
            raise TargetsRefused(
                f"scanner {scanner_id} does not reach {target}", hint="see its `networks`"
            )
        if scanner_id in self._context.certifying:
            raise NotPossible(f"scanner {scanner_id} is already being certified")
        return settings, admitted.request.targets[0]

    @contextmanager
    def _slot(self, scanner_id: str, certification: str) -> Iterator[None]:
        try:
            self._files.begin(scanner_id, certification)
        except OSError as error:
            raise StoreDown(f"nothing was done: {error}") from error
        self._busy.add(scanner_id)
        self._reserve(scanner_id, certification)
        try:
            yield
        finally:
            self._busy.discard(scanner_id)
            self._left.set()

    def _reserve(self, scanner_id: str, certification: str) -> None:
        self._context.certifying[scanner_id] = certification
        if scanner_id in self._context.pool.scanners():
            self._context.pool.reserve(scanner_id, 1, self._context.now())

    def _release(self, scanner_id: str) -> None:
        self._files.end(scanner_id)
        self._context.certifying.pop(scanner_id, None)
        if scanner_id in self._context.pool.scanners():
            self._context.pool.reserve(scanner_id, 0, self._context.now())

    async def _wait_for_slot(self, scanner_id: str) -> None:
        with trio.move_on_after(SLOT_WITHIN):
            while True:
                if self._slot_is_free(scanner_id):
                    return
                await trio.sleep(LOOK_EVERY)
        raise NotPossible(
            f"no scan on {scanner_id} ended within {SLOT_WITHIN / 60:.0f} min",
            hint="try again when it has a free slot",
        )

    def _slot_is_free(self, scanner_id: str) -> bool:
        statistics = self._context.pool.statistics(self._context.now())
        found = [each.slots for each in statistics.scanners if each.scanner_id == scanner_id]
        return all(len(slots.active) <= slots.capacity for slots in found)

    async def _examine(self, settings: ScannerSettings, target: str, certification: str) -> Outcome:
        context = self._context
        recorder = Recorder(context.wall())
        scanner = self._open(settings, recorder.wrap)
        try:
            with TemporaryDirectory(dir=self._files.directory) as folder:
                outcome = await examine(
                    Subject(
                        scanner=scanner,
                        target=target,
                        marker=partial(self._context.seal.mark, certification),
                        folder=Path(folder),
                        wall=self._context.wall,
                        keys=settings.uses_api_keys,
                        run_sync=self._run_sync,
                    )
                )
        finally:
            with trio.CancelScope(shield=True):
                await scanner.close()
        scrubber = Scrubber(
            target=target,
            folder=settings.folder,
            markers=[context.seal.mark(certification, number + 1) for number in range(MOST_SCANS)],
            private=_private(settings, target, context),
            salt=certification,
        )
        document = await self._run_sync(lambda: recorder.document(scrubber))
        try:
            await self._run_sync(lambda: self._files.save_recording(settings.id, document))
        except OSError as error:
            raise StoreDown(f"the recording could not be saved: {error}") from error
        return attrs.evolve(outcome, recording=str(self._files.recording(settings.id)))

    async def _keep(self, scanner_id: str, outcome: Outcome, actor: str) -> None:
        measured, context = outcome.measured, self._context
        if measured is None:
            return
        context.measured[scanner_id] = measured
        result = {
            "differs": measured.differs,
            "failed": measured.failed,
            "edition": measured.identity.edition,
            "version": measured.identity.version,
        }
        context.log.info(events.SCANNER_CERTIFIED, scanner_instance=scanner_id, **result)
        detail = {"scanner_instance": scanner_id, **result}
        entry = JournalEntry(at=context.wall(), event="certified", actor=actor, detail=detail)
        try:
            await context.store.note(entry)
            await self._run_sync(partial(self._files.save, scanner_id, measured))
        except (StoreUnavailable, OSError) as error:
            raise StoreDown(f"the results could not be saved: {error}") from error

    async def _remove_left(self, scanner_id: str, certification: str) -> None:
        settings = next((s for s in self._context.config.scanners if s.id == scanner_id), None)
        if settings is None:
            return  # it may come back
        scanner = self._open(settings, _bare)
        problem = "its scans cannot be stopped"
        try:
            with trio.move_on_after(REMOVED_WITHIN):
                await remove(scanner, partial(self._is_of, certification))
                self._release(scanner_id)
                return
        except ScannerError as error:
            problem = str(error)
        finally:
            with trio.CancelScope(shield=True):
                await scanner.close()
        self._context.log.warning(
            events.CERTIFICATION_LEFT, scanner_instance=scanner_id, reason=problem
        )

    def _is_of(self, certification: str, row: RemoteScan) -> bool:
        mark = self._context.seal.read(row.name)
        return mark is not None and mark.sealed and mark.task_id == certification


def _private(settings: ScannerSettings, target: str, context: Context) -> list[str]:
    """Words that a recording must not contain anywhere."""
    config = context.config
    words = [secret.reveal() for secret in secrets_of(config)]
    words += [target, settings.name, settings.id, settings.folder]
    words += [urlsplit(each.url).hostname or "" for each in config.scanners]
    words += [each.username for each in config.credentials]
    words += [each.name for each in config.credentials]
    if settings.username is not None:
        words.append(settings.username)
    return words


def _bare(transport: Transport) -> Transport:
    return transport
