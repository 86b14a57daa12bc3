"""A secret that cannot be printed by accident."""

from __future__ import annotations

from typing import Final, final

MASK: Final = "***"


@final
class Secret:
    """Holds a secret string; `str`, `repr` and formatting show a mask.

    Equality compares the values (reload needs to see a rotated secret); there is no
    hash, no ordering and no pickling, so that a secret does not wander off into a set,
    a cache key or a file.
    """

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself: only for the request that sends it to a scanner."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not to be pickled or copied out")
