"""The interpreter's own settings, for a process that has to answer while it works."""

from __future__ import annotations

import gc
import sys

SWITCH_INTERVAL = 0.0005
"""Seconds for which a thread that parses or stores may keep the interpreter from the loop,
which asks for it several times in each answer; Python's own 5 ms add up."""
LOOK_FOR_GARBAGE_AFTER = 20_000
"""New containers between two looks for garbage. Python's own 700 make it look several times
while a batch of submissions is stored, and what it finds there is in use: 5 to 10 % of the
time."""


def tune() -> None:
    sys.setswitchinterval(SWITCH_INTERVAL)
    gc.set_threshold(LOOK_FOR_GARBAGE_AFTER, 10, 10)


def before_loading() -> None:
    """What is loaded until we are ready stays. To look through it for garbage takes a third
    of the start with a long queue, and later 120 ms of the loop at a time."""
    gc.disable()


def loaded() -> None:
    """From here on what is made may be garbage one day; what was loaded is left alone."""
    gc.freeze()
    gc.enable()
