"""An authenticated way to one scanner: calls in, checked answers out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeVar

import trio

from nessus_sched.core.scanner import OutcomeUnknown, ScannerError
from nessus_sched.core.secret import Secret
from nessus_sched.nessus.auth import Auth
from nessus_sched.nessus.errors import refusal, said, unreadable, words
from nessus_sched.nessus.http import NessusHttp
from nessus_sched.nessus.json_fields import Document, Unreadable, parse
from nessus_sched.nessus.part_file import RunSync
from nessus_sched.nessus.requests import SHORT, Answer, Call
from nessus_sched.nessus.wire import Sink

T = TypeVar("T")

_RENEWABLE: Final = frozenset({401, 412})
_LONG_ANSWERS: Final = trio.CapacityLimiter(1)
"""Long answers are parsed one at a time: each may take a hundred megabytes meanwhile."""


class Link:
    """`run_sync` does what takes long, in a thread."""

    def __init__(self, http: NessusHttp, auth: Auth, run_sync: RunSync) -> None:
        self._http = http
        self._auth = auth
        self._run_sync = run_sync
        self._told: list[Secret] = []
        """Every secret that the scanner was told: it may repeat one in any later answer."""

    async def send(self, call: Call, *, sink: Sink | None = None) -> Answer:
        """The answer, whatever its status. A call refused for an outdated session or token
        is sent once more with a new one: refused means not done."""
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
        """The answer of a success; raises for any other."""
        answer = await self.send(call, sink=sink)
        if not answer.ok:
            raise self.refusal(call, answer)
        return answer

    async def ask(self, call: Call) -> Document:
        """The JSON object that a success consists of."""
        return await self.read(call, lambda found: found)

    async def read(self, call: Call, make: Callable[[Document], T]) -> T:
        """What `make`, which is pure, makes of the JSON object that a success consists of;
        it may raise `Unreadable`. Long answers are dealt with in a thread."""
        body = (await self.do(call)).body
        work = partial(_made, body, make)
        try:
            if len(body) <= SHORT:
                return work()
            async with _LONG_ANSWERS:
                return await self._run_sync(work)
        except Unreadable as error:
            problem = unreadable(call, str(error))
        raise problem

    def refusal(self, call: Call, answer: Answer) -> ScannerError:
        return refusal(call, answer, self._secrets())

    def said(self, call: Call, answer: Answer) -> str:
        """The scanner's own words, or the status when it has none."""
        return said(answer, self._secrets()) or str(answer.status)

    def words(self, told: Document) -> str:
        """What a document says is wrong, empty when it does not."""
        return words(told, self._secrets())

    async def close(self) -> None:
        await self._auth.close()
        await self._http.close()

    def _secrets(self) -> list[str]:
        return [secret.reveal() for secret in self._told]

    async def _exchange(self, call: Call, headers: Mapping[str, str], sink: Sink | None) -> Answer:
        for secret in (*map(Secret, self._auth.secrets()), *call.secrets):
            if secret not in self._told:
                self._told.append(secret)
        try:
            return await self._http.exchange(call, {**call.headers, **headers}, sink=sink)
        except OutcomeUnknown:
            if call.gated:
                self._auth.lost()
            raise


def _made(body: bytes, make: Callable[[Document], T]) -> T:
    return make(parse(body))
