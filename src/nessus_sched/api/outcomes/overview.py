"""Lists of findings as a model is shown them: many of them by plugin first, texts once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs

from nessus_sched.api.operations import ToolError
from nessus_sched.api.paging import USUAL_ROWS
from nessus_sched.core.text import pluralize
from nessus_sched.results.query.model import BadQuery, GroupBy, Query
from nessus_sched.results.query.page import Page, Row

_GROUPS: Final = 8
_PLACES: Final = 3
"""Places named in a group."""
_PICKED: Final = frozenset(
    {"plugin_id", "plugin_name", "cve", "compliance_result", "compliance_check_name"}
)
"""Who filters by these asks for hosts or checks."""
_TEXTS: Final = ("synopsis", "description", "solution")
_NOT_OF_CHECKS: Final = frozenset({*_TEXTS, "cve", "cvss_score", "cvss3_base_score"})
"""What a compliance check repeats of its plugin, or does not have."""
_ONCE: Final = "synopsis, description and solution of a plugin are in its first row."


Read = Callable[[Query], Awaitable[Page]]
Lists = Callable[[Any, Query, Read], Awaitable[Page]]


async def as_asked(_args: Any, query: Query, read: Read) -> Page:
    """The page, for a program."""
    return await read(query)


async def listed(args: Any, query: Query, read: Read) -> Page:
    """The page for a model. If the arguments (those of `QueryArgs` and `group_by`) leave open how
    to list findings, and they do not fit on a page, it has their plugins."""
    asked = (args.profile, args.group_by, *args.fields, *args.sort)
    named = {condition.field for condition in query.conditions}
    if query.group_by is not None:
        page = await read(query)
        return attrs.evolve(page, rows=tuple(map(_told_once, page.rows)))
    if any(asked) or args.page_size != USUAL_ROWS or named & _PICKED:
        return texts_once(args, await read(query))
    return texts_once(args, await _overview(query, read))


async def _overview(query: Query, read: Read) -> Page:
    """The page of findings if that is all of them, else of their plugins. Raises as `read`."""
    plugins = attrs.evolve(query, group_by=GroupBy.PLUGIN, page_size=_GROUPS)
    if query.cursor is not None:
        try:
            return _short(await read(plugins))
        except (BadQuery, ToolError):
            return await read(query)
    page = await read(query)
    if page.next_cursor is None:
        return page
    groups = await read(plugins)
    if groups.groups == 1:
        return page
    note = (
        f"{pluralize(page.total, 'finding')} of {groups.groups} plugins: these are the plugins, "
        "worst first. To list findings, filter by plugin_id, or give a profile such as minimal."
    )
    return attrs.evolve(_short(groups), notes=(note, *groups.notes))


def _short(groups: Page) -> Page:
    return attrs.evolve(groups, rows=tuple(map(_short_group, groups.rows)))


def _short_group(row: Row) -> dict[str, Any]:
    short = {name: value for name, value in row.items() if name != "solution" and value}
    places = short.get("where", ())
    if len(places) > _PLACES:
        short["where"] = [*places[:_PLACES], "…"]
    return short


def _told_once(row: Row) -> dict[str, Any]:
    """A group without what `severity` and `findings` say already, and without a count of none."""
    all_alike = row.get("severities") == {row.get("severity"): row.get("findings")}
    return {
        name: value
        for name, value in row.items()
        if not (name == "severities" and all_alike) and not (name == "excepted" and not value)
    }


def texts_once(args: Any, page: Page) -> Page:
    """The page with each plugin's texts in the first of its rows only, and compliance checks
    without them, unless the arguments ask for fields or for all."""
    if args.fields or args.profile == "full":
        return page
    seen: set[tuple[Any, ...]] = set()
    rows: list[Row] = []
    left_out = False
    for row in page.rows:
        if row.get("compliance_check_name"):
            rows.append(_of_check(row))
            continue
        texts = (row.get("plugin_id"), *(row.get(name) for name in _TEXTS))
        again = texts in seen and any(name in row for name in _TEXTS)
        seen.add(texts)
        left_out = left_out or again
        rows.append({k: v for k, v in row.items() if k not in _TEXTS} if again else row)
    notes = (*page.notes, _ONCE) if left_out else page.notes
    return attrs.evolve(page, rows=tuple(rows), notes=notes)


def _of_check(row: Row) -> dict[str, Any]:
    return {
        name: value
        for name, value in row.items()
        if name not in _NOT_OF_CHECKS and value is not None and value != []
    }
