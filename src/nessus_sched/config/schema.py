"""The configuration: every key, what it is for, its default and its bounds.

The loader structures the YAML file into these classes and the reference is generated
from them. Times are in seconds here, however they are written in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final

import attrs

from nessus_sched.config.types import (
    DAY,
    FILE,
    HOUR,
    MINUTE,
    NEW_FILE,
    Bind,
    Fingerprint,
    Lasting,
    LogFormat,
    LogLevel,
    Mode,
    Network,
    NotifyOn,
    Person,
    Rule,
    Seconds,
    Size,
    Url,
    WebhookUrl,
)
from nessus_sched.core.credentials import Credential
from nessus_sched.core.fields import field
from nessus_sched.core.profile import ScanProfile
from nessus_sched.core.secret import Secret
from nessus_sched.core.targets.scope import Scope
from nessus_sched.core.task import DEFAULT_POOL

NAME: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?"
"""Names of scanners, pools, credentials, audits, scan profiles and roles."""
NAME_BOUNDS: Final = {"pattern": NAME, "max_length": 64}


@attrs.frozen(kw_only=True)
class SocketSettings:
    """The Unix socket on which MCP clients and the command line reach the daemon."""

    path: Annotated[Path, NEW_FILE] | None = field(
        "Where it listens. Default: `mcp.sock` in $RUNTIME_DIRECTORY under systemd, otherwise "
        "in the user's own runtime directory, where `nessus-sched mcp` finds it by the path of "
        "this file.",
        default=None,
    )
    mode: Mode = field("Its file mode.", default=0o660)
    group: str | None = field("The group that owns it; its members may connect.", default=None)


@attrs.frozen(kw_only=True)
class HttpSettings:
    """Health, metrics and the status page; read-only and without secrets."""

    bind: Bind | None = field("Where it listens.", default="127.0.0.1:9834")
    hosts: tuple[str, ...] = field(
        "Host names it answers to besides the address itself and localhost.", default=()
    )
    status_page: bool = field("Whether `/` shows the status page.", default=True)


@attrs.frozen(kw_only=True)
class TargetSettings:
    """What may be scanned at all. Deny wins; an empty allow-list allows nothing."""

    allow: tuple[Rule, ...] = field(
        "Networks and host names that may be scanned. A host name or pattern allows only "
        "the name; the addresses it resolves to must be allowed by a network as well.",
        default=(),
        examples=(["192.0.2.0/24", "2001:db8::/64", "*.example.com"],),
    )
    deny: tuple[Rule, ...] = field("What must never be scanned, whatever `allow` says.", default=())
    max_addresses: int = field(
        "How many addresses one scan may have.", default=4096, minimum=1, maximum=2**32
    )

    @cached_property
    def scope(self) -> Scope:
        """The lists, parsed once for as long as this configuration is used."""
        return Scope(self.allow, self.deny, max_addresses=self.max_addresses)


@attrs.frozen(kw_only=True)
class SchedulingSettings:
    """Queues, retries and deadlines."""

    fairness_after: Seconds = field(
        "A task of the overflow queue that has waited this much longer than the head of a "
        "scanner's own queue goes first.",
        default=15 * MINUTE,
        minimum=0,
    )
    ageing_after: Seconds = field(
        "A waiting task is treated as one priority higher after each such time.",
        default=HOUR,
        minimum=1,
    )
    overlap_guard: bool = field(
        "Never scan the same address with two of our scans at once.", default=True
    )
    max_attempts: int = field(
        "Attempts at a task before it becomes a dead letter.", default=3, minimum=1, maximum=100
    )
    backoff_base: Seconds = field("Wait before the second attempt.", default=30.0, minimum=1)
    backoff_max: Seconds = field("Longest wait between attempts.", default=HOUR, minimum=1)
    max_runtime: Seconds = field(
        "How long a scan may run unless its submitter says otherwise.", default=DAY, minimum=60
    )
    idempotency_ttl: Seconds = field(
        "How long an idempotency key is remembered.", default=48 * HOUR, minimum=60
    )


@attrs.frozen(kw_only=True)
class PollingSettings:
    """How often scanners are asked."""

    fastest: Seconds = field(
        "Between two looks at a scanner where something just changed.", default=2.0, minimum=0.1
    )
    slowest: Seconds = field(
        "Between two looks at a scanner whose scans take long.", default=60.0, minimum=0.1
    )
    info: Seconds = field(
        "Between two readings of a scanner's status, license and plugin set.",
        default=10 * MINUTE,
        minimum=1,
    )
    probe: Seconds = field(
        "First wait before a scanner that failed is tried again; it doubles each time.",
        default=30.0,
        minimum=0.1,
    )
    probe_max: Seconds = field(
        "Longest wait before a scanner that failed is tried again.",
        default=15 * MINUTE,
        minimum=0.1,
    )


@attrs.frozen(kw_only=True)
class RetentionSettings:
    """How long things are kept after their task has ended."""

    completed: Lasting = field("Completed tasks.", default=30 * DAY, minimum=0)
    canceled: Lasting = field("Canceled and timed-out tasks.", default=7 * DAY, minimum=0)
    dead: Lasting = field("Dead letters.", default=90 * DAY, minimum=0)
    findings: Lasting = field("Findings in the database.", default=90 * DAY, minimum=0)
    exports: Lasting = field("Exported reports on disk.", default=30 * DAY, minimum=0)
    remote_scans: Lasting = field(
        "Our finished scans on the scanners (our own folder and marker only).",
        default=DAY,
        minimum=0,
    )


@attrs.frozen(kw_only=True)
class LogSettings:
    """Structured log on stderr."""

    level: LogLevel = field("Least severe level that is logged.", default=LogLevel.INFO)
    components: Mapping[str, LogLevel] = field(
        "Other levels for parts of the program, such as `nessus: debug`.", factory=dict
    )
    format: LogFormat = field(
        "`auto` means JSON lines unless stderr is a terminal.", default=LogFormat.AUTO
    )


@attrs.frozen(kw_only=True)
class LimitSettings:
    """Bounds on what clients and scanners can make the daemon do."""

    connections: int = field(
        "MCP and command line connections at once.", default=256, minimum=1, maximum=65536
    )
    message_size: Size = field(
        "Largest message a client may send.", default=4 * 2**20, minimum=4096, maximum=2**30
    )
    message_items: int = field(
        "Most values (members of lists and objects, at any depth) in such a message.",
        default=25_000,
        minimum=1000,
        maximum=10_000_000,
    )
    connection_memory: Size = field(
        "Memory for all connections together: unfinished messages, requests in work and answers "
        "not yet read. A user gets at most half of it.",
        default=96 * 2**20,
        minimum=16 * 2**20,
        maximum=2**40,
    )
    stall: Seconds = field(
        "How long a client may keep the daemon waiting for a first message, for the rest of a "
        "message, or with reading an answer, before its connection is closed. Idle clients stay.",
        default=30,
        minimum=1,
    )
    calls_at_once: int = field(
        "Calls of one connection that are worked on at once.", default=32, minimum=1, maximum=4096
    )
    calls_per_second: float = field(
        "Calls of one connection per second, averaged over ten seconds.",
        default=50.0,
        minimum=0.1,
        maximum=10000,
    )
    queued_tasks: int = field(
        "Unfinished tasks in all. A user gets at most half of it; an eighth is kept for root and "
        "the user of the service. A waiting task takes about 1 KiB of memory.",
        default=100_000,
        minimum=1,
        maximum=10_000_000,
    )
    queued_targets: int = field(
        "Targets (addresses, networks, ranges and names) of all unfinished tasks together, shared "
        "like queued_tasks. A network or range counts as one. Each takes 8 bytes of memory, 32 for "
        "IPv6.",
        default=1_000_000,
        minimum=1,
        maximum=1_000_000_000,
    )
    export_size: Size = field(
        "Largest report that is fetched from a scanner.",
        default=4 * 2**30,
        minimum=2**20,
        maximum=2**40,
    )
    idle_exit: Seconds = field(
        "A daemon that a client started by itself ends after this long without a client and "
        "without an unfinished task.",
        default=10 * MINUTE,
        minimum=1,
    )


@attrs.frozen(kw_only=True)
class AuditSettings:
    """A compliance audit that `submit_compliance_scan` may name: a file, or one that the
    scanner brings along."""

    name: str = field("What submitters call it.", **NAME_BOUNDS)
    file: Annotated[Path, FILE] | None = field("The `.audit` file.", default=None)
    builtin: str | None = field(
        "Instead of a file: the name or id of an audit of the scanner, such as "
        "`21157_CIS_Debian_Linux_12_v1.1.0_L1_Server.audit`.",
        default=None,
        min_length=1,
        max_length=300,
    )
    variables: Mapping[str, str] = field(
        "For `builtin`: values of the audit's variables; the others keep their defaults.",
        factory=dict,
    )
    category: str = field(
        "For `file`: the audit's category in Nessus' compliance tab, such as `Unix` or `Windows`.",
        default="Unix",
        min_length=1,
        max_length=64,
    )
    description: str = field("Shown to submitters.", default="", max_length=500)


@attrs.frozen(kw_only=True)
class RoleSettings:
    """What a caller of the socket may do. The first role that names the caller counts;
    as soon as there are roles, a caller whom none names may do nothing. Root and the
    daemon's own user may always do everything."""

    name: str = field("Shown in refusals and in the journal.", **NAME_BOUNDS)
    users: tuple[Person, ...] = field('Users, by name or uid; "*" for everybody.', default=())
    groups: tuple[Person, ...] = field("Groups, by name or gid.", default=())
    read_only: bool = field("Only tools that change nothing.", default=False)
    tools: tuple[str, ...] | None = field("The only tools it may call; null for all.", default=None)
    targets: tuple[Rule, ...] | None = field(
        "The only targets it may scan, within what `targets` allows; null for all of that. "
        "Checked again at launch. Of other users' tasks it sees only those with such targets.",
        default=None,
    )
    operator_tools: bool = field(
        "Whether models may use `pause_everything`, `resume_everything`, `drain_scanner` and "
        "`undrain_scanner`, which concern all users. Only roles that name them grant them, "
        "not even root.",
        default=False,
    )
    manage_others: bool = field(
        "Whether it may cancel, pause, resume, retry and purge tasks of other users.",
        default=False,
    )


@attrs.frozen(kw_only=True)
class WebhookSettings:
    """A URL that is notified of finished tasks, with a JSON document: `id` (the same at every
    try), `event`, `at`, `task`, `severity_counts`, `credentialed`, `partial` (why the scan ended
    early), `error`. Any 2xx answer will do; others are tried again for some minutes if they may
    pass (5xx, 408, 429, no answer). What has not got through when the daemon stops is lost."""

    url: WebhookUrl = field("Receives the document by POST, directly and without redirects.")
    secret: Secret | None = field(
        "Key of the signature: the header `X-Nessus-Sched-Signature` is then `sha256=` and the "
        "HMAC-SHA-256 of the body in hex.",
        default=None,
    )
    events: tuple[NotifyOn, ...] = field(
        "Which outcomes it is notified of.", default=tuple(NotifyOn)
    )


@attrs.frozen(kw_only=True)
class ApiKeys:
    """API keys: the supported way, where the license allows writes through the API."""

    access_key: Secret = field("Access key of the scanner's user.")
    secret_key: Secret = field("Secret key of the scanner's user.")


@attrs.frozen(kw_only=True)
class UiSession:
    """User and password as the web UI uses them. For licenses whose API refuses writes;
    the vendor does not support it."""

    username: str = field("User on the scanner.", min_length=1, max_length=128)
    password: Secret = field("That user's password.")


@attrs.frozen(kw_only=True)
class TlsSettings:
    """How the scanner's certificate is checked: by the system's CAs, by `ca_file`, or by
    `fingerprint`."""

    verify: bool = field("`false` accepts any certificate; warned about.", default=True)
    ca_file: Annotated[Path, FILE] | None = field(
        "PEM file with the CA or the certificate to trust.", default=None
    )
    fingerprint: Fingerprint | None = field(
        "SHA-256 fingerprint of the scanner's certificate.", default=None
    )


@attrs.frozen(kw_only=True)
class ScannerSettings:
    """One Nessus instance."""

    id: str = field("What it is called here: `scanner_instance`.", **NAME_BOUNDS)
    name: str = field(
        "For people. Default: the id.",
        default=attrs.Factory(lambda self: self.id, takes_self=True),
        min_length=1,
        max_length=128,
    )
    url: Url = field("Where its API listens.", examples=("https://127.0.0.1:8834",))
    pool: str = field(
        "Scanners of a pool are interchangeable.", default=DEFAULT_POOL, **NAME_BOUNDS
    )
    auth: ApiKeys | UiSession = field("`api_keys` or `ui_session`.")
    tls: TlsSettings = field("Certificate check.", factory=TlsSettings)
    max_concurrent_scans: int = field(
        "How many of our scans it runs at once.", default=2, minimum=1, maximum=1000
    )
    enabled: bool = field("`false`: known, but given no work.", default=True)
    networks: tuple[Network, ...] = field(
        "What it can reach; empty for everything that is in scope.", default=()
    )
    labels: Mapping[str, str] = field("Free words for people and metrics.", factory=dict)
    folder: str = field(
        "The folder for our scans on the scanner; others are never touched.",
        default="nessus-sched",
        min_length=1,
        max_length=64,
    )
    timeout: Seconds = field(
        "How long one request to it may take (exports excepted).",
        default=60.0,
        minimum=1,
        maximum=HOUR,
    )


@attrs.frozen(kw_only=True)
class Config:
    """The whole file."""

    state_directory: Annotated[Path, NEW_FILE] = field(
        "Tasks, findings and reports live here; one daemon per directory.",
        default=Path("/var/lib/nessus-sched"),
    )
    scanners: tuple[ScannerSettings, ...] = field("The scanners to drive.", default=())
    targets: TargetSettings = field("What may be scanned.", factory=TargetSettings)
    credentials: tuple[Credential, ...] = field(
        "Logins on targets, used by name; a submitter never sees the secrets.", default=()
    )
    audits: tuple[AuditSettings, ...] = field("Audit files for compliance scans.", default=())
    scan_profiles: tuple[ScanProfile, ...] = field(
        "Named sets of scan settings, for submitters to choose from.", default=()
    )
    custom_settings_allowed: tuple[str, ...] = field(
        "Nessus settings that submitters may set besides the usual harmless ones.",
        default=(),
    )
    custom_policies_allowed: tuple[str, ...] | None = field(
        "The only policies on the scanners that `submit_custom_scan` may name; null for all that "
        "the scanner's user can see. A policy brings settings and credentials of its own.",
        default=None,
        examples=(["Quarterly PCI"],),
    )
    roles: tuple[RoleSettings, ...] = field(
        "Who may do what. Without roles, everybody who can open the socket may do everything.",
        default=(),
    )
    socket: SocketSettings = field("Socket for MCP and command line.", factory=SocketSettings)
    http: HttpSettings = field("Health and metrics.", factory=HttpSettings)
    scheduling: SchedulingSettings = field(
        "Queues, retries, deadlines.", factory=SchedulingSettings
    )
    polling: PollingSettings = field("How often scanners are asked.", factory=PollingSettings)
    retention: RetentionSettings = field("How long things are kept.", factory=RetentionSettings)
    limits: LimitSettings = field("Bounds.", factory=LimitSettings)
    log: LogSettings = field("Log.", factory=LogSettings)
    notifications: tuple[WebhookSettings, ...] = field(
        "Webhooks for the end of tasks; none by default.", default=()
    )
