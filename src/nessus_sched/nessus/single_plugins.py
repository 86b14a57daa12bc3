"""Selects single plugins for a scan that verifies fixes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from nessus_sched.core.scanner import BadOrder, NotFound, PermissionDenied, ScanOrder
from nessus_sched.core.task import Verify
from nessus_sched.nessus import routes
from nessus_sched.nessus.editor import EditorTemplate
from nessus_sched.nessus.json_fields import Document, as_id, as_text, rows
from nessus_sched.nessus.session import NessusSession

ALWAYS_NEEDED: Final = frozenset({"Port scanners", "Settings"})
"""Families that such a scan leaves as they are: without them its report proves neither that the
host answered, nor which ports were scanned, nor how the login went."""


@attrs.frozen(kw_only=True)
class SinglePlugins:
    """`families` are those of which only some plugins run, as in a request; `notes` are for
    people."""

    families: Mapping[str, Any] = attrs.field(factory=dict)
    notes: tuple[str, ...] = ()


def check_families(verify: Verify, template: EditorTemplate) -> None:
    """Raises `BadOrder` if the template cannot run just these plugins."""
    if not template.families:
        raise BadOrder(
            "The scanner does not say which plugin families its template has, so single plugins "
            "cannot be selected. Verify these findings with a whole scan of the hosts."
        )
    missing = sorted(verify.plugins.keys() - template.families.keys())
    if missing:
        raise BadOrder(
            f"The scanner has no plugin family {', '.join(map(repr, missing))}. Verify the "
            "findings of its plugins with a whole scan of the hosts."
        )


async def select_plugins(order: ScanOrder, session: NessusSession) -> SinglePlugins:
    """The other plugins of each family are turned off by name, since it is not known what a
    scanner does with those that a request does not list."""
    verify = order.request.verify
    partial = {} if verify is None else dict(verify.plugins)
    for family in ALWAYS_NEEDED:
        partial.pop(family, None)
    if not partial:
        return SinglePlugins()
    ids, notes = await _family_ids(session), []
    families: dict[str, Any] = {}
    for family, wanted in partial.items():
        others = await _plugins_of(session, ids.get(family))
        if others is None:
            notes.append(
                f"The scanner does not list the plugins of the family {family!r}: others of it "
                "may have run, too."
            )
        status = dict.fromkeys(map(str, sorted(others or ())), "disabled")
        individual = {**status, **dict.fromkeys(map(str, wanted), "enabled")}
        families[family] = {"status": "mixed", "individual": individual}
    return SinglePlugins(families=families, notes=tuple(notes))


async def _family_ids(session: NessusSession) -> Mapping[str, int]:
    def names(document: Document) -> dict[str, int]:
        found = (
            (as_text(row.get("name")), as_id(row.get("id"))) for row in rows(document, "families")
        )
        return {name: number for name, number in found if number is not None}

    try:
        return await session.read(routes.PLUGIN_FAMILIES, names)
    except (NotFound, PermissionDenied):
        return {}


async def _plugins_of(session: NessusSession, family: int | None) -> list[int] | None:
    """None if the scanner does not tell."""
    if family is None:
        return None

    def numbers(document: Document) -> list[int]:
        found = (as_id(row.get("id")) for row in rows(document, "plugins"))
        return [number for number in found if number is not None]

    try:
        return await session.read(routes.plugin_family(family), numbers) or None
    except (NotFound, PermissionDenied):
        return None
