"""The effective configuration as data and as YAML, with every secret masked."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, Final, get_args
from urllib.parse import urlsplit

import attrs
from ruamel.yaml import YAML

from nessus_sched.config import types
from nessus_sched.config.delivery import JsonLinesSink, RouteSettings, SinkSettings
from nessus_sched.config.scanners import ApiKeys, UiSession
from nessus_sched.config.schema import Config
from nessus_sched.core.credentials import Credential, Escalation
from nessus_sched.core.secret import MASK, Secret

_SPARSE: Final = (Credential, Escalation, SinkSettings, JsonLinesSink, RouteSettings)
"""Classes most of whose keys belong to other kinds and are not allowed for this one."""
_UNITS: Final = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_SIZES: Final = (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


def effective(config: Config) -> dict[str, Any]:
    """Every key with its value as written in the file: JSON-compatible, with defaults filled
    in (except in credentials), references resolved, and secrets as `***`."""
    result = format_value(config, Config)
    assert isinstance(result, dict)
    return result


def to_yaml(config: Config) -> str:
    """`effective` as YAML, which can be loaded again, with `***` for the secrets."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # stub says None
    stream = io.StringIO()
    yaml.dump(_escaped(effective(config)), stream)
    return stream.getvalue()


def format_value(value: Any, kind: Any) -> Any:
    """A value of the schema as it is written in the file. `kind` is its type in the schema,
    which distinguishes a duration from a number."""
    if value is None:
        return None
    form = next(filter(None, map(types.format_of, (kind, *get_args(kind)))), None)
    if form is not None and not isinstance(value, tuple):
        return _format(value, form)
    if isinstance(value, tuple):
        item = next(part for part in _alternatives(kind) if get_args(part))
        return [format_value(inner, get_args(item)[0]) for inner in value]
    if isinstance(value, Mapping):
        return {key: format_value(inner, get_args(kind)[1]) for key, inner in value.items()}
    return _plain(value)


def _alternatives(kind: Any) -> tuple[Any, ...]:
    """The members of an optional type, or the type itself."""
    return get_args(kind) if NoneType in get_args(kind) else (kind,)


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, ApiKeys):
        return {"api_keys": _fields(value)}
    if isinstance(value, UiSession):
        return {"ui_session": _fields(value)}
    if attrs.has(type(value)):
        return _fields(value)
    return value.value if isinstance(value, Enum) else value


def _fields(value: Any) -> dict[str, Any]:
    fields = attrs.fields(attrs.resolve_types(type(value), include_extras=True))
    sparse = isinstance(value, _SPARSE)
    return {
        field.name: format_value(getattr(value, field.name), field.type)
        for field in fields
        if not sparse or getattr(value, field.name) != field.default
    }


def _format(value: Any, form: types.ValueFormat) -> Any:
    if form in (types.DURATION, types.RETENTION):
        return duration_text(value)
    if form is types.SIZE:
        return size_text(value)
    if form is types.MODE:
        return f"{value:04o}"
    if form is types.WEBHOOK:
        return webhook_text(value)
    return str(value) if isinstance(value, Path) else value


def webhook_text(url: str) -> str:
    """A webhook's URL for display, without what follows the host, which is often a token."""
    address = urlsplit(url)
    if address.path in ("", "/") and not address.query and not address.fragment:
        return url
    return f"{address.scheme}://{address.netloc}/{MASK}"


def duration_text(seconds: float) -> str:
    """Text such as `15m`, `1.5s` or `forever`, in the largest unit that gives a whole number."""
    if math.isinf(seconds):
        return "forever"
    for unit, length in _UNITS:
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def size_text(size: int) -> str:
    for unit, length in _SIZES:
        if size >= length and size % length == 0:
            return f"{size // length}{unit}"
    return str(size)


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _escaped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_escaped(inner) for inner in value]
    return value.replace("$", "$$") if isinstance(value, str) else value
