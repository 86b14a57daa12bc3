"""Ways to be let in: API keys, or a session as the web UI has it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Protocol

import trio

from nessus_sched.config.schema import ApiKeys, UiSession
from nessus_sched.core.scanner import ApiRefused, LoginRefused, ScannerError
from nessus_sched.core.secret import Secret
from nessus_sched.nessus import routes
from nessus_sched.nessus.errors import document, refusal, unreadable
from nessus_sched.nessus.http import NessusHttp
from nessus_sched.nessus.requests import LONG, Call

_SESSION: Final = "X-Cookie"
_MARK: Final = "X-API-Token"
_UUID: Final = rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# The bundle has other functions that return a literal; only the anchored one is the token.
_API_TOKEN: Final = re.compile(
    rb"getApiToken[^}]{0,80}?return\s*[\"'](" + _UUID + rb")[\"']", re.IGNORECASE
)
_OVERLAP: Final = 256
_BUNDLE: Final = 10_000
"""Bytes: what is shorter is no bundle, which has megabytes, but a page of a proxy, or cut off."""
LOGOUT_SECONDS: Final = 3.0


class Auth(Protocol):
    """How a call is authenticated, and what to do when that did not suffice."""

    async def headers(self, call: Call) -> Mapping[str, str]: ...

    async def renew(self, status: int, used: Mapping[str, str]) -> bool:
        """After a 401 or 412 to a call with the headers `used`: whether there are newer
        ones to try it with once more."""

    def lost(self) -> None:
        """The answer to a gated change was lost, which an outdated token may cause."""

    def secrets(self) -> tuple[str, ...]:
        """What no error text may show."""

    async def close(self) -> None: ...


def auth_for(settings: ApiKeys | UiSession, http: NessusHttp) -> Auth:
    return KeyAuth(settings) if isinstance(settings, ApiKeys) else SessionAuth(settings, http)


class KeyAuth:
    """API keys: no session, nothing to renew."""

    def __init__(self, keys: ApiKeys) -> None:
        self._keys = keys

    async def headers(self, call: Call) -> Mapping[str, str]:
        if call.anonymous:
            return {}
        access, secret = self.secrets()
        if not (access + secret).isascii() or not (access + secret).isprintable():
            raise LoginRefused("The API keys contain characters that no Nessus key has.")
        return {"X-ApiKeys": f"accessKey={access}; secretKey={secret}"}

    async def renew(self, status: int, used: Mapping[str, str]) -> bool:
        return False

    def lost(self) -> None:
        pass

    def secrets(self) -> tuple[str, ...]:
        return self._keys.access_key.reveal(), self._keys.secret_key.reveal()

    async def close(self) -> None:
        pass


class SessionAuth:
    """User and password, one session for all; with the `X-API-Token` of the web UI.

    The session is made when it is first needed and re-made after a 401, by one task while
    the others wait. A login that was refused is never tried again with the same password:
    five of them lock the account. The token belongs to the scanner's installation; it is
    read from its web UI for the first change, and again after a 412.
    """

    def __init__(self, user: UiSession, http: NessusHttp) -> None:
        self._user = user
        self._http = http
        self._lock = trio.Lock()
        self._session: Secret | None = None
        self._mark: Secret | None = None
        self._refused = ""

    async def headers(self, call: Call) -> Mapping[str, str]:
        if call.anonymous:
            return {}
        async with self._lock:
            session = self._session = self._session or await self._login()
            headers = {_SESSION: f"token={session.reveal()}"}
            if call.gated:
                self._mark = self._mark or await self._find_mark()
                headers[_MARK] = self._mark.reveal()
        return headers

    async def renew(self, status: int, used: Mapping[str, str]) -> bool:
        async with self._lock:
            if status == 401:
                if self._session and used.get(_SESSION) == f"token={self._session.reveal()}":
                    self._session = None
                return True
            if _MARK not in used:
                return False
            if self._mark is None or self._mark.reveal() == used[_MARK]:
                self._mark = await self._find_mark()
            return self._mark.reveal() != used[_MARK]

    def lost(self) -> None:
        self._mark = None

    def secrets(self) -> tuple[str, ...]:
        known = (self._user.password, self._session, self._mark)
        return tuple(secret.reveal() for secret in known if secret)

    async def close(self) -> None:
        """Logs out; a scanner that does not answer forgets the session by itself."""
        session, self._session = self._session, None
        if session is None:
            return
        with trio.move_on_after(LOGOUT_SECONDS), suppress(ScannerError):
            await self._http.exchange(routes.LOGOUT, {_SESSION: f"token={session.reveal()}"})

    async def _login(self) -> Secret:
        if self._refused:
            raise LoginRefused(self._refused)
        call = routes.login(self._user.username, self._user.password)
        answer = await self._http.exchange(call, {})
        if answer.status in {400, 401, 403}:
            self._refused = (
                f"{refusal(call, answer, self.secrets())} It is not tried again, because five "
                "wrong logins lock the account: correct username and password and reload."
            )
            raise LoginRefused(self._refused)
        if not answer.ok:
            raise refusal(call, answer, self.secrets())
        token = document(call, answer).get("token")
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]{1,512}", token):
            raise unreadable(call, "no session token.")
        return Secret(token)

    async def _find_mark(self) -> Secret:
        found: list[bytes] = []
        tail, size = b"", 0

        def search(piece: bytes) -> bool:
            nonlocal tail, size
            size += len(piece)
            window = tail + piece
            found.extend(_API_TOKEN.findall(window))
            tail = window[-_OVERLAP:]
            return not found and size <= LONG

        answer = await self._http.exchange(routes.UI_BUNDLE, {}, sink=search)
        if not answer.ok:
            raise refusal(routes.UI_BUNDLE, answer)
        if not found and size < _BUNDLE:
            raise unreadable(routes.UI_BUNDLE, "something other than the web UI.")
        if not found:
            raise ApiRefused(
                "The scanner's web UI has no X-API-Token where we look for it, so its license "
                "gate cannot be passed; use a license with API access and API keys."
            )
        return Secret(found[0].decode())
