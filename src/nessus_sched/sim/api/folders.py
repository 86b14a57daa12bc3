"""Folders."""

from __future__ import annotations

from typing import Any

from nessus_sched.sim.api.calls import Call
from nessus_sched.sim.fields import text_field
from nessus_sched.sim.folders import TRASH, Folder
from nessus_sched.sim.messages import EMPTY, Response, reply
from nessus_sched.sim.state import SimulatedNessus


def folder_rows(nessus: SimulatedNessus) -> list[dict[str, Any]]:
    return [_row(nessus, folder) for folder in nessus.folders.by_id.values()]


def _row(nessus: SimulatedNessus, folder: Folder) -> dict[str, Any]:
    scans = nessus.scans.values()
    unread = sum(scan.folder_id == folder.id and not scan.read for scan in scans)
    return {
        "unread_count": None if folder.type == "trash" else unread,
        "custom": int(folder.type == "custom"),
        "default_tag": int(folder.type == "main"),
        "type": folder.type,
        "name": folder.name,
        "id": folder.id,
    }


def list_folders(call: Call) -> Response:
    return reply({"folders": folder_rows(call.nessus)})


def create_folder(call: Call) -> Response:
    folder = call.nessus.folders.create(text_field(call.body, "name"))
    call.record("create_folder")
    return reply({"id": folder.id})


def rename_folder(call: Call) -> Response:
    call.nessus.folders.rename(call.id, text_field(call.body, "name"))
    return EMPTY


def delete_folder(call: Call) -> Response:
    """Deletes a folder; its scans move to the trash."""
    call.nessus.folders.delete(call.id)
    for scan in call.nessus.scans.values():
        if scan.folder_id == call.id:
            scan.folder_id = TRASH
    call.record("delete_folder")
    return EMPTY
