"""The configuration of a scanner: where it is, how to log in, what it may be given."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import attrs

from nessus_sched.config.types import FILE, HOUR, NAME_BOUNDS, Fingerprint, Network, Seconds, Url
from nessus_sched.core.fields import field
from nessus_sched.core.secret import Secret
from nessus_sched.core.task import DEFAULT_POOL


@attrs.frozen(kw_only=True)
class ApiKeys:
    """API keys: the supported way, if the license allows writes through the API."""

    access_key: Secret = field("Access key of the scanner's user.")
    secret_key: Secret = field("Secret key of the scanner's user.")


@attrs.frozen(kw_only=True)
class UiSession:
    """User and password, as in the web UI. For licenses whose API refuses writes; the vendor does
    not support this."""

    username: str = field("User on the scanner.", min_length=1, max_length=128)
    password: Secret = field("That user's password.")


@attrs.frozen(kw_only=True)
class TlsSettings:
    """How the server's certificate is checked: by the system's CAs, by `ca_file`, or by
    `fingerprint`."""

    verify: bool = field("`false` accepts any certificate and causes a warning.", default=True)
    ca_file: Annotated[Path, FILE] | None = field(
        "PEM file with the CA or the certificate to trust.", default=None
    )
    fingerprint: Fingerprint | None = field(
        "SHA-256 fingerprint of the server's certificate.", default=None
    )


@attrs.frozen(kw_only=True)
class ScannerSettings:
    """A Nessus instance."""

    id: str = field("Name used for `scanner_instance`.", **NAME_BOUNDS)
    name: str = field(
        "Display name. Default: the id.",
        default=attrs.Factory(lambda self: self.id, takes_self=True),
        min_length=1,
        max_length=128,
    )
    url: Url = field("URL of its API.", examples=("https://127.0.0.1:8834",))
    pool: str = field(
        "Scanners in the same pool are interchangeable.", default=DEFAULT_POOL, **NAME_BOUNDS
    )
    auth: ApiKeys | UiSession = field("`api_keys` or `ui_session`.")
    tls: TlsSettings = field("Certificate check.", factory=TlsSettings)
    max_concurrent_scans: int = field(
        "Maximum number of our scans at once.", default=2, minimum=1, maximum=1000
    )
    enabled: bool = field("`false` keeps it configured but sends it no scans.", default=True)
    networks: tuple[Network, ...] = field(
        "Networks it can reach; empty for everything in scope.", default=()
    )
    labels: Mapping[str, str] = field("Free-form labels for people and metrics.", factory=dict)
    folder: str = field(
        "Folder on the scanner for our scans; other folders are never touched.",
        default="nessus-sched",
        min_length=1,
        max_length=64,
    )
    timeout: Seconds = field(
        "Timeout of one request to it (except exports).",
        default=60.0,
        minimum=1,
        maximum=HOUR,
    )

    @property
    def uses_api_keys(self) -> bool:
        """Whether it logs in with API keys rather than as a user of the web UI."""
        return isinstance(self.auth, ApiKeys)

    @property
    def username(self) -> str | None:
        """The user it logs in as, if that is known: API keys do not name theirs."""
        return self.auth.username if isinstance(self.auth, UiSession) else None
