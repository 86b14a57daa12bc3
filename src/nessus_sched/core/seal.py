"""Markers: how a scan on a scanner is known to be that of one attempt at a task.

A marker ends the scan's name and carries a digest under a key that only the task store has,
so that no one else can make or guess one.
"""

from __future__ import annotations

import base64
import hmac
import re
import unicodedata
from collections.abc import Sequence
from typing import Final

import attrs

_MARKER: Final = re.compile(
    r"\[ns:(t-[0-9a-z]+(?:-[1-9][0-9]{0,5})?)\.([1-9][0-9]{0,8})(?:\.([0-9a-z]+))?\]\Z"
)
_OPENING: Final = re.compile(r"\[\s*ns\s*:", re.IGNORECASE)
_DIGEST_BYTES: Final = 10
"""80 bits: 16 characters of base32, since the length of a scan's name is limited."""
_UPLOAD: Final = re.compile(r"[0-9a-f]{32}-(?=.)")


@attrs.frozen(kw_only=True)
class Mark:
    """What a name claims. Unless it is `sealed`, the digest is missing, as it was in the
    markers of earlier releases: then it proves nothing by itself."""

    task_id: str
    attempt: int
    sealed: bool


@attrs.frozen
class Seal:
    """Makes and checks markers. `plain_until` is the last journal row that was written
    before markers had digests: attempts begun by then may have scans without one."""

    key: bytes = attrs.field(repr=False)
    plain_until: int = 0

    def mark(self, task_id: str, attempt: int) -> str:
        text = f"{task_id}.{attempt}"
        digest = hmac.digest(self.key, text.encode(), "sha256")[:_DIGEST_BYTES]
        return f"[ns:{text}.{base64.b32encode(digest).decode().lower()}]"

    def marks(self, task_id: str, attempt: int, *, plain: bool = False) -> tuple[str, ...]:
        """The markers that the scan of that attempt may have; `plain` allows the one
        without a digest."""
        sealed = self.mark(task_id, attempt)
        return (sealed, f"[ns:{task_id}.{attempt}]") if plain else (sealed,)

    def read(self, name: str) -> Mark | None:
        """The marker at the end of a scan's name; None for none or a forged one."""
        found = _MARKER.search(name)
        if found is None:
            return None
        mark = Mark(task_id=found[1], attempt=int(found[2]), sealed=found[3] is not None)
        if mark.sealed and not bears(name, (self.mark(mark.task_id, mark.attempt),)):
            return None
        return mark


def bears(name: str, marks: Sequence[str]) -> bool:
    """Whether the name ends with one of the markers; how long that takes does not tell how
    much of a digest was right."""
    return any(
        hmac.compare_digest(name[-len(mark) :].encode(errors="replace"), mark.encode())
        for mark in marks
    )


def imitates_marker(text: str) -> bool:
    """Whether people or programs could take part of the text for a marker; look-alikes made
    of compatibility characters and invisible ones count."""
    return _OPENING.search(_plainly(text)) is not None


def without_mark(name: str) -> str:
    """The name of a scan as people gave it, without the marker that we added."""
    return _MARKER.sub("", name).rstrip()


def without_markers(text: str) -> str:
    """The text, with nothing left in it that could be taken for a marker."""
    return _OPENING.sub("(ns ", _plainly(text)) if imitates_marker(text) else text


def _plainly(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text)
    return "".join(each for each in folded if unicodedata.category(each)[0] != "C")


def name_for_upload(unique: str, name: str) -> str:
    """The name under which a file is uploaded; `unique` are 32 hexadecimal digits."""
    return f"{unique}-{name}"


def without_upload(name: str) -> str:
    """The name of a file that was uploaded as `name`."""
    found = _UPLOAD.match(name)
    return name if found is None else name[found.end() :]
