"""Deterministic randomness from a seed: the same input always gives the same result."""

from __future__ import annotations

import hashlib
import random


def dice(*parts: object) -> random.Random:
    """A random generator that depends only on `parts`."""
    text = "\x1f".join(map(str, parts))
    digest = hashlib.sha256(text.encode()).digest()
    return random.Random(int.from_bytes(digest[:16], "big"))  # noqa: S311 - simulated, not secret


def share(*parts: object) -> float:
    """A number in [0, 1) that depends only on `parts`; faster than `dice`."""
    text = "\x1f".join(map(str, parts))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def hex_digits(generator: random.Random, count: int) -> str:
    return f"{generator.getrandbits(4 * count):0{count}x}"


def run_uuid(generator: random.Random) -> str:
    """The uuid of a run: 8-4-4-4-28 hex digits, 52 characters."""
    return "-".join(hex_digits(generator, count) for count in (8, 4, 4, 4, 28))


def guid(generator: random.Random) -> str:
    return "-".join(hex_digits(generator, count) for count in (8, 4, 4, 4, 12))
