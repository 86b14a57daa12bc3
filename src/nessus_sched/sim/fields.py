"""Reads the fields of a request body; invalid ones raise 400 with Nessus's own text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nessus_sched.sim.messages import ApiError

Body = Mapping[str, Any]


def bad_field(name: str) -> ApiError:
    return ApiError(400, f"Invalid '{name}' field")


def text_field(body: Body, name: str, default: str | None = None) -> str:
    """A non-empty string."""
    value = body.get(name, default)
    if not isinstance(value, str) or not value:
        raise bad_field(name)
    return value


def object_field(body: Body, name: str) -> dict[str, Any]:
    """Absent and null count as empty."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise bad_field(name)
    return value


def list_field(body: Body, name: str) -> list[Any]:
    """Absent and null count as empty."""
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise bad_field(name)
    return value


def number_field(body: Body, name: str, default: int | None = None) -> int:
    """A number, or a string of digits as some clients send."""
    value = body.get(name, default)
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad_field(name)
    return value


def id_list(body: Body) -> list[int]:
    """The `ids` of a bulk call."""
    ids = list_field(body, "ids")
    if not all(isinstance(each, int) for each in ids):
        raise bad_field("ids")
    return ids
