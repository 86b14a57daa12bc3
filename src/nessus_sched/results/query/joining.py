"""Puts what the ledger knows of findings into the rows of stored scans. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from nessus_sched.results.query.model import Query
from nessus_sched.results.query.page import Page, Row

IDENTITY: Final = ("host", "port", "protocol", "plugin_id", "compliance_check_name")
"""Fields by which the ledger finds a finding."""


def identified(query: Query) -> Query:
    """The query with the fields that identify a finding, if something is to be joined."""
    if not query.joined or query.group_by is not None:
        return query
    return attrs.evolve(query, fields=tuple(dict.fromkeys((*query.fields, *IDENTITY))))


def is_finding(row: Row) -> bool:
    """Whether it is one with a place, not a group of them."""
    return all(row.get(name) is not None for name in IDENTITY[:4])


def arranged(
    page: Page, query: Query, known: Sequence[Mapping[str, Any] | None], *notes: str
) -> Page:
    """The page of an `identified` query with `known` of each row; None if nothing is known. Fields
    that were asked for by name are null then; those of a profile are left out."""
    rows = tuple(_arranged(row, query, about) for row, about in zip(page.rows, known, strict=True))
    return attrs.evolve(page, rows=rows, notes=(*notes, *page.notes))


def _arranged(row: Row, query: Query, known: Mapping[str, Any] | None) -> Row:
    if not query.joined or not is_finding(row):
        return row
    found = known or {}
    joined = {
        name: found.get(name)
        for name in query.joined
        if name in found or name not in query.optional
    }
    whole = {**row, **joined}
    first = {
        name: value
        for name, value in row.items()
        if name not in query.shown and name not in IDENTITY
    }
    return {**first, **{name: whole[name] for name in query.shown if name in whole}}
