"""`NessusScanner`: one Nessus behind the scheduler's `Scanner` protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from nessus_sched.config.scanners import ScannerSettings
from nessus_sched.core.clock import Now
from nessus_sched.core.leading.lease import Lease
from nessus_sched.core.masking import Mask
from nessus_sched.core.run_sync import RunSync
from nessus_sched.core.scanner import (
    MAY_RUN,
    CreatedScan,
    LaunchRefused,
    Marks,
    NotFound,
    NotOurs,
    OutcomeUnknown,
    Refused,
    RemoteScan,
    ScanDetails,
    ScannerError,
    ScannerInfo,
    ScanOrder,
    ScanTemplate,
)
from nessus_sched.core.seal import bears
from nessus_sched.nessus import create_scan, exports, parsing, routes
from nessus_sched.nessus.auth import auth_for
from nessus_sched.nessus.catalog import Catalog
from nessus_sched.nessus.errors import bad_body_error, document
from nessus_sched.nessus.http import NessusHttp
from nessus_sched.nessus.json_fields import Document, as_int, as_token, object_or_empty, rows
from nessus_sched.nessus.part_file import in_thread
from nessus_sched.nessus.requests import Answer, Call, OnRequest
from nessus_sched.nessus.session import NessusSession
from nessus_sched.nessus.wire import Transport, Wrap

LARGEST_EXPORT: Final = 4 * 2**30
_GATE_HINT: Final = (
    " This scanner's license refuses changes through its API, which it may show by dropping "
    "the connection: choose `ui_session` authentication, or a license with API access."
)


class NessusScanner:
    """Implements `core.scanner.Scanner`, which documents the methods.

    `now` is used for Retry-After dates and the age of cached templates. `transport` replaces
    the network (an ASGI application, a recorded conversation), `run_sync` the threads for
    blocking work. `on_request` is called after each request, `export_limit` returns the
    current maximum size of a report in bytes, `mask` removes secrets from error texts, and
    `wrap` inserts a recorder between client and network. What would change a scan is sent only
    while `lease` is held (None: always). Many tasks may share one scanner; close it when done.
    Nothing is sent before the first call.
    """

    def __init__(
        self,
        settings: ScannerSettings,
        *,
        now: Now,
        transport: Transport | None = None,
        on_request: OnRequest | None = None,
        export_limit: Callable[[], int] = lambda: LARGEST_EXPORT,
        run_sync: RunSync = in_thread,
        mask: Mask = str,
        wrap: Wrap = lambda transport: transport,
        lease: Lease | None = None,
    ) -> None:
        self._settings = settings
        self._http = NessusHttp(
            settings.url,
            settings.tls,
            timeout=settings.timeout,
            now=now,
            transport=transport,
            on_request=on_request,
            mask=mask,
            wrap=wrap,
            lease=lease,
        )
        self._session = NessusSession(self._http, auth_for(settings.auth, self._http), run_sync)
        self._catalog = Catalog(self._session, settings.folder, now)
        self.clock_ahead: float | None = None
        self._now = now
        self._export_limit = export_limit
        self._run_sync = run_sync

    def __repr__(self) -> str:
        return f"<NessusScanner {self._settings.id} at {self._settings.url}>"

    async def info(self) -> ScannerInfo:
        call = routes.SERVER_STATUS
        answer = await self._session.send(call)
        if not answer.ok and answer.status != 503:
            raise self._session.status_error(call, answer)
        status = document(call, answer) if answer.ok else object_or_empty(answer.body)
        if not answer.ok or status.get("status") != "ready":
            return parsing.not_ready(status)
        # Start with a call that needs a login, which renews an expired session. Without a
        # session the properties would be incomplete, but not an error.
        advanced = await self._advanced()
        properties = await self._session.ask(routes.SERVER_PROPERTIES)
        info = parsing.scanner_info(properties, advanced)
        gated = info.scan_api is False and self._settings.uses_api_keys
        self._http.hint = _GATE_HINT if gated else ""
        self._catalog.note_info(info)
        return info

    async def permissions(self) -> int | None:
        answer = await self._session.send(routes.WHO_AM_I)
        return as_int(object_or_empty(answer.body).get("permissions")) if answer.ok else None

    async def idle_timeout(self) -> float | None:
        """Seconds until an idle session expires; None if the scanner does not report it."""
        told = await self._session.ask(routes.SERVER_PROPERTIES)
        minutes = as_int(told.get("idle_timeout"))
        return 60.0 * minutes if minutes else None

    async def runs(self, scan_id: int) -> int:
        """The number of runs in the scan's history."""
        return len(rows(await self._session.ask(routes.scan(scan_id)), "history"))

    async def templates(self) -> Sequence[ScanTemplate]:
        return await self._catalog.templates()

    async def policies(self) -> Sequence[str]:
        return await self._catalog.policies()

    async def list_scans(self) -> Sequence[RemoteScan]:
        listed = await self._session.read(
            routes.SCANS, partial(parsing.listing, folder=self._settings.folder)
        )
        told = listed.timestamp
        self.clock_ahead = None if told is None else told - self._now()
        return listed.scans

    async def create_scan(self, order: ScanOrder) -> CreatedScan:
        return await create_scan.create(order, self._session, self._catalog, self._run_sync)

    async def launch(self, scan_id: int, marks: Marks) -> str:
        await self._must_be_ours(scan_id, marks)
        call = routes.control(scan_id, "launch")
        answer = await self._session.send(call)
        if answer.ok:
            uuid = as_token(document(call, answer).get("scan_uuid"))
            if uuid is None:
                raise bad_body_error(call, "no uuid of the run.")
            return uuid
        if answer.status in {409, 500}:
            # The scanner also answers this if the scan is already running.
            present = await self._after(call, answer, scan_id)
            if present.status in MAY_RUN and present.uuid:
                return present.uuid
        refusal = self._session.status_error(call, answer)
        if isinstance(refusal, Refused):
            refusal = LaunchRefused(f"The scanner does not launch scans: {refusal}")
        raise refusal

    async def details(self, scan_id: int, *, uuid: str | None = None) -> ScanDetails:
        found = await self._session.read(
            routes.scan(scan_id), partial(parsing.run_details, scan_id=scan_id, uuid=uuid)
        )
        if isinstance(found, int):
            found = await self._session.read(
                routes.scan(scan_id, found), partial(parsing.details, scan_id=scan_id)
            )
        if found is None:
            raise NotFound(f"Scan {scan_id} no longer has that run.")
        return found

    async def pause(self, scan_id: int, marks: Marks) -> None:
        await self._control(scan_id, "pause", marks)

    async def resume(self, scan_id: int, marks: Marks) -> None:
        await self._control(scan_id, "resume", marks)

    async def stop(self, scan_id: int, marks: Marks) -> None:
        await self._control(scan_id, "stop", marks)

    async def export(self, scan_id: int, history_id: int | None, destination: Path) -> int:
        """Also raises `OSError` if `destination` cannot be written."""
        return await exports.export(
            scan_id,
            history_id,
            destination,
            session=self._session,
            limit=self._export_limit(),
            run_sync=self._run_sync,
        )

    async def delete(self, scan_id: int, marks: Marks) -> None:
        if not await self._is_ours(scan_id, marks):
            return
        call = routes.delete_scan(scan_id)
        answer = await self._session.send(call)
        if not answer.ok and answer.status != 404:
            raise self._session.status_error(call, answer)

    async def close(self) -> None:
        await self._session.close()

    async def _control(self, scan_id: int, action: str, marks: Marks) -> None:
        await self._must_be_ours(scan_id, marks)
        await self._session.do(routes.control(scan_id, action))

    async def _must_be_ours(self, scan_id: int, marks: Marks) -> None:
        if not await self._is_ours(scan_id, marks):
            raise NotFound(f"The scanner has no scan {scan_id}.")

    async def _is_ours(self, scan_id: int, marks: Marks) -> bool:
        """False if the scan does not exist; raises `NotOurs` if it is not ours. The id alone
        proves nothing, because a reinstalled scanner starts numbering again."""
        found = {scan.scan_id: scan for scan in await self.list_scans()}.get(scan_id)
        if found is None:
            return False
        if not found.ours or not bears(found.name, marks):
            raise NotOurs(f"Scan {scan_id} on the scanner is not ours; it is left alone.")
        return True

    async def _after(self, call: Call, answer: Answer, scan_id: int) -> ScanDetails:
        """The scan after a change that was refused and may have taken effect nevertheless. Raises
        `NotFound`, or `OutcomeUnknown` if it cannot be read."""
        try:
            return await self.details(scan_id)
        except NotFound:
            raise
        except ScannerError as error:
            problem, later = str(error), error.retry_after
        raise OutcomeUnknown(
            f"{call.method} {call.route} failed ({self._session.message(call, answer)}), and "
            f"whether it took effect is not known: {problem}",
            retry_after=later,
        )

    async def _advanced(self) -> Document:
        """Settings that only an administrator may see. Needs a login, so it also detects wrong
        keys early."""
        call = routes.ADVANCED_SETTINGS
        answer = await self._session.send(call)
        if answer.status == 401 or answer.status >= 500:
            raise self._session.status_error(call, answer)
        return document(call, answer) if answer.ok else {}
