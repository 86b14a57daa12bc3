"""Checks that a daemon calls: it survives what they raise, so a judge remembers it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar


class Remembers(Protocol):
    broken: list[str]


J = TypeVar("J", bound=Remembers)
P = ParamSpec("P")


def remembered(check: Callable[Concatenate[J, P], None]) -> Callable[Concatenate[J, P], None]:
    """Keeps what the check finds wrong in the judge's `broken`."""

    @wraps(check)
    def checked(judge: J, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            check(judge, *args, **kwargs)
        except AssertionError as error:
            judge.broken.append(str(error))
            raise

    return checked
