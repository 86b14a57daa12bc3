"""A scan's summary, cut down to what a model needs first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from nessus_sched.api.paging import size
from nessus_sched.api.untrusted import cleaned

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
    """The whole summary; of a huge one, the longest lists are cut."""
    return _cut(cleaned(summary), FULL)


def concise(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The same keys with less in them: no nulls, evidence in sentences, and a finding that is
    among the top ones is only named elsewhere."""
    short = cleaned(summary)
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
    """Without what its rows do not say."""
    bare = dict(document)
    for rows, where, key in _lists(bare):
        where[key] = [
            {name: value for name, value in row.items() if value not in (None, [], "")}
            for row in rows
        ]
    return bare


def _lists(document: dict[str, Any]) -> Iterator[tuple[list[dict[str, Any]], dict[str, Any], str]]:
    """Every list of rows with the mapping and key under which it stands, the least needed first."""
    for name in _ROWS:
        found = document.get(name)
        if isinstance(found, dict):
            yield found["top"], found, "top"
        elif found is not None:
            yield found, document, name


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
    """Shortens lists until all takes `most` bytes, and says which."""
    excess = size(document) - most
    shortened = []
    verdicts = len(document.get("host_verdicts", ()))
    for rows, where, key in list(_lists(document)):
        kept = list(rows)
        while excess > 0 and len(kept) > _SHORTEST:
            excess -= size(kept.pop()) + 1
        if len(kept) < len(rows):
            where[key] = kept
            shortened.append(key)
    if shortened:
        document["shortened"] = shortened
        left_out = verdicts - len(document.get("host_verdicts", ()))
        document["host_verdicts_left_out"] = document.get("host_verdicts_left_out", 0) + left_out
    return document
