"""Kinds of report values, and metadata that assigns them to attributes."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import attrs

_KEY: Final = "nessus_sched.column"


class Kind(StrEnum):
    """Type of a field's values. All but LIST may be None."""

    TEXT = "text"
    INTEGER = "integer"
    SEVERITY = "severity"
    """0 to 4."""
    NUMBER = "number"
    FLAG = "flag"
    DATE = "date"
    """ISO 8601 text without a time, such as `2024-05-01`, which sorts as text."""
    TIME = "time"
    """Epoch seconds."""
    LIST = "list"
    """A tuple of texts, empty when absent."""


@attrs.frozen(kw_only=True)
class Column:
    """Metadata of an attribute. `element` is its name in the report (None: the attribute's
    own name), `aliases` are other names; `split` separates the values of a list within one
    element. A `derived` value is computed from others, a `judged` one is set after reading,
    from all facts about the host. A number is between 0 and `most`, if given."""

    kind: Kind
    doc: str
    element: str | None = None
    aliases: tuple[str, ...] = ()
    split: str | None = None
    derived: bool = False
    judged: bool = False
    most: float | None = None


def column(
    kind: Kind,
    doc: str,
    /,
    *,
    element: str | None = None,
    aliases: tuple[str, ...] = (),
    split: bool | str = False,
    derived: bool = False,
    judged: bool = False,
    required: bool = False,
    most: float | None = None,
) -> Any:
    """An attrs attribute with a `Column`, absent by default unless `required`."""
    separator = ("\n" if split is True else split) or None
    about = Column(
        kind=kind, doc=doc, element=element, aliases=aliases, split=separator, derived=derived,
        judged=judged, most=most,
    )  # fmt: skip
    default: Any = () if kind is Kind.LIST else None
    if required:
        default = attrs.NOTHING
    if derived:
        return attrs.field(init=False, metadata={_KEY: about})
    return attrs.field(default=default, metadata={_KEY: about})


def columns(cls: type[Any]) -> dict[str, Column]:
    """The columns of an attrs class by attribute name, in definition order."""
    return {
        attribute.name: attribute.metadata[_KEY]
        for attribute in attrs.fields(cls)
        if _KEY in attribute.metadata
    }
