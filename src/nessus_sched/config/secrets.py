"""The secrets of a configuration, so that the log can mask them wherever they turn up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from nessus_sched.core.secret import Secret


def secrets_of(value: Any) -> Iterator[Secret]:
    """All secrets in a configuration or in any part of one."""
    if isinstance(value, Secret):
        yield value
    elif attrs.has(type(value)):
        for attribute in attrs.fields(type(value)):
            yield from secrets_of(getattr(value, attribute.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from secrets_of(item)
