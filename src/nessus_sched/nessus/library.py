"""What a scanner has on its shelves: our folder, templates, policies, audits, by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Final

import trio

from nessus_sched.core.clock import Now
from nessus_sched.core.scanner import NoTemplates, NotFound, ScanTemplate, TemplateNotLicensed
from nessus_sched.core.task import ScanRequest
from nessus_sched.nessus import reading, routes
from nessus_sched.nessus.decode import Document, file_name, identity, part, rows, text, token
from nessus_sched.nessus.errors import LONGEST, clean
from nessus_sched.nessus.link import Link
from nessus_sched.nessus.payloads import Base, template_name

TEMPLATES_FRESH: Final = 3600.0
"""Seconds; templates change with licence and version only."""
COMPARED: Final = 1000
"""Names among which one like the wanted is looked for."""


class Library:
    """Looks things up by name on one scanner; remembers the templates for a while."""

    def __init__(self, link: Link, folder: str, now: Now) -> None:
        self._link = link
        self._folder = folder
        self._now = now
        self._templates: Sequence[ScanTemplate] = ()
        self._read_at = float("-inf")
        self._making_folder = trio.Lock()

    async def templates(self) -> Sequence[ScanTemplate]:
        if self._now() - self._read_at > TEMPLATES_FRESH:
            self._templates = await self._link.read(routes.TEMPLATES, reading.templates)
            self._read_at = self._now()
        return self._templates

    async def base_for(self, request: ScanRequest) -> Base:
        """The template or policy that a request is built upon. Raises `NotFound`,
        `TemplateNotLicensed`, or `NoTemplates` when the scanner has none for anybody."""
        name = template_name(request)
        if name is None:
            assert request.policy is not None
            return await self._policy(request.policy)
        return Base(template_uuid=(await self._template(name)).uuid)

    async def folder_id(self) -> int:
        """Our folder, made when it is missing."""
        async with self._making_folder:
            found = reading.own_folders(await self._link.ask(routes.FOLDERS), self._folder)
            if found:
                return min(found)
            made = await self._link.ask(routes.create_folder(self._folder))
            folder_id = identity(made.get("id"))
            if folder_id is None:
                raise NotFound(f"The scanner made no folder {self._folder!r}.")
            return folder_id

    async def audit_id(self, name: str) -> str:
        """The id of an audit that the scanner brings along, by its name or id."""
        template = await self._template("compliance")
        compliance = part(await self._link.ask(routes.template(template.uuid)), "compliance")
        audits = [audit for group in rows(compliance, "data") for audit in rows(group, "audits")]
        for audit in audits:
            audit_id = file_name(text(audit.get("id")))
            if audit_id is not None and name in (audit.get("name"), audit_id):
                return audit_id
        raise _unknown("audit", name, _names(audits))

    async def _template(self, name: str) -> ScanTemplate:
        known = await self.templates()
        if not any(template.usable for template in known):
            self._forget_templates()
            raise NoTemplates("The scanner offers no template that may be used.")
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
        """They are read again for the next scan: the license may have changed by then."""
        self._read_at = float("-inf")

    async def _policy(self, name: str) -> Base:
        policies = rows(await self._link.ask(routes.POLICIES), "policies")
        for policy in policies:
            policy_id, uuid = identity(policy.get("id")), token(policy.get("template_uuid"))
            if policy.get("name") == name and policy_id is not None and uuid is not None:
                return Base(template_uuid=uuid, policy_id=policy_id)
        raise _unknown("policy", name, _names(policies))


def _names(found: Iterable[Document]) -> list[str]:
    return [text(row.get("name"), longest=LONGEST) for row in found]


def _unknown(what: str, name: str, known: Iterable[str]) -> NotFound:
    near = [clean(other) for other in get_close_matches(name, islice(known, COMPARED), n=3)]
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return NotFound(f"The scanner has no {what} {clean(name)!r}.{hint}")
