"""The fields of a finding, as used by queries, exports and stores."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

import attrs

from nessus_sched.results.columns import Kind, columns
from nessus_sched.results.model import ComplianceResult, Finding, HostReport, Plugin

Value: TypeAlias = str | int | float | bool | tuple[str, ...] | None
"""A value of a field; see `Kind` for which."""


class Part(StrEnum):
    """The class of the model that a field belongs to."""

    FINDING = "finding"
    PLUGIN = "plugin"
    COMPLIANCE = "compliance"
    HOST = "host"


@attrs.frozen(kw_only=True)
class Field:
    """A field of a finding's full row: `name` in queries and answers, `attribute` of the
    class of `part`."""

    name: str
    kind: Kind
    part: Part
    attribute: str
    doc: str
    words: tuple[str, ...] = ()
    """All values that a text can have; empty for any text."""


_PARTS: Final = (
    (Part.FINDING, Finding, ""),
    (Part.PLUGIN, Plugin, ""),
    (Part.COMPLIANCE, ComplianceResult, "compliance_"),
    (Part.HOST, HostReport, "host_"),
)
_INTERNAL: Final = {(Part.HOST, "index"), (Part.FINDING, "host_index")}
"""Attributes that are meaningful only together with their report."""


def _catalog() -> dict[str, Field]:
    found: dict[str, Field] = {}
    for part, cls, prefix in _PARTS:
        for attribute, about in columns(cls).items():
            if (part, attribute) in _INTERNAL:
                continue
            name = prefix + attribute
            assert name not in found
            found[name] = Field(
                name=name, kind=about.kind, part=part, attribute=attribute, doc=about.doc
            )
    return found


FIELDS: Final[Mapping[str, Field]] = MappingProxyType(_catalog())
"""All fields by name, in a fixed order."""
