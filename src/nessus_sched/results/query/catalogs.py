"""Which fields a query may name, and which of them it shows."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

import attrs

from nessus_sched.results.catalog import FIELDS
from nessus_sched.results.columns import Kind
from nessus_sched.results.query.model import JOINED, JOINED_PROFILES, OPTIONAL, PROFILES


class QueryField(Protocol):
    """A field of a catalog. `words` are all values that a text can have; empty for any text."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> Kind: ...

    @property
    def words(self) -> tuple[str, ...]: ...


@attrs.frozen(kw_only=True)
class Catalog:
    """`profiles` are named sets of fields, the same names in each catalog. `optional` fields are
    left out of rows that lack them, unless they were asked for. `filters_only` can neither be
    shown nor sorted by. `joined` are the profiles' fields that are added to the rows afterwards:
    they can be shown, but neither filtered nor sorted by. `known` are the names from which errors
    suggest one."""

    fields: Mapping[str, QueryField]
    profiles: Mapping[str, tuple[str, ...]]
    optional: tuple[str, ...]
    filters_only: frozenset[str] = frozenset()
    joined: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    known: tuple[str, ...]


STORED: Final = Catalog(
    fields=FIELDS,
    profiles=PROFILES,
    optional=(*OPTIONAL, *JOINED),
    joined=JOINED_PROFILES,
    known=(*FIELDS, *JOINED),
)
"""The fields of stored scans, and what the ledger knows of their findings."""
