"""A scan's summary, cut down to what a model needs first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from nessus_sched.api.paging import size
from nessus_sched.api.untrusted import sanitize

CONCISE: Final = 11_000
"""Bytes of a concise summary: under 4,000 tokens with the rest of the answer."""
FULL: Final = 60_000
_SHORTEST: Final = 5
_SIGNS: Final = 5
_ROWS: Final = (
    "host_verdicts", "top_hosts", "exploitable", "exploited_by_malware", "known_exploited",
    "top_findings",
)  # fmt: skip
"""Lists of rows, the least needed first."""


def full(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The whole summary; in a huge one the longest lists are cut."""
    return _cut(sanitize(summary), FULL)


def concise(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The same keys with less detail: no nulls, evidence as sentences, and findings that are
    among the top ones only named elsewhere."""
    short = sanitize(summary)
    top = {row["plugin_id"] for row in short.get("top_findings", ())}
    for key in ("known_exploited", "exploited_by_malware", "exploitable"):
        if key in short:
            rows = [
                _named(row) if row.get("plugin_id") in top else row for row in short[key]["top"]
            ]
            short[key] = {**short[key], "top": rows}
    if "host_verdicts" in short:
        short["host_verdicts"] = [_verdict(row) for row in short["host_verdicts"]]
    return _cut(_bare(short), CONCISE)


def _bare(document: dict[str, Any]) -> dict[str, Any]:
    """Without empty fields in its rows."""
    bare = dict(document)
    for _name, rows, where, key in _lists(bare):
        where[key] = [
            {name: value for name, value in row.items() if value not in (None, [], "")}
            for row in rows
        ]
    return bare


def _lists(
    document: dict[str, Any],
) -> Iterator[tuple[str, list[dict[str, Any]], dict[str, Any], str]]:
    """The name and rows of every list, and the mapping and key under which they stand, the least
    needed first."""
    for name in _ROWS:
        found = document.get(name)
        if isinstance(found, dict):
            yield name, found["top"], found, "top"
        elif found is not None:
            yield name, found, document, name


def _named(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: row[key] for key in ("plugin_id", "plugin_name")}


def _verdict(row: Mapping[str, Any]) -> dict[str, Any]:
    """A host's verdict with its evidence as sentences."""
    signs = [
        f"{sign['source']}{' at ' + sign['where'] if sign['where'] else ''}: {sign['says']}"
        f"{' (' + sign['detail'] + ')' if sign['detail'] else ''}"
        for sign in row["evidence"]
    ]
    left_out = len(signs[_SIGNS:]) + row.get("evidence_left_out", 0)
    short = {**row, "evidence": [*signs[:_SIGNS], *([f"{left_out} more"] if left_out else [])]}
    short.pop("evidence_left_out", None)
    return short


def _cut(document: dict[str, Any], most: int) -> dict[str, Any]:
    """Shortens lists until the document fits into `most` bytes; `left_out` counts what was cut
    from each."""
    excess = size(document) - most
    left_out = Counter(document.get("left_out", {}))
    for name, rows, where, key in list(_lists(document)):
        kept = list(rows)
        while excess > 0 and len(kept) > _SHORTEST:
            excess -= size(kept.pop()) + 1
        if key == name:
            left_out[name] += len(rows) - len(kept)
        else:  # these have all plugins counted
            left_out[name] = where.get("plugins", 0) - len(kept)
        where[key] = kept
    if more := left_out.pop("host_verdicts", 0):
        document["host_verdicts_left_out"] = document.get("host_verdicts_left_out", 0) + more
    return {**document, "left_out": {name: more for name, more in left_out.items() if more > 0}}
