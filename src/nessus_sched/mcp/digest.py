"""A scan's summary, cut down to what a model needs first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from nessus_sched.mcp.bounds import size
from nessus_sched.mcp.fence import cleaned

CONCISE: Final = 11_000
"""Bytes of a concise summary: under 4,000 tokens with the rest of the answer."""
FULL: Final = 60_000
_LISTS: Final = ("known_exploited", "exploitable", "top_findings", "top_hosts", "host_verdicts")
_SHORTEST: Final = 5


def full(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The whole summary; of a huge one, the hosts' verdicts are cut."""
    return _cut(cleaned(summary), FULL)


def concise(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The same keys with less in them: no nulls, evidence in words, and a finding that is among
    the top ones is only named elsewhere."""
    short: dict[str, Any] = {key: _bare(value) for key, value in cleaned(summary).items()}
    top = {row.get("plugin_id") for row in short.get("top_findings", ())}
    for key in ("known_exploited", "exploitable"):
        if key in short:
            short[key] = [_named(row, top) for row in short[key]]
    if "host_verdicts" in short:
        short["host_verdicts"] = [_verdict(row) for row in short["host_verdicts"]]
    return _cut(short, CONCISE)


def _bare(value: Any) -> Any:
    """Rows without what they do not say."""
    if isinstance(value, list):
        return [
            {key: inner for key, inner in row.items() if inner not in (None, [], "", {})}
            if isinstance(row, dict)
            else row
            for row in value
        ]
    return value


def _named(row: Mapping[str, Any], known: Iterable[Any]) -> Mapping[str, Any]:
    if row.get("plugin_id") not in known:
        return row
    return {key: row[key] for key in ("plugin_id", "plugin_name") if key in row}


def _verdict(row: Mapping[str, Any]) -> dict[str, Any]:
    """A host's verdict with its evidence as sentences."""
    signs = [
        f"{sign.get('source')}{' at ' + sign['where'] if sign.get('where') else ''}: "
        f"{sign.get('says')}{' (' + sign['detail'] + ')' if sign.get('detail') else ''}"
        for sign in row.get("evidence", ())
    ]
    short = {key: value for key, value in row.items() if key != "evidence"}
    if row.get("alive") is True:
        del short["alive"]
    return {**short, "evidence": signs[:_SHORTEST]} if signs else short


def _cut(summary: dict[str, Any], most: int) -> dict[str, Any]:
    """Shortens the longest lists, the hosts' verdicts first, until all takes `most` bytes."""
    left = size(summary) - most
    cut: list[str] = []
    for key in reversed(_LISTS):
        rows = summary.get(key)
        if left <= 0 or not isinstance(rows, list):
            continue
        kept = list(rows)
        while left > 0 and len(kept) > _SHORTEST:
            left -= size(kept.pop()) + 1
        if len(kept) < len(rows):
            summary[key] = kept
            cut.append(key)
        if key == "host_verdicts":
            dropped = len(rows) - len(kept)
            summary["host_verdicts_left_out"] = summary.get("host_verdicts_left_out", 0) + dropped
    if cut:
        summary["shortened"] = cut
    return summary
