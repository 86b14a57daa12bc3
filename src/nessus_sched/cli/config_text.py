"""The text of a first configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

import attrs

_REFERENCE: Final = re.compile(r"\$\{[^}]+\}")


@attrs.frozen(kw_only=True)
class Answers:
    """What `config init` was told. `name` and `secret` are the two parts of the login: API
    keys if `keys`, else user and password."""

    scanner_id: str
    url: str
    keys: bool
    name: str
    secret: str = attrs.field(repr=False)
    fingerprint: str | None = None
    ca_file: str | None = None
    allow: Sequence[str]
    max_scans: int
    state_directory: str


def config_text(answers: Answers) -> str:
    kind, first, second = (
        ("api_keys", "access_key", "secret_key")
        if answers.keys
        else ("ui_session", "username", "password")
    )
    tls = []
    if answers.fingerprint is not None:
        tls = [f"    tls: {{fingerprint: {quoted(answers.fingerprint)}}}"]
    elif answers.ca_file is not None:
        tls = [f"    tls: {{ca_file: {quoted(answers.ca_file)}}}"]
    return "\n".join(
        [
            "# Every key: nessus-sched config reference. Check it: nessus-sched config check",
            f"state_directory: {quoted(answers.state_directory)}",
            "",
            "# What may be scanned at all; deny wins over allow.",
            "targets:",
            "  allow:",
            *(f"    - {quoted(rule)}" for rule in answers.allow),
            "  deny: []",
            "",
            "scanners:",
            f"  - id: {quoted(answers.scanner_id)}",
            f"    url: {quoted(answers.url)}",
            "    auth:",
            f"      {kind}:",
            f"        {first}: {referring(answers.name)}",
            f"        {second}: {referring(answers.secret)}",
            *tls,
            f"    max_concurrent_scans: {answers.max_scans}",
            "",
        ]
    )


def quoted(text: str) -> str:
    """As a YAML scalar, whatever is in it; JSON is YAML."""
    return json.dumps(text.replace("$", "$$"))


def referring(text: str) -> str:
    """The same, but a reference such as `${file:/path}` stays one."""
    return json.dumps(text) if _REFERENCE.fullmatch(text) else quoted(text)
