"""A scan's summary, cut down to what a model needs first."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from nessus_sched.api.paging import MOST_TOKENS, USUAL_TOKENS, tokens_of
from nessus_sched.api.untrusted import sanitize

CONCISE: Final = USUAL_TOKENS
FULL: Final = MOST_TOKENS
_SHORTEST: Final = 5
"""Rows that every list keeps."""
_NAMES: Final = 10
"""Hosts that a row of verdicts names."""
_OF_ONE_HOST: Final = frozenset({"host", "evidence", "evidence_left_out"})
_OLD_NAME: Final = "known_exploited"
"""Of `cisa_kev` in rows."""
_ROWS: Final = (
    "host_verdicts", "top_hosts", "exploitable", "exploited_by_malware", "known_exploited",
    "top_findings",
)  # fmt: skip
"""Lists of rows, the least needed first."""


def full(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The whole summary; in a huge one the longest lists are cut."""
    return _cut(sanitize(summary), FULL)


def concise(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The same keys with less: the first rows of each list without what is empty or false;
    findings that are among the top ones only named elsewhere; and hosts with equal verdicts in one
    row, without the evidence."""
    short = _few(sanitize(summary))
    short.pop("compliance", None)  # the old name of compliance_counts
    top = {row["plugin_id"] for row in short.get("top_findings", ())}
    for key in ("known_exploited", "exploited_by_malware", "exploitable"):
        if key in short:
            rows = [
                _named(row) if row.get("plugin_id") in top else row for row in short[key]["top"]
            ]
            short[key] = {**short[key], "top": rows}
    if "host_verdicts" in short:
        verdicts = short["host_verdicts"]
        groups = _grouped(verdicts, all_there=not short.get("host_verdicts_left_out"))
        unnamed = len(verdicts) - sum(len(group["hosts"]) for group in groups)
        short["host_verdicts"] = groups
        short["host_verdicts_left_out"] = short.get("host_verdicts_left_out", 0) + unnamed
    return _cut(_bare(short), CONCISE)


def _few(document: dict[str, Any]) -> dict[str, Any]:
    """With the first rows of each list of findings or hosts; `left_out` counts the others."""
    few = {
        key: dict(value) if isinstance(value, dict) else value for key, value in document.items()
    }
    left_out = Counter(few.get("left_out", {}))
    for name, rows, where, key in list(_lists(few)):
        if name != "host_verdicts":
            where[key] = rows[:_SHORTEST]
            left_out[name] += len(rows[_SHORTEST:])
    return {**few, "left_out": left_out}


def _grouped(verdicts: Sequence[Mapping[str, Any]], *, all_there: bool) -> list[dict[str, Any]]:
    """A row for all hosts with the same verdict, the most urgent first. It names the first hosts,
    and counts them all if it knows all (`all_there`)."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in verdicts:
        groups.setdefault(json.dumps(_judged(row), sort_keys=True), []).append(row)
    found = []
    for rows in groups.values():
        hosts = {"hosts": [row["host"] for row in rows[:_NAMES]]}
        count = {"host_count": len(rows)} if all_there else {}
        found.append({**hosts, **count, **_judged(rows[0])})
    return found


def _judged(row: Mapping[str, Any]) -> dict[str, Any]:
    """A host's verdict without the host and the evidence."""
    return {key: value for key, value in row.items() if key not in _OF_ONE_HOST}


def _bare(document: dict[str, Any]) -> dict[str, Any]:
    """Without empty fields in its rows, and without flags of findings that are off."""
    bare = dict(document)
    for name, rows, where, key in _lists(bare):
        off = None if name == "host_verdicts" else False
        where[key] = [
            {
                field: value
                for field, value in row.items()
                if value is not off and value not in (None, [], "") and field != _OLD_NAME
            }
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


def _cut(document: dict[str, Any], most: int) -> dict[str, Any]:
    """Shortens lists until the document fits into `most` tokens; `left_out` counts what was cut
    from each."""
    excess = tokens_of(document) - most
    left_out = Counter(document.get("left_out", {}))
    for name, rows, where, key in list(_lists(document)):
        kept = list(rows)
        while excess > 0 and len(kept) > _SHORTEST:
            excess -= tokens_of(kept.pop())
        if name == "host_verdicts":
            left_out[name] += sum(len(row.get("hosts", [row])) for row in rows[len(kept) :])
        elif key == name:
            left_out[name] += len(rows) - len(kept)
        else:  # these have all plugins counted
            left_out[name] = where.get("plugins", 0) - len(kept)
        where[key] = kept
    if more := left_out.pop("host_verdicts", 0):
        document["host_verdicts_left_out"] = document.get("host_verdicts_left_out", 0) + more
    return {**document, "left_out": {name: more for name, more in left_out.items() if more > 0}}
