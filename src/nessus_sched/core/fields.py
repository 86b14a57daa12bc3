"""Documentation and bounds of attrs fields, said once for schemas, checks and references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import attrs

KEY: Final = "nessus_sched.field"


@attrs.frozen(kw_only=True)
class FieldDoc:
    """What a field is for, and what values it takes; read by the JSON Schema generator
    of the MCP face and by the generator of the configuration reference."""

    doc: str
    minimum: float | None = None
    maximum: float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    examples: Sequence[Any] = ()
    once: bool = False
    """Without `doc` and examples in classes that inherit the field."""


def field(doc: str, /, *, default: Any = attrs.NOTHING, factory: Any = None, **bounds: Any) -> Any:
    """An attrs field with a `FieldDoc`; `bounds` are the keywords of `FieldDoc`."""
    metadata = {KEY: FieldDoc(doc=doc, **bounds)}
    if factory is not None:
        return attrs.field(factory=factory, metadata=metadata)
    return attrs.field(default=default, metadata=metadata)


def doc_of(attribute: attrs.Attribute[Any]) -> FieldDoc | None:
    """The `FieldDoc` of an attrs attribute, or None when it was not made by `field`."""
    found = attribute.metadata.get(KEY)
    assert found is None or isinstance(found, FieldDoc)
    return found
