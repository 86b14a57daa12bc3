"""Scans: create, configure, control, delete, copy, import, list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from nessus_sched.sim import targets
from nessus_sched.sim.api.bodies import (
    audits_of,
    check_compliance,
    credentials_of,
    plugins_of,
    settings_of,
)
from nessus_sched.sim.api.calls import Call
from nessus_sched.sim.api.folders import folder_rows
from nessus_sched.sim.api.views import scan_copy, scan_object, scan_row
from nessus_sched.sim.blueprints import SCAN_SETTINGS
from nessus_sched.sim.fields import (
    id_list,
    list_field,
    number_field,
    object_field,
    text_field,
)
from nessus_sched.sim.folders import MY_SCANS
from nessus_sched.sim.messages import EMPTY, ApiError, NotFound, Response, reply
from nessus_sched.sim.scans import Scan
from nessus_sched.sim.templates import Template, find_template

_OWNER_ID = 2
_STANDARD = 32
"""The lowest permission that may create scans."""


def list_scans(call: Call) -> Response:
    """`scans` is null if there are none. The time filter uses the date shown, so a scan that
    never ran (date 0) never matches."""
    folder_id = call.query_number("folder_id")
    since = call.query_number("last_modification_date")
    dated = call.nessus.options.assumes("empty_rows_dated")
    rows = [
        row
        for scan in call.nessus.scans.values()
        if (folder_id is None or scan.folder_id == folder_id)
        and (row := scan_row(scan, empty_dated=dated))["last_modification_date"] >= (since or 0)
    ]
    return reply(
        {"folders": folder_rows(call.nessus), "scans": rows or None, "timestamp": int(call.now)}
    )


def create_scan(call: Call) -> Response:
    if call.nessus.permissions < _STANDARD:
        raise ApiError(403, "You do not have permission to perform this request")
    template = find_template(call.body.get("uuid"))
    _check_template(call, template)
    settings = object_field(call.body, "settings")
    scan = new_scan(call, text_field(settings, "name"), template)
    if settings.get("policy_id") is not None:
        policy = call.nessus.policies.get(number_field(settings, "policy_id"))
        scan.policy_id, scan.policy_title = policy.id, policy.name
        scan.credentials = list(policy.credentials)
    _apply(call, scan, template)
    call.nessus.scans[scan.id] = scan
    call.record("create", scan.name)
    if settings.get("launch_now"):
        call.nessus.launch(scan)
    return reply({"scan": scan_object(scan)})


def configure_scan(call: Call) -> Response:
    scan = call.nessus.engine.get(call.id)
    if scan.busy:
        raise ApiError(409, "Can not edit an active scan")
    template = find_template(call.body.get("uuid", scan.template_uuid))
    _check_template(call, template)
    _apply(call, scan, template)
    if template.uuid != scan.template_uuid:
        scan.template, scan.template_uuid = template.name, template.uuid
        scan.policy_title = template.title
    scan.modified_at = call.now
    call.record("configure", scan.name)
    return reply(scan_object(scan))


def move_scan(call: Call) -> Response:
    scan = call.nessus.engine.get(call.id)
    scan.folder_id = wanted_folder(call, call.body)
    return EMPTY


def mark_read(call: Call) -> Response:
    scan = call.nessus.engine.get(call.id)
    scan.read = call.request.query.get("read") == "true"
    return EMPTY


def schedule_scan(call: Call) -> Response:
    scan = call.nessus.engine.get(call.id)
    scan.enabled = call.request.query.get("enabled") == "true"
    return reply(
        {
            "enabled": scan.enabled,
            "control": True,
            "rrules": scan.settings.get("rrules"),
            "starttime": scan.settings.get("starttime"),
            "timezone": scan.settings.get("timezone"),
        }
    )


def launch_scan(call: Call) -> Response:
    scan = call.nessus.engine.get(call.id)
    alternative = [str(target) for target in list_field(call.body, "alt_targets")]
    wanted = [target.text for target in targets.parse(alternative)]
    run = call.nessus.launch(scan, wanted)
    return reply({"scan_uuid": run.uuid})


def pause_scan(call: Call) -> Response:
    return _control(call, "pause")


def resume_scan(call: Call) -> Response:
    return _control(call, "resume")


def stop_scan(call: Call) -> Response:
    return _control(call, "stop")


def kill_scan(call: Call) -> Response:
    return _control(call, "kill")


def _control(call: Call, action: str) -> Response:
    engine = call.nessus.engine
    actions = {
        "pause": engine.pause,
        "resume": engine.resume,
        "stop": engine.stop,
        "kill": engine.kill,
    }
    scan = engine.get(call.id)
    actions[action](scan, call.now)
    call.record(action, scan.name)
    return EMPTY


def delete_scan(call: Call) -> Response:
    _delete(call, call.id)
    return EMPTY


def delete_scans(call: Call) -> Response:
    known = [scan_id for scan_id in id_list(call.body) if scan_id in call.nessus.scans]
    for scan_id in known:
        _delete(call, scan_id)
    return reply({"deleted": known})


def delete_history(call: Call) -> Response:
    scan = call.nessus.engine.get(call.id)
    call.nessus.engine.delete_run(scan, call.number("history_id"))
    return EMPTY


def copy_scan(call: Call) -> Response:
    original = call.nessus.engine.get(call.id)
    name = str(call.body.get("name") or f"Copy of {original.name}")
    copy = attrs.evolve(
        original,
        id=next(call.nessus.ids),
        name=name,
        folder_id=wanted_folder(call, call.body, original.folder_id),
        created_at=call.now,
        modified_at=call.now,
        settings={**original.settings, "name": name},
        credentials=list(original.credentials),
        uuid=f"template-{call.nessus.fresh_uuid()}",
        read=False,
        runs=[],
    )
    call.nessus.scans[copy.id] = copy
    call.record("create", copy.name)
    return reply(scan_copy(copy))


def timezones(call: Call) -> Response:
    zones = ("Africa/Cairo", "America/New_York", "Asia/Tokyo", "Europe/London", "UTC")
    return reply({"timezones": [{"name": zone, "value": zone} for zone in zones]})


def new_scan(call: Call, name: str, template: Template) -> Scan:
    return Scan(
        id=next(call.nessus.ids),
        name=name,
        template_uuid=template.uuid,
        template=template.name,
        policy_title=template.title,
        folder_id=MY_SCANS,
        targets=(),
        owner=call.nessus.accounts.username,
        owner_id=_OWNER_ID,
        created_at=call.now,
        modified_at=call.now,
        uuid=f"template-{call.nessus.fresh_uuid()}",
    )


def _apply(call: Call, scan: Scan, template: Template) -> None:
    """Applies the body, or nothing if any part is invalid."""
    settings = settings_of(call, template)
    wanted = _targets(call, settings)
    folder_id = wanted_folder(call, settings, scan.folder_id)
    credentials = credentials_of(call, template, scan.credentials)
    plugins = plugins_of(call, template, scan.plugins)
    audits = audits_of(call, scan.audits)
    if scan.policy_id is None:
        check_compliance(call, template, audits, credentials)
    elif not call.nessus.options.assumes("policy_scans_take_settings"):
        settings = {name: settings[name] for name in SCAN_SETTINGS & settings.keys()}
        credentials, plugins = scan.credentials, scan.plugins
    scan.name = text_field(settings, "name", scan.name)
    scan.credentials = credentials
    scan.plugins = plugins
    scan.audits = audits
    scan.settings |= settings
    scan.enabled = bool(settings.get("enabled", scan.enabled))
    scan.folder_id = folder_id
    if wanted:
        scan.targets = tuple(wanted)


def _targets(call: Call, settings: Mapping[str, Any]) -> list[str]:
    """Targets from the text and from an uploaded file."""
    texts = [str(settings.get("text_targets") or "")]
    if uploaded := settings.get("file_targets"):
        content = call.nessus.uploads.get(str(uploaded))
        if content is None:
            raise NotFound
        texts.append(content.decode(errors="replace"))
    return [target.text for target in targets.parse(texts)]


def wanted_folder(call: Call, body: Mapping[str, Any], default: int | None = None) -> int:
    """The folder; null counts as absent."""
    given = {} if body.get("folder_id") is None else body
    return call.nessus.folders.get(number_field(given, "folder_id", default)).id


def _check_template(call: Call, template: Template) -> None:
    if template.name in call.nessus.options.license.locked_templates:
        raise ApiError(403, "Your license does not allow this template")


def _delete(call: Call, scan_id: int) -> None:
    scan = call.nessus.engine.get(scan_id)
    call.nessus.engine.delete(scan)
    call.record("delete", scan.name)
