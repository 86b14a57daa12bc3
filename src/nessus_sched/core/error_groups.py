"""Groups of exceptions, as nurseries raise them."""

from __future__ import annotations

from collections.abc import Iterator


def flatten_exceptions(error: BaseException) -> Iterator[BaseException]:
    """The exceptions in a group, however deep; or the one that is none."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from flatten_exceptions(inner)
    else:
        yield error
