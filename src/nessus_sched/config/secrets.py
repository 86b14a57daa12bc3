"""Collects the secrets of a configuration, to mask them wherever they appear."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import attrs

from nessus_sched.config.delivery import SinkSettings, WebhookSink
from nessus_sched.config.schema import WebhookSettings
from nessus_sched.core.secret import Secret

_TOKEN: Final = re.compile(r"(?=.*\d)\S{8,}|\S{20,}")
"""Parts of a webhook's URL that do not look like ordinary words."""


def secrets_of(value: Any) -> Iterator[Secret]:
    """All secrets in a configuration or in any part of one."""
    if isinstance(value, Secret):
        yield value
    elif attrs.has(type(value)):
        if isinstance(value, WebhookSettings | WebhookSink):
            yield from _tokens(value.url)
        if isinstance(value, SinkSettings) and value.apprise is not None:
            yield from _apprise(value.apprise.reveal())
        for attribute in attrs.fields(type(value)):
            yield from secrets_of(getattr(value, attribute.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from secrets_of(item)


def _tokens(url: str) -> Iterator[Secret]:
    """The secret parts of a webhook's URL: Slack, Teams and others put their token into the
    path, some into the query."""
    address = urlsplit(url)
    for part in re.split(r"[/?&=#;]", f"{address.path}?{address.query}#{address.fragment}"):
        for text in {part, unquote(part)}:
            if _TOKEN.fullmatch(text):
                yield Secret(text)


def _apprise(url: str) -> Iterator[Secret]:
    """The secret parts of a URL of Apprise, which has tokens anywhere behind the scheme."""
    _, _, rest = url.partition("://")
    for part in re.split(r"[/?&=#;@:]", rest):
        for text in {part, unquote(part)}:
            if _TOKEN.fullmatch(text):
                yield Secret(text)
    password = re.match(r"[^/?#]*?:([^/?#]*)@", rest)
    if password and password[1]:
        yield Secret(unquote(password[1]))
