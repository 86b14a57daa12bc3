"""A DefectDojo for tests: the part of its API (v2) that we use, as its published sources have it.

Facts (django-DefectDojo, `dojo/api_v2` and the API modules of products, engagements and tests):
token authentication; lists as `count`, `next`, `previous`, `results`; the filter `name_exact` of
products ignores case, those of engagements and tests are exact; the required fields of what is
made; the fields of `import-scan/` and `reimport-scan/`, of which `close_old_findings` is false for
the first and true for the second unless given; 201 for both; 400 with the errors by field.
A reimport matches findings by plugin and host, makes new ones, opens closed ones that are back,
and, with `close_old_findings`, closes those of the test that are not in the report.
"""

from __future__ import annotations

import json
import re
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, Final
from xml.etree import ElementTree

import attrs

from support.counterparts import Answer, Request

IMPORT_FIELDS: Final = frozenset({
    "scan_date", "minimum_severity", "active", "verified", "endpoint_to_add", "product_type_name",
    "product_name", "engagement_name", "engagement_end_date", "source_code_management_uri",
    "test_title", "auto_create_context", "deduplication_on_engagement", "lead", "push_to_jira",
    "environment", "build_id", "branch_tag", "commit_hash", "api_scan_configuration", "service",
    "group_by", "create_finding_groups_for_all_findings", "apply_tags_to_findings",
    "apply_tags_to_endpoints", "scan_type", "tags", "close_old_findings", "version",
})  # fmt: skip
SEVERITIES: Final = ("Info", "Low", "Medium", "High", "Critical")
REQUIRED: Final = {
    "product_types": ("name",),
    "products": ("name", "description", "prod_type"),
    "engagements": ("product", "target_start", "target_end"),
}
FILTERS: Final = {
    "product_types": {"name": "name"},
    "products": {"name_exact": "name"},
    "engagements": {"name": "name", "product": "product"},
    "tests": {"title": "title", "engagement": "engagement"},
}


@attrs.define
class Dojo:
    token: str
    tables: dict[str, list[dict[str, Any]]] = attrs.field(
        factory=lambda: {name: [] for name in FILTERS}
    )
    findings: dict[tuple[int, str, str], bool] = attrs.field(factory=dict)
    """By test, plugin and host: whether it is active."""
    requests: list[str] = attrs.field(factory=list)
    imports: list[dict[str, Any]] = attrs.field(factory=list)
    """The form of each import, `tags` as a list, and the name of the file."""

    def __call__(self, request: Request) -> Answer:
        self.requests.append(f"{request.method} {request.path}")
        if request.headers.get("authorization") != f"Token {self.token}":
            return told(401, {"detail": "Invalid token."})
        found = re.fullmatch(r"/api/v2/([a-z_-]+)/(?:([0-9]+)/)?", request.path)
        if found is None:
            return Answer(404, b"<html>not here</html>")
        if found[1] in ("import-scan", "reimport-scan"):
            return self._import(request, again=found[1] == "reimport-scan")
        table = self.tables[found[1]]
        if request.method == "GET":
            return self._listed(found[1], request.query)
        body = json.loads(request.body)
        if request.method == "PATCH":
            (row,) = (each for each in table if each["id"] == int(found[2]))
            row.update(body)
            return told(200, row)
        missing = [name for name in REQUIRED[found[1]] if not body.get(name)]
        if missing:
            return told(400, {name: ["This field is required."] for name in missing})
        table.append({"id": len(table) + 1, "tags": [], **body})
        return told(201, table[-1])

    def active(self, title: str) -> set[tuple[str, str]]:
        """Plugins and hosts of the open findings of a test."""
        (test,) = (each for each in self.tables["tests"] if each["title"] == title)
        return {
            (plugin, host)
            for (number, plugin, host), active in self.findings.items()
            if number == test["id"] and active
        }

    def _listed(self, name: str, query: dict[str, str]) -> Answer:
        columns = FILTERS[name]
        assert set(query) <= {*columns, "limit", "offset"}, query
        wanted = {columns[key]: value for key, value in query.items() if key in columns}
        same = str.lower if "name_exact" in query else str
        rows = [
            row
            for row in self.tables[name]
            if all(same(str(row.get(key))) == same(value) for key, value in wanted.items())
        ]
        return told(200, {"count": len(rows), "next": None, "previous": None, "results": rows})

    def _import(self, request: Request, *, again: bool) -> Answer:
        assert "content-length" in request.headers  # not every server takes chunks
        form, report = parsed(request)
        extra = {"test"} if again else {"engagement"}
        assert set(form) - {"file"} <= IMPORT_FIELDS | extra, form
        self.imports.append(form)
        if form.get("scan_type") != "Tenable Scan" or not form["file"].endswith(".nessus"):
            return told(400, {"scan_type": ["not a valid choice."]})
        test = self._test_of(form, again=again)
        if test is None:
            return told(404, {"detail": "Not found."})
        test["tags"] = form["tags"]
        least = SEVERITIES.index(form.get("minimum_severity", "Info"))
        found = {(test["id"], *each) for each in reported(report, least)}
        self.findings |= dict.fromkeys(found, True)
        close = form.get("close_old_findings", "true" if again else "false")
        if close == "true":
            for key in self.findings:
                if key[0] == test["id"] and key not in found:
                    self.findings[key] = False
        return told(201, {"test": test["id"], "test_id": test["id"], "scan_type": "Tenable Scan"})

    def _test_of(self, form: dict[str, Any], *, again: bool) -> dict[str, Any] | None:
        tests = self.tables["tests"]
        if again:
            return next((each for each in tests if each["id"] == int(form["test"])), None)
        assert form["engagement"] in {str(each["id"]) for each in self.tables["engagements"]}
        tests.append(
            {
                "id": len(tests) + 1,
                "title": form["test_title"],
                "engagement": int(form["engagement"]),
                "description": None,
                "test_type_name": "Tenable Scan",
                "tags": [],
            }
        )
        return tests[-1]


def told(status: int, body: Any) -> Answer:
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


def parsed(request: Request) -> tuple[dict[str, Any], bytes]:
    """The fields of a form, and the content of its file."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    made = BytesParser(policy=HTTP).parsebytes(head + request.body)
    form: dict[str, Any] = {"tags": []}
    report = b""
    for part in made.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        if name == "file":
            form["file"], report = part.get_filename(), content
        elif name == "tags":
            form["tags"].append(content.decode())
        else:
            assert name not in form
            form[str(name)] = content.decode()
    return form, report


def reported(report: bytes, least: int) -> set[tuple[str, str]]:
    root = ElementTree.fromstring(report)  # noqa: S314 - our own
    assert root.tag == "NessusClientData_v2"
    assert [each.tag for each in root].count("Report") == 1
    return {
        (item.attrib["pluginID"], host.attrib["name"])
        for host in root.iter("ReportHost")
        for item in host.iter("ReportItem")
        if int(item.attrib["severity"]) >= least
    }
