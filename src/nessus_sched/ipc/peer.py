"""Who is at the other end of a connection."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Peer:
    """One client connection. `uid` and `gid` are what the kernel says of the process at
    the other end of a Unix socket; on our own stdin and stdout they are our own."""

    connection: str
    uid: int | None = None
    gid: int | None = None

    @property
    def actor(self) -> str:
        """How the journal names this peer."""
        return "mcp" if self.uid is None else f"uid:{self.uid}"
