"""Targets in little memory, for the many tasks that wait.

A list of 4,096 scattered IPv4 addresses takes 32 KiB here and some 600 KiB as a
`TargetSet`; unpacking it takes about a millisecond.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain
from typing import Final

import attrs

from nessus_sched.core.targets.ranges import V4, count
from nessus_sched.core.targets.targets import TargetSet

_V4_PAIR: Final = struct.Struct(">II")
_V6_WIDTH: Final = 16
_V6: Final = struct.Struct(f"{_V6_WIDTH}s")
_V6_BLOCK: Final = struct.Struct(f"{_V6_WIDTH}s" * 256)
"""Many addresses at once are split several times as fast as one by one."""


@attrs.frozen(cache_hash=True)
class PackedTargets:
    """A `TargetSet` as bytes. Equal sets have equal packed forms.

    `v4` holds the first and last address of each IPv4 range as two 32-bit numbers, `v6`
    those of each IPv6 range as two 128-bit numbers. `addresses` counts the addresses of
    all ranges, without the names.
    """

    v4: bytes
    v6: bytes
    names: tuple[str, ...]
    addresses: int = attrs.field(eq=False)

    @property
    def address_count(self) -> int:
        """As `TargetSet.address_count`: names count as one address each."""
        return self.addresses + len(self.names)

    @property
    def range_count(self) -> int:
        return len(self.v4) // _V4_PAIR.size + len(self.v6) // (2 * _V6_WIDTH)

    @property
    def size(self) -> int:
        """Ranges and names: what it takes of `limits.queued_targets`."""
        return self.range_count + len(self.names)

    @property
    def network(self) -> bytes:
        """The network of the first address: the first 16 bits of an IPv4 address or 48 bits of
        an IPv6 one; empty for names alone."""
        return self.v4[:2] or self.v6[:6]

    @property
    def v4_bounds(self) -> tuple[Sequence[int], Sequence[int]]:
        """The first and the last addresses of the IPv4 ranges, sorted."""
        numbers = struct.unpack(f">{len(self.v4) // 4}I", self.v4)
        return numbers[::2], numbers[1::2]

    @property
    def v6_bounds(self) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """The same of the IPv6 ranges, as bytes, which compare as the addresses do."""
        blocks = len(self.v6) - len(self.v6) % _V6_BLOCK.size
        addresses = [
            *chain.from_iterable(_V6_BLOCK.iter_unpack(self.v6[:blocks])),
            *chain.from_iterable(_V6.iter_unpack(self.v6[blocks:])),
        ]
        return addresses[::2], addresses[1::2]

    def unpack(self) -> TargetSet:
        six = (
            int.from_bytes(self.v6[at : at + _V6_WIDTH]) for at in range(0, len(self.v6), _V6_WIDTH)
        )
        four = ((V4 + first, V4 + last) for first, last in _V4_PAIR.iter_unpack(self.v4))
        # IPv6 lies below IPv4, so the result is sorted.
        return TargetSet(ranges=(*zip(six, six, strict=True), *four), names=self.names)


def pack(targets: TargetSet | PackedTargets) -> PackedTargets:
    """The packed form; one that is packed already stays as it is."""
    if isinstance(targets, PackedTargets):
        return targets
    ranges = targets.ranges
    six = chain.from_iterable(each for each in ranges if each[0] < V4)
    four = [number - V4 for each in ranges if each[0] >= V4 for number in each]
    return PackedTargets(
        v4=struct.pack(f">{len(four)}I", *four),
        v6=b"".join(number.to_bytes(_V6_WIDTH) for number in six),
        names=targets.names,
        addresses=count(ranges),
    )
