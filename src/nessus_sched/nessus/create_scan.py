"""Creating the scan of an order, and making sure that it is what was ordered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from nessus_sched.core.asked import Scalar
from nessus_sched.core.credentials import CredentialKind
from nessus_sched.core.scanner import (
    AuditFile,
    BadOrder,
    CreatedScan,
    OutcomeUnknown,
    Refused,
    ScanOrder,
    TransientError,
)
from nessus_sched.core.secret import Secret
from nessus_sched.core.task import ScanKind
from nessus_sched.nessus import routes, scan_body
from nessus_sched.nessus.catalog import Library
from nessus_sched.nessus.credentials import credentials_body, secrets_of
from nessus_sched.nessus.errors import document, unreadable
from nessus_sched.nessus.json_fields import file_name, identity, part
from nessus_sched.nessus.part_file import RunSync
from nessus_sched.nessus.scan_body import Base
from nessus_sched.nessus.session import Link


async def create(order: ScanOrder, link: Link, library: Library, run_sync: RunSync) -> CreatedScan:
    """Creates the scan; everything before the one request that creates it may be repeated
    without harm. Raises `BadOrder` for an order that must not be sent."""
    scan_body.check(order)
    base = await library.base_for(order)
    settings: Mapping[str, Scalar] = {}
    notes: list[str] = []
    if base.template is not None:
        scan_body.fits(order, base.template)
        settings, notes = scan_body.settings_for(order, base.template)
    audits = await _audits(order, base, link, library, run_sync)
    folder_id = await library.folder_id()
    body = scan_body.scan_body(
        order,
        base,
        settings,
        folder_id=folder_id,
        credentials=await _credentials(order, base, link),
        audits=audits,
    )
    call = routes.create_scan(body, secrets_of(order.credential))
    answer = await link.do(call)
    made = part(document(call, answer), "scan")
    scan_id = identity(made.get("id"))
    if scan_id is None:
        raise unreadable(call, "no scan id.")
    await _check_targets(order, scan_id, made.get("custom_targets"), link)
    return CreatedScan(scan_id=scan_id, asked=scan_body.asked(order, base, settings, notes))


async def _credentials(order: ScanOrder, base: Base, link: Link) -> Mapping[str, Any] | None:
    credential = order.credential
    if credential is None:
        return None
    key_file = None
    if credential.kind is CredentialKind.SSH_KEY and credential.private_key:
        key = credential.private_key
        key_file = await _upload(link, "ssh_key", key.reveal().encode(), (key,))
    return credentials_body(
        credential,
        key_file=key_file,
        escalate=order.request.kind is not ScanKind.TRUSTED,
        logins=base.template.logins if base.template is not None else None,
    )


async def _audits(
    order: ScanOrder, base: Base, link: Link, library: Library, run_sync: RunSync
) -> Mapping[str, Any] | None:
    credential, named = order.credential, order.request.audit
    if named is None or credential is None:
        return None
    audit = order.audit or AuditFile(name=named)
    if audit.file is None:
        found = library.audit(base, audit.name)
        scan_body.check_audit_login(base, found.category, credential.kind)
        return scan_body.builtin_audit(found, audit.variables)
    scan_body.check_audit_login(base, audit.category, credential.kind)
    problem = ""
    try:
        content = await run_sync(audit.file.read_bytes)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    if problem:
        raise BadOrder(f"The audit file {audit.file} cannot be read: {problem}.")
    file = await _upload(link, audit.file.name, content)
    return scan_body.uploaded_audit(file, audit.category)


async def _upload(link: Link, name: str, content: bytes, secrets: tuple[Secret, ...] = ()) -> str:
    """Returns the name the scanner gave the file. Some keep the name they are given, and
    every upload stays among the user's files: so no two have the same."""
    call = routes.upload(f"{uuid4().hex}-{name}", content, secrets)
    answer = await link.do(call)
    given = file_name(document(call, answer).get("fileuploaded"))
    if given is None:
        raise unreadable(call, "no file name.")
    return given


async def _check_targets(order: ScanOrder, scan_id: int, shown: object, link: Link) -> None:
    """Some versions ignore the targets of a new scan until it is edited; so it is edited,
    and what would then still scan anything but the ordered targets is removed again."""
    if _agrees(order, shown):
        return
    wanted = {"name": order.name, "text_targets": ",".join(order.targets)}
    problem = ""
    try:
        edited = await link.ask(routes.edit_scan(scan_id, {"settings": wanted}))
        taken = edited.get("custom_targets") or part(edited, "scan").get("custom_targets")
        if not taken or _agrees(order, taken):
            return
        await link.do(routes.delete_scan(scan_id))
    except TransientError as error:
        problem = str(error)
    if problem:
        raise OutcomeUnknown(f"The scan was created and its targets not confirmed: {problem}")
    raise Refused("The scanner took other targets than were ordered; the scan was deleted.")


def _agrees(order: ScanOrder, shown: object) -> bool:
    return isinstance(shown, str) and scan_body.same_targets(order.targets, shown)
