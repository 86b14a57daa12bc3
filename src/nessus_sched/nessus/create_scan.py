"""Creates the scan of an order and verifies it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from nessus_sched.core.asked import Scalar
from nessus_sched.core.credentials import CredentialKind
from nessus_sched.core.run_sync import RunSync
from nessus_sched.core.scanner import (
    AuditFile,
    BadOrder,
    CreatedScan,
    OutcomeUnknown,
    Refused,
    ScanOrder,
    TransientError,
)
from nessus_sched.core.seal import name_for_upload
from nessus_sched.core.secret import Secret
from nessus_sched.core.task import ScanKind
from nessus_sched.nessus import routes, scan_body
from nessus_sched.nessus.catalog import Catalog
from nessus_sched.nessus.credentials import credentials_body, secrets_of
from nessus_sched.nessus.errors import bad_body_error, document
from nessus_sched.nessus.json_fields import as_file_name, as_id, object_at
from nessus_sched.nessus.scan_body import ScanBase
from nessus_sched.nessus.session import NessusSession
from nessus_sched.nessus.single_plugins import select_plugins


async def create(
    order: ScanOrder, session: NessusSession, catalog: Catalog, run_sync: RunSync
) -> CreatedScan:
    """Creates the scan; everything before the request that creates it can safely be repeated.
    Raises `BadOrder` for an order that must not be sent."""
    scan_body.check(order)
    base = await catalog.base_for(order)
    settings: Mapping[str, Scalar] = {}
    notes: list[str] = []
    if base.template is not None:
        scan_body.check_template(order, base.template)
        settings, notes = scan_body.settings_for(order, base.template)
    audits = await _audits(order, base, session, catalog, run_sync)
    single = await select_plugins(order, session)
    folder_id = await catalog.folder_id()
    body = scan_body.scan_body(
        order,
        base,
        settings,
        folder_id=folder_id,
        credentials=await _credentials(order, base, session),
        audits=audits,
        single=single,
    )
    call = routes.create_scan(body, secrets_of(order.credentials))
    answer = await session.do(call)
    made = object_at(document(call, answer), "scan")
    scan_id = as_id(made.get("id"))
    if scan_id is None:
        raise bad_body_error(call, "no scan id.")
    await _check_targets(order, scan_id, made.get("custom_targets"), session)
    return CreatedScan(scan_id=scan_id, asked=scan_body.asked(order, base, settings, notes, single))


async def _credentials(
    order: ScanOrder, base: ScanBase, session: NessusSession
) -> Mapping[str, Any] | None:
    if not order.credentials:
        return None
    key_files = {}
    for credential in order.credentials:
        key = credential.private_key
        if credential.kind is CredentialKind.SSH_KEY and key:
            key_files[credential.name] = await _upload(
                session, "ssh_key", key.reveal().encode(), (key,)
            )
    return credentials_body(
        order.credentials,
        key_files=key_files,
        escalate=order.request.kind is not ScanKind.TRUSTED,
        logins=base.template.logins if base.template is not None else None,
    )


async def _audits(
    order: ScanOrder, base: ScanBase, session: NessusSession, catalog: Catalog, run_sync: RunSync
) -> Mapping[str, Any] | None:
    named = order.request.audit
    if named is None or not order.credentials:
        return None
    audit = order.audit or AuditFile(name=named)
    if audit.file is None:
        found = catalog.audit(base, audit.name)
        scan_body.check_audit_login(order, base, found.category)
        return scan_body.builtin_audit(found, audit.variables)
    scan_body.check_audit_login(order, base, audit.category)
    problem = ""
    try:
        content = await run_sync(audit.file.read_bytes)
    except OSError as error:
        problem = error.strerror or type(error).__name__
    if problem:
        raise BadOrder(f"The audit file {audit.file} cannot be read: {problem}.")
    file = await _upload(session, audit.file.name, content)
    return scan_body.uploaded_audit(file, audit.category)


async def _upload(
    session: NessusSession, name: str, content: bytes, secrets: tuple[Secret, ...] = ()
) -> str:
    """Returns the name that the scanner gave the file. Uploads get unique names, because some
    scanners keep the given name and never delete the file."""
    call = routes.upload(name_for_upload(uuid4().hex, name), content, secrets)
    answer = await session.do(call)
    given = as_file_name(document(call, answer).get("fileuploaded"))
    if given is None:
        raise bad_body_error(call, "no file name.")
    return given


async def _check_targets(
    order: ScanOrder, scan_id: int, shown: object, session: NessusSession
) -> None:
    """Some versions ignore the targets of a new scan until it is edited, so edit it; if it
    would still scan other targets than ordered, delete it. Raises `Refused` then, and
    `OutcomeUnknown` if the targets could not be confirmed."""
    if _agrees(order, shown):
        return
    wanted = {"name": order.name, "text_targets": ",".join(order.targets)}
    problem = ""
    try:
        edited = await session.ask(routes.edit_scan(scan_id, {"settings": wanted}))
        taken = edited.get("custom_targets") or object_at(edited, "scan").get("custom_targets")
        if not taken or _agrees(order, taken):
            return
        await session.do(routes.delete_scan(scan_id))
    except TransientError as error:
        problem = str(error)
    if problem:
        raise OutcomeUnknown(
            f"The scan was created but its targets could not be confirmed: {problem}"
        )
    raise Refused("The scanner set different targets than requested; the scan was deleted.")


def _agrees(order: ScanOrder, shown: object) -> bool:
    return isinstance(shown, str) and scan_body.same_targets(order.targets, shown)
