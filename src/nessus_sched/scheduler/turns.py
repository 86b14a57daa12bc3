"""Keyed locks: one change at a time for each task that no driver carries."""

from __future__ import annotations

from weakref import WeakValueDictionary

import trio


class Turns:
    """Locks that exist only while held or awaited."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, trio.Lock] = WeakValueDictionary()

    def of(self, key: str) -> trio.Lock:
        lock = self._locks.get(key)
        if lock is None:
            self._locks[key] = lock = trio.Lock()
        return lock
