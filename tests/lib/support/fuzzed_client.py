"""One odd answer to one request, in every situation of the client."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import attrs

from nessus_sched.config.scanners import (
    ApiKeys,
    UiSession,
)
from nessus_sched.core.credentials import Credential, CredentialKind
from nessus_sched.core.scanner import RemoteScan, ScanDetails, ScannerError, ScannerInfo
from nessus_sched.core.secret import Secret
from nessus_sched.core.task import ScanKind
from nessus_sched.nessus import NessusScanner
from support.odd_answers import odd_answer, odd_body
from support.raw_wire import Pieces, plain_answer, raw_transport
from support.scripted_nessus import (
    FOLDERS,
    KEYS,
    MARKER,
    NOW,
    USER,
    UUID,
    created,
    editor_answer,
    inline,
    order,
    row,
    settings,
    templates,
)

REPORT = b"<?xml version='1.0'?><NessusClientData_v2></NessusClientData_v2>\n"
BUNDLE = b"x" * 12_000 + b'getApiToken",value:function(){return"%s"}' % UUID[:36].encode()
DETAILS = {
    "info": {
        "uuid": UUID,
        "name": f"nightly {MARKER}",
        "status": "running",
        "hostcount": 2,
        "scan_start": 1_750_000_000,
        "scan_end": 1_750_000_100,
    },
    "hosts": [{"host_id": 1, "scanprogresscurrent": 3, "scanprogresstotal": 9}],
    "history": [{"history_id": 20, "uuid": UUID, "status": "completed", "creation_date": 5}],
}
GOOD: dict[str, Any] = {
    "GET /server/status": {"code": 200, "progress": None, "status": "ready"},
    "GET /server/properties": {
        "nessus_type": "Nessus Manager",
        "server_version": "10.8.3",
        "plugin_set": "202506150000",
        "scanner_boottime": 1_750_000_000,
        "license": {"ips": 16, "expiration_date": 1_800_000_000, "features": {"scan_api": True}},
        "used_ip_count": 3,
    },
    "GET /settings/advanced": {"preferences": [{"name": "global.max_scans", "value": "8"}]},
    "GET /folders": {"folders": FOLDERS},
    "POST /folders": {"id": 3},
    "GET /editor/scan/templates": {"templates": templates()},
    "GET /editor/scan/templates/uuid-advanced": editor_answer("advanced"),
    "GET /editor/scan/templates/uuid-compliance": editor_answer(
        "compliance",
        compliance={"data": [{"audits": [{"id": "21157_CIS.audit", "name": "CIS"}]}]},
    ),
    "GET /policies": {"policies": [{"id": 9, "name": "strict", "template_uuid": UUID}]},
    "POST /session": {"token": "0123456789abcdef"},
    "GET /session": {"permissions": 128},
    "GET /scans": {"folders": FOLDERS, "scans": [row(7), row(8)], "timestamp": 1_750_000_000},
    "POST /scans": created(7),
    "PUT /scans/7": created(7),
    "POST /scans/7/launch": {"scan_uuid": UUID},
    "GET /scans/7": DETAILS,
    "POST /scans/7/export": {"token": "t", "file": 5},
    "GET /scans/7/export/5/status": {"status": "ready"},
    "POST /file/upload": {"fileuploaded": "key-1.pem"},
    "DELETE /session": {},
}
BODIES: dict[str, bytes] = {"GET /nessus6.js": BUNDLE, "GET /scans/7/export/5/download": REPORT}
KEY = Credential(
    name="key", kind=CredentialKind.SSH_KEY, username="root", private_key=Secret("-----BEGIN")
)

Act = Callable[[NessusScanner, Path], Awaitable[object]]


@attrs.frozen(kw_only=True)
class Situation:
    """What the client does, and to which of its requests the odd answer is given."""

    act: Act
    asked: tuple[str, ...]
    session: bool = False


async def _create(scanner: NessusScanner, _: Path) -> object:
    scan_id = (await scanner.create_scan(order(ScanKind.PRIVILEGED, credential=KEY))).scan_id
    return scan_id, await scanner.launch(7, (MARKER,))


async def _control(scanner: NessusScanner, _: Path) -> None:
    await scanner.pause(7, (MARKER,))
    await scanner.resume(7, (MARKER,))
    await scanner.stop(7, (MARKER,))
    await scanner.delete(7, (MARKER,))


async def _details(scanner: NessusScanner, _: Path) -> object:
    return [await scanner.details(7), await scanner.details(7, uuid=UUID[:-1] + "x")]


_CREATES = (
    "GET /folders",
    "GET /editor/scan/templates",
    "GET /editor/scan/templates/uuid-advanced",
    "POST /file/upload",
    "POST /scans",
)
_INFO = ("GET /server/status", "GET /server/properties", "GET /settings/advanced")
_EXPORTS = ("POST /scans/7/export", *(f"GET /scans/7/export/5/{x}" for x in ("status", "download")))
SITUATIONS: Mapping[str, Situation] = {
    "info": Situation(act=lambda scanner, _: scanner.info(), asked=_INFO),
    "who": Situation(act=lambda scanner, _: scanner.permissions(), asked=("GET /session",)),
    "login": Situation(
        act=lambda scanner, _: scanner.info(), asked=("POST /session", *_INFO), session=True
    ),
    "ui token": Situation(
        act=_create, asked=("POST /session", "GET /nessus6.js", *_CREATES), session=True
    ),
    "list": Situation(act=lambda scanner, _: scanner.list_scans(), asked=("GET /scans",)),
    "templates": Situation(
        act=lambda scanner, _: scanner.templates(), asked=("GET /editor/scan/templates",)
    ),
    "create": Situation(act=_create, asked=(*_CREATES, "PUT /scans/7", "POST /scans/7/launch")),
    "policy": Situation(
        act=lambda scanner, _: scanner.create_scan(order(ScanKind.CUSTOM, policy="strict")),
        asked=("GET /policies", "POST /scans"),
    ),
    "editor": Situation(
        act=lambda scanner, _: scanner.create_scan(
            order(ScanKind.COMPLIANCE, credential=KEY, audit="CIS")
        ),
        asked=("GET /editor/scan/templates", "GET /editor/scan/templates/uuid-compliance"),
    ),
    "details": Situation(act=_details, asked=("GET /scans/7",)),
    "control": Situation(
        act=_control,
        asked=("GET /scans", *(f"POST /scans/7/{x}" for x in ("pause", "resume", "stop"))),
    ),
    "export": Situation(
        act=lambda scanner, directory: scanner.export(7, 20, directory / "report"), asked=_EXPORTS
    ),
}


class OddScanner:
    """Answers well, but for one request. `random` decides which, how, and how often."""

    def __init__(self, odd: str, random: Random, recorded: Mapping[str, list[Any]]) -> None:
        self._odd = odd
        self._random = random
        self._recorded = recorded
        self._left = random.choice((1, 1, 3, 1000))

    def __call__(self, method: str, path: str) -> Pieces:
        asked = f"{method} {path}"
        body = BODIES.get(asked)
        good = GOOD.get(asked, {})
        if asked != self._odd or not self._left:
            return plain_answer(body if body is not None else json.dumps(good).encode())
        self._left -= 1
        document = self._random.choice([good, good, *self._recorded.get(asked, ())])
        if body is None or self._random.random() < 0.2:
            body = odd_body(document, self._random)
        return odd_answer(body, self._random)


async def one_odd_answer(
    situation: Situation, random: Random, recorded: Mapping[str, list[Any]], directory: Path
) -> str:
    """What became of it: `fine`, or the kind of the error. Anything but a `ScannerError` is
    raised, and so is a value out of bounds."""
    odd = OddScanner(random.choice(situation.asked), random, recorded)
    auth: ApiKeys | UiSession = USER if situation.session else KEYS
    scanner = NessusScanner(
        settings(auth=auth),
        now=lambda: NOW,
        transport=raw_transport(odd),
        run_sync=inline,
        export_limit=lambda: 2**20,
    )
    try:
        judge(await situation.act(scanner, directory))
        return "fine"
    except ScannerError as error:
        problem = error
    finally:
        await scanner.close()
    assert str(problem).isprintable(), repr(str(problem))
    assert len(str(problem)) < 1000
    return problem.kind


def judge(value: object) -> None:
    """Fails for a value that the rest of the program could not bear."""
    if isinstance(value, list | tuple):
        for each in value:
            judge(each)
    elif isinstance(value, RemoteScan | ScanDetails | ScannerInfo):
        for each in attrs.astuple(value, recurse=False):
            judge(each)
    elif isinstance(value, str):
        assert value.isprintable(), repr(value)
        assert len(value) <= 1000
    elif isinstance(value, int | float):
        assert 0 <= value <= 2**53


def load_recorded(folder: Path) -> dict[str, list[Any]]:
    """Answers of real scanners, where they lie next to the checkout, by request."""
    names = {
        "GET /scans": ("vwt_nessus_GET_scans", "csn_nessus8_scans_list", "tio_scans_list_2021"),
        "GET /scans/7": ("vwt_nessus_GET_scans_164", "tio_scan_details_175"),
        "GET /server/status": ("csn_nessus8_server_status",),
        "GET /policies": ("csn_nessus8_policies_list",),
        "POST /session": ("csn_nessus8_session_post", "vwt_nessus_POST_session"),
        "GET /editor/scan/templates": ("csn_nessus8_editor_policy_templates",),
        "POST /scans": ("csn_nessus8_scan_create_resp", "tio_scan_create_resp"),
        "POST /scans/7/export": ("vwt_nessus_POST_export",),
        "GET /scans/7/export/5/status": ("vwt_nessus_export_status",),
    }
    return {
        asked: [json.loads(path.read_bytes()) for path in paths]
        for asked, found in names.items()
        if (paths := [p for name in found if (p := folder / f"{name}.json").exists()])
    }
