"""Where the time comes from: an argument, never a global."""

from __future__ import annotations

import time
from collections.abc import Callable

Now = Callable[[], float]
"""Returns the present moment in epoch seconds, UTC. Under virtual time it is Trio's."""

system_now: Now = time.time  # noqa: TID251 - the one place that may read the wall clock
