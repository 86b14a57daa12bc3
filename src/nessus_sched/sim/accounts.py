"""Authentication: API keys, sessions with an idle timeout, and the token of the web UI."""

from __future__ import annotations

import hmac
import re

import attrs

from nessus_sched.sim.messages import ApiError, Request
from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.seeded import dice, guid, hex_digits

INVALID = "Invalid Credentials"
LOG_IN_FIRST = "You need to log in to perform this request"
_KEYS = re.compile(r"\s*accessKey=([^;\s]+)\s*;\s*secretKey=([^;\s]+?)\s*;?\s*\Z")
_COOKIE = re.compile(r"\btoken=([0-9A-Za-z-]+)")


@attrs.frozen(kw_only=True)
class Login:
    """The login of a request: `via` is `keys` or `session`; `token` is the session's;
    `from_ui`: the request had the right X-API-Token."""

    via: str
    token: str = attrs.field(default="", repr=False)
    from_ui: bool = False


@attrs.define
class Accounts:
    """One user, the administrator. `last_used` is the time each session was last used."""

    options: SimOptions
    username: str = ""
    password: str = attrs.field(default="", repr=False)
    name: str = ""
    email: str = ""
    access_key: str = attrs.field(default="", repr=False)
    secret_key: str = attrs.field(default="", repr=False)
    ui_token: str = attrs.field(default="", repr=False)
    failures: int = 0
    last_login: float = 0.0
    last_used: dict[str, float] = attrs.field(factory=dict, repr=False)
    _issued: int = 0

    def __attrs_post_init__(self) -> None:
        self.username = self.name = self.options.username
        self.password = self.options.password
        self.access_key = self.options.effective_access_key
        self.secret_key = self.options.effective_secret_key
        self.renew_ui_token()

    @property
    def locked(self) -> bool:
        return 0 < self.options.max_login_attempts <= self.failures

    def log_in(self, username: str, password: str, now: float) -> str:
        """The token of a new session; raises `ApiError` 401, always once the account is locked."""
        right = hmac.compare_digest(password.encode(), self.password.encode())
        if self.locked or username != self.username or not right:
            self.failures += username == self.username
            raise ApiError(401, INVALID)
        self.failures = 0
        self.last_login = now
        token = self._fresh("session")
        self.last_used[token] = now
        return token

    def log_out(self, token: str) -> None:
        self.last_used.pop(token, None)

    def forget_sessions(self) -> None:
        self.last_used.clear()

    def identify(self, request: Request, now: float) -> Login | None:
        """The request's login, or None; raises `ApiError` 401 for an invalid one."""
        keys = request.headers.get("x-apikeys")
        if keys is not None:
            if not self._right_keys(keys):
                raise ApiError(401, INVALID)
            return Login(via="keys")
        cookie = _COOKIE.search(request.headers.get("x-cookie", ""))
        if cookie is None:
            return None
        token = cookie[1]
        used = self.last_used.get(token)
        if used is None or now - used > self.options.idle_timeout:
            self.log_out(token)
            raise ApiError(401, INVALID)
        self.last_used[token] = now
        from_ui = request.headers.get("x-api-token", "").lower() == self.ui_token.lower()
        return Login(via="session", token=token, from_ui=from_ui)

    def renew_keys(self) -> tuple[str, str]:
        """Creates a new pair; the old one becomes invalid."""
        self.access_key, self.secret_key = self._fresh("access key"), self._fresh("secret key")
        return self.access_key, self.secret_key

    def renew_ui_token(self) -> None:
        """Changes the token, as a reinstallation does."""
        token = guid(dice(self.options.seed, "ui token", self._count()))
        self.ui_token = token.upper() if self.options.ui_token_upper_case else token

    def _right_keys(self, header: str) -> bool:
        given = _KEYS.match(header)
        expected = (self.access_key, self.secret_key)
        return given is not None and given.groups() == expected

    def _fresh(self, purpose: str) -> str:
        return hex_digits(dice(self.options.seed, purpose, self._count()), 64)

    def _count(self) -> int:
        self._issued += 1
        return self._issued
