"""Writes the zip file of a pack as a stream. Equal members make an equal file: names, order, times
and compression are fixed, and it ends with the SHA-256 of everything before."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import IO, Any, BinaryIO, Final, Self, cast

import attrs

from nessus_sched.results.exports import cell
from nessus_sched.results.pack.verify_pack import MANIFEST, SEAL, SEAL_SIZE

_END: Final = 22
"""Bytes of the end record of a zip file without a comment."""
_LEVEL: Final = 6
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_PIECE: Final = 64 * 1024


@attrs.frozen(kw_only=True)
class Member:
    """`rows` counts those of a table, None for other files."""

    name: str
    size: int
    sha256: str
    rows: int | None = None

    def document(self) -> dict[str, Any]:
        return {name: value for name, value in attrs.asdict(self).items() if value is not None}


class _Sealed:
    """Forwards what is written, except for the last bytes, which the seal changes. It cannot seek,
    so that `zipfile` never goes back to change what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._kept = b""

    def write(self, data: bytes) -> int:
        size = len(data)
        data = self._kept + data
        done, self._kept = data[:-_END], data[-_END:]
        self._forward(done)
        return size

    def flush(self) -> None:
        self._file.flush()

    def seal(self) -> None:
        """Call this when the zip file is complete: adds the hash as its comment."""
        assert self._kept[-2:] == b"\0\0", "the end record has no comment yet"
        self._forward(self._kept[:-2] + SEAL_SIZE.to_bytes(2, "little"))
        self._file.write(SEAL + self._hash.hexdigest().encode())

    def _forward(self, data: bytes) -> None:
        self._hash.update(data)
        self._file.write(data)


class MemberWriter:
    """Writes one member, in pieces."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._size = 0
        self._pieces: list[bytes] = []
        self._waiting = 0
        self.rows: int | None = None

    def write(self, data: bytes) -> None:
        self._pieces.append(data)
        self._waiting += len(data)
        if self._waiting >= _PIECE:
            self.flush()

    def flush(self) -> None:
        data = b"".join(self._pieces)
        self._pieces, self._waiting = [], 0
        self._hash.update(data)
        self._size += len(data)
        self._file.write(data)

    def member(self, name: str) -> Member:
        return Member(name=name, size=self._size, sha256=self._hash.hexdigest(), rows=self.rows)


class Lines:
    """Writes a line of JSON for each document."""

    def __init__(self, writer: MemberWriter) -> None:
        self._writer = writer
        self.rows = writer.rows = 0

    def write(self, documents: Iterable[Mapping[str, Any]]) -> None:
        for document in documents:
            self._writer.write(json.dumps(document, separators=(",", ":")).encode() + b"\n")
            self.rows += 1
        self._writer.rows = self.rows


class Table:
    """Writes CSV with a header, for spreadsheets, too."""

    def __init__(self, writer: MemberWriter, columns: Sequence[str]) -> None:
        self._writer = writer
        self._columns = columns
        self._buffer = io.StringIO()
        self._csv = csv.writer(self._buffer, lineterminator="\r\n")
        self._csv.writerow(columns)
        self._drain()
        self.rows = writer.rows = 0

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        for row in rows:
            self._csv.writerow([_cell(row[column]) for column in self._columns])
            self._drain()
            self.rows += 1
        self._writer.rows = self.rows

    def _drain(self) -> None:
        self._writer.write(self._buffer.getvalue().encode())
        self._buffer.seek(0)
        self._buffer.truncate()


class PackWriter:
    """Writes a pack, one member after the other, as a context manager; end with `finish`."""

    def __init__(self, file: BinaryIO) -> None:
        self._sealed = _Sealed(file)
        stream = cast(IO[bytes], self._sealed)  # `zipfile` uses only these methods
        self._zip = zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)
        self.members: list[Member] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Without `finish`, the file is no pack."""
        with suppress(OSError):
            self._zip.close()

    def add(self, name: str, data: bytes) -> None:
        """A file as a whole."""
        with self._member(name) as writer:
            writer.write(data)

    @contextmanager
    def lines(self, name: str) -> Iterator[Lines]:
        with self._member(name) as writer:
            yield Lines(writer)

    @contextmanager
    def table(self, name: str, columns: Sequence[str]) -> Iterator[Table]:
        with self._member(name) as writer:
            yield Table(writer, columns)

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """Adds the manifest with the hashes of all members, and closes the file."""
        document = {**manifest, "members": [each.document() for each in self.members]}
        self.add(MANIFEST, json.dumps(document, indent=2).encode() + b"\n")
        self._zip.close()
        self._sealed.seal()

    @contextmanager
    def _member(self, name: str) -> Iterator[MemberWriter]:
        info = zipfile.ZipInfo(name, date_time=_EPOCH)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.create_system = 3
        info.external_attr = 0o100644 << 16
        with self._zip.open(info, "w", force_zip64=True) as file:
            writer = MemberWriter(file)
            yield writer
            writer.flush()
        self.members.append(writer.member(name))


def _cell(value: Any) -> str | int | None:
    """As the `csv` module takes it."""
    kind = type(value)
    if kind is str:
        return _text_cell(value)
    if value is None or kind is int:
        return cast(int | None, value)
    return cell(tuple(map(str, value)) if kind is list else value)


@lru_cache(maxsize=16_384)
def _text_cell(text: str) -> str:
    """Most texts come again and again."""
    return cell(text)
