"""Exports of scans, tokens, and files that clients upload."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from email.message import Message
from email.parser import BytesParser
from pathlib import PurePosixPath
from typing import Any

from nessus_sched.sim.api.calls import Call
from nessus_sched.sim.exports import Document, Export
from nessus_sched.sim.faults import FaultKind
from nessus_sched.sim.fields import text_field
from nessus_sched.sim.findings import formats
from nessus_sched.sim.findings.report import HostProgress
from nessus_sched.sim.messages import JSON, ApiError, NotFound, Response, reply
from nessus_sched.sim.runs import Run
from nessus_sched.sim.scans import Scan

_FORMATS = {
    "nessus": "Nessus",
    "csv": "CSV",
    "html": "HTML",
    "db": "Nessus DB",
    "pdf": "PDF",
}
_TRIAL = "Export is not allowed in trial mode"
_NEEDS_JAVA = "pdf"  # without it the export fails


def export_formats(call: Call) -> Response:
    call.nessus.engine.get(call.id)
    rows = [{"name": title, "value": name} for name, title in _FORMATS.items()]
    return reply({"formats": rows, "schedule_id": None})


def export_scan(call: Call) -> Response:
    scan = call.nessus.engine.get(call.id)
    run = scan.run(call.query_number("history_id"))
    if run is None:
        raise ApiError(404, "Scan not found")
    if not run.ended:
        raise ApiError(409, "Can not export running scans")
    trial, refused = call.nessus.options.trial, call.nessus.options.assumes("trial_refuses_export")
    if trial and refused:
        raise ApiError(403, _TRIAL)
    kind = text_field(call.body, "format", "nessus")
    if kind not in _FORMATS:
        raise ApiError(400, "Invalid 'format' field")
    if kind == "db" and not call.body.get("password"):
        raise ApiError(400, "Invalid 'password' field")
    fails = kind == _NEEDS_JAVA or bool(
        call.nessus.faults.for_scan(FaultKind.EXPORT_FAILS, scan.name)
    )
    export = call.nessus.exports.add(
        _document(call, scan, run, kind) if not trial else _trial_document(scan, kind),
        ready_at=call.now + call.nessus.options.export_takes,
        scan_id=scan.id,
        fails=fails,
    )
    call.record("export", scan.name)
    return reply({"token": export.token, "file": export.file_id})


def export_status(call: Call) -> Response:
    call.nessus.engine.get(call.id)
    return _status(call, call.nessus.exports.by_file(call.id, call.number("file_id")))


def export_download(call: Call) -> Response:
    call.nessus.engine.get(call.id)
    return _download(call, call.nessus.exports.by_file(call.id, call.number("file_id")))


def token_status(call: Call) -> Response:
    return _status(call, call.nessus.exports.get(call.params["token"]))


def token_download(call: Call) -> Response:
    return _download(call, call.nessus.exports.get(call.params["token"]))


def _status(call: Call, export: Export) -> Response:
    """The status of an export. A failed one returns 500 once, and 404 afterwards."""
    status = export.status(call.now)
    if status == "error":
        call.nessus.exports.forget(export)
        return reply({"status": "error"}, 500)
    return reply({"status": status})


def _download(call: Call, export: Export) -> Response:
    if export.status(call.now) != "ready":
        raise ApiError(409, "The export is not ready")
    call.nessus.exports.forget(export)
    call.record("download")
    document = export.document
    name = document.name.replace('"', "'").encode("ascii", "replace").decode()
    printable = "".join(letter if letter.isprintable() else "_" for letter in name)
    return Response(
        body=document.open(),
        length=document.length,
        content_type=document.content_type,
        headers=(("content-disposition", f'attachment; filename="{printable}"'),),
    )


def _trial_document(scan: Scan, kind: str) -> Document:
    content = json.dumps({"error": _TRIAL}).encode()
    return Document(
        name=f"{scan.name}.{kind}", open=lambda: [content], content_type=JSON, length=len(content)
    )


def _document(call: Call, scan: Scan, run: Run, kind: str) -> Document:
    progress, report = run.hosts(call.now), run.report
    if not call.nessus.options.assumes("partial_exports_have_unfinished_hosts"):
        nothing = HostProgress(0.0, run.span(call.now))
        progress = [host if host.span.finished else nothing for host in progress]
    makers: dict[str, Callable[[], Iterable[bytes]]] = {
        "nessus": lambda: report.document(progress),
        "csv": lambda: formats.as_csv(report, progress),
        "html": lambda: formats.as_html(report, scan.name, progress),
        "db": lambda: [b"SIMULATED NESSUS DB\n"],
        "pdf": list,
    }
    return Document(
        name=f"{scan.name}.{kind}",
        open=makers[kind],
        length=report.length if kind == "nessus" else None,
    )


def attachment(call: Call) -> Response:
    """Not found: simulated findings have no attachments. A malformed key is a different error."""
    call.nessus.engine.get(call.id)
    if not re.fullmatch(r"[0-9a-f]{32,}", call.request.query.get("key", "")):
        raise ApiError(400, "Invalid 'key' field: invalid key format")
    raise NotFound


def upload(call: Call) -> Response:
    """Accepts a multipart form with the file in `Filedata`; the response has the name to use."""
    name, content = _uploaded_file(call.request.headers.get("content-type", ""), call.request.body)
    if name in call.nessus.uploads and call.nessus.options.assumes("uploads_renamed"):
        stem = PurePosixPath(name)
        name = call.nessus.fresh_name(stem.stem) + stem.suffix
    call.nessus.uploads[name] = content
    call.record("upload")
    return reply({"fileuploaded": name})


def _uploaded_file(content_type: str, body: bytes) -> tuple[str, bytes]:
    head = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode("latin-1")
    message: Message[str, str] = BytesParser().parsebytes(head + body)
    parts: Any = message.get_payload() if message.is_multipart() else []
    for part in parts:
        if part.get_param("name", header="content-disposition") == "Filedata":
            content = part.get_payload(decode=True)
            return _file_name(part.get_filename() or ""), content
    raise ApiError(400, "Invalid 'Filedata' field")


def _file_name(given: str) -> str:
    """The last part of a path, with any kind of slash."""
    return given.replace("\\", "/").rpartition("/")[2] or "upload"
