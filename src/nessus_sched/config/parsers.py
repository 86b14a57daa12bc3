"""One parser per value format: from text of the file to a value of the schema.

A parser raises `InvalidValue` to explain what is wrong, without repeating the value, and
`ValueError` if naming the expected format is enough.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from nessus_sched.config import types
from nessus_sched.config.substitution import Substituted
from nessus_sched.core.calendar.periods import parse_period
from nessus_sched.core.calendar.zones import BadCalendar, zone_of
from nessus_sched.core.secret import Secret
from nessus_sched.core.targets.address import parse_address, parse_host_name, parse_range
from nessus_sched.core.targets.ranges import V4, address_text, range_text
from nessus_sched.core.targets.scope import parse_rule


class InvalidValue(ValueError):
    """The value does not match its format; `str()` does not repeat it."""


_DURATION: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?(ms|s|m|h|d|w|)")
_SECONDS: Final = MappingProxyType(
    {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
)
_SIZE: Final = re.compile(r"([0-9]{1,15}) ?(KiB|MiB|GiB|TiB|)")
_FACTORS: Final = MappingProxyType({"": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40})
_MODE: Final = re.compile(r"0?[0-7]{3}")
_PRINCIPAL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}\$?|[0-9]{1,10}|\*")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}|[0-9a-f]{2}(?::[0-9a-f]{2}){31}")
_TIME_OF_DAY: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_DATABASE: Final = re.compile(
    r"postgres(?:ql)?://(?:[^:@/?#\s]*(?::(?P<password>[^@/?#\s]*))?@)?[^@/?#\s]*"
    r"/[^/?#\s]+(?:\?(?P<options>[^#\s]*))?"
)
_LEADER: Final = re.compile(r"ssh://[A-Za-z0-9_][A-Za-z0-9_.@-]*|/[^,\s]+")
_SYSLOG_PORTS: Final = MappingProxyType({"udp": ":514", "tcp": ":514", "tls": ":6514"})
"""RFC 5426 and 5425; plain TCP (RFC 6587) has none of its own and uses that of UDP."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def text(value: object) -> str:
    """Text without control characters, because it may appear in logs and requests."""
    if not isinstance(value, str):
        raise InvalidValue("put it in quotes" if isinstance(value, int | float) else "")
    if _CONTROL.search(value):
        raise InvalidValue("it has a control character")
    return str(value)


def secret(value: object) -> Secret:
    if not isinstance(value, str):
        raise InvalidValue("put it in quotes")
    if not value:
        raise InvalidValue("it is empty")
    return Secret(str(value))


def boolean(value: object) -> bool:
    if isinstance(value, Substituted) and value in ("true", "false"):
        return value == "true"
    if not isinstance(value, bool):
        raise ValueError
    return value


def integer(value: object) -> int:
    if isinstance(value, Substituted) and re.fullmatch(r"[0-9]{1,18}", value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError
    return value


def number(value: object) -> float:
    if isinstance(value, Substituted) and re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,18})?", value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    if not math.isfinite(value):
        raise ValueError
    return float(value)


def duration(value: object) -> float:
    """Seconds."""
    if not isinstance(value, str):
        return number(value)
    match = _DURATION.fullmatch(value)
    if match is None:
        raise ValueError
    return float(match[1]) * _SECONDS[match[2]]


def retention_time(value: object) -> float:
    return math.inf if value == "forever" else duration(value)


def size(value: object) -> int:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    return int(match[1]) * _FACTORS[match[2]] if match else integer(value)


def mode(value: object) -> int:
    # YAML reads a bare 0660 as a number whose value depends on the YAML version.
    if not isinstance(value, str) or not _MODE.fullmatch(value):
        raise ValueError
    return int(value, 8)


def url(value: object) -> str:
    """Normalized to lower case without a trailing slash."""
    address = _split_url(value, schemes=("https",))
    if address.path not in ("", "/") or address.query or address.fragment:
        raise InvalidValue("nothing may follow the host and port")
    return f"https://{_host_and_port(address.netloc)}"


def webhook(value: object) -> str:
    address = _split_url(value, schemes=("http", "https"))
    return address._replace(netloc=_host_and_port(address.netloc)).geturl()


def database(value: object) -> str:
    """A URL of libpq. It may name several servers, which `urlsplit` does not understand."""
    found = _DATABASE.fullmatch(text(value))
    if found is None:
        raise ValueError
    if found["password"] is not None or "password" in (found["options"] or "").lower():
        raise InvalidValue("a password does not belong in the URL; it goes in store_password")
    return text(value)


def leader(value: object) -> str:
    """A host is an argument of ssh, so it must not look like an option."""
    if _LEADER.fullmatch(text(value)) is None:
        raise ValueError
    return text(value)


def _split_url(value: object, *, schemes: tuple[str, ...]) -> SplitResult:
    address = urlsplit(text(value))
    if "://" not in str(value) or address.scheme not in schemes:
        raise InvalidValue(f"it must begin with {' or '.join(f'{name}://' for name in schemes)}")
    if "@" in address.netloc:
        raise InvalidValue("a user and password do not belong in the URL")
    if re.search(r"[\s\\]", str(value)):
        raise InvalidValue("it has a space or a backslash")
    return address


def _host_and_port(netloc: str) -> str:
    host, colon, port = netloc, "", ""
    if match := re.fullmatch(r"(.*):([0-9]*)", netloc):
        host, colon, port = match[1], ":", match[2]
    if colon and not (re.fullmatch(r"[1-9][0-9]{0,4}", port) and int(port) < 65536):
        raise InvalidValue("the port must be a number from 1 to 65535")
    return f"{host_text(host)}{colon}{port}"


def host_text(host: str) -> str:
    """A host in canonical form for a URL: IPv6 in brackets."""
    if host.startswith("[") and host.endswith("]"):
        found = parse_address(host[1:-1])
        if found >= V4:
            raise InvalidValue("only IPv6 goes in brackets")
        return f"[{address_text(found)}]"
    return address_text(parse_address(host)) if _looks_numeric(host) else parse_host_name(host)


def _looks_numeric(host: str) -> bool:
    return re.fullmatch(r"[0-9.]+", host) is not None


def bind(value: object) -> str:
    split_bind(text(value))
    return text(value)


def split_bind(value: str) -> tuple[str, int]:
    """Address (without brackets) and port of a `Bind`; port 0 lets the system choose."""
    host, colon, port = value.rpartition(":")
    if not colon or value.endswith("]"):
        raise InvalidValue("the port is missing; write 127.0.0.1:9834 or [::1]:9834")
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise InvalidValue("the port must be a number from 0 to 65535")
    if host == "localhost":
        return host, int(port)
    bracketed = host.startswith("[") and host.endswith("]")
    found = parse_address(host[1:-1] if bracketed else host)
    if bracketed != (found < V4):
        raise InvalidValue("IPv6 goes in brackets, IPv4 does not")
    return address_text(found), int(port)


def fingerprint(value: object) -> str:
    lowered = text(value).lower()
    if not _FINGERPRINT.fullmatch(lowered):
        raise ValueError
    return lowered.replace(":", "")


def rule(value: object) -> str:
    parse_rule(text(value))
    return text(value)


def network(value: object) -> str:
    found = parse_range(text(value))
    if found is None:
        raise InvalidValue("host names are not networks")
    return range_text(found)


def principal(value: object) -> str:
    plain = str(value) if isinstance(value, int) and not isinstance(value, bool) else text(value)
    if not _PRINCIPAL.fullmatch(plain):
        raise ValueError
    return plain


def zone(value: object) -> str:
    try:
        return zone_of(text(value)).key
    except BadCalendar as error:
        raise InvalidValue(str(error)) from None


def times(value: object) -> str:
    try:
        parse_period([text(value)], "UTC")
    except BadCalendar as error:
        raise InvalidValue(str(error)) from None
    return text(value)


def time_of_day(value: object) -> str:
    if not isinstance(value, str) or not _TIME_OF_DAY.fullmatch(value):
        raise ValueError
    return str(value)


def syslog(value: object) -> str:
    """With the port, and a host in canonical form."""
    plain = text(value)
    if plain.startswith("unix:"):
        if not plain.startswith("unix:/"):
            raise InvalidValue("the path of the socket must be absolute")
        return plain
    address = _split_url(plain, schemes=tuple(_SYSLOG_PORTS))
    if address.path not in ("", "/") or address.query or address.fragment:
        raise InvalidValue("nothing may follow the host and port")
    netloc = _host_and_port(address.netloc)
    has_port = re.search(r":[0-9]+\Z", netloc) is not None
    return f"{address.scheme}://{netloc}{'' if has_port else _SYSLOG_PORTS[address.scheme]}"


def new_file(value: object, *, folder: Path) -> Path:
    name = text(value)
    if not name:
        raise InvalidValue("it is empty")
    if name.startswith("~"):
        raise InvalidValue("~ is not expanded; write ${HOME}")
    return folder / name


def readable_file(value: object, *, folder: Path) -> Path:
    path = new_file(value, folder=folder)
    if not path.is_file():
        raise InvalidValue("there is no such file")
    if not os.access(path, os.R_OK):
        raise InvalidValue("it is not readable")
    return path


Reader = Callable[[object], Any]


def readers(folder: Path) -> Mapping[types.ValueFormat, Reader]:
    """The parser for each format; relative paths are relative to `folder`."""
    return {
        types.DURATION: duration,
        types.RETENTION: retention_time,
        types.SIZE: size,
        types.MODE: mode,
        types.URL: url,
        types.WEBHOOK: webhook,
        types.DATABASE: database,
        types.LEADER: leader,
        types.BIND: bind,
        types.FINGERPRINT: fingerprint,
        types.RULE: rule,
        types.NETWORK: network,
        types.PRINCIPAL: principal,
        types.ZONE: zone,
        types.TIMES: times,
        types.TIME_OF_DAY: time_of_day,
        types.SYSLOG: syslog,
        types.NEW_FILE: partial(new_file, folder=folder),
        types.FILE: partial(readable_file, folder=folder),
    }
