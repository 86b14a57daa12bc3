"""An authenticated session with one scanner: calls in, checked answers out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeVar

import trio

from nessus_sched.core.run_sync import RunSync
from nessus_sched.core.scanner import OutcomeUnknown, ScannerError
from nessus_sched.core.secret import Secret
from nessus_sched.nessus.auth import Auth
from nessus_sched.nessus.errors import (
    bad_body_error,
    document_message,
    scanner_message,
    status_error,
)
from nessus_sched.nessus.http import NessusHttp
from nessus_sched.nessus.json_fields import BadDocument, Document, parse
from nessus_sched.nessus.requests import MAX_INLINE, Answer, Call
from nessus_sched.net.receiving import Sink

T = TypeVar("T")

_RENEWABLE: Final = frozenset({401, 412})
_LONG_ANSWERS: Final = trio.CapacityLimiter(1)
"""Long answers are parsed one at a time, because each may need a hundred megabytes."""


class NessusSession:
    """Sends calls to one scanner; `run_sync` runs long work in a thread."""

    def __init__(self, http: NessusHttp, auth: Auth, run_sync: RunSync) -> None:
        self._http = http
        self._auth = auth
        self._run_sync = run_sync
        self._sent_secrets: list[Secret] = []
        """Every secret sent to the scanner, which may repeat one in any later answer."""

    async def send(self, call: Call, *, sink: Sink | None = None) -> Answer:
        """The answer, whatever its status. A call refused for an outdated session or token is
        sent once more with a new one, which is safe because a refused call had no effect."""
        used = await self._auth.headers(call)
        answer = await self._exchange(call, used, sink)
        renewed: set[int] = set()
        while not call.anonymous and answer.status in _RENEWABLE - renewed:
            renewed.add(answer.status)
            if not await self._auth.renew(answer.status, used):
                break
            used = await self._auth.headers(call)
            answer = await self._exchange(call, used, sink)
        return answer

    async def do(self, call: Call, *, sink: Sink | None = None) -> Answer:
        """The answer if it is a success; raises otherwise."""
        answer = await self.send(call, sink=sink)
        if not answer.ok:
            raise self.status_error(call, answer)
        return answer

    async def ask(self, call: Call) -> Document:
        """The JSON object in a success; raises otherwise."""
        return await self.read(call, lambda found: found)

    async def read(self, call: Call, make: Callable[[Document], T]) -> T:
        """The result of the pure function `make` for the JSON object in a success. `make` may
        raise `BadDocument`. Long answers are processed in a thread."""
        body = (await self.do(call)).body
        work = partial(_made, body, make)
        try:
            if len(body) <= MAX_INLINE:
                return work()
            async with _LONG_ANSWERS:
                return await self._run_sync(work)
        except BadDocument as error:
            problem = bad_body_error(call, str(error))
        raise problem

    def status_error(self, call: Call, answer: Answer) -> ScannerError:
        return status_error(call, answer, self._secrets())

    def message(self, call: Call, answer: Answer) -> str:
        """The scanner's own error message, or else the status."""
        return scanner_message(answer, self._secrets()) or str(answer.status)

    def document_message(self, told: Document) -> str:
        """The error message in a document, or empty."""
        return document_message(told, self._secrets())

    async def close(self) -> None:
        await self._auth.close()
        await self._http.close()

    def _secrets(self) -> list[str]:
        return [secret.reveal() for secret in self._sent_secrets]

    async def _exchange(self, call: Call, headers: Mapping[str, str], sink: Sink | None) -> Answer:
        for secret in (*map(Secret, self._auth.secrets()), *call.secrets):
            if secret not in self._sent_secrets:
                self._sent_secrets.append(secret)
        try:
            return await self._http.exchange(call, {**call.headers, **headers}, sink=sink)
        except OutcomeUnknown:
            if call.gated:
                self._auth.on_lost_answer()
            raise


def _made(body: bytes, make: Callable[[Document], T]) -> T:
    return make(parse(body))
