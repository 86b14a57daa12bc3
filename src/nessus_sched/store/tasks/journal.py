"""The hash chain of the journal.

A row's hash is SHA-256 over the previous hash, its own number, the digest of the task's
document after the entry, and the entry as stored. So a changed, removed, inserted or moved row
breaks the chain at that point; the head in `chain` reveals a lost end; and the digest ties the
current row of each task to its history.

The chain has no key: anyone who can write the file can also write a new chain. To protect
against that, keep a head (`JournalHead.text`) elsewhere and pass it to `verify`.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final, NamedTuple

GENESIS: Final = bytes(32)
PURGED: Final = "purged"
"""The event of a task's last row, after the task itself was deleted."""
PRUNED: Final = "journal_pruned"
"""The event that records how far the journal has been pruned."""


class JournalHead(NamedTuple):
    """A position in the chain: number and hash of a row, (0, zeros) before the first."""

    seq: int
    hash: bytes

    @property
    def text(self) -> str:
        return f"{self.seq}:{self.hash.hex()}"

    @classmethod
    def parse(cls, text: str) -> JournalHead:
        """Raises ValueError unless `text` is `seq:hash`."""
        seq, _, digest = text.partition(":")
        head = cls(int(seq), bytes.fromhex(digest))
        if len(head.hash) != len(GENESIS) or head.seq < 0:
            raise ValueError("a journal head is a number, a colon and 64 hex digits")
        return head


def chain_hash(before: bytes, seq: int, digest: bytes | None, content: bytes) -> bytes:
    """The hash of row `seq`, which follows the row with hash `before`."""
    tied = b"" if digest is None else digest
    place = struct.pack(">qq", seq, -1 if digest is None else len(digest))
    return hashlib.sha256(before + place + tied + content).digest()
