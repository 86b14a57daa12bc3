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
_MAIL: Final = frozenset({"mailto", "mailtos"})
_PART: Final = re.compile(r"(^|[/?&=#;@:])([^/?&=#;@:]+)")
"""A part of a URL behind the scheme, and the character before it."""
_PASSWORD: Final = re.compile(r"^[^/?#]*?:([^/?#]+)@|[?&]pass=([^&#]+)")
_HOST: Final = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z]{2,24}|(?:[0-9]{1,3}\.){3}[0-9]{1,3}")
"""An IPv4 address, or a domain name in lower case; tokens with dots rarely look like one."""


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
    """The secret parts of a URL of Apprise: tokens may be anywhere behind the scheme, except in a
    URL for mail. Hosts are none, because results name them, too."""
    scheme, _, rest = url.partition("://")
    if scheme.lower() not in _MAIL:
        for before, part in _PART.findall(rest):
            if before in ("", "@") and _HOST.fullmatch(part):
                continue
            for text in {part, unquote(part)}:
                if _TOKEN.fullmatch(text):
                    yield Secret(text)
    for in_login, in_query in _PASSWORD.findall(rest):
        yield Secret(unquote(in_login or in_query))
