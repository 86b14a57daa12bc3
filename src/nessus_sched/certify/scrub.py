"""Removes everything from a recording that is not the scanner's own behavior.

Text is kept only where it is known to be harmless: a scanner's status, its version, yes and no,
numbers, and settings that every editor offers. Anything else becomes `text`. Ids remain
recognizable as ids: the same id becomes the same pseudonym everywhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import Any, Final

from nessus_sched.certify.scrub_report import PREFERENCE, TEXT, ReportScrubber
from nessus_sched.core.secret import MASK

TARGET: Final = "192.0.2.1"
"""The address of the target in a recording."""
FOLDER: Final = "<folder>"
_HARMLESS: Final = re.compile(r"|yes|no|true|false|on|off|default|[0-9]{1,14}")
_WORD: Final = re.compile(r"[A-Za-z0-9][\w .:+/()-]{0,59}")
_ID: Final = re.compile(r"(template-)?[0-9a-fA-F]{8}-[0-9a-fA-F-]{16,80}|[0-9a-fA-F]{16,128}")
_KEY: Final = re.compile(r"[A-Za-z_][\w.-]{0,60}")
_KEPT: Final = frozenset({
    "status", "type", "nessus_type", "server_version", "nessus_ui_version", "plugin_set",
    "loaded_plugin_set", "template_version", "feed", "launch", "format", "control",
})  # fmt: skip
_SHORTENED: Final = {"vulnerabilities": 3, "compliance": 3, "filters": 0, "hosts": 3, "notes": 0}
"""Lists that are cut, and how many items are kept."""
_PRIVATE: Final = frozenset({
    "acls", "owner", "owner_uuid", "permissions", "user_permissions", "users", "shared",
    "last_modified_by", "desc", "description", "hint", "tooltip", "placeholder",
})  # fmt: skip
"""Parts of an editor's answer that may concern people, or are long."""
_LONGEST: Final = 100
_DEEPEST: Final = 50
"""Levels of nesting; the answers of Nessus have about ten."""
_SHORTEST: Final = 6
_WORDS: Final = frozenset({
    "a", "an", "access", "active", "allowed", "already", "and", "api", "are", "at", "available",
    "be", "been", "cannot", "can", "could", "credentials", "current", "deleted", "denied",
    "disabled", "disk", "do", "does", "editable", "empty", "error", "exceeded", "exist",
    "exists", "expired", "export", "failed", "field", "file", "folder", "for", "found", "full",
    "has", "have", "host", "hosts", "id", "in", "invalid", "is", "key", "launch", "launched",
    "license", "limit", "limited", "loading", "locked", "login", "maximum", "message",
    "missing", "mode", "must", "name", "no", "not", "of", "on", "only", "operation", "or",
    "pause", "paused", "perform", "permission", "permitted", "plugins", "policy", "report",
    "request", "requested", "required", "resource", "results", "resume", "running", "scan",
    "scanner", "scans", "session", "settings", "should", "state", "status", "stop", "stopped",
    "target", "targets", "template", "the", "this", "to", "token", "too", "trial", "many",
    "unable", "unauthorized", "unknown", "unsupported", "uuid", "user", "value", "was", "while",
    "with", "you", "your", "insufficient", "privileges", "format", "method", "expected",
    "space", "left",
})  # fmt: skip
"""Words that may be kept in error messages."""


class Scrubber:
    """`markers` end the names of our scans, in order; `private` are words that must always be
    removed: secrets, names and addresses."""

    def __init__(
        self, *, target: str, folder: str, markers: Sequence[str], private: Sequence[str], salt: str
    ) -> None:
        self._target = target
        self._folder = folder
        self._markers = markers
        words = {word for word in private if _identifies(word)}
        self._private = sorted(words, key=len, reverse=True)
        self._masks = [_whole(form) for word in self._private for form in _forms(word)]
        self._salt = salt
        self._offered: set[str] = set()

    def learn(self, editor: bytes | None) -> None:
        """Learns what an editor offers to everyone; these words may be kept."""
        document = _parsed(editor)
        if isinstance(document, dict):
            self._learn(document)

    def json(self, body: bytes, path: str) -> Any:
        document = _parsed(body)
        return TEXT if document is None else self._value("", document, path)

    def path(self, path: str) -> str:
        return "/".join(
            self._pseudonym(part) if _ID.fullmatch(part) else part for part in path.split("/")
        )

    def text(self, key: str, value: str, path: str = "") -> str:
        if value == self._target:
            return TARGET
        if value == self._folder and key in {"name", "folder"}:
            return FOLDER
        for number, marker in enumerate(self._markers, start=1):
            if value.endswith(marker):
                return f"<scan {number}>"
        if _HARMLESS.fullmatch(value) or value in self._offered:
            return value
        if _ID.fullmatch(value):
            return self._pseudonym(value)
        if key in {"error", "message"}:
            return _plain(value)
        if key in _KEPT and _WORD.fullmatch(value) and not self._is_private(value):
            return value
        if key == "name" and path.startswith("/settings/") and PREFERENCE.fullmatch(value):
            return value
        return TEXT

    def report(self, content: bytes) -> str:
        return ReportScrubber(self.text, frozenset(self._offered)).scrub(content)

    def last_look(self, value: Any) -> Any:
        """The final check: removes private words that the other rules let through, also from the
        names of members; a number that contains one becomes a text."""
        if isinstance(value, dict):
            return {self._masked(key): self.last_look(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.last_look(each) for each in value]
        if isinstance(value, str):
            return self._masked(value)
        if isinstance(value, bool) or value is None:
            return value
        return value if self._masked(str(value)) == str(value) else MASK

    def _masked(self, text: str) -> str:
        for whole in self._masks:
            text = whole.sub(MASK, text)
        return text

    def _value(self, key: str, value: Any, path: str) -> Any:
        if isinstance(value, dict):
            return {self._key(name, path): self._value(name, each, path)
                    for name, each in value.items()}  # fmt: skip
        if isinstance(value, list):
            most = len(value) if path.startswith("/editor/") else _SHORTENED.get(key, len(value))
            return [self._value(key, each, path) for each in value[:most]]
        return self.text(key, value, path) if isinstance(value, str) else value

    def _key(self, name: str, path: str) -> str:
        kept = name in self._offered or _KEY.fullmatch(name)
        return name if kept and not self._is_private(name) else "key"

    def _learn(self, value: Any) -> None:
        if isinstance(value, dict):
            for name, each in value.items():
                if name in _PRIVATE:
                    continue
                self._offer(name)
                self._learn(each)
        elif isinstance(value, list):
            for each in value:
                self._learn(each)
        elif isinstance(value, str):
            self._offer(value)

    def _offer(self, word: str) -> None:
        if len(word) <= _LONGEST and not self._is_private(word) and not _ID.fullmatch(word):
            self._offered.add(word)

    def _is_private(self, word: str) -> bool:
        return "@" in word or _is_address(word) or any(each in word for each in self._private)

    def _pseudonym(self, value: str) -> str:
        """A pseudonym of the same length and form."""
        head = "template-" if value.startswith("template-") else ""
        digest = hashlib.sha256(f"{self._salt} {value}".encode()).hexdigest() * 4
        digits = iter(digest)
        return head + "".join(
            next(digits) if each.isalnum() else each for each in value.removeprefix(head)
        )


def _identifies(word: str) -> bool:
    """False for short and common words, which identify no one and are part of the format."""
    return len(word) >= _SHORTEST and word.lower() not in _WORDS and word != TARGET


def _forms(word: str) -> Iterable[str]:
    """The word, and how JSON writes it if that differs."""
    return dict.fromkeys((word, json.dumps(word)[1:-1]))


def _whole(word: str) -> re.Pattern[str]:
    """Matches the word where it is not part of a longer one."""
    return re.compile(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])")


def _plain(message: str) -> str:
    """An error message with a star for each word that is not a common one."""
    words = re.findall(r"[A-Za-z]+|[^A-Za-z]+", message[:300])
    return "".join(
        word if word.lower() in _WORDS else (" " if word.isspace() else "*" if word.isalnum() else
        "".join(each if each in " .,:;'()" else "*" for each in word))
        for word in words
    )  # fmt: skip


def _parsed(body: bytes | None) -> Any:
    """None for what is not JSON, or too deep to be an answer of Nessus."""
    try:
        found = None if body is None else json.loads(body)
    except (ValueError, RecursionError):
        return None
    return None if _is_deep(found) else found


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for each in level for inner in _members(each)]
        if not level:
            return False
    return True


def _members(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _is_address(word: str) -> bool:
    if "." not in word and ":" not in word:
        return False  # the common case, without an exception
    try:
        ip_address(word)
    except ValueError:
        return False
    return True
