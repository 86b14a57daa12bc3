"""Authentication: API keys, or a session like that of the web UI."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Protocol

import trio

from nessus_sched.config.scanners import (
    ApiKeys,
    UiSession,
)
from nessus_sched.core.scanner import ApiRefused, LoginRefused, ScannerError
from nessus_sched.core.secret import Secret
from nessus_sched.nessus import routes
from nessus_sched.nessus.errors import bad_body_error, document, status_error
from nessus_sched.nessus.http import NessusHttp
from nessus_sched.nessus.requests import MAX_ANSWER, Call

_SESSION_HEADER: Final = "X-Cookie"
_API_TOKEN_HEADER: Final = "X-API-Token"  # noqa: S105
_UUID: Final = rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# Other functions in the bundle return a literal, too, so match the function's name.
_API_TOKEN_PATTERN: Final = re.compile(
    rb"getApiToken[^}]{0,80}?return\s*[\"'](" + _UUID + rb")[\"']", re.IGNORECASE
)
_OVERLAP: Final = 256
_MIN_BUNDLE: Final = 10_000
"""Bytes. A bundle has megabytes; anything shorter is truncated or a proxy's error page."""
LOGOUT_SECONDS: Final = 3.0


class Auth(Protocol):
    """Authenticates calls, and renews credentials that the scanner rejected."""

    async def headers(self, call: Call) -> Mapping[str, str]: ...

    async def renew(self, status: int, used: Mapping[str, str]) -> bool:
        """After a 401 or 412 for a call with the headers `used`, returns whether to repeat it
        with newer ones."""

    def on_lost_answer(self) -> None:
        """Call this when the answer to a gated change is lost; the token may be outdated."""

    def secrets(self) -> tuple[str, ...]:
        """Texts that must not appear in errors."""

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
            raise LoginRefused("The API keys contain characters that are not valid in Nessus keys.")
        return {"X-ApiKeys": f"accessKey={access}; secretKey={secret}"}

    async def renew(self, status: int, used: Mapping[str, str]) -> bool:
        return False

    def on_lost_answer(self) -> None:
        pass

    def secrets(self) -> tuple[str, ...]:
        return self._keys.access_key.reveal(), self._keys.secret_key.reveal()

    async def close(self) -> None:
        pass


class SessionAuth:
    """User name and password with one shared session, and the web UI's `X-API-Token`.

    The session is created on first use and again after a 401, by one task while the others
    wait. A refused login is never repeated with the same password, because five failures lock
    the account. The token belongs to the scanner's installation; it is read from its web UI
    for the first change, and again after a 412.
    """

    def __init__(self, user: UiSession, http: NessusHttp) -> None:
        self._user = user
        self._http = http
        self._lock = trio.Lock()
        self._session: Secret | None = None
        self._api_token: Secret | None = None
        self._refused = ""

    async def headers(self, call: Call) -> Mapping[str, str]:
        if call.anonymous:
            return {}
        async with self._lock:
            session = self._session = self._session or await self._login()
            headers = {_SESSION_HEADER: f"token={session.reveal()}"}
            if call.gated:
                self._api_token = self._api_token or await self._find_api_token()
                headers[_API_TOKEN_HEADER] = self._api_token.reveal()
        return headers

    async def renew(self, status: int, used: Mapping[str, str]) -> bool:
        async with self._lock:
            if status == 401:
                if self._session and used.get(_SESSION_HEADER) == f"token={self._session.reveal()}":
                    self._session = None
                return True
            if _API_TOKEN_HEADER not in used:
                return False
            if self._api_token is None or self._api_token.reveal() == used[_API_TOKEN_HEADER]:
                self._api_token = await self._find_api_token()
            return self._api_token.reveal() != used[_API_TOKEN_HEADER]

    def on_lost_answer(self) -> None:
        self._api_token = None

    def secrets(self) -> tuple[str, ...]:
        known = (self._user.password, self._session, self._api_token)
        return tuple(secret.reveal() for secret in known if secret)

    async def close(self) -> None:
        """Logs out; if the scanner does not answer, the session simply expires there."""
        session, self._session = self._session, None
        if session is None:
            return
        with trio.move_on_after(LOGOUT_SECONDS), suppress(ScannerError):
            await self._http.exchange(routes.LOGOUT, {_SESSION_HEADER: f"token={session.reveal()}"})

    async def _login(self) -> Secret:
        if self._refused:
            raise LoginRefused(self._refused)
        call = routes.login(self._user.username, self._user.password)
        answer = await self._http.exchange(call, {})
        if answer.status in {400, 401, 403}:
            self._refused = (
                f"{status_error(call, answer, self.secrets())} It is not tried again, because five "
                "wrong logins lock the account: correct username and password and reload."
            )
            raise LoginRefused(self._refused)
        if not answer.ok:
            raise status_error(call, answer, self.secrets())
        token = document(call, answer).get("token")
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]{1,512}", token):
            raise bad_body_error(call, "no session token.")
        return Secret(token)

    async def _find_api_token(self) -> Secret:
        found: list[bytes] = []
        tail, size = b"", 0

        def search(piece: bytes) -> bool:
            nonlocal tail, size
            size += len(piece)
            window = tail + piece
            found.extend(_API_TOKEN_PATTERN.findall(window))
            tail = window[-_OVERLAP:]
            return not found and size <= MAX_ANSWER

        answer = await self._http.exchange(routes.UI_BUNDLE, {}, sink=search)
        if not answer.ok:
            raise status_error(routes.UI_BUNDLE, answer)
        if not found and size < _MIN_BUNDLE:
            raise bad_body_error(routes.UI_BUNDLE, "something other than the web UI.")
        if not found:
            raise ApiRefused(
                "The scanner's web UI has no X-API-Token where we look for it, so its license "
                "gate cannot be passed; use a license with API access and API keys."
            )
        return Secret(found[0].decode())
