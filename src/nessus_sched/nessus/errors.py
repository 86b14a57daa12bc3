"""Turns HTTP failures into the errors of `core.scanner`, each with one plain sentence.

The meaning of each status follows recorded scanners; the same status can mean several things.
Text from the scanner is data: truncated, on one line, without control characters and without
our secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

import attrs

from nessus_sched.core.scanner import (
    ApiRefused,
    CertificateMismatch,
    DiskFull,
    ExportNotAllowed,
    LicenseExpired,
    LicenseLimit,
    LoginRefused,
    NoCapacity,
    NoPlugins,
    NotFound,
    NotReady,
    OutcomeUnknown,
    PermissionDenied,
    Refused,
    ScannerError,
    TransientError,
    Unreachable,
)
from nessus_sched.nessus.json_fields import BadDocument, Document, as_text, object_or_empty, parse
from nessus_sched.nessus.requests import Answer, Call
from nessus_sched.net.failures import clean

_LICENSE: Final = re.compile(r"licen[cs]e|activation code|not activated", re.IGNORECASE)
_LICENSE_FULL: Final = re.compile(r"exceed|limit|allows|too many|maximum", re.IGNORECASE)
_DISK_FULL: Final = re.compile(r"no space left|disk (is )?full|disk space", re.IGNORECASE)
_NO_PLUGINS: Final = re.compile(
    r"no plugins|plugins (are )?(missing|not loaded)|functionality (is )?(therefore )?limited",
    re.IGNORECASE,
)
_CAPACITY: Final = re.compile(
    r"(too many|max(imum)?|limit|concurrent|capacity)\b.{0,60}\bscans?\b"
    r"|\bscans?\b.{0,60}\b(too many|maximum|limit|capacity|in progress)",
    re.IGNORECASE,
)
NO_EXPORT: Final = re.compile(r"export\b.{0,40}\bnot (allowed|permitted|available)", re.IGNORECASE)
"""As in "Export is not allowed in trial mode"."""
API_GATE: Final = (
    "The scanner's license refuses changes through its API (412). Use a license with API "
    "access, or choose `ui_session` authentication for this scanner."
)


@attrs.frozen(kw_only=True)
class Failure:
    """A request without an answer. `sent`: some of it may have reached the scanner; `stale`:
    the connection broke before any part of an answer arrived; `impossible`: it cannot be
    expressed in HTTP."""

    reason: str
    sent: bool
    stale: bool = False
    certificate: bool = False
    impossible: bool = False


def scanner_message(answer: Answer, secrets: Iterable[str] = ()) -> str:
    """The scanner's own error message, or empty."""
    return document_message(object_or_empty(answer.body), secrets)


def document_message(told: Document, secrets: Iterable[str] = ()) -> str:
    """The error message in a document, or empty."""
    return clean(as_text(told.get("error") or told.get("message")), secrets)


def no_answer_error(call: Call, failure: Failure, *, hint: str = "") -> ScannerError:
    """The error for a request without an answer."""
    if failure.certificate:
        return CertificateMismatch(failure.reason)
    if failure.impossible:
        return Refused(f"{call.method} {call.route} cannot be sent: {failure.reason}.")
    if call.changes and failure.sent:
        return OutcomeUnknown(
            f"The answer to {call.method} {call.route} was lost ({failure.reason}); "
            f"whether it took effect is not known.{hint}"
        )
    return Unreachable(f"The scanner cannot be reached: {failure.reason}.")


def status_error(call: Call, answer: Answer, secrets: Iterable[str] = ()) -> ScannerError:
    """The error for an answer with an error status."""
    reason = scanner_message(answer, secrets)
    where = f"{call.method} {call.route}"
    told = f"{answer.status}: {reason}" if reason else str(answer.status)
    if answer.status == 401:
        return LoginRefused(
            f"The scanner does not accept our login ({told}); check its keys or password."
        )
    if answer.status == 412:
        return ApiRefused(API_GATE)
    if answer.status in {400, 403} and NO_EXPORT.search(reason):
        return ExportNotAllowed(f"The scanner does not allow exports ({told}).")
    if (whole := _refuses_all(reason, told)) is not None:
        # Even a 5xx may have taken effect.
        whole.in_doubt = call.changes and answer.status >= 500
        return whole
    if answer.status == 404:
        return NotFound(f"The scanner does not have what {where} requests ({told}).")
    if answer.status == 429 or answer.status >= 500:
        return _trouble(call, answer, reason, told)
    if _CAPACITY.search(reason):
        return NoCapacity(
            f"The scanner has reached its scan limit ({told}).", retry_after=answer.retry_after
        )
    if 300 <= answer.status < 400:
        return Refused(f"{where} is redirected ({told}): `url` must be the scanner's own address.")
    if answer.status == 403:
        return PermissionDenied(f"The scanner's user has no right to {where} ({told}).")
    return Refused(f"The scanner refused {where} ({told}).")


def _refuses_all(reason: str, told: str) -> ScannerError | None:
    """The error if the message says that the scanner refuses this to everyone. Most of these
    messages are not recorded, so they are matched loosely."""
    if _LICENSE.search(reason):
        text = f"The scanner's license does not allow this ({told})."
        return LicenseLimit(text) if _LICENSE_FULL.search(reason) else LicenseExpired(text)
    if _NO_PLUGINS.search(reason):
        return NoPlugins(f"The scanner has no plugins ({told}).")
    if _DISK_FULL.search(reason):
        return DiskFull(f"The scanner's disk is full ({told}).")
    return None


def _trouble(call: Call, answer: Answer, reason: str, told: str) -> TransientError:
    """The error for 5xx and 429, which are temporary."""
    later = answer.retry_after
    if _CAPACITY.search(reason):
        return NoCapacity(f"The scanner has reached its scan limit ({told}).", retry_after=later)
    if answer.status == 503:
        return NotReady(f"The scanner is not ready yet ({told}).", retry_after=later)
    if answer.status == 429:
        return TransientError(f"The scanner asks us to slow down ({told}).", retry_after=later)
    if answer.status in {502, 504} and call.changes:
        return OutcomeUnknown(
            f"A proxy in front of the scanner lost the answer to {call.method} {call.route} "
            f"({told}); whether it took effect is not known.",
            retry_after=later,
        )
    return TransientError(f"{call.method} {call.route} failed ({told}).", retry_after=later)


def bad_body_error(call: Call, what: str) -> TransientError:
    """The error for a success with unusable content, which is described by `what`."""
    told = f"{call.method} {call.route} was answered with {what}"
    if call.changes:
        return OutcomeUnknown(f"{told} Whether it took effect is not known.")
    return TransientError(told)


def document(call: Call, answer: Answer) -> Document:
    """The JSON object in a success; raises for anything else. Parses in the event loop: use
    `NessusSession.ask` for answers that may be long."""
    try:
        return parse(answer.body)
    except BadDocument as error:
        problem = bad_body_error(call, str(error))
    raise problem
