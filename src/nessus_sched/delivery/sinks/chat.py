"""Mail and chats, through Apprise.

Apprise says only whether a message was delivered, and logs the rest with URLs, tokens and content
in it. So its log goes nowhere; the cause is recognized in it by a few known words, and only ours
are shown.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import trio

from nessus_sched.core.delivery.message import Message
from nessus_sched.core.secret import Secret
from nessus_sched.delivery.requests import Reply, failure_of
from nessus_sched.delivery.sinks.port import Failure, SinkFailed
from nessus_sched.delivery.text import LONGEST, plain_text

if TYPE_CHECKING:
    from apprise import Apprise, NotifyBase

SECONDS: Final = 60.0
"""For one message, including the wait for an earlier one that hangs."""
NOT_UNDERSTOOD: Final = "Apprise does not understand this URL"
SERVICES: Final = "https://github.com/caronc/apprise/wiki"
_PART: Final = 0.8
"""Part of what a service accepts that a text may take: escaping makes it longer."""
_SHORTEST: Final = 100
_HTTP: Final = re.compile(r"error=([1-5][0-9]{2})\b")
_SMTP: Final = re.compile(r"\(([45][0-9]{2}), b['\"]|: \(([45][0-9]{2}), b['\"]")
_CAUSES: Final = (
    (re.compile("CERTIFICATE_VERIFY_FAILED|certificate verify failed", re.IGNORECASE),
     Failure.HOLD, "the certificate of the server is not trusted"),
    (re.compile(r"Name or service not known|No address associated|nodename nor servname"),
     Failure.HOLD, "the server's name is unknown"),
    (re.compile(r"STARTTLS extension not supported|SSLV3_ALERT|WRONG_VERSION_NUMBER"),
     Failure.HOLD, "the server does not offer the encryption that the URL asks for"),
    (re.compile(r"SMTP AUTH extension not supported"),
     Failure.HOLD, "the mail server offers no login"),
    (re.compile(r"Connection refused"), Failure.TRY_AGAIN, "connection refused"),
    (re.compile(r"No route to host|Network is unreachable"),
     Failure.TRY_AGAIN, "the server cannot be reached"),
    (re.compile(r"timed out|TimeoutError"), Failure.TRY_AGAIN, "no answer in time"),
    (re.compile(r"Connection (unexpectedly closed|aborted|reset)|RemoteDisconnected"),
     Failure.TRY_AGAIN, "the connection broke off"),
)  # fmt: skip


@attrs.frozen
class Chat:
    """A service that Apprise knows; all of `url` is secret."""

    url: Secret

    async def deliver(self, message: Message) -> None:
        failed = SinkFailed(f"no answer within {SECONDS:g} s", Failure.TRY_AGAIN)
        with trio.move_on_after(SECONDS):
            problem = await trio.to_thread.run_sync(
                _notify, self.url, message, abandon_on_cancel=True, limiter=_turn(self.url.reveal())
            )
            if problem is None:
                return
            failed = problem
        raise failed


def understands(url: Secret) -> bool:
    """Whether Apprise knows such a service, and the URL has all that it needs."""
    return _service(url) is not None


@cache
def _turn(url: str) -> trio.CapacityLimiter:
    """A service that hangs takes one thread."""
    return trio.CapacityLimiter(1)


@cache
def _quiet() -> None:
    """Keeps what Apprise and its HTTP library log out of our log."""
    apprise = logging.getLogger("apprise")
    apprise.setLevel(logging.DEBUG)
    apprise.propagate = False
    for name in ("urllib3", "requests"):
        library = logging.getLogger(name)
        library.setLevel(logging.CRITICAL)
        library.propagate = False


def _service(url: Secret) -> NotifyBase | None:
    _quiet()
    from apprise import Apprise, AppriseAsset, PersistentStoreMode

    asset = AppriseAsset(
        app_id="nessus-sched",
        app_desc="Nessus scan scheduler",
        app_url="",
        image_url_mask="",  # a picture on somebody's server
        image_url_logo="",
        async_mode=False,
        storage_mode=PersistentStoreMode.MEMORY,
        http_redirects=False,
        allow_templates=False,
        pgp_autogen=False,
        pem_autogen=False,
    )
    service = Apprise.instantiate(url.reveal(), asset=asset, suppress_exceptions=True)
    return service or None


def _loaded(service: NotifyBase) -> Apprise:
    from apprise import Apprise

    loaded = Apprise()
    loaded.add(service)
    return loaded


def _notify(url: Secret, message: Message) -> SinkFailed | None:
    """Blocks. None if the message was delivered."""
    service = _service(url)
    if service is None:
        return SinkFailed(NOT_UNDERSTOOD, Failure.HOLD)
    from apprise import NotifyFormat

    room = min(LONGEST, max(int(service.body_maxlen * _PART), _SHORTEST))
    text = plain_text(message, room)
    # It may be gone: only the latest reports are kept.
    attached = message.attachment if service.attachment_support else None
    attached = attached if attached and Path(attached).is_file() else None
    result = _loaded(service).notify(
        attach=attached,
        body=text or message.title,
        title=message.title if text else "",
        body_format=NotifyFormat.TEXT,
        interpret_escapes=False,
        timeout=SECONDS,
        log_level=logging.DEBUG,
    )
    if result:
        return None
    return cause((entry.level, entry.message) for entry in result.logs())


def cause(logged: Iterable[tuple[str, str]]) -> SinkFailed:
    """What the last line that tells a reason means, of lines with their levels. Other lines may
    hold anything, such as the message itself."""
    for level, line in reversed(list(logged)):
        if level == "DEBUG" and not line.startswith("Socket Exception"):
            continue
        if found := _SMTP.search(line):
            return _smtp(int(found[1] or found[2]))
        for pattern, kind, words in _CAUSES:
            if pattern.search(line):
                return SinkFailed(words, kind)
        if found := _HTTP.search(line):
            return failure_of(Reply(status=int(found[1])))
    return SinkFailed("the service did not accept the message", Failure.TRY_AGAIN)


def _smtp(code: int) -> SinkFailed:
    if code < 500:
        return SinkFailed(f"the mail server asks to try later ({code})", Failure.TRY_AGAIN)
    if code in {530, 534, 535, 538}:
        return SinkFailed(f"the mail server does not accept our login ({code})", Failure.HOLD)
    if code in {552, 554}:
        return SinkFailed(f"the mail server refuses the message ({code})", Failure.REFUSED)
    return SinkFailed(f"the mail server refuses the sender or a recipient ({code})", Failure.HOLD)
