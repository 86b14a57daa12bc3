"""DefectDojo: the reports of tasks, each schedule in a test of its own.

The same report again changes nothing: a test that exists is filled again, and what is in it already
is recognized.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import attrs

from nessus_sched.config.delivery import DefectDojoSink
from nessus_sched.core.clock import Now
from nessus_sched.core.delivery.message import Message, MessageKind
from nessus_sched.core.store_errors import StoreError, StoreUnavailable
from nessus_sched.delivery.dojo.api import OUR_TAG, SCAN_TYPE, Dojo, DojoTest
from nessus_sched.delivery.dojo.record import Decision, decide
from nessus_sched.delivery.dojo.upload import BadReport, Upload, prepare
from nessus_sched.delivery.kept_scans import KeptScan, KeptScans, ScanGone
from nessus_sched.delivery.requests import connected
from nessus_sched.delivery.sinks.port import Failure, SinkFailed

_OLD: Final = 86400.0
"""Seconds. The date of a younger scan is left to the server, whose day may be another."""


@attrs.frozen(kw_only=True)
class DefectDojo:
    settings: DefectDojoSink
    scans: KeptScans
    wall: Now

    async def deliver(self, message: Message) -> None:
        """Imports the tasks that a message is about; a sample only tries the login."""
        tasks = list(dict.fromkeys(_tasks_of(message)))
        scans = [scan for task_id in tasks if (scan := await self._scan(task_id)) is not None]
        if not scans and message.kind is not MessageKind.SAMPLE:
            return
        async with connected(self.settings.tls, self.wall) as client:
            dojo = Dojo(client=client, settings=self.settings, now=self.wall())
            engagement = await dojo.engagement()
            for scan in scans:
                with _reading(scan):
                    await self._import(dojo, engagement, scan)

    async def _scan(self, task_id: str) -> KeptScan | None:
        try:
            return await self.scans.scan(task_id)
        except ScanGone as gone:
            raise SinkFailed(str(gone), Failure.REFUSED) from None
        except StoreError as error:
            raise SinkFailed(str(error), Failure.TRY_AGAIN) from None

    async def _import(self, dojo: Dojo, engagement: int, scan: KeptScan) -> None:
        """Remembers in the test which targets it has before they are imported, so that a death at
        any moment closes nothing later."""
        test = await dojo.test(engagement, scan.title)
        if test is None:
            upload = await self._upload(scan, engagement=engagement)
            await dojo.upload(upload, again=False)
            test = await dojo.test(engagement, scan.title)
            if test is None:
                raise SinkFailed("DefectDojo did not make a test", Failure.TRY_AGAIN)
            await dojo.describe(test.number, self._decision(scan, test, first=True).description)
            return
        decision = self._decision(scan, test, first=False)
        upload = await self._upload(scan, test=test.number, close=decision.close)
        if decision.description != test.description:
            await dojo.describe(test.number, decision.description)
        await dojo.upload(upload, again=True)

    def _decision(self, scan: KeptScan, test: DojoTest, *, first: bool) -> Decision:
        way = f"{scan.way}, from {self.settings.severity.value}"
        return decide(scan, way, test.description, ours=test.ours, first=first)

    async def _upload(
        self,
        scan: KeptScan,
        *,
        engagement: int | None = None,
        test: int | None = None,
        close: bool = False,
    ) -> Upload:
        fields = [
            ("scan_type", SCAN_TYPE),
            ("minimum_severity", self.settings.severity.value.capitalize()),
            ("close_old_findings", "true" if close else "false"),
            ("build_id", scan.task_id),
            *(("tags", tag) for tag in dict.fromkeys((OUR_TAG, *self.settings.tags))),
        ]
        if engagement is not None:
            fields += [("engagement", str(engagement)), ("test_title", scan.title)]
        if test is not None:
            fields += [("test", str(test))]
        if self.wall() - scan.ended > _OLD:
            fields += [("scan_date", str(datetime.fromtimestamp(scan.ended, UTC).date()))]
        boundary = f"nessus-sched-{scan.task_id}"
        return await prepare(fields, f"{scan.task_id}.nessus", scan.reports, boundary)


@contextmanager
def _reading(scan: KeptScan) -> Iterator[None]:
    """Turns what is wrong with reports into `SinkFailed`."""
    try:
        yield
    except StoreUnavailable as error:
        raise SinkFailed(str(error), Failure.TRY_AGAIN) from None
    except (BadReport, StoreError) as error:
        raise SinkFailed(f"task {scan.task_id}: {error}", Failure.REFUSED) from None


def _tasks_of(message: Message) -> Iterator[str]:
    if message.kind is MessageKind.SAMPLE:
        return
    for task in message.document.get("tasks", ()):
        yield str(task.get("task_id"))
    if message.task_id is not None:
        yield message.task_id
