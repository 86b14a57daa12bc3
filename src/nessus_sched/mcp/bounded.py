"""The bound on what a model is answered, whatever the tool.

Pages of rows keep within it by themselves; this is for all else that may grow. What is cut is
counted in the notes of the answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import attrs

from nessus_sched.api.operations import COMMAND_LINE
from nessus_sched.api.paging import size, tokens_of
from nessus_sched.api.untrusted import CLOSE
from nessus_sched.core.text import pluralize

MOST: Final = 9_400
"""Tokens of an answer, as estimated: under 10,000 by a tokenizer."""
NOTES: Final = "notes"
"""Where an answer says what it leaves out, also one that otherwise has no notes."""
_FOR_NOTES: Final = 400
_CUTS: Final = 12
"""Lists and texts that are cut at most."""
_MAPPING: Final = 40
"""Members from which an object is a list by names, and may be cut like one."""
_SHORTEST: Final = 200
"""Characters of a text that is cut."""


def bounded(shown: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`shown`, which makes the JSON data of an answer, and then `fitted`."""
    return lambda value: fitted(shown(value))


def for_client(shown: Callable[[Any], Any], client: str | None) -> Callable[[Any], Any]:
    """The same, but with the whole answer for the command line, which people read."""
    return shown if client == COMMAND_LINE else bounded(shown)


def noting(shown: Callable[[Any], Any], notes: Sequence[str]) -> Callable[[Any], Any]:
    """The same with further notes in the answer."""
    return (lambda value: _noted(shown(value), notes)) if notes else shown


def _noted(answer: dict[str, Any], notes: Sequence[str]) -> dict[str, Any]:
    others = answer.get(NOTES)
    return {**answer, NOTES: [*notes, *(others if isinstance(others, list) else ())]}


def fitted(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with its largest lists and texts cut until it has no more than `MOST` tokens; its
    notes say which."""
    if size(answer) <= MOST or tokens_of(answer) <= MOST:  # a token has at least one byte
        return answer
    document: dict[str, Any] = json.loads(json.dumps(answer))
    cuts: dict[str, tuple[int, str]] = {}
    for _ in range(_CUTS):
        excess = tokens_of(document) + _FOR_NOTES - MOST
        place = _largest(document) if excess > 0 else None
        if place is None:
            break
        before, what = cuts.get(place.path, (0, ""))
        gone, what = place.shorten(excess)
        cuts[place.path] = before + gone, what
    said = [
        f"{path}: {pluralize(gone, what)} left out, because the answer would be too long. To see "
        "them, ask for less at once: a smaller limit, fewer hours, narrower arguments."
        for path, (gone, what) in cuts.items()
    ]
    return _noted(document, said)


@attrs.frozen(kw_only=True)
class _Place:
    """A list, object or text in a document: `holder[key]`."""

    path: str
    holder: Any
    key: str | int

    def shorten(self, excess: int) -> tuple[int, str]:
        """Cuts about `excess` tokens off the end; returns how much that was, and of what."""
        value = self.holder[self.key]
        if isinstance(value, str):
            cost = max(tokens_of(value), 1)
            keep = max(len(value) * (cost - excess) // cost, _SHORTEST)
            end = f"…{CLOSE}" if value.endswith(CLOSE) else "…"
            self.holder[self.key] = value[:keep] + end
            return len(value) - keep, "character"
        members = list(value.items()) if isinstance(value, dict) else value
        kept = list(members)
        while excess > 0 and len(kept) > 1:
            excess -= tokens_of(kept.pop()) + 1
        self.holder[self.key] = dict(kept) if isinstance(value, dict) else kept
        return len(members) - len(kept), "item"


def _largest(document: dict[str, Any]) -> _Place | None:
    """What is largest and can be cut; None if there is nothing."""
    found: _Place | None = None
    node: Any = document
    path = ""
    while True:
        children = [(tokens_of(inner), key, inner) for key, inner in _members(node)]
        if not children:
            return found
        cost, key, inner = max(children, key=lambda child: child[0])
        many = (isinstance(node, list) and len(node) > 1) or len(node) > _MAPPING
        if found is not None and many and cost * 2 <= sum(child[0] for child in children):
            return found
        path = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}".lstrip(".")
        found = _Place(path=path, holder=node, key=key)
        if isinstance(inner, str):
            return found if len(inner) > 2 * _SHORTEST else None
        if not isinstance(inner, dict | list):
            return None
        node = inner


def _members(node: Any) -> Iterator[tuple[Any, Any]]:
    return iter(node.items()) if isinstance(node, dict) else iter(enumerate(node))
