"""What certifications found out, on disk: one small file a scanner, and its recording beside it.

A second file stands for a certification that is under way. When one is found at start, scans of
it may still be on the scanner.
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
    """In one directory, named after the scanners, whose ids are harmless as file names. All
    methods block for the time of a small file, and raise `OSError` when the disk says no."""

    directory: Path

    @classmethod
    def of(cls, state_directory: Path) -> CertificationFiles:
        return cls(state_directory / "certifications")

    def measured(self, scanner_id: str) -> Measured | None:
        """None without a file, and with one that cannot be read: then the scanner has to be
        certified again."""
        found = _read(self.directory / f"{scanner_id}.json")
        try:
            return None if found is None else _measured(found)
        except (KeyError, TypeError, ValueError):
            return None

    def save(self, scanner_id: str, measured: Measured) -> None:
        self._write(f"{scanner_id}.json", json.dumps(attrs.asdict(measured), indent=1).encode())

    def recording(self, scanner_id: str) -> Path:
        """Where the latest recording of that scanner is kept."""
        return self.directory / f"{scanner_id}.recording.json.gz"

    def save_recording(self, scanner_id: str, content: bytes) -> None:
        self._write(self.recording(scanner_id).name, content)

    def begin(self, scanner_id: str, certification: str) -> None:
        """Before its first scan is created."""
        self._write(f"{scanner_id}.running", certification.encode())

    def under_way(self) -> dict[str, str]:
        """The certifications that have not ended, by scanner."""
        found = {}
        for path in sorted(self.directory.glob("*.running")):
            text = path.read_text(errors="replace").strip()
            if _ID.fullmatch(text):
                found[path.name.removesuffix(".running")] = text
        return found

    def end(self, scanner_id: str) -> None:
        """None of its scans is left."""
        (self.directory / f"{scanner_id}.running").unlink(missing_ok=True)

    def _write(self, name: str, content: bytes) -> None:
        """Whole or not at all, and durable."""
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
    """A newer version may have written fields that this one does not know."""
    known = {field.name for field in attrs.fields(Measured)} - {"identity"}
    own = {field.name for field in attrs.fields(Identity)}
    identity = Identity(**{key: found["identity"][key] for key in own})
    return Measured(identity=identity, **{key: found[key] for key in known & found.keys()})
