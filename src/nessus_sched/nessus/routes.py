"""The endpoints in use, one function each: path, body, and what a lost answer means.

Based on the scanner's own documentation under `/api` and pyTenable's recorded requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nessus_sched.core.secret import Secret
from nessus_sched.nessus.requests import MAX_ANSWER, Call, Upload

SERVER_STATUS: Final = Call(method="GET", route="/server/status", anonymous=True)
SERVER_PROPERTIES: Final = Call(method="GET", route="/server/properties", largest=MAX_ANSWER)
ADVANCED_SETTINGS: Final = Call(method="GET", route="/settings/advanced", largest=MAX_ANSWER)
UI_BUNDLE: Final = Call(method="GET", route="/nessus6.js", anonymous=True)
TEMPLATES: Final = Call(method="GET", route="/editor/scan/templates", largest=MAX_ANSWER)
POLICIES: Final = Call(method="GET", route="/policies", largest=MAX_ANSWER)
FOLDERS: Final = Call(method="GET", route="/folders", largest=MAX_ANSWER)
SCANS: Final = Call(method="GET", route="/scans", largest=MAX_ANSWER)
SCANNERS: Final = Call(method="GET", route="/scanners", largest=MAX_ANSWER)
PLUGIN_FAMILIES: Final = Call(method="GET", route="/plugins/families", largest=MAX_ANSWER)
WHO_AM_I: Final = Call(method="GET", route="/session")
LOGOUT: Final = Call(method="DELETE", route="/session")


def login(username: str, password: Secret) -> Call:
    return Call(
        method="POST",
        route="/session",
        body={"username": username, "password": password.reveal()},
        anonymous=True,
        secrets=(password,),
    )


def template(uuid: str) -> Call:
    """With API version 2 the answer also has the template's plugin families."""
    return Call(
        method="GET",
        route="/editor/scan/templates/{uuid}",
        ids={"uuid": uuid},
        largest=MAX_ANSWER,
        headers={"X-API-Version": "2"},
    )


def plugin_family(family: int) -> Call:
    """The answer lists the plugins of the family."""
    return Call(
        method="GET",
        route="/plugins/families/{family}",
        ids={"family": family},
        largest=MAX_ANSWER,
    )


def create_folder(name: str) -> Call:
    return Call(method="POST", route="/folders", body={"name": name}, gated=True)


def upload(name: str, content: bytes, secrets: tuple[Secret, ...] = ()) -> Call:
    return Call(
        method="POST",
        route="/file/upload",
        upload=Upload(suggested_name=name, content=content),
        gated=True,
        secrets=secrets,
    )


def create_scan(body: Mapping[str, Any], secrets: tuple[Secret, ...] = ()) -> Call:
    return Call(method="POST", route="/scans", body=body, changes=True, gated=True, secrets=secrets)


def scan(scan_id: int, history_id: int | None = None) -> Call:
    query = {} if history_id is None else {"history_id": history_id}
    return Call(
        method="GET",
        route="/scans/{scan_id}",
        ids={"scan_id": scan_id},
        query=query,
        largest=MAX_ANSWER,
    )


def edit_scan(scan_id: int, body: Mapping[str, Any]) -> Call:
    return Call(
        method="PUT",
        route="/scans/{scan_id}",
        ids={"scan_id": scan_id},
        body=body,
        changes=True,
        gated=True,
    )


def control(scan_id: int, action: str) -> Call:
    """`launch`, `pause`, `resume` or `stop`."""
    return Call(
        method="POST",
        route="/scans/{scan_id}/" + action,
        ids={"scan_id": scan_id},
        body={} if action == "launch" else None,
        changes=True,
        gated=True,
    )


def delete_scan(scan_id: int) -> Call:
    return Call(
        method="DELETE",
        route="/scans/{scan_id}",
        ids={"scan_id": scan_id},
        changes=True,
        gated=True,
    )


def export(scan_id: int, history_id: int | None) -> Call:
    query = {} if history_id is None else {"history_id": history_id}
    return Call(
        method="POST",
        route="/scans/{scan_id}/export",
        ids={"scan_id": scan_id},
        query=query,
        body={"format": "nessus"},
    )


def export_status(scan_id: int, file: int | str) -> Call:
    return Call(
        method="GET",
        route="/scans/{scan_id}/export/{file}/status",
        ids={"scan_id": scan_id, "file": file},
    )


def export_download(scan_id: int, file: int | str) -> Call:
    return Call(
        method="GET",
        route="/scans/{scan_id}/export/{file}/download",
        ids={"scan_id": scan_id, "file": file},
    )
