"""The activity of a connection, and the error for one that stalls."""

from __future__ import annotations

import attrs
import trio


class Stalled(Exception):
    """The client keeps the daemon waiting too long; the message says where."""


@attrs.define(kw_only=True, eq=False)
class Activity:
    """The activity of a connection: requests in progress, and when it last sent or received
    something (on Trio's clock)."""

    busy: int = 0
    at: float = attrs.field(factory=trio.current_time)
