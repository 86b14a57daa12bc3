"""Describes failed connections, and what the other side says, in one plain line."""

from __future__ import annotations

import os
import socket
import ssl
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

import httpx

from nessus_sched.core.secret import MASK

LONGEST: Final = 200
_SHORTEST_SECRET: Final = 3
UNSENDABLE: Final = "the request cannot be expressed in HTTP"


def clean(told: str, secrets: Iterable[str] = (), *, longest: int = LONGEST) -> str:
    """Outside text as one short line without control characters and our secrets."""
    parts = {part for secret in secrets for part in (secret, *secret.splitlines())}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= _SHORTEST_SECRET:
            told = told.replace(part, MASK)
    told = told[: 20 * longest]
    if not told.isprintable():
        told = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in told)
    line = " ".join(told.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes; Trio reports failed connects as a group."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            yield from (deeper for one in error.exceptions for deeper in chain(one))
        error = error.__cause__ or error.__context__


def system_words(error: BaseException) -> str | None:
    """The operating system's message without the address that Trio puts before it, which looks
    like `('127.0.0.1', 9)`; None if there is no such message."""
    for each in chain(error):
        if isinstance(each, OSError) and each.strerror:
            # Name look-ups and TLS have numbers of their own.
            if each.errno and not isinstance(each, ssl.SSLError | socket.gaierror):
                return os.strerror(each.errno)
            return each.strerror
    return None


def describe_error(error: Exception) -> str:
    """Describes an error for people; texts of `LocalProtocolError` would quote our headers."""
    if isinstance(error, httpx.TimeoutException):
        return "it took too long to " + (
            "connect" if isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout) else "answer"
        )
    if isinstance(error, httpx.LocalProtocolError | httpx.UnsupportedProtocol | ValueError):
        return UNSENDABLE
    words = system_words(error)
    if words is not None:
        return clean(words).lower()
    return "no connection" if isinstance(error, httpx.ConnectError) else "the connection broke off"
