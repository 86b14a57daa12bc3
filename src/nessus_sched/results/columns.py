"""Kinds of values a report holds, and how an attribute says which it is."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final

import attrs

_KEY: Final = "nessus_sched.column"


class Kind(StrEnum):
    """Type of a field's values, as read from a report. All but LIST may be None."""

    TEXT = "text"
    INTEGER = "integer"
    SEVERITY = "severity"
    """0 to 4."""
    NUMBER = "number"
    FLAG = "flag"
    DATE = "date"
    """ISO 8601 text without a time, such as `2024-05-01`: orders as text does."""
    TIME = "time"
    """Epoch seconds."""
    LIST = "list"
    """A tuple of texts, empty when absent."""


@attrs.frozen(kw_only=True)
class Column:
    """What an attribute is about. `element` is its name in the report (None: the
    attribute's own name), `also` other names for it; `split` is the character that
    separates the values of a list within one element; a `derived` value is computed from
    others, a `judged` one set after reading, from all that a report says of its host. A
    number is between 0 and `most`, if given."""

    kind: Kind
    doc: str
    element: str | None = None
    also: tuple[str, ...] = ()
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
    also: tuple[str, ...] = (),
    split: bool | str = False,
    derived: bool = False,
    judged: bool = False,
    required: bool = False,
    most: float | None = None,
) -> Any:
    """An attrs attribute with a `Column`; absent by default, unless `required`."""
    separator = ("\n" if split is True else split) or None
    about = Column(
        kind=kind, doc=doc, element=element, also=also, split=separator, derived=derived,
        judged=judged, most=most,
    )  # fmt: skip
    default: Any = () if kind is Kind.LIST else None
    if required:
        default = attrs.NOTHING
    if derived:
        return attrs.field(init=False, metadata={_KEY: about})
    return attrs.field(default=default, metadata={_KEY: about})


def columns(cls: type[Any]) -> dict[str, Column]:
    """The columns of an attrs class by attribute name, in order."""
    return {
        attribute.name: attribute.metadata[_KEY]
        for attribute in attrs.fields(cls)
        if _KEY in attribute.metadata
    }
