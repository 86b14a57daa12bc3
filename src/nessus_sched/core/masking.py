"""Masks known secrets in other parties' texts, in every form in which they may be quoted.

Scanners repeat what they were told in error messages, and scanned hosts repeat passwords in
banners. Whatever leaves the program therefore passes through a `Masker` that knows every
configured secret.
"""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus

from nessus_sched.core.secret import MASK, Secret

SHORTEST: Final = 6
"""Characters. A shorter secret is not looked for: it would mask half of every text."""
_CUT: Final = re.compile(r"(…|\.\.\.)(?=\"|\Z)")
"""Where a text, or a string in JSON, was cut: perhaps in the middle of a secret."""
_TAIL: Final = 256
"""Characters before a cut that are looked at."""
_LONG: Final = 4000
"""Characters of a text that is searched by its distinct words."""
_RUN: Final = re.compile(r"[A-Za-z0-9]{4,}")

Mask = Callable[[str], str]


class Masker:
    """Masks the secrets it knows. It never forgets one: after a rotation, answers that are
    still on their way may quote the old secret.

    A form of a secret is looked for only where its core, its longest run of letters and
    digits, stands in the text.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._secrets: set[str] = set()
        self._by_word: dict[str, list[str]] = {}
        self._others: dict[str, list[str]] = {}
        self._beginnings: dict[str, list[str]] = {}
        self.know(secrets)

    def know(self, secrets: Iterable[Secret]) -> None:
        """Masks these secrets, too, from now on."""
        self._secrets.update(secret.reveal() for secret in secrets)
        forms: dict[str, list[str]] = {}
        beginnings: dict[str, list[str]] = {}
        for secret in self._secrets:
            shared = [_core(part) for part in _parts(secret)]
            for form in set(forms_of(secret)):
                core = next((core for core in shared if core in form), None) or _core(form)
                forms.setdefault(core, []).append(form)
                beginnings.setdefault(form[:SHORTEST], []).append(form)
        self._by_word = {core: found for core, found in forms.items() if _RUN.fullmatch(core)}
        self._others = {core: found for core, found in forms.items() if core not in self._by_word}
        self._beginnings = beginnings

    def __call__(self, text: str) -> str:
        """`text` with a mask in the place of every known secret."""
        for form in sorted(self._forms_in(text), key=len, reverse=True):
            text = text.replace(form, MASK)
        if (cut := _CUT.search(text)) and cut.end() == len(text):
            length = self._beginning_before(text, cut.start())
            if length:
                return f"{text[: cut.start() - length]}{MASK}{cut[0]}"
        return text

    def finds(self, text: str) -> bool:
        """Whether a known secret, or the beginning of one that was cut, stands in `text`,
        which may be JSON or HTML; cheaper than masking each string in it."""
        return bool(self._forms_in(text)) or any(
            self._beginning_before(text, cut.start()) for cut in _CUT.finditer(text)
        )

    def masked(self, value: Any) -> Any:
        """JSON data with every string in it masked; keys are the program's own."""
        # Texts repeat in rows of findings: together, each once, they are soon searched. The
        # quotation mark shows where one ends, perhaps in the middle of a secret.
        return self._each_masked(value) if self.finds('"'.join(_texts_in(value))) else value

    def _each_masked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self(value)
        if isinstance(value, Mapping):
            return {key: self._each_masked(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._each_masked(inner) for inner in value]
        return value

    def _forms_in(self, text: str) -> list[str]:
        words = "\n".join(set(_RUN.findall(text))) if len(text) > _LONG else text
        suspects = [self._by_word[core] for core in self._by_word if core in words]
        suspects += [self._others[core] for core in self._others if core in text]
        return [form for forms in suspects for form in forms if form in text]

    def _beginning_before(self, text: str, end: int) -> int:
        """How many characters of the beginning of a secret stand before `end`."""
        for start in range(max(0, end - _TAIL), end - SHORTEST + 1):
            forms = self._beginnings.get(text[start : start + SHORTEST], ())
            if any(form.startswith(text[start:end]) for form in forms):
                return end - start
        return 0


def _texts_in(value: Any) -> set[str]:
    """The different texts in JSON data, without keys."""
    found: set[str] = set()
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            found.add(each)
        elif isinstance(each, Mapping):
            waiting.extend(each.values())
        elif isinstance(each, list | tuple):
            waiting.extend(each)
    return found


def forms_of(secret: str) -> Iterator[str]:
    """The forms in which a text may quote a secret; those of `SHORTEST` and more characters.
    A key may be quoted line by line."""
    plain = (form for part in _parts(secret) for form in (part, *_escaped(part)))
    yield from (form for form in (*plain, *_encoded(secret)) if len(form) >= SHORTEST)


def _parts(secret: str) -> Iterable[str]:
    return dict.fromkeys((secret, secret.strip(), *map(str.strip, secret.splitlines())))


def _core(form: str) -> str:
    return max(_RUN.findall(form), key=len, default=form)


def _escaped(text: str) -> Iterator[str]:
    """As in URLs, in JSON (also in JSON within JSON) and in HTML."""
    if len(text) < SHORTEST:
        return
    text = text.encode("utf-8", "replace").decode()
    for quoted in (quote(text, safe=""), quote(text), quote_plus(text)):
        yield quoted
        yield _lower_escapes(quoted)
    for ascii_only in (True, False):
        once = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield once
        yield once.replace("/", "\\/")
        yield json.dumps(once, ensure_ascii=ascii_only)[1:-1]
    yield html.escape(text, quote=False)
    quoted = html.escape(text)
    yield quoted
    yield quoted.replace("&#x27;", "&#39;").replace("&quot;", "&#34;")
    yield quoted.replace("&#x27;", "&apos;")


def _lower_escapes(quoted: str) -> str:
    first, *rest = quoted.split("%")
    return "%".join((first, *(part[:2].lower() + part[2:] for part in rest)))


def _encoded(secret: str) -> Iterator[str]:
    """As hexadecimal digits, and as base64 wherever in the encoded text it begins."""
    raw = secret.encode("utf-8", "replace")
    if len(raw) < SHORTEST:
        return
    yield raw.hex()
    yield raw.hex().upper()
    for before in range(3):
        # Characters that the neighboring bytes have a part in are left out.
        first, end = (before * 8 + 5) // 6, (before + len(raw)) * 8 // 6
        encoded = b64encode(b"\0" * before + raw).decode()[first:end]
        yield encoded
        yield encoded.replace("+", "-").replace("/", "_")
