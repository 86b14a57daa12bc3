"""Certifications of simulated scanners in this process, under virtual time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs
import httpx

from nessus_sched.certify.examination import Outcome, examine
from nessus_sched.certify.recorder import Recorder
from nessus_sched.certify.rows import CHECKS
from nessus_sched.certify.scans import Subject
from nessus_sched.certify.scrub import Scrubber
from nessus_sched.config.scanners import ScannerSettings
from nessus_sched.nessus import NessusScanner
from nessus_sched.nessus.wire import Wrap
from nessus_sched.sim import SimOptions, SimulatedNessus, asgi_app
from support.scripted_nessus import inline
from support.seals import marker
from support.simulated_nessus import Lab, lab, virtual_now

TARGET = "192.0.2.7"
FOLDER = "our own folder"
HOLDS, DIFFERS, FAILED, UNTESTED = "holds", "differs", "failed", "not tested"


def subject(one: Lab, folder: Path, *, keys: bool = True, target: str = TARGET) -> Subject:
    return Subject(
        scanner=one.client,
        target=target,
        marker=lambda number: marker("t-certified", number),
        folder=folder,
        wall=virtual_now,
        keys=keys,
        run_sync=inline,
    )


async def examined(one: Lab, folder: Path, *, auth: str = "keys") -> Outcome:
    return await examine(subject(one, folder, keys=auth == "keys"))


def results(outcome: Outcome) -> Mapping[str, str]:
    """The result of each check; the table has them all, in their order."""
    assert tuple(row.check for row in outcome.rows) == CHECKS
    return {row.check: str(row.result) for row in outcome.rows}


def found(outcome: Outcome, check: str) -> str:
    return next(row.found for row in outcome.rows if row.check == check)


def all_hold(**others: str) -> Mapping[str, str]:
    """A table in which everything holds but those; `_` stands for a space."""
    return dict.fromkeys(CHECKS, HOLDS) | {
        name.replace("_", " "): result for name, result in others.items()
    }


def client_of(
    one: Lab, settings: ScannerSettings, wrap: Wrap = lambda transport: transport
) -> NessusScanner:
    """Another connection to the same simulator."""
    return NessusScanner(
        settings,
        now=virtual_now,
        transport=httpx.ASGITransport(app=asgi_app(one.nessus)),
        wrap=wrap,
        run_sync=inline,
    )


async def recorded(
    one: Lab, auth: str, directory: Path, *, target: str = TARGET, folder: str = FOLDER
) -> tuple[Outcome, bytes]:
    """Its certification, and the recording as a file has it."""
    recorder = Recorder(virtual_now())
    settings = attrs.evolve(one.client._settings, folder=folder)
    client = client_of(one, settings, recorder.wrap)
    one = attrs.evolve(one, client=client)
    outcome = await examine(subject(one, directory, keys=auth == "keys", target=target))
    await client.close()
    scrubber = Scrubber(
        target=target,
        folder=folder,
        markers=[marker("t-certified", number) for number in range(1, 5)],
        private=(),
        salt="test",
    )
    return outcome, recorder.document(scrubber)


def replayed(recording: bytes, folder: Path, auth: str) -> Lab:
    """A simulator that answers from it."""
    path = folder / "recording.json.gz"
    path.write_bytes(recording)
    return lab(auth, nessus=SimulatedNessus(SimOptions(recording=path), now=virtual_now))
