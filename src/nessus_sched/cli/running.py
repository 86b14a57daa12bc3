"""Running asynchronous work for a command."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import click
import trio

T = TypeVar("T")


def run(work: Callable[..., Awaitable[T]], *args: object) -> T:
    """`trio.run`, with what went wrong for the user as one plain `ClickException` and not as
    a group of them."""
    try:
        return trio.run(work, *args)
    except BaseExceptionGroup as group:
        for error in leaves(group):
            if isinstance(error, click.ClickException):
                raise error from None
        raise


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, however deep; or the one that is none."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error
