"""The value types of the schema.

To the program they are plain floats, ints and strings; the annotation tells the loader how to
parse and check a value, and the reference how to describe it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, get_args, get_origin

import attrs


@attrs.frozen
class ValueFormat:
    """How a value is written in the file, as text for the reference and for errors."""

    expected: str


def format_of(kind: Any) -> ValueFormat | None:
    """The `ValueFormat` that a type of the schema is annotated with."""
    marks = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    return next((mark for mark in marks if isinstance(mark, ValueFormat)), None)


DURATION: Final = ValueFormat("a duration such as 90, 90s, 15m, 2h or 7d")
RETENTION: Final = ValueFormat("a duration such as 90s, 15m, 2h or 7d, or forever")
SIZE: Final = ValueFormat("a size in bytes such as 65536, 64KiB, 16MiB or 2GiB")
MODE: Final = ValueFormat('a file mode in quotes such as "0660"')
URL: Final = ValueFormat("https://HOST[:PORT] without a path")
WEBHOOK: Final = ValueFormat("an http:// or https:// URL")
DATABASE: Final = ValueFormat("postgresql://[USER@]HOST[:PORT][,HOST...]/DATABASE[?OPTIONS]")
LEADER: Final = ValueFormat("ssh://[USER@]HOST, or the absolute path of a socket")
BIND: Final = ValueFormat("ADDRESS:PORT such as 127.0.0.1:9834 or [::1]:9834, or null for none")
FINGERPRINT: Final = ValueFormat("a SHA-256 fingerprint: 64 hex digits, with or without colons")
RULE: Final = ValueFormat(
    "an address, a CIDR, a range, a host name, or a pattern such as *.example.com"
)
NETWORK: Final = ValueFormat("an address, a CIDR or a range such as 192.0.2.0/24")
ZONE: Final = ValueFormat("a time zone such as Europe/Berlin or UTC")
TIMES: Final = ValueFormat("times such as mon-fri 20:00-06:00 or 2026-12-20 to 2027-01-03")
TIME_OF_DAY: Final = ValueFormat('a time of day in quotes such as "07:00"')
SYSLOG: Final = ValueFormat(
    "unix:/dev/log, udp://HOST[:PORT], tcp://HOST[:PORT] or tls://HOST[:PORT]"
)
PRINCIPAL: Final = ValueFormat("a user or group, by name or number")
NEW_FILE: Final = ValueFormat("a path, absolute or relative to the directory of this file")
FILE: Final = ValueFormat(
    "the path of a readable file, absolute or relative to the directory of this file"
)

Seconds = Annotated[float, DURATION]
Retention = Annotated[float, RETENTION]
"""Seconds; `math.inf` for `forever`."""
Size = Annotated[int, SIZE]
Mode = Annotated[int, MODE]
Url = Annotated[str, URL]
WebhookUrl = Annotated[str, WEBHOOK]
DatabaseUrl = Annotated[str, DATABASE]
LeaderPlace = Annotated[str, LEADER]
Bind = Annotated[str, BIND]
Fingerprint = Annotated[str, FINGERPRINT]
"""64 lower-case hex digits without colons."""
Rule = Annotated[str, RULE]
Network = Annotated[str, NETWORK]
Zone = Annotated[str, ZONE]
Times = Annotated[str, TIMES]
TimeOfDay = Annotated[str, TIME_OF_DAY]
"""HH:MM."""
SyslogAddress = Annotated[str, SYSLOG]
Principal = Annotated[str, PRINCIPAL]

MINUTE: Final = 60.0
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    AUTO = "auto"
    """JSON lines unless stderr is a terminal."""
    JSON = "json"
    CONSOLE = "console"


class Severity(StrEnum):
    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class NotifyOn(StrEnum):
    COMPLETED = "completed"
    FAILED = "failed"
    """Timed out or canceled."""
    DEAD = "dead"


NAME: Final = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?"
"""Names of scanners, pools, credentials, audits, scan profiles and roles."""
NAME_BOUNDS: Final = {"pattern": NAME, "max_length": 64}
