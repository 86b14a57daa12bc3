"""The client at the other end of a connection."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Peer:
    """One client connection.

    `uid` and `gid` are what the kernel reports of the process at the other end of a Unix
    socket; on stdin and stdout they are the daemon's own.
    """

    connection: str
    uid: int | None = None
    gid: int | None = None

    @property
    def actor(self) -> str:
        """The name of this peer in the journal."""
        return "mcp" if self.uid is None else f"uid:{self.uid}"
