"""What a connection is doing, and the reason to cut one that does nothing."""

from __future__ import annotations

import attrs
import trio


class Stalled(Exception):
    """The client keeps us waiting for too long; the message says in what."""


@attrs.define(kw_only=True, eq=False)
class Activity:
    """What a connection is doing: requests in work, and when it last asked or was answered
    (on Trio's clock)."""

    busy: int = 0
    at: float = attrs.field(factory=trio.current_time)
