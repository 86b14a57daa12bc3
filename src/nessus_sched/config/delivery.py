"""The configuration of delivery: where messages are sent, and which ones."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import attrs

from nessus_sched.config.scanners import TlsSettings
from nessus_sched.config.types import (
    DAY,
    NAME_BOUNDS,
    NEW_FILE,
    Network,
    Rule,
    Seconds,
    Severity,
    SyslogAddress,
    TimeOfDay,
    WebhookUrl,
)
from nessus_sched.core.delivery.happenings import USUAL, Happening
from nessus_sched.core.fields import field
from nessus_sched.core.secret import Secret


@attrs.frozen(kw_only=True)
class WebhookSink:
    """A URL that receives each message as a JSON document. Any 2xx status counts as delivered.
    Redirects and proxies are not used."""

    url: WebhookUrl = field("Receives the document by POST.")
    secret: Secret | None = field(
        "Signs messages: the header `X-Nessus-Sched-Signature` is then `sha256=` followed by the "
        "HMAC-SHA-256 of the body in hex.",
        default=None,
    )
    tls: TlsSettings = field("Certificate check.", factory=TlsSettings)


@attrs.frozen(kw_only=True)
class DefectDojoSink:
    """A DefectDojo server that receives the report of each task that ends, whatever the `on` of a
    route. Each schedule has a test of its own. Findings that are gone are closed only by a complete
    scan of all targets that ever went into the test, if logins worked and the ledger has no
    unverified findings there; otherwise, the description of the test says why not."""

    url: WebhookUrl = field("URL of the server.", examples=("https://defectdojo.example.com",))
    token: Secret = field("API key (v2) of its user.")
    product: str = field("Name of the product.", min_length=1, max_length=255)
    product_type: str = field(
        "Product type for a product that has to be created.",
        default="Infrastructure",
        min_length=1,
        max_length=255,
    )
    engagement: str = field(
        "Name of the engagement.", default="nessus-sched", min_length=1, max_length=255
    )
    create: bool = field("Whether to create product and engagement if needed.", default=False)
    severity: Severity = field("Lowest severity of findings to import.", default=Severity.LOW)
    tags: tuple[str, ...] = field("Tags of its tests.", default=())
    tls: TlsSettings = field("Certificate check.", factory=TlsSettings)


@attrs.frozen(kw_only=True)
class JsonLinesSink:
    """One line of JSON per event and finding, with the field names of the Elastic Common Schema:
    appended to a file, or sent to a syslog server (as RFC 5424, or in the form that a local socket
    expects)."""

    file: Annotated[Path, NEW_FILE] | None = field("Append to this file.", default=None)
    syslog: SyslogAddress | None = field("Send to this syslog server.", default=None)
    tls: TlsSettings = field("Certificate check, for `tls://`.", factory=TlsSettings)


@attrs.frozen(kw_only=True)
class SinkSettings:
    """Where messages can be sent: exactly one of `apprise`, `webhook`, `defectdojo` and
    `json_lines`."""

    name: str = field("Name that routes use.", **NAME_BOUNDS)
    apprise: Secret | None = field(
        "A URL of [Apprise](https://github.com/caronc/apprise/wiki) for email, Slack, Teams, "
        "Telegram and many others. The whole URL is secret.",
        default=None,
        examples=("mailtos://user:${MAIL_PASSWORD}@mail.example.com?to=soc@example.com",),
    )
    webhook: WebhookSink | None = field("A URL that receives JSON.", default=None)
    defectdojo: DefectDojoSink | None = field("A DefectDojo server.", default=None)
    json_lines: JsonLinesSink | None = field("A file or a syslog server.", default=None)


class When(StrEnum):
    """When a route sends."""

    AT_ONCE = "at_once"
    TASK_END = "task_end"
    DAILY = "daily"
    WEEKLY = "weekly"


class Weekday(StrEnum):
    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class DigestReport(StrEnum):
    """The reports for people that a digest can bring."""

    MANAGEMENT = "management"
    TEAM = "team"
    COMPARISON = "comparison"


DEFAULT_TIME: Final = "07:00"


@attrs.frozen(kw_only=True)
class RouteSettings:
    """What is sent to a sink, and when. Nothing from before a route was configured is sent, and the
    first scan of a host counts as its baseline: it is one line, not a list."""

    name: str = field("Shown in the outbox and in messages.", **NAME_BOUNDS)
    sink: str = field("Name of the sink.", **NAME_BOUNDS)
    on: tuple[Happening, ...] = field("What to send.", default=USUAL, min_length=1)
    severity: Severity = field(
        "Lowest severity of findings, after exceptions.", default=Severity.MEDIUM
    )
    networks: tuple[Network, ...] = field(
        "Only findings on hosts in these networks, and tasks with targets in them.", default=()
    )
    schedules: tuple[str, ...] = field(
        "Only tasks and firings of these schedules, by name.", default=()
    )
    labels: Mapping[str, str] = field(
        "Only findings on hosts with all these labels, such as `{owner: web-team}`, and tasks with "
        "such targets.",
        factory=dict,
    )
    when: When = field(
        "at_once: whenever something happens; task_end: once per task, when it ends, with "
        "everything that happened to it; daily, weekly: a digest.",
        default=When.AT_ONCE,
    )
    at: TimeOfDay = field("Time of a digest, in the time zone of `calendar`.", default=DEFAULT_TIME)
    day: Weekday = field("Day of a weekly digest.", default=Weekday.MON)
    unchanged: bool = field(
        "Whether to send a digest, of one line, even if nothing has happened.", default=False
    )
    report: DigestReport | None = field(
        "Write this report for the period and the hosts of each digest to `reports` in the state "
        "directory, and attach it to email. The digest is then always sent.",
        default=None,
    )


@attrs.frozen(kw_only=True)
class LabelSettings:
    """Labels for the hosts in `networks` and those named in `hosts`. If several items match a host,
    each label comes from the last one that has it."""

    networks: tuple[Network, ...] = field("Networks.", default=())
    hosts: tuple[Rule, ...] = field("Host names, or patterns such as *.example.com.", default=())
    owner: str | None = field(
        "Who fixes their findings.", default=None, min_length=1, max_length=100
    )
    site: str | None = field("Where they are.", default=None, min_length=1, max_length=100)
    criticality: str | None = field(
        "How important they are, such as high.", default=None, min_length=1, max_length=100
    )


@attrs.frozen(kw_only=True)
class SlaSettings:
    """How soon findings should be fixed after they were first seen, by severity after
    exceptions; null means no limit."""

    critical: Seconds | None = field("Critical findings.", default=15 * DAY, minimum=DAY)
    high: Seconds | None = field("High findings.", default=30 * DAY, minimum=DAY)
    medium: Seconds | None = field("Medium findings.", default=90 * DAY, minimum=DAY)
    low: Seconds | None = field("Low findings.", default=None, minimum=DAY)
    exploited: Seconds | None = field(
        "Findings of low or higher severity that are known to be exploited, unless their severity "
        "has a shorter limit.",
        default=14 * DAY,
        minimum=DAY,
    )
    due_soon: Seconds = field(
        "How long before its limit a finding counts as due soon.", default=7 * DAY
    )


@attrs.frozen(kw_only=True)
class ReportSettings:
    """Written reports."""

    templates: Annotated[Path, NEW_FILE] | None = field(
        "Directory with Jinja templates that replace the built-in ones of the same name.",
        default=None,
    )
    organization: str = field("Shown at the top.", default="", max_length=200)
