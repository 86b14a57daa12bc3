"""An SMTP server in the test's process."""

from __future__ import annotations

import email
import email.policy
import socket
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import attrs
from aiosmtpd.smtp import AuthResult, LoginPassword


@attrs.define
class MailServer:
    """Keeps what it receives. `answers` replaces its answer to a command, such as RCPT."""

    answers: dict[str, str] = attrs.field(factory=dict)
    received: list[EmailMessage] = attrs.field(factory=list)
    recipients: list[str] = attrs.field(factory=list)

    async def handle_RCPT(  # noqa: N802 - the name that aiosmtpd calls
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.answers.get("RCPT", "250 OK")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if "DATA" in self.answers:
            return self.answers["DATA"]
        policy = email.policy.default
        made = email.message_from_bytes(envelope.content, policy=policy)
        assert isinstance(made, EmailMessage)
        self.received.append(made)
        self.recipients += envelope.rcpt_tos
        return "250 OK"


def login_with(password: str) -> Callable[[Any, Any, Any, str, Any], AuthResult]:
    """An authenticator that accepts this password of any user."""

    def login(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        return AuthResult(success=data.password.decode() == password, handled=False)

    return login


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
