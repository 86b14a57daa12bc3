"""Recognizes findings that a report repeats in another element of the same host."""

from __future__ import annotations

from array import array
from collections.abc import Set
from typing import Final

from nessus_sched.results.parser.items import RawItem

_IDENTITY: Final = ("pluginID", "port", "protocol", "svc_name", "severity", "pluginName")


class SeenFindings:
    """Remembers 8 bytes for each of up to `most` findings. What one element repeats is kept:
    only the scanner knows whether it means two things."""

    def __init__(self, most: int) -> None:
        self._room = most
        self._hosts: dict[int, array[int]] = {}
        self._host = 0
        self._element = array("q")
        self._earlier: Set[int] = frozenset()

    def begin_element(self, host: int) -> None:
        """Findings of the host with that number follow."""
        self._host, self._element = host, array("q")
        self._earlier = frozenset(self._hosts.get(host, ()))

    def before(self, item: RawItem) -> bool:
        """Whether an earlier element of the host has the same finding."""
        identity = tuple(map(item.attributes.get, _IDENTITY))
        texts = tuple(item.about) if item.output is None else item.output
        number = hash((identity, texts, tuple(item.compliance)))
        if number in self._earlier:
            return True
        self._element.append(number)
        return False

    def end_element(self) -> None:
        if len(self._element) > self._room:
            return
        self._room -= len(self._element)
        self._hosts.setdefault(self._host, array("q")).extend(self._element)
