"""Stores certification results: one small file per scanner, with its recording next to it.

A second file exists while a certification is running. If one is found at start, scans of that
certification may still be on the scanner.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, Final

import attrs

from nessus_sched.core.measured import Identity, Measured

_LARGEST: Final = 2**20
_ID: Final = re.compile(r"t-[0-9a-z]+")


@attrs.frozen
class CertificationFiles:
    """Files in one directory, named after the scanners, whose ids are safe as file names. All
    methods block briefly and raise `OSError` on disk errors."""

    directory: Path

    @classmethod
    def of(cls, state_directory: Path) -> CertificationFiles:
        return cls(state_directory / "certifications")

    def measured(self, scanner_id: str) -> Measured | None:
        """None if there is no file or it cannot be read: the scanner must be certified again."""
        found = _read(self.directory / f"{scanner_id}.json")
        try:
            return None if found is None else _measured(found)
        except (KeyError, TypeError, ValueError):
            return None

    def save(self, scanner_id: str, measured: Measured) -> None:
        self._write(f"{scanner_id}.json", json.dumps(attrs.asdict(measured), indent=1).encode())

    def recording(self, scanner_id: str) -> Path:
        """The path of the scanner's latest recording."""
        return self.directory / f"{scanner_id}.recording.json.gz"

    def save_recording(self, scanner_id: str, content: bytes) -> None:
        self._write(self.recording(scanner_id).name, content)

    def begin(self, scanner_id: str, certification: str) -> None:
        """Call this before the first scan is created."""
        self._write(f"{scanner_id}.running", certification.encode())

    def under_way(self) -> dict[str, str]:
        """The unfinished certifications, by scanner."""
        found = {}
        for path in sorted(self.directory.glob("*.running")):
            text = path.read_text(errors="replace").strip()
            if _ID.fullmatch(text):
                found[path.name.removesuffix(".running")] = text
        return found

    def end(self, scanner_id: str) -> None:
        """Call this once all of its scans are deleted."""
        (self.directory / f"{scanner_id}.running").unlink(missing_ok=True)

    def _write(self, name: str, content: bytes) -> None:
        """Writes atomically and durably."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        part = self.directory / f"{name}.part"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.directory / name)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > _LARGEST:
            return None
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _measured(found: dict[str, Any]) -> Measured:
    """Ignores unknown fields, which a newer version may have written."""
    known = {field.name for field in attrs.fields(Measured)} - {"identity"}
    own = {field.name for field in attrs.fields(Identity)}
    identity = Identity(**{key: found["identity"][key] for key in own})
    return Measured(identity=identity, **{key: found[key] for key in known & found.keys()})
