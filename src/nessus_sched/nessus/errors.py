"""What goes wrong, in the words of `core.scanner`: from HTTP to one plain sentence.

The statuses mean what recorded scanners meant by them, and the same status can mean several
things. Texts of the scanner are data: cut, on one line, without control characters and without
our secrets.
"""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from nessus_sched.core.scanner import (
    ApiRefused,
    CertificateMismatch,
    LicenseLimit,
    LoginRefused,
    NoCapacity,
    NotFound,
    NotReady,
    OutcomeUnknown,
    Refused,
    ScannerError,
    TransientError,
    Unreachable,
)
from nessus_sched.core.secret import MASK
from nessus_sched.nessus.decode import Document, tolerant
from nessus_sched.nessus.messages import Answer, Call

LONGEST: Final = 200
_SHORTEST_SECRET: Final = 3
_LICENSE: Final = re.compile(r"licen[cs]e|activation code|not activated", re.IGNORECASE)
_CAPACITY: Final = re.compile(
    r"(too many|max(imum)?|limit|concurrent|capacity)\b.{0,60}\bscans?\b"
    r"|\bscans?\b.{0,60}\b(too many|maximum|limit|capacity|in progress)",
    re.IGNORECASE,
)
API_GATE: Final = (
    "The scanner's licence refuses changes through its API (412). Use a licence with API "
    "access, or choose `ui_session` authentication for this scanner."
)


@attrs.frozen(kw_only=True)
class Failure:
    """A request that got no answer. `sent`: some of it may have reached the scanner;
    `stale`: the connection broke before any of an answer came."""

    reason: str
    sent: bool
    stale: bool = False
    certificate: bool = False


def clean(text: str, secrets: Iterable[str] = (), *, longest: int = LONGEST) -> str:
    """One short line of foreign text, without control characters and our secrets."""
    parts = {part for secret in secrets for part in (secret, *secret.splitlines())}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= _SHORTEST_SECRET:
            text = text.replace(part, MASK)
    visible = (c if unicodedata.category(c)[0] != "C" else " " for c in text[: 20 * longest])
    line = " ".join("".join(visible).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and all that led to it; Trio reports failed connects as a group."""
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            yield from (deeper for one in error.exceptions for deeper in chain(one))
        error = error.__cause__ or error.__context__


def system_words(error: BaseException) -> str | None:
    """What the system says is wrong, without the address that Trio puts before it (which is
    told where it is needed, and looks like `('127.0.0.1', 9)`); None where it says nothing."""
    for each in chain(error):
        if isinstance(each, OSError) and each.strerror:
            # Name look-ups and TLS have numbers of their own.
            if each.errno and not isinstance(each, ssl.SSLError | socket.gaierror):
                return os.strerror(each.errno)
            return each.strerror
    return None


def said(answer: Answer, secrets: Iterable[str] = ()) -> str:
    """The scanner's own words for an error, empty when it has none."""
    told = tolerant(answer.body)
    return clean(str(told.get("error") or told.get("message") or ""), secrets)


def unanswered(call: Call, failure: Failure, *, hint: str = "") -> ScannerError:
    """The error for a request without an answer."""
    if failure.certificate:
        return CertificateMismatch(failure.reason)
    if call.changes and failure.sent:
        return OutcomeUnknown(
            f"The answer to {call.method} {call.route} was lost ({failure.reason}); "
            f"whether it took effect is not known.{hint}"
        )
    return Unreachable(f"The scanner cannot be reached: {failure.reason}.")


def refusal(call: Call, answer: Answer, secrets: Iterable[str] = ()) -> ScannerError:
    """The error for an answer that is not a success."""
    words = said(answer, secrets)
    where = f"{call.method} {call.route}"
    told = f"{answer.status}: {words}" if words else str(answer.status)
    if answer.status == 401:
        return LoginRefused(
            f"The scanner does not accept our login ({told}); check its keys or password."
        )
    if answer.status == 412:
        return ApiRefused(API_GATE)
    if answer.status >= 300 and _LICENSE.search(words):
        return LicenseLimit(f"The scanner's licence does not allow this ({told}).")
    if answer.status == 404:
        return NotFound(f"The scanner does not know what {where} asks for ({told}).")
    if answer.status == 429 or answer.status >= 500:
        return _trouble(call, answer, words, told)
    if _CAPACITY.search(words):
        return NoCapacity(f"The scanner runs all it may ({told}).", retry_after=answer.retry_after)
    if 300 <= answer.status < 400:
        return Refused(f"{where} is redirected ({told}): `url` must be the scanner's own address.")
    if answer.status == 403:
        return Refused(f"The scanner's user has no right to {where} ({told}).")
    return Refused(f"The scanner refuses {where} ({told}).")


def _trouble(call: Call, answer: Answer, words: str, told: str) -> TransientError:
    """5xx and 429: not now."""
    later = answer.retry_after
    if _CAPACITY.search(words):
        return NoCapacity(f"The scanner runs all it may ({told}).", retry_after=later)
    if answer.status == 503:
        return NotReady(f"The scanner is not ready yet ({told}).", retry_after=later)
    if answer.status == 429:
        return TransientError(f"The scanner asks us to slow down ({told}).", retry_after=later)
    if answer.status in {502, 504} and call.changes:
        return OutcomeUnknown(
            f"Something in front of the scanner lost the answer to {call.method} {call.route} "
            f"({told}); whether it took effect is not known.",
            retry_after=later,
        )
    return TransientError(f"{call.method} {call.route} failed ({told}).", retry_after=later)


def unreadable(call: Call, answer: Answer, *, what: str = "") -> TransientError:
    """The error for a success whose content makes no sense."""
    if not what:
        page = answer.body.lstrip()[:1] == b"<"
        what = "a web page; is there a proxy, or is `url` wrong?" if page else "no valid JSON."
        what = "nothing." if not answer.body else what
    text = f"{call.method} {call.route} was answered with {what}"
    if call.changes:
        return OutcomeUnknown(f"{text} Whether it took effect is not known.")
    return TransientError(text)


def document(call: Call, answer: Answer) -> Document:
    """The JSON object that a success consists of; raises for anything else."""
    problem: ScannerError | None = None
    found: object = None
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        problem = unreadable(call, answer)
    if problem is None and not isinstance(found, dict):
        problem = unreadable(call, answer, what="something other than a JSON object.")
    if problem is not None:
        raise problem
    assert isinstance(found, dict)
    return found
