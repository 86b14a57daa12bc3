"""Exports and other downloads: a token, a period of `loading`, one download."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count

import attrs

from nessus_sched.sim.messages import NotFound
from nessus_sched.sim.seeded import dice, hex_digits


@attrs.frozen(kw_only=True)
class Document:
    """A document to download; `open` returns its chunks, `length` is in bytes if known."""

    name: str
    open: Callable[[], Iterable[bytes]]
    content_type: str = "application/octet-stream"
    length: int | None = None


@attrs.define(kw_only=True)
class Export:
    """`scan_id` is None if it is not an export of a scan but, for example, of a policy."""

    token: str
    file_id: int
    scan_id: int | None
    ready_at: float
    document: Document
    fails: bool = False
    reported: bool = False
    """Whether the failure was reported; after that the file is not found."""

    def status(self, now: float) -> str:
        if now < self.ready_at:
            return "loading"
        return "error" if self.fails else "ready"


@attrs.define
class Exports:
    """Exports by token. A token is valid for one download."""

    seed: int
    by_token: dict[str, Export] = attrs.field(factory=dict)
    _file_ids: Iterator[int] = attrs.field(factory=lambda: count(1), init=False)

    def add(
        self,
        document: Document,
        *,
        ready_at: float,
        scan_id: int | None = None,
        fails: bool = False,
    ) -> Export:
        file_id = next(self._file_ids)
        token = hex_digits(dice(self.seed, "export", file_id), 64)
        export = Export(
            token=token,
            file_id=file_id,
            scan_id=scan_id,
            ready_at=ready_at,
            document=document,
            fails=fails,
        )
        self.by_token[token] = export
        return export

    def by_file(self, scan_id: int, file_id: int) -> Export:
        for export in self.by_token.values():
            if export.scan_id == scan_id and export.file_id == file_id:
                return export
        raise NotFound

    def get(self, token: str) -> Export:
        try:
            return self.by_token[token]
        except KeyError:
            raise NotFound from None

    def forget(self, export: Export) -> None:
        del self.by_token[export.token]

    def forget_all(self) -> None:
        self.by_token.clear()
