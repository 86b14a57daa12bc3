"""A client that talks to a simulated Nessus in this process, under virtual time."""

from __future__ import annotations

from typing import Any

import attrs
import httpx
import pytest
import trio

from nessus_sched.config.scanners import (
    ApiKeys,
    ScannerSettings,
    UiSession,
)
from nessus_sched.core.scanner import ENDED, RemoteScan, ScanDetails, ScannerError, ScanOrder
from nessus_sched.core.secret import Secret
from nessus_sched.core.task import ScanKind, ScanRequest
from nessus_sched.nessus import NessusScanner
from nessus_sched.sim import Fault, SimOptions, SimulatedNessus, asgi_app
from support.scripted_nessus import inline, no_secrets, several
from support.seals import marker

START = 1_750_000_000.0


def virtual_now() -> float:
    """Epoch seconds on Trio's clock."""
    return START + trio.current_time()


@attrs.frozen
class Lab:
    """A simulated scanner and a client for it."""

    nessus: SimulatedNessus
    client: NessusScanner
    pace: float = 1.0
    """Seconds between two looks at a running scan."""

    def inject(self, **fault: Any) -> None:
        self.nessus.faults.inject(Fault(**fault))

    async def listed(self, task: str = "task") -> RemoteScan | None:
        """The scan of its first attempt, where the list has it as ours."""
        rows = await self.client.list_scans()
        return next((row for row in rows if row.ours and marker(task, 1) in row.name), None)

    async def ended(self, scan_id: int, uuid: str) -> ScanDetails:
        """Watches the run to its end."""
        while True:
            found = await self.client.details(scan_id, uuid=uuid)
            if found.status in ENDED:
                return found
            await trio.sleep(self.pace)

    async def finished(self, task: str = "task", **changes: Any) -> tuple[int, ScanDetails]:
        """A scan that was created, launched and watched to its end."""
        scan_id = (await self.client.create_scan(scan_order(task, **changes))).scan_id
        return scan_id, await self.ended(scan_id, await self.launch(scan_id, task))

    async def launch(self, scan_id: int, task: str = "task") -> str:
        return await self.client.launch(scan_id, (marker(task, 1),))


def lab(auth: str = "keys", *, nessus: SimulatedNessus | None = None, **options: Any) -> Lab:
    nessus = nessus or SimulatedNessus(SimOptions(**options), now=virtual_now)
    accounts = nessus.accounts
    user = UiSession(username=accounts.username, password=Secret(accounts.password))
    keys = ApiKeys(access_key=Secret(accounts.access_key), secret_key=Secret(accounts.secret_key))
    settings = ScannerSettings(
        id="lab", url="https://192.0.2.1:8834", auth=user if auth == "session" else keys
    )
    transport = httpx.ASGITransport(app=asgi_app(nessus))
    return Lab(
        nessus,
        NessusScanner(settings, now=virtual_now, transport=transport, run_sync=inline),
    )


def scan_order(task: str = "task", *, credential: Any = None, **request: Any) -> ScanOrder:
    plain: dict[str, Any] = {"kind": ScanKind.BASIC, "targets": ("192.0.2.7", "192.0.2.8")}
    made = ScanRequest(**{**plain, **request})
    return ScanOrder(
        name=f"nightly {marker(task, 1)}",
        marker=marker(task, 1),
        targets=made.targets,
        request=made,
        credentials=several(credential),
    )


async def failure(awaitable: Any) -> ScannerError:
    """What it raises, which must show no secret."""
    with pytest.raises(ScannerError) as caught:
        await awaitable
    no_secrets(caught.value)
    return caught.value
