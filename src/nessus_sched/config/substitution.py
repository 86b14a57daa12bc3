"""Substitutes `${...}` in values: environment variables, files, and systemd credentials.

`config.reference` describes the syntax. Substituted text is not substituted again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import quote

import attrs

from nessus_sched.config.problems import KeyPath, ValueProblem
from nessus_sched.config.small_files import UnreadableFile, read_small_file

MAX_FILE: Final = 65536
"""Maximum bytes of a substituted file; the longest private keys have a tenth of that."""

_REFERENCE: Final = re.compile(r"\$(?:\$|\{([^}]*)(\}?))")
_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_LOGIN_IN_URL: Final = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://(?:(\$\{[^}]*\})|[^/?#@:$]*):(\$\{[^}]*\})@"
)
"""The user and the password of a URL, where they are references."""
_NOT_FOR_URLS: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|[^%A-Za-z0-9._~-]")
_CREDENTIAL: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]*")


@final
class Substituted(str):
    """Text that contains a substituted reference. Numbers and booleans may be parsed from it,
    and error messages do not repeat it."""

    __slots__ = ()


class UnresolvedReference:
    """Placeholder for a value whose reference failed; that mistake is already reported."""


@attrs.frozen(kw_only=True)
class Sources:
    """Where references are looked up; relative paths are relative to `folder`."""

    environ: Mapping[str, str]
    folder: Path
    credentials_directory: Path | None = None


def substitute(data: Any, sources: Sources) -> tuple[Any, tuple[tuple[KeyPath, ValueProblem], ...]]:
    """`data` with all references replaced, and the mistakes with their paths."""
    mistakes: list[tuple[KeyPath, ValueProblem]] = []

    def walk(value: Any, here: KeyPath) -> Any:
        if isinstance(value, dict):
            return {key: walk(inner, (*here, key)) for key, inner in value.items()}
        if isinstance(value, list):
            return [walk(inner, (*here, index)) for index, inner in enumerate(value)]
        if not isinstance(value, str) or "$" not in value:
            return value
        try:
            return _text(value, sources)
        except ValueProblem as wrong:
            mistakes.append((here, wrong))
            return UnresolvedReference()

    return walk(data, ()), tuple(mistakes)


def _text(text: str, sources: Sources) -> str:
    if "${" not in text.replace("$$", ""):
        return text.replace("$$", "$")
    return Substituted("".join(_pieces(text, sources)))


def _pieces(text: str, sources: Sources) -> Iterator[str]:
    end = 0
    login = _LOGIN_IN_URL.match(text)
    encoded = {login.start(1), login.start(2)} if login else set()
    for match in _REFERENCE.finditer(text):
        yield text[end : match.start()]
        end = match.end()
        if match[1] is None:
            yield "$"
        elif not match[2]:
            raise ValueProblem("has ${ without }", hint="write $$ for a dollar sign")
        else:
            found = _lookup(match[1], sources)
            yield _percent_encoded(found) if match.start() in encoded else found
    yield text[end:]


def _percent_encoded(text: str) -> str:
    """Leaves what is encoded already, such as `%40`."""
    return _NOT_FOR_URLS.sub(lambda match: quote(match[0], safe=""), text)


def _lookup(reference: str, sources: Sources) -> str:
    scheme, colon, rest = reference.partition(":")
    if colon and scheme == "file":
        if not rest:
            raise ValueProblem("${file:} names no file")
        return _read(sources.folder / rest, "file")
    if colon and scheme == "credential":
        return _credential(rest, sources)
    match = _VARIABLE.fullmatch(reference)
    if match is None:
        raise ValueProblem(
            "is not a valid reference",
            hint="${NAME}, ${NAME:-default}, ${file:PATH} or ${credential:NAME}",
        )
    name, default = match.groups()
    value = sources.environ.get(name, "")
    if value or (default is None and name in sources.environ):
        return value
    if default is None:
        raise ValueProblem(
            f"environment variable {name} is not set",
            hint=f"set it, or write ${{{name}:-default}}",
        )
    return str(default)


def _credential(name: str, sources: Sources) -> str:
    if not _CREDENTIAL.fullmatch(name):
        raise ValueProblem("${credential:...} needs the name of a systemd credential")
    if sources.credentials_directory is None:
        raise ValueProblem(
            f"credential {name} cannot be read: there is no credentials directory",
            hint="start under systemd with LoadCredential=, or set CREDENTIALS_DIRECTORY",
        )
    return _read(sources.credentials_directory / name, "credential")


def _read(path: Path, what: str) -> str:
    """The text of a small file such as one that holds a secret."""
    try:
        text = read_small_file(path, MAX_FILE).decode()
    except UnreadableFile as error:
        raise ValueProblem(f"{what} {path} {error}") from None
    except UnicodeDecodeError:
        raise ValueProblem(f"{what} {path} is not UTF-8 text") from None
    if "\0" in text:
        raise ValueProblem(f"{what} {path} has a NUL character")
    return text.removesuffix("\n").removesuffix("\r")
