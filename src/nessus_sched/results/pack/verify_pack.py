#!/usr/bin/env python3
"""Checks an evidence pack of nessus-sched. Needs Python 3.8 or later, and nothing else.

    python3 verify.py              the files next to this one, after unzip
    python3 verify.py PACK.zip     a pack as it is
    python3 verify.py DIRECTORY    an unzipped pack

Prints a line for each problem. Exit code: 0 if there is none, 1 if there are problems.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any

MANIFEST = "manifest.json"
JOURNAL = "journal.jsonl"
SCANS = "scans.jsonl"
OPEN = "open.csv"
FORMAT = "nessus-sched evidence pack"
VERSION = 2
CHECKS_COUNTED = 1
"""The version in which compliance checks were among the findings by severity."""
SEAL = b"sha256:"
SEAL_SIZE = len(SEAL) + 64
"""The comment of the zip file: the SHA-256 of everything before it."""
BLOCK = 1024 * 1024
MOST_PROBLEMS = 100
SMALL = 16 * 1024 * 1024
"""The most bytes that a manifest may have."""
UNREADABLE = (
    OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError,
    NotImplementedError, OverflowError, struct.error, zlib.error, zipfile.BadZipFile, csv.Error,
)  # fmt: skip
"""What damaged files make the standard library raise."""


class Checked:
    """What a check has found. `notes` are no problems, but should be known."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.manifest: Any = {}
        self.sha256 = ""
        """Of the zip file; empty for a directory."""

    def problem(self, text: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(text)


class Files:
    """The files of a pack. Its methods are those of a directory or of a zip file."""

    names: Sequence[str] = ()

    def open(self, name: str) -> IO[bytes]:
        raise NotImplementedError

    def close(self) -> None:
        """To be called at the end."""


class Zipped(Files):
    """The members of a zip file."""

    def __init__(self, path: str) -> None:
        self._zip = zipfile.ZipFile(path)
        self.names = self._zip.namelist()

    def open(self, name: str) -> IO[bytes]:
        return self._zip.open(name)

    def close(self) -> None:
        self._zip.close()


class Unzipped(Files):
    """The files of a directory."""

    def __init__(self, path: str) -> None:
        self._path = path
        found = []
        for place, folders, files in os.walk(path):
            folders.sort()
            found += [os.path.relpath(os.path.join(place, name), path) for name in files]
        self.names = [name.replace(os.sep, "/") for name in sorted(found)]

    def open(self, name: str) -> IO[bytes]:
        return open(os.path.join(self._path, *name.split("/")), "rb")


def check(path: str) -> Checked:
    """Checks a pack, zipped or not."""
    checked = Checked()
    try:
        if os.path.isdir(path):
            files: Files = Unzipped(path)
        else:
            _check_seal(path, checked)
            files = Zipped(path)
    except UNREADABLE as error:
        checked.problem(f"{path} cannot be read: {_said(error)}")
        return checked
    try:
        _check_files(files, checked, ordered=not os.path.isdir(path))
    finally:
        files.close()
    return checked


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__


# -- the zip file


def _check_seal(path: str, checked: Checked) -> None:
    """Whether any byte of the zip file was changed."""
    size = os.path.getsize(path)
    whole, before = hashlib.sha256(), hashlib.sha256()
    left = max(size - SEAL_SIZE, 0)
    with open(path, "rb") as file:
        while left:
            block = file.read(min(BLOCK, left))
            if not block:
                break
            left -= len(block)
            whole.update(block)
            before.update(block)
        seal = file.read()
    whole.update(seal)
    checked.sha256 = whole.hexdigest()
    if seal != SEAL + before.hexdigest().encode():
        checked.problem("the zip file is not as it was written: its own SHA-256 does not match")


# -- its members


def _check_files(files: Files, checked: Checked, *, ordered: bool) -> None:
    try:
        with files.open(MANIFEST) as file:
            data = file.read(SMALL + 1)
        if len(data) > SMALL:
            raise ValueError("it is too large")
        manifest = json.loads(data.decode("utf-8"))
        if manifest["format"] != FORMAT or manifest["format_version"] not in (
            CHECKS_COUNTED,
            VERSION,
        ):
            raise ValueError("it is of another format than this program knows")
        members = [(each["name"], each["size"], each["sha256"]) for each in manifest["members"]]
    except UNREADABLE as error:
        checked.problem(f"{MANIFEST} cannot be read: {_said(error)}")
        return
    checked.manifest = manifest
    _check_names([name for name, _, _ in members], files.names, checked, ordered=ordered)
    for name, size, digest in members:
        if name in files.names:
            _check_member(files, name, size, digest, checked)
    for look in (_check_rows, _check_journal, _check_open):
        try:
            look(files, manifest, checked)
        except UNREADABLE as error:
            checked.problem(f"the contents cannot be checked: {_said(error)}")


def _check_names(
    listed: Sequence[str], found: Sequence[str], checked: Checked, *, ordered: bool
) -> None:
    wanted = [*listed, MANIFEST]
    for name in wanted:
        if wanted.count(name) > 1:
            checked.problem(f"{name} is in the manifest twice")
        if name not in found:
            checked.problem(f"{name} is missing")
    for name in sorted(set(found)):
        if name not in wanted:
            checked.problem(f"{name} was added")
        elif found.count(name) > 1:
            checked.problem(f"{name} is there twice")
    if ordered and not checked.problems and found != wanted:
        checked.problem("the files are not in their order")


def _check_member(files: Files, name: str, size: int, digest: str, checked: Checked) -> None:
    found, read = hashlib.sha256(), 0
    try:
        with files.open(name) as file:
            while True:
                block = file.read(BLOCK)
                if not block:
                    break
                found.update(block)
                read += len(block)
    except UNREADABLE as error:
        checked.problem(f"{name} cannot be read: {_said(error)}")
        return
    if read != size:
        checked.problem(f"{name} has {read} bytes, the manifest says {size}")
    elif found.hexdigest() != digest:
        checked.problem(f"{name} is not as it was written: its SHA-256 does not match")


def _lines(files: Files, name: str) -> Iterator[Any]:
    with files.open(name) as file, io.TextIOWrapper(file, "utf-8", newline="\n") as text:
        for line in text:
            yield json.loads(line)


def _table(files: Files, name: str) -> Iterator[Any]:
    with files.open(name) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
        yield from csv.DictReader(text)


def _check_rows(files: Files, manifest: Any, checked: Checked) -> None:
    """Whether each table has as many rows as the manifest says."""
    for each in manifest["members"]:
        name, wanted = each["name"], each.get("rows")
        if wanted is None or name not in files.names:
            continue
        rows = _table(files, name) if name.endswith(".csv") else _lines(files, name)
        found = sum(1 for _ in rows)
        if found != wanted:
            checked.problem(f"{name} has {found} rows, the manifest says {wanted}")


# -- the journal


class Chain:
    """The hash chain of the journal, followed from the row before the period. `masked` counts rows
    whose hash cannot be recomputed."""

    def __init__(self, before: str, checked: Checked) -> None:
        seq, _, digest = before.partition(":")
        self.seq, self.hash = int(seq), bytes.fromhex(digest)
        self.masked = 0
        self._checked = checked

    @property
    def head(self) -> str:
        return f"{self.seq}:{self.hash.hex()}"

    def follow(self, row: Any) -> None:
        seq = row["seq"]
        if seq != self.seq + 1:
            self._checked.problem(f"journal row {seq} follows row {self.seq}")
        if row.get("masked"):
            self.masked += 1
        elif chain_hash(self.hash, seq, row["task_digest"], row["content"]) != row["hash"]:
            self._checked.problem(f"journal row {seq} is not what was written, or not in its place")
        self.seq, self.hash = seq, bytes.fromhex(row["hash"])


def chain_hash(before: bytes, seq: int, task_digest: str | None, content: str) -> str:
    """The hash of a row that follows the row with hash `before`."""
    tied = b"" if task_digest is None else bytes.fromhex(task_digest)
    place = struct.pack(">qq", seq, -1 if task_digest is None else len(tied))
    return hashlib.sha256(before + place + tied + content.encode("utf-8")).hexdigest()


def _check_journal(files: Files, manifest: Any, checked: Checked) -> None:
    """Recomputes the chain, and looks up the end of each scan in it."""
    if JOURNAL not in files.names or SCANS not in files.names:
        return
    chain = Chain(manifest["journal"]["before"], checked)
    scans = (scan for scan in _lines(files, SCANS) if scan["journal_row"] is not None)
    scan = next(scans, None)
    for row in _lines(files, JOURNAL):
        chain.follow(row)
        while scan is not None and scan["journal_row"] <= chain.seq:
            _check_scan(scan, row, checked)
            scan = next(scans, None)
    if chain.head != manifest["journal"]["head"]:
        checked.problem("the journal does not end with the head that the manifest has")
    if chain.masked != manifest["journal"]["masked"]:
        checked.problem(f"{chain.masked} journal rows are masked, the manifest says otherwise")
    if chain.masked:
        checked.notes.append(
            f"journal rows that quoted a secret, which is masked: {chain.masked}; their hashes are "
            "taken as given"
        )


def _check_scan(scan: Any, row: Any, checked: Checked) -> None:
    """Whether a scan is what the row says with which it ended."""
    entry = json.loads(row["content"])
    same = (scan["journal_row"], scan["task_id"], scan["state"]) == (
        row["seq"],
        entry.get("task_id"),
        entry.get("after"),
    )
    if same and scan["source"] == "journal" and not row.get("masked"):
        same = entry.get("detail", {}).get("outcome") == scan["outcome"]
    if not same:
        checked.problem(f"scan {scan['task_id']} is not as the journal has it")


# -- the counts


def _check_open(files: Files, manifest: Any, checked: Checked) -> None:
    """Whether the open findings are as many of each severity as the manifest says, and the checks
    of audits that did not pass as many."""
    if OPEN not in files.names:
        return
    apart = manifest["format_version"] != CHECKS_COUNTED
    found: dict[str, int] = {}
    failed = 0
    for row in _table(files, OPEN):
        if apart and row["compliance_check_name"]:
            failed += 1
        else:
            found[row["severity"]] = found.get(row["severity"], 0) + 1
    if apart and failed != manifest["open_checks"]:
        checked.problem(f"{OPEN} does not have as many compliance checks as the manifest says")
    wanted = {name: count for name, count in manifest["open_by_severity"].items() if count}
    if found != wanted:
        checked.problem(f"{OPEN} does not have the counts by severity that the manifest has")


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    if len(arguments) > 1 or arguments[:1] in (["-h"], ["--help"]):
        sys.stdout.write(__doc__)
        return 2 if len(arguments) > 1 else 0
    path = arguments[0] if arguments else os.path.dirname(os.path.abspath(__file__))
    checked = check(path)
    for line in report(checked):
        sys.stdout.write(line + "\n")
    return 1 if checked.problems else 0


def report(checked: Checked) -> list[str]:
    """The lines to print."""
    lines = [*checked.problems, *("note: " + each for each in checked.notes)]
    if checked.problems:
        more = "at least " if len(checked.problems) >= MOST_PROBLEMS else ""
        count = len(checked.problems)
        lines.append(f"FAILED: {more}{count} problem{'' if count == 1 else 's'}")
        return lines
    period, journal = checked.manifest["period"], checked.manifest["journal"]
    lines.append(f"OK: evidence from {period['since']} to {period['until']}")
    if checked.sha256:
        lines.append(f"SHA-256 of the file: {checked.sha256}")
    lines.append(f"journal head: {journal['head']}")
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
