"""The trial scans: one that completes, one that is interrupted, one with few plugins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn

import trio

from nessus_sched.certify.report import Facts, UnreadableReport
from nessus_sched.certify.rows import CheckEnded, Result, Table
from nessus_sched.certify.scans import Scan, Scans, Subject
from nessus_sched.core.scanner import (
    ENDED,
    ExportNotAllowed,
    ScanDetails,
    ScannerError,
    ScanStatus,
)
from nessus_sched.core.task import Discovery, ScanKind, ScanRequest
from nessus_sched.core.text import pluralize
from nessus_sched.results.actual_settings import ActualSettings
from nessus_sched.results.proof import proof

FINISHED_WITHIN: Final = 3600.0
"""Seconds for a scan of one host."""
CHANGED_WITHIN: Final = 900.0
"""Seconds to pause, resume or stop: running checks finish first."""
HOSTS_WITHIN: Final = 120.0
"""Seconds to wait for the first host, so that there is something to report."""
FAMILIES: Final = frozenset({"General", "Port scanners", "Service detection", "Settings"})
"""The plugin families in the scan that tests plugin selection."""
_READ: Final = "See the message."
_NO_REPORTS: Final = (
    "No scan is started here, since its report could not be fetched. Certify the scanner again "
    "when its license allows exports."
)


class Trials:
    """`facts` collects the measurements by the field names of `Measured`."""

    def __init__(self, subject: Subject, scans: Scans, table: Table) -> None:
        self._subject = subject
        self._scans = scans
        self._table = table
        self.facts: dict[str, Any] = {}

    async def whole_scan(self) -> None:
        """A scan for open ports that completes."""
        table = self._table
        scan = await self._create("create", ScanKind.QUICK, discovery=Discovery.PORTS)
        await self._look_at_new(scan)
        ended = await self._run("launch", scan)
        table.holds("launch", "started and completed")
        await self._history(scan, ended)
        facts = await self._export("export", scan, ended)
        self.facts["export_allowed"] = True
        table.holds("export", f"the report is complete and has {pluralize(facts.hosts, 'host')}")
        self._compare(scan, facts)

    async def interrupted_scan(self) -> None:
        """A scan that is paused, resumed and stopped."""
        scanner = self._subject.scanner
        scan = await self._create("pause", ScanKind.BASIC)
        await self._launch("pause", scan)
        with self._table.check("pause", _READ):
            await self._scans.until(scan, ENDED | {ScanStatus.RUNNING}, FINISHED_WITHIN)
            found = await self._scans.under_way(scan, HOSTS_WITHIN)
        if found.status in ENDED:
            self._too_soon("pause", found)
        await self._change("pause", scanner.pause, scan, ScanStatus.PAUSED)
        await self._change("resume", scanner.resume, scan, ScanStatus.RUNNING)
        stopped = await self._change("stop", scanner.stop, scan, ScanStatus.STOPPED)
        await self._partial(scan, stopped)

    async def selected_plugins(self) -> None:
        """A scan with only a few plugin families."""
        check, table = "plugin selection", self._table
        scan = await self._create(check, ScanKind.CUSTOM, template="advanced", families=FAMILIES)
        if not scan.asked.families_off:
            table.note(check, Result.UNTESTED, "the editor does not list the plugin families")
            return
        ended = await self._run(check, scan)
        facts = await self._export(check, scan, ended)
        off = set(scan.asked.families_off)
        if still := sorted(off & (facts.ran.families_on | facts.fired)):
            table.note(
                check,
                Result.DIFFERS,
                f"turned off but still running: {', '.join(still)}",
                "Scans run more plugins than requested.",
            )
        else:
            table.holds(check, "plugin families that are turned off do not run")

    def defaults(self) -> None:
        """Whether the settings that were sent came from the scanner's own editor."""
        asked = [scan.asked for scan in self._scans.made]
        if not asked:
            return
        if unread := sorted({each.template for each in asked if each.stand_in}):
            self._table.note(
                "defaults",
                Result.DIFFERS,
                f"the editor cannot be read for {', '.join(unread)}",
                "Scans are sent the defaults of another version's web interface.",
            )
        else:
            told = ", ".join(f"{each.template} {each.settings}" for each in asked)
            self._table.holds("defaults", f"read from the editor; settings sent: {told}")

    async def _look_at_new(self, scan: Scan) -> None:
        table, target = self._table, self._subject.target
        with table.check("create", _READ):
            details = await self._subject.scanner.details(scan.scan_id)
        if details.targets is not None and details.targets.strip() != target:
            table.fail("create", "its targets are not the requested ones", "Report this as a bug.")
        if details.status is ScanStatus.EMPTY:
            table.holds("create", "created in our folder with its target, but not launched")
        else:
            table.note(
                "create",
                Result.DIFFERS,
                f"a new scan is shown as {details.status_text!r}, not as empty",
                "After a lost answer such a scan may be mistaken for a launched one.",
            )

    async def _history(self, scan: Scan, ended: ScanDetails) -> None:
        with self._table.check("history", _READ):
            runs = await self._subject.scanner.runs(scan.scan_id)
        if runs == 1 and ended.history_id is not None:
            self._table.holds("history", "has the run that was launched, by its uuid")
        else:
            self._table.note(
                "history",
                Result.DIFFERS,
                f"has {pluralize(runs, 'run')}, but not the one that was launched",
                "Reports are exported without naming the run, so the latest one counts.",
            )

    def _compare(self, scan: Scan, facts: Facts) -> None:
        warnings = proof(scan.asked, facts.ran, unscanned=facts.unscanned)
        wrong = [each.message for each in warnings if each.differs is not None]
        if wrong:
            self._table.note(
                "what ran",
                Result.DIFFERS,
                " ".join(wrong),
                "The absence of findings proves nothing there. Report this as a bug.",
            )
        elif facts.ran == ActualSettings():
            self._table.note(
                "what ran", Result.UNTESTED, "the report does not say how the scan ran"
            )
        else:
            self._table.holds("what ran", "ping, port scanners and modes as requested")

    async def _change(
        self,
        verb: str,
        act: Callable[[int, tuple[str, ...]], Awaitable[None]],
        scan: Scan,
        wanted: ScanStatus,
    ) -> ScanDetails:
        """Sends a command and measures how long it takes."""
        began = trio.current_time()
        with self._table.check(verb, f"The command {verb} does not work on this scanner."):
            await act(scan.scan_id, scan.marks)
            found = await self._scans.until(scan, ENDED | {wanted}, CHANGED_WITHIN)
        took = trio.current_time() - began
        if found.status is not wanted:
            self._too_soon(verb, found)
        self.facts[f"{verb}_seconds"] = round(took, 1)
        self._table.holds(verb, f"took {took:.0f} s")
        return found

    def _too_soon(self, check: str, found: ScanDetails) -> NoReturn:
        self._table.note(
            check,
            Result.UNTESTED,
            f"the scan was already {found.status_text!r}",
            "Name a target that takes longer to scan.",
        )
        raise CheckEnded("the scan was over too soon")

    async def _partial(self, scan: Scan, stopped: ScanDetails) -> None:
        check = "partial export"
        try:
            facts = await self._scans.fetch(scan, stopped)
        except (ScannerError, UnreadableReport, OSError) as error:
            self.facts["partial_export"] = False
            self._table.note(
                check,
                Result.DIFFERS,
                f"the report of a stopped scan cannot be fetched: {error}",
                "Findings from before a scan is stopped are lost.",
            )
            return
        self.facts["partial_export"] = True
        if facts.unfinished:
            self._table.holds(check, "includes unfinished hosts")
        else:
            self._table.note(
                check,
                Result.DIFFERS,
                "leaves out unfinished hosts",
                "A host missing from the report of a stopped scan was not scanned.",
            )

    async def _create(
        self,
        check: str,
        kind: ScanKind,
        *,
        families: frozenset[str] = frozenset(),
        **more: Any,
    ) -> Scan:
        request = ScanRequest(kind=kind, targets=(self._subject.target,), **more)
        with self._table.check(check, "Such a scan cannot be created here."):
            return await self._scans.create(request, families=families)

    async def _launch(self, check: str, scan: Scan) -> None:
        with self._table.check(check, "Scans can be created here but do not start."):
            await self._scans.launch(scan)

    async def _run(self, check: str, scan: Scan) -> ScanDetails:
        await self._launch(check, scan)
        with self._table.check(check, _READ):
            ended = await self._scans.until(scan, ENDED, FINISHED_WITHIN)
        if ended.status is not ScanStatus.COMPLETED:
            self._table.fail(
                check, f"the scan ended as {ended.status_text!r}", "Check it on the scanner."
            )
        return ended

    async def _export(self, check: str, scan: Scan, ended: ScanDetails) -> Facts:
        try:
            return await self._scans.fetch(scan, ended)
        except ExportNotAllowed as error:
            self.facts["export_allowed"] = False
            self._table.fail(check, str(error), _NO_REPORTS)
        except (ScannerError, UnreadableReport, OSError) as error:
            self._table.fail(check, str(error), "Reports cannot be fetched from this scanner.")
