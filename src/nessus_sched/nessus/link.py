"""An authenticated way to one scanner: calls in, checked answers out."""

from __future__ import annotations

from collections.abc import Mapping

from nessus_sched.core.scanner import OutcomeUnknown, ScannerError
from nessus_sched.core.secret import Secret
from nessus_sched.nessus.auth import Auth
from nessus_sched.nessus.decode import Document
from nessus_sched.nessus.errors import document, refusal, said
from nessus_sched.nessus.http import NessusHttp, Sink
from nessus_sched.nessus.messages import Answer, Call

_RENEWABLE = frozenset({401, 412})


class Link:
    def __init__(self, http: NessusHttp, auth: Auth) -> None:
        self._http = http
        self._auth = auth
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
        return document(call, await self.do(call))

    def refusal(self, call: Call, answer: Answer) -> ScannerError:
        return refusal(call, answer, self._secrets())

    def said(self, call: Call, answer: Answer) -> str:
        """The scanner's own words, or the status when it has none."""
        return said(answer, self._secrets()) or str(answer.status)

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
            return await self._http.exchange(call, headers, sink=sink)
        except OutcomeUnknown:
            if call.gated:
                self._auth.lost()
            raise
