"""Ports that a scan covers, and port scanners."""

from __future__ import annotations

import re
from functools import lru_cache

import attrs

SYN_SCANNER = 11219
TCP_SCANNER = 10335
UDP_SCANNER = 34277
NETSTAT_SSH = 14272
NETSTAT_WMI = 34220
SNMP_SCANNER = 14274

_HIGHEST = 65535
_COMMON_HIGH = frozenset(
    {
        *(1099, 1194, 1433, 1434, 1521, 1723, 1883, 2049, 2375, 2376, 3000, 3128, 3268, 3269),
        *(3306, 3389, 4369, 4444, 5000, 5060, 5432, 5601, 5672, 5900, 5984, 5985, 5986, 6379),
        *(6443, 7001, 8000, 8008, 8080, 8081, 8086, 8088, 8443, 8834, 8888, 9000, 9042, 9090),
        *(9092, 9100, 9200, 9300, 9418, 9999, 10000, 11211, 15672, 27017, 50000, 50070),
    }
)
DEFAULT_SERVICES = frozenset(
    {21, 22, 23, 25, 53, 80, 110, 111, 135, 139, 143, 161, 389, 443, 445, 993, 3306, 3389, 5432}
)
"""Ports where plugins look for their service even without a port scanner."""


def _common(port: int) -> bool:
    """Whether it is one of the about 4,800 ports in the scanner's own list: well-known ports and
    common others."""
    return port < 1024 or port in _COMMON_HIGH


@attrs.frozen
class PortRange:
    """`text` as given; `spans` are pairs of first and last port, empty for the default list."""

    text: str
    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def readable(cls, text: str) -> bool:
        return text.strip().lower() in ("default", "all") or bool(_spans(text))

    def covers(self, port: int) -> bool:
        if not self.spans:
            return _common(port)
        return any(first <= port <= last for first, last in self.spans)


@lru_cache(maxsize=256)
def read_range(text: str) -> PortRange:
    """Parses `default`, `all`, or ports and ranges with optional `T:` or `U:` prefixes; anything
    invalid is the default."""
    word = text.strip().lower()
    if word == "all":
        return PortRange(text, ((1, _HIGHEST),))
    spans = _spans(word)
    return PortRange(text, spans) if spans else PortRange("default")


def _spans(text: str) -> tuple[tuple[int, int], ...]:
    """The spans; empty if any part is invalid."""
    spans = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(?:[tTuU]:)?(\d{1,5})(?:-(\d{1,5}))?\s*", part)
        if found is None:
            return ()
        first, last = int(found[1]), int(found[2] or found[1])
        if not first <= last <= _HIGHEST:
            return ()
        spans.append((first, last))
    return tuple(spans)
