"""The checks of `doctor`: this machine, and each scanner."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs

from nessus_sched.api.permissions import warnings
from nessus_sched.api.scanner_check import Step, failed, ok, probe, warning
from nessus_sched.certify.files import CertificationFiles
from nessus_sched.config.scanners import ScannerSettings
from nessus_sched.config.schema import Config
from nessus_sched.core.clock import system_now
from nessus_sched.core.delivery.outbox import Backlog
from nessus_sched.core.scanner import ScannerError, ScannerInfo
from nessus_sched.core.store_errors import NoStore, StoreError
from nessus_sched.core.text import duration, lasting, pluralize, size
from nessus_sched.daemon.storage.places import place_of, read_tasks
from nessus_sched.http.server import HttpTrouble, listen
from nessus_sched.nessus.client import NessusScanner
from nessus_sched.store.lock import holder

LITTLE: Final = 2 * 2**30
"""Bytes of free disk below which `doctor` warns; a report can have hundreds of MB."""
NONE_LEFT: Final = 100 * 2**20
OLD: Final = 3600.0
"""Seconds for which a message may wait before `doctor` warns."""
SANE: Final = 1_735_689_600.0
"""2025: an earlier clock was never set."""


def check_machine(file: Path, config: Config) -> list[Step]:
    """Configuration, state directory, store, disk and clock."""
    return [
        *_config(file, config),
        *_directory(config.state_directory),
        *_store(config),
        *_disk(config.state_directory),
        _clock(),
    ]


def _config(file: Path, config: Config) -> Iterator[Step]:
    yield ok("config", f"{file} is valid, with {pluralize(len(config.scanners), 'scanner')}")
    for text in warnings(config, system_now()):
        yield warning("config", text, "Change it unless intended.")
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o007:
        yield warning("config", "every user of this machine can read it", f"chmod o= {file}")


def _directory(directory: Path) -> Iterator[Step]:
    if not os.path.exists(directory):
        parent = next(each for each in directory.parents if os.path.exists(each))
        if os.access(parent, os.W_OK):
            yield ok("state", f"{directory} does not exist yet; the daemon creates it")
        else:
            yield failed(
                "state", f"{directory} does not exist, and you cannot create it",
                f"Create it for the daemon's user: install -d -m 700 -o USER {directory}",
            )  # fmt: skip
        return
    status = directory.stat()
    if not directory.is_dir():
        yield failed("state", f"{directory} is not a directory", "Change state_directory.")
    elif stat.S_IMODE(status.st_mode) & 0o022:
        yield failed("state", f"others can write to {directory}", f"chmod 700 {directory}")
    elif not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        yield warning(
            "state", f"{directory} belongs to user {status.st_uid}, and you cannot use it",
            "Run doctor as the user that runs the daemon.",
        )  # fmt: skip
    else:
        yield ok("state", f"{directory} is writable by its owner only")


def _store(config: Config) -> Iterator[Step]:
    if config.store is None and not os.path.exists(config.state_directory / "tasks.db"):
        return
    where = "" if config.store is None else f" in {place_of(config)}"
    try:
        with read_tasks(config) as store:
            tasks = pluralize(sum(store.counts().values()), "task")
            yield ok("store", f"{tasks}{where} can be read")
            yield from _messages(store.backlogs())
    except NoStore:
        yield ok("store", f"there is none{where} yet; the daemon creates it")
    except StoreError as error:
        if config.store is None:
            yield failed("store", str(error), "Restore a backup, or run 'journal verify'.")
        else:
            yield failed("store", str(error), "Check `store` and the rights of its user.")


def _messages(backlogs: Mapping[str, Backlog]) -> Iterator[Step]:
    for route, found in sorted(backlogs.items()):
        if found.dead:
            text = f"route {route} has {pluralize(found.dead, 'dead letter')}"
            yield warning("messages", text, "See 'nessus-sched outbox list --dead'.")
        elif found.oldest is not None and system_now() - found.oldest > OLD:
            text = f"route {route} has not delivered for {lasting(system_now() - found.oldest)}"
            yield warning("messages", text, "See 'nessus-sched routes list'.")


def _disk(directory: Path) -> Iterator[Step]:
    place = next(each for each in (directory, *directory.parents) if os.path.exists(each))
    free = shutil.disk_usage(place).free
    if free < NONE_LEFT:
        yield failed("disk", f"{size(free)} free", "Free some space, or shorten retention.")
    elif free < LITTLE:
        yield warning("disk", f"{size(free)} free", "Free some space, or shorten retention.")
    else:
        yield ok("disk", f"{size(free)} free")


def _clock() -> Step:
    if system_now() < SANE:
        return failed("clock", "the clock is not set", "Set it, and keep it synchronized with NTP.")
    return ok("clock", "the clock is set; each scanner's is compared with it below")


def check_http(config: Config) -> Iterator[Step]:
    """Whether the daemon could listen, unless one of this configuration runs already."""
    if config.http.bind is None or running_daemon(config.state_directory) is not None:
        return
    try:
        listen(config.http.bind).close()
    except HttpTrouble as error:
        yield failed("http", str(error), "Stop what uses the port, or change http.bind.")
    else:
        yield ok("http", f"{config.http.bind} is free")


def running_daemon(directory: Path) -> int | None:
    """The process that holds the state directory; None also when this user cannot tell."""
    try:
        return holder(directory)
    except OSError:
        return None  # closed to this user; `check_machine` reports it


async def check_scanner(settings: ScannerSettings, state_directory: Path) -> list[Step]:
    """One scanner, contacted from here with its configured login."""
    prefix = f"scanner {settings.id}"
    steps = []
    scanner = NessusScanner(settings, now=system_now)
    try:
        steps = [step async for step in probe(scanner, system_now, keys=settings.uses_api_keys)]
        if all(step.status != "failed" for step in steps):
            info = await scanner.info()
            steps += _certified(settings.id, info, state_directory)
    except ScannerError as error:
        steps = [failed("reach", str(error), "See the message.")]
    finally:
        await scanner.close()
    if steps and steps[0].status == "ok":
        steps.insert(1, _certificate(settings))
    if not settings.enabled:
        steps.append(warning("enabled", "disabled in the configuration", "Enable it?"))
    return [attrs.evolve(step, check=f"{prefix}: {step.check}") for step in steps]


_UNTESTED: Final = "whether its scans work as expected was not tested"


def _certified(scanner_id: str, info: ScannerInfo, state_directory: Path) -> list[Step]:
    """Whether the scanner was certified, and has not changed since."""
    if not info.ready or not os.access(state_directory, os.R_OK | os.X_OK):
        return []
    measured = CertificationFiles.of(state_directory).measured(scanner_id)
    advice = f"nessus-sched scanners certify {scanner_id} --target ADDRESS"
    if measured is None:
        return [warning("certified", f"never certified: {_UNTESTED}", advice)]
    day = f"{duration(system_now() - measured.at)} ago"
    if not measured.applies_to(info):
        was = f"{measured.identity.edition} {measured.identity.version}"
        return [warning("certified", f"changed since it was certified as {was} {day}", advice)]
    if measured.failed:
        failed_then = pluralize(measured.failed, "check")
        return [warning("certified", f"{failed_then} failed when it was certified {day}", advice)]
    return [ok("certified", f"certified {day}; {pluralize(measured.differs, 'check')} differed")]


def _certificate(settings: ScannerSettings) -> Step:
    tls = settings.tls
    if tls.fingerprint is not None:
        return ok("certificate", "matches the pinned fingerprint")
    if not tls.verify:
        return warning("certificate", "not verified", "Pin it with tls.fingerprint.")
    where = "the system's CAs" if tls.ca_file is None else str(tls.ca_file)
    return ok("certificate", f"trusted by {where}")
