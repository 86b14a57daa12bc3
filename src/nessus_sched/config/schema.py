"""The configuration schema: every key with its description, default and bounds.

The loader structures the YAML file into these classes, and the reference is generated from
them. Times are in seconds here, whatever unit the file uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated

import attrs

from nessus_sched.config.calendar import (
    BlackoutSettings,
    CalendarSettings,
    NetworkSettings,
    WindowSettings,
)
from nessus_sched.config.delivery import (
    LabelSettings,
    ReportSettings,
    RouteSettings,
    SinkSettings,
    SlaSettings,
)
from nessus_sched.config.exceptions import ExceptionSettings
from nessus_sched.config.ledger import LedgerSettings
from nessus_sched.config.limits import LimitSettings
from nessus_sched.config.scanners import ScannerSettings
from nessus_sched.config.types import (
    DAY,
    FILE,
    HOUR,
    MINUTE,
    NAME_BOUNDS,
    NEW_FILE,
    Bind,
    DatabaseUrl,
    LeaderPlace,
    LogFormat,
    LogLevel,
    Mode,
    NotifyOn,
    Principal,
    Retention,
    Rule,
    Seconds,
    WebhookUrl,
)
from nessus_sched.core.credentials import Credential
from nessus_sched.core.fields import field
from nessus_sched.core.profile import ScanProfile
from nessus_sched.core.secret import Secret
from nessus_sched.core.targets.scope import Scope
from nessus_sched.core.task import OnEarlyEnd


@attrs.frozen(kw_only=True)
class SocketSettings:
    """The Unix socket on which MCP clients and the command line reach the daemon."""

    path: Annotated[Path, NEW_FILE] | None = field(
        "Where it listens. Default: `mcp.sock` in $RUNTIME_DIRECTORY under systemd, otherwise in "
        "the user's own runtime directory, where `nessus-sched mcp` finds it by the path of the "
        "configuration file.",
        default=None,
    )
    mode: Mode = field("File mode of the socket.", default=0o660)
    group: str | None = field("Group of the socket; its members may connect.", default=None)


@attrs.frozen(kw_only=True)
class HttpSettings:
    """Health, metrics and the status page; read-only and without secrets."""

    bind: Bind | None = field("Where it listens.", default="127.0.0.1:9834")
    hosts: tuple[str, ...] = field(
        "Host names to accept besides the address itself and localhost.", default=()
    )
    status_page: bool = field("Whether `/` shows the status page.", default=True)


@attrs.frozen(kw_only=True)
class TargetSettings:
    """What may be scanned. `deny` overrides `allow`; an empty allow-list allows nothing."""

    allow: tuple[Rule, ...] = field(
        "Networks and host names that may be scanned. A host name or pattern allows only "
        "the name; the addresses it resolves to must be allowed by a network as well.",
        default=(),
        examples=(["192.0.2.0/24", "2001:db8::/64", "*.example.com"],),
    )
    deny: tuple[Rule, ...] = field("What must never be scanned, whatever `allow` says.", default=())
    max_addresses: int = field(
        "Maximum number of addresses in one task.", default=65536, minimum=1, maximum=2**32
    )

    @cached_property
    def scope(self) -> Scope:
        """The lists, parsed once for as long as this configuration is used."""
        return Scope(self.allow, self.deny, max_addresses=self.max_addresses)


@attrs.frozen(kw_only=True)
class SchedulingSettings:
    """Queues, retries and deadlines."""

    fairness_after: Seconds = field(
        "A task in the overflow queue goes first if it has waited this much longer than the first "
        "task in the scanner's own queue.",
        default=15 * MINUTE,
        minimum=0,
    )
    ageing_after: Seconds = field(
        "Each time a waiting task has waited this long, its priority rises by one level.",
        default=HOUR,
        minimum=1,
    )
    overlap_guard: bool = field("Never scan the same address with two scans at once.", default=True)
    max_attempts: int = field(
        "Number of attempts before a task becomes a dead letter.", default=3, minimum=1, maximum=100
    )
    on_early_end: OnEarlyEnd | None = field(
        "What happens if a scan is aborted, exceeds its maximum runtime, or is stopped on the "
        "scanner, unless the submitter says otherwise. roll: keep what it found and scan the "
        "rest; keep: keep what it found and end the task; discard: do not fetch the results. "
        "null: roll if the scan was aborted, keep otherwise. With keep or discard, scans on a "
        "lost scanner are not given up.",
        default=None,
    )
    lost_after: Seconds = field(
        "If a scanner has not answered for this long, its running scans are given up, and another "
        "scanner scans the rest if one can be used and reaches the targets. Tasks for a named "
        "scanner and paused tasks wait.",
        default=HOUR,
        minimum=300,
    )
    quarantine: Seconds = field(
        "How long other scans of the same targets wait for a scan that was given up, since it may "
        "still be running.",
        default=HOUR,
        minimum=0,
    )
    backoff_base: Seconds = field("Wait before the second attempt.", default=30.0, minimum=1)
    backoff_max: Seconds = field("Longest wait between attempts.", default=HOUR, minimum=1)
    max_runtime: Seconds = field(
        "How long a scan may run unless the submitter sets another limit.", default=DAY, minimum=60
    )
    part_duration: Seconds = field(
        "How long a part should take. A task that would take longer is split into parts, which "
        "run on all scanners that reach their targets.",
        default=30 * MINUTE,
        minimum=MINUTE,
    )
    part_min: int = field(
        "Minimum number of addresses in a part.", default=64, minimum=1, maximum=65536
    )
    part_max: int = field(
        "Maximum number of addresses in one scan.", default=4096, minimum=1, maximum=65536
    )
    max_parts: int = field(
        "Maximum number of parts of a task; larger tasks get larger parts.",
        default=1000,
        minimum=1,
        maximum=100_000,
    )
    idempotency_ttl: Seconds = field(
        "How long an idempotency key is remembered.", default=48 * HOUR, minimum=60
    )


@attrs.frozen(kw_only=True)
class PollingSettings:
    """How often scanners are polled."""

    fastest: Seconds = field(
        "Interval between polls of a scanner where something just changed.",
        default=2.0,
        minimum=0.1,
    )
    slowest: Seconds = field(
        "Interval between polls of a scanner with long-running scans.", default=60.0, minimum=0.1
    )
    info: Seconds = field(
        "Interval between reads of a scanner's status, license and plugin set.",
        default=10 * MINUTE,
        minimum=1,
    )
    probe: Seconds = field(
        "First wait before a failed scanner is tried again; it doubles each time.",
        default=30.0,
        minimum=0.1,
    )
    probe_max: Seconds = field(
        "Longest wait before a failed scanner is tried again.",
        default=15 * MINUTE,
        minimum=0.1,
    )


@attrs.frozen(kw_only=True)
class RetentionSettings:
    """How long data is kept after the end of its task."""

    completed: Retention = field("Completed tasks.", default=30 * DAY, minimum=0)
    canceled: Retention = field("Canceled and timed-out tasks.", default=7 * DAY, minimum=0)
    dead: Retention = field(
        "Dead letters, including undelivered messages.", default=90 * DAY, minimum=0
    )
    findings: Retention = field("Findings in the database.", default=90 * DAY, minimum=0)
    exports: Retention = field("Exported reports on disk.", default=30 * DAY, minimum=0)
    journal: Retention = field(
        "The journal, from which evidence packs are made; never less than tasks are kept.",
        default=400 * DAY,
        minimum=0,
    )
    remote_scans: Retention = field(
        "Our finished scans on the scanners (our own folder and marker only).",
        default=DAY,
        minimum=0,
    )


@attrs.frozen(kw_only=True)
class LogSettings:
    """The structured log on stderr."""

    level: LogLevel = field("Lowest level that is logged.", default=LogLevel.INFO)
    components: Mapping[str, LogLevel] = field(
        "Other levels for parts of the program, such as `nessus: debug`.", factory=dict
    )
    format: LogFormat = field(
        "`auto` means JSON lines unless stderr is a terminal.", default=LogFormat.AUTO
    )


@attrs.frozen(kw_only=True)
class AuditSettings:
    """A compliance audit for `submit_compliance_scan`: a file, or one that ships with the
    scanner."""

    name: str = field("Name that submitters use.", **NAME_BOUNDS)
    file: Annotated[Path, FILE] | None = field("The `.audit` file.", default=None)
    builtin: str | None = field(
        "Instead of a file: the name or id of an audit on the scanner, such as "
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
    """What a user of the socket may do. The first role that matches applies. Once any roles are
    defined, users who match none may do nothing. Root and the daemon's own user may always do
    everything."""

    name: str = field("Shown in errors and in the journal.", **NAME_BOUNDS)
    users: tuple[Principal, ...] = field('Users, by name or uid; "*" for everyone.', default=())
    groups: tuple[Principal, ...] = field("Groups, by name or gid.", default=())
    read_only: bool = field("Allow only tools that change nothing.", default=False)
    tools: tuple[str, ...] | None = field(
        "The only tools it may call; null means all.", default=None
    )
    targets: tuple[Rule, ...] | None = field(
        "The only targets it may scan, within what the top-level `targets` allows; null means all "
        "of those. Checked again at launch. It sees other users' tasks only if they have such "
        "targets.",
        default=None,
    )
    operator_tools: bool = field(
        "Whether models may use the operator tools, which affect all users: `pause_everything`, "
        "`resume_everything`, `drain_scanner`, `undrain_scanner`, `retry_dead_letters`, "
        "`purge_dead_letters`, and with `approve_exceptions` also `decide_exception`. Without it, "
        "not even root's models may use them.",
        default=False,
    )
    manage_others: bool = field(
        "Whether it may cancel, pause, resume, retry and purge other users' tasks.",
        default=False,
    )
    approve_exceptions: bool = field(
        "Whether it may approve, reject, revoke and extend exceptions for findings on its "
        "targets, on the command line. Models can decide only if the role has `operator_tools` as "
        "well: then they have `decide_exception`.",
        default=False,
    )


@attrs.frozen(kw_only=True)
class WebhookSettings:
    """A URL to notify of finished tasks with a JSON document: `id` (the same for every attempt),
    `event`, `at`, `task`, `severity_counts`, `credentialed`, `partial` (why the scan ended early),
    `error`. Any 2xx status counts as delivered. Each URL is a route, too: notifications are stored,
    and retried for about a week."""

    url: WebhookUrl = field("Receives the document by POST. Redirects and proxies are not used.")
    secret: Secret | None = field(
        "Signs notifications: the header `X-Nessus-Sched-Signature` is then `sha256=` followed by "
        "the HMAC-SHA-256 of the body in hex.",
        default=None,
    )
    events: tuple[NotifyOn, ...] = field("Outcomes to notify about.", default=tuple(NotifyOn))


@attrs.frozen(kw_only=True)
class Config:
    """The top-level keys."""

    state_directory: Annotated[Path, NEW_FILE] = field(
        "Directory for tasks, findings and reports; one daemon per directory.",
        default=Path("/var/lib/nessus-sched"),
    )
    store: DatabaseUrl | None = field(
        "A PostgreSQL database for tasks, journal, schedules, exceptions, messages, reports and "
        "the ledger, so that another machine can take over. By default all of them are "
        "files in `state_directory`.",
        default=None,
        examples=("postgresql://nessus_sched@db.example.com/scans?sslmode=verify-full",),
    )
    store_password: Secret | None = field(
        "Password of the database's user. Without it, libpq looks where it always does: "
        "PGPASSWORD, PGPASSFILE, ~/.pgpass.",
        default=None,
    )
    leaders: tuple[LeaderPlace, ...] = field(
        "Where `nessus-sched` and `nessus-sched mcp` look for the leading daemon if it is not on "
        "this machine. An `ssh://` host is reached with the user's own ssh.",
        default=(),
        examples=(["ssh://east.example.com", "ssh://west.example.com"],),
    )
    scanners: tuple[ScannerSettings, ...] = field("The scanners to drive.", default=())
    targets: TargetSettings = field("What may be scanned.", factory=TargetSettings)
    credentials: tuple[Credential, ...] = field(
        "Logins for targets. Submitters refer to them by name and never see the secrets.",
        default=(),
    )
    audits: tuple[AuditSettings, ...] = field("Audit files for compliance scans.", default=())
    scan_profiles: tuple[ScanProfile, ...] = field(
        "Named sets of scan settings for submitters to choose from.", default=()
    )
    custom_settings_allowed: tuple[str, ...] = field(
        "Nessus settings that submitters may set in addition to those allowed by default.",
        default=(),
    )
    custom_policies_allowed: tuple[str, ...] | None = field(
        "The only scanner policies that `submit_custom_scan` may use; null means all that the "
        "scanner's user can see. A policy has its own settings and credentials.",
        default=None,
        examples=(["Quarterly PCI"],),
    )
    roles: tuple[RoleSettings, ...] = field(
        "Who may do what. Without roles, anyone who can open the socket may do everything.",
        default=(),
    )
    socket: SocketSettings = field("Socket for MCP and the command line.", factory=SocketSettings)
    http: HttpSettings = field("Health and metrics.", factory=HttpSettings)
    scheduling: SchedulingSettings = field(
        "Queues, retries, deadlines.", factory=SchedulingSettings
    )
    calendar: CalendarSettings = field(
        "Schedules, windows and blackouts.", factory=CalendarSettings
    )
    exceptions: ExceptionSettings = field("Exceptions for findings.", factory=ExceptionSettings)
    windows: tuple[WindowSettings, ...] = field("When scanning is allowed.", default=())
    networks: tuple[NetworkSettings, ...] = field("Limits for target networks.", default=())
    blackouts: tuple[BlackoutSettings, ...] = field("When nothing is scanned.", default=())
    polling: PollingSettings = field("How often scanners are polled.", factory=PollingSettings)
    retention: RetentionSettings = field("How long data is kept.", factory=RetentionSettings)
    ledger: LedgerSettings = field("The history of findings.", factory=LedgerSettings)
    limits: LimitSettings = field("Limits on clients and scanners.", factory=LimitSettings)
    log: LogSettings = field("Logging.", factory=LogSettings)
    notifications: tuple[WebhookSettings, ...] = field(
        "Webhooks to notify when tasks end.", default=()
    )
    sinks: tuple[SinkSettings, ...] = field("Where messages can be sent.", default=())
    routes: tuple[RouteSettings, ...] = field("Which messages are sent, and when.", default=())
    labels: tuple[LabelSettings, ...] = field("Labels of hosts.", default=())
    sla: SlaSettings = field("How soon findings should be fixed.", factory=SlaSettings)
    reports: ReportSettings = field("Written reports.", factory=ReportSettings)
