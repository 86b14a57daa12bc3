"""Secrets where none belong: in the arguments of a call.

A model has no business with secrets. What it passes is journaled, logged and shown, so an
argument that looks like one is refused before anything else is done, and never repeated.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from nessus_sched.api.operations import ToolError

_NAME: Final = re.compile(
    r"pass(word|wd|phrase|code)|^pwd$|^pass$|secret|private.?key|(api|access).?key|token|community"
    r"|^auth(orization)?$",
    re.IGNORECASE,
)
_WORD: Final = r"(pass(word|wd|phrase|code|wort)|pwd|pw)"
_LIKE_ONE: Final = r"(?=\S{0,100}([\d@#$%^&*+=~]|[!?]\S))(?!\d{1,3}\b)[^\s\"'`]{4,}"
"""A word that has a digit or a sign in it and is no small number."""
_TEXTS: Final = (
    re.compile(r"-----BEGIN [A-Z ]{0,40}(PRIVATE KEY|CERTIFICATE)-----"),
    re.compile(
        rf"({_WORD}|secret|api.?key|community.?string)[\"']?\s{{0,5}}[:=]\s{{0,5}}[\"']?\w",
        re.IGNORECASE,
    ),
    # "as root with password hunter2", "the password for root is S3cret".
    re.compile(
        rf"\b{_WORD}(\s{{1,5}}(is|was|for|of|the|user|root|admin(istrator)?)){{0,4}}"
        rf"\s{{1,5}}[\"'`(]?{_LIKE_ONE}",
        re.IGNORECASE,
    ),
    re.compile(rf"\b{_WORD}\s{{1,5}}(is\s{{1,5}})?[\"'`][^\"'`\s]{{4,}}[\"'`]", re.IGNORECASE),
    re.compile(rf"\b(root|admin|administrator):{_LIKE_ONE}", re.IGNORECASE),
    re.compile(r"[a-z0-9+.-]://[^\s/:@]{1,100}:[^\s/@]{1,200}@", re.IGNORECASE),
    re.compile(r"^[^\s:@/]{1,100}:[^\s@]{1,200}@[^\s@]{1,300}$"),
)
_CREDENTIAL: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LISTED: Final = re.compile(
    r'\[\s{0,9}"[A-Za-z0-9._-]{1,64}"(\s{0,9},\s{0,9}"[A-Za-z0-9._-]{1,64}"){0,99}\s{0,9}\]'
)
"""Names as a JSON text, which some models send for a list."""
_DEEP: Final = 8
_SEARCHED: Final = 128 * 1024
"""Characters of a text that are searched; no argument may have more."""


def refuse_secrets(arguments: Mapping[str, Any] | None, *, texts: bool) -> None:
    """Raises `ToolError` naming every argument that is, or looks like, a secret; `texts`:
    also by what is written in texts, where they are kept."""
    found = list(dict.fromkeys(_suspects(arguments or {}, "", texts=texts, depth=0)))
    if found:
        raise ToolError(
            "inline_secret",
            f"{', '.join(found[:10])}: looks like a secret, and was not used or stored. Secrets "
            "are never passed here",
            "Use the name of a configured credential (list_credentials), such as "
            '{"credential": ["linux-prod", "windows-prod"]}. A missing one is added by the '
            "operator under `credentials` in the configuration file, with its secret in a file or "
            "the environment; ask for that, never for the secret.",
        )


def _suspects(value: Any, path: str, *, texts: bool, depth: int) -> Iterator[str]:
    if depth > _DEEP:
        return
    if isinstance(value, Mapping):
        for name, inner in value.items():
            where = f"{path}.{_shown(name)}" if path else _shown(name)
            if _is_secret(str(name), inner) or (texts and name == "credential" and _no_name(inner)):
                yield where
            else:
                yield from _suspects(inner, where, texts=texts, depth=depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _suspects(inner, path, texts=texts, depth=depth + 1)
    elif texts and isinstance(value, str) and _speaks_of_one(value[:_SEARCHED]):
        yield path


def _speaks_of_one(text: str) -> bool:
    return any(each.search(text) for each in _TEXTS)


def _is_secret(name: str, value: Any) -> bool:
    return value not in (None, "") and _NAME.search(name[:200]) is not None


def _no_name(value: Any) -> bool:
    """Names have few kinds of characters; secrets and user:password pairs have others."""
    if value is None or value == "":
        return False
    if isinstance(value, list):
        return any(map(_no_name, value))
    if not isinstance(value, str):
        return True
    return _CREDENTIAL.fullmatch(value) is None and _LISTED.fullmatch(value) is None


def _shown(name: object) -> str:
    return re.sub(r"[^\w.-]", "?", str(name), flags=re.ASCII)[:40]
