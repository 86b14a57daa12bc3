"""The hash chain of the journal.

A row's hash is SHA-256 over the hash before it, its own number, the digest of the task's
document after the entry, and the entry as stored. So a changed, removed, inserted or
moved row breaks the chain at that place; the head kept in `chain` shows a lost end; and
the digest ties the present row of each task to the history that led there.

The chain has no key: whoever can write the file can also write a new chain. Against that
keep a head (`JournalHead.text`) elsewhere and give it to `verify`.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final, NamedTuple

import attrs

from nessus_sched.core.journal import JournalEntry

GENESIS: Final = bytes(32)
PURGED: Final = "purged"
"""The event of a task's last row, once the task itself has been deleted."""
PRUNED: Final = "journal_pruned"
"""The event that says up to where the journal's beginning has been deleted."""


class JournalHead(NamedTuple):
    """A place in the chain: the number and hash of a row, (0, zeros) before the first."""

    seq: int
    hash: bytes

    @property
    def text(self) -> str:
        return f"{self.seq}:{self.hash.hex()}"

    @classmethod
    def parse(cls, text: str) -> JournalHead:
        """Raises ValueError for what is not `seq:hash`."""
        seq, _, digest = text.partition(":")
        head = cls(int(seq), bytes.fromhex(digest))
        if len(head.hash) != len(GENESIS):
            raise ValueError("a journal head is a number, a colon and 64 hex digits")
        return head


@attrs.frozen(kw_only=True)
class JournalRecord:
    """An entry in its place in the chain."""

    seq: int
    hash: bytes
    entry: JournalEntry


def chain_hash(before: bytes, seq: int, digest: bytes | None, content: bytes) -> bytes:
    """The hash of the row `seq` that follows the row with hash `before`."""
    tied = b"" if digest is None else digest
    place = struct.pack(">qq", seq, -1 if digest is None else len(digest))
    return hashlib.sha256(before + place + tied + content).digest()
