"""Importing a `.nessus` file as a finished scan."""

from __future__ import annotations

from nessus_sched.sim.api.calls import Call
from nessus_sched.sim.api.scans import new_scan, wanted_folder
from nessus_sched.sim.api.views import scan_copy
from nessus_sched.sim.fields import text_field
from nessus_sched.sim.findings.replay import ReplayedReport
from nessus_sched.sim.folders import MY_SCANS
from nessus_sched.sim.messages import ApiError, NotFound, Response, reply
from nessus_sched.sim.templates import templates


def import_scan(call: Call) -> Response:
    name = text_field(call.body, "file")
    content = call.nessus.uploads.get(name)
    if content is None:
        raise NotFound
    report = ReplayedReport.of_bytes(name, content)
    if not report.hosts:
        raise ApiError(400, "Invalid file")
    advanced = next(row for row in templates().values() if row.name == "advanced")
    scan = new_scan(call, name.removesuffix(".nessus"), advanced)
    scan.folder_id = wanted_folder(call, call.body, MY_SCANS)
    scan.imported = True
    call.nessus.engine.add_imported(scan, report, call.nessus.fresh_uuid(), call.now)
    call.record("import", scan.name)
    return reply({"scan": {**scan_copy(scan), "status": "imported"}})
