"""Looks up a scanner's folder, templates, policies and audits by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Final

import attrs
import trio

from nessus_sched.core.clock import Now
from nessus_sched.core.scanner import (
    NoTemplates,
    NotFound,
    ScannerInfo,
    ScanOrder,
    ScanTemplate,
    TemplateNotLicensed,
)
from nessus_sched.core.templates import template_name
from nessus_sched.nessus import parsing, routes
from nessus_sched.nessus.editor import Audit
from nessus_sched.nessus.json_fields import (
    Document,
    as_id,
    as_text,
    as_token,
    object_or_empty,
    rows,
)
from nessus_sched.nessus.scan_body import ScanBase
from nessus_sched.nessus.session import NessusSession
from nessus_sched.nessus.template_cache import TemplateCache
from nessus_sched.net.failures import LONGEST, clean

TEMPLATES_TTL: Final = 3600.0
"""Seconds; templates change only with license and version."""
MAX_COMPARED: Final = 1000
"""Names searched for similar ones in an error."""


class Catalog:
    """Looks things up by name on one scanner; caches the templates."""

    def __init__(self, session: NessusSession, folder: str, now: Now) -> None:
        self._session = session
        self._folder = folder
        self._now = now
        self._templates: Sequence[ScanTemplate] = ()
        self._read_at = float("-inf")
        self._making_folder = trio.Lock()
        self._template_cache = TemplateCache(session, now)
        self._manager = False
        self._local: int | None = None

    async def templates(self) -> Sequence[ScanTemplate]:
        if self._now() - self._read_at > TEMPLATES_TTL:
            self._templates = await self._session.read(routes.TEMPLATES, parsing.templates)
            self._read_at = self._now()
        return self._templates

    async def base_for(self, order: ScanOrder) -> ScanBase:
        """The template or policy that an order is based on. Raises `NotFound`,
        `TemplateNotLicensed`, or `NoTemplates` if the scanner has no usable template at all."""
        request = order.request
        name = template_name(request, (each.kind for each in order.credentials))
        if name is None:
            assert request.policy is not None
            return attrs.evolve(
                await self._policy(request.policy), scanner_id=await self._local_scanner()
            )
        uuid = (await self._template(name)).uuid
        return ScanBase(
            template_uuid=uuid,
            name=name,
            template=await self._template_cache.template(name, uuid),
            scanner_id=await self._local_scanner(),
        )

    def note_info(self, info: ScannerInfo) -> None:
        """Takes note of the scanner's info: a new plugin set brings new templates."""
        self._template_cache.plugin_set = info.plugin_set_at
        self._manager = "manager" in info.edition.lower()

    async def _local_scanner(self) -> int | None:
        """On a Nessus Manager, the id of the Manager's own scanner. Without this id a scan may
        run on any scanner linked to it."""
        if not self._manager:
            return None
        if self._local is None:
            answer = await self._session.send(routes.SCANNERS)
            found = object_or_empty(answer.body) if answer.ok else {}
            self._local = next(
                (
                    as_id(row.get("id"))
                    for row in rows(found, "scanners")
                    if row.get("type") == "local"
                ),
                None,
            )
            self._manager = self._local is not None  # if there is none, do not ask for every scan
        return self._local

    async def folder_id(self) -> int:
        """The id of our folder, which is created if missing."""
        async with self._making_folder:
            found = parsing.own_folders(await self._session.ask(routes.FOLDERS), self._folder)
            if found:
                return min(found)
            made = await self._session.ask(routes.create_folder(self._folder))
            folder_id = as_id(made.get("id"))
            if folder_id is None:
                raise NotFound(f"The scanner did not create the folder {self._folder!r}.")
            return folder_id

    def audit(self, base: ScanBase, name: str) -> Audit:
        """An audit that ships with the scanner, by name or id."""
        audits = base.template.audits if base.template is not None else ()
        for audit in audits:
            if name in (audit.name, audit.id):
                return audit
        raise _unknown("audit", name, (audit.name for audit in audits))

    async def _template(self, name: str) -> ScanTemplate:
        known = await self.templates()
        if not any(template.usable for template in known):
            self._forget_templates()
            raise NoTemplates("The scanner offers no usable template.")
        found = next((template for template in known if template.name == name), None)
        if found is None or not found.usable:
            self._forget_templates()
        if found is None:
            raise _unknown("template", name, (template.name for template in known))
        if not found.usable:
            raise TemplateNotLicensed(
                f"The scanner's license does not allow the template {name!r}."
            )
        return found

    def _forget_templates(self) -> None:
        """Makes the next scan read them again, because the license may have changed by then."""
        self._read_at = float("-inf")

    async def policies(self) -> Sequence[str]:
        """The names of all policies that our user can see."""
        found = rows(await self._session.ask(routes.POLICIES), "policies")
        return [name for row in found if isinstance(name := row.get("name"), str)]

    async def _policy(self, name: str) -> ScanBase:
        policies = rows(await self._session.ask(routes.POLICIES), "policies")
        for policy in policies:
            policy_id, uuid = as_id(policy.get("id")), as_token(policy.get("template_uuid"))
            if policy.get("name") == name and policy_id is not None and uuid is not None:
                return ScanBase(template_uuid=uuid, policy_id=policy_id)
        raise _unknown("policy", name, _names(policies))


def _names(found: Iterable[Document]) -> list[str]:
    return [as_text(row.get("name"), longest=LONGEST) for row in found]


def _unknown(what: str, name: str, known: Iterable[str]) -> NotFound:
    near = [clean(other) for other in get_close_matches(name, islice(known, MAX_COMPARED), n=3)]
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return NotFound(f"The scanner has no {what} {clean(name)!r}.{hint}")
