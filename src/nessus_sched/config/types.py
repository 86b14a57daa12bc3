"""Kinds of value in the configuration: what the attributes of the schema are typed with.

To the program they are plain floats, ints and strings; the mark tells the loader how a
value is written and checked, and the reference how to describe it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final, get_args, get_origin

import attrs


@attrs.frozen
class Form:
    """How a value is written in the file, in words for the reference and for errors."""

    expected: str


def form_of(kind: Any) -> Form | None:
    """The `Form` that a type of the schema is marked with."""
    marks = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    return next((mark for mark in marks if isinstance(mark, Form)), None)


DURATION: Final = Form("a duration such as 90, 90s, 15m, 2h or 7d")
LASTING: Final = Form("a duration such as 90s, 15m, 2h or 7d, or forever")
SIZE: Final = Form("a size in bytes such as 65536, 64KiB, 16MiB or 2GiB")
MODE: Final = Form('a file mode in quotes such as "0660"')
URL: Final = Form("https://HOST[:PORT] with nothing behind it")
WEBHOOK: Final = Form("an http:// or https:// URL")
BIND: Final = Form("ADDRESS:PORT such as 127.0.0.1:9834 or [::1]:9834, or null for none")
FINGERPRINT: Final = Form("a SHA-256 fingerprint: 64 hex digits, with or without colons")
RULE: Final = Form("an address, a CIDR, a range, a host name, or a pattern such as *.example.com")
NETWORK: Final = Form("an address, a CIDR or a range such as 192.0.2.0/24")
PERSON: Final = Form("a user or group, by name or number")
NEW_FILE: Final = Form("an absolute path, or one relative to the folder of this file")
FILE: Final = Form("the path of a readable file, absolute or relative to the folder of this file")

Seconds = Annotated[float, DURATION]
Lasting = Annotated[float, LASTING]
"""Seconds; `math.inf` for ever."""
Size = Annotated[int, SIZE]
Mode = Annotated[int, MODE]
Url = Annotated[str, URL]
WebhookUrl = Annotated[str, WEBHOOK]
Bind = Annotated[str, BIND]
Fingerprint = Annotated[str, FINGERPRINT]
"""64 lower-case hex digits without colons."""
Rule = Annotated[str, RULE]
Network = Annotated[str, NETWORK]
Person = Annotated[str, PERSON]

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


class NotifyOn(StrEnum):
    COMPLETED = "completed"
    FAILED = "failed"
    """Timed out or canceled."""
    DEAD = "dead"
