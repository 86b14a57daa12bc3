"""Results of a run so far: hosts, plugins, one host, one plugin's output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from nessus_sched.sim.api.calls import Call
from nessus_sched.sim.api.views import history_row, run_info
from nessus_sched.sim.findings.plugins import Item, Plugin, load_data
from nessus_sched.sim.findings.report import HostProgress, HostSummary, Tally
from nessus_sched.sim.messages import NotFound, Response, reply
from nessus_sched.sim.runs import Run

_CHECKS = 103_620
_LEVELS_SHOWN = 10
_FIRST_HOST_ID = 2
_SCORES = (1, 10, 100, 1_000, 10_000)


@cache
def _filters() -> list[dict[str, Any]]:
    filters: list[dict[str, Any]] = load_data("filters.json")
    return filters


def scan_details(call: Call) -> Response:
    scan = call.nessus.engine.get(call.id)
    run = scan.run(call.query_number("history_id"))
    known = _known(run, call.now) if run else []
    info = run_info(scan, run)
    info["hostcount"] = len(known)
    early = call.nessus.options.assumes("plugins_while_running")
    told = known if early or run is None or run.ended else []
    return reply(
        {
            "info": info,
            "hosts": _host_rows(known) if run else None,
            "comphosts": _host_rows(known, compliance=True),
            "notes": None,
            "remediations": _remediations(known),
            "vulnerabilities": _vulnerabilities(host.tallies for host, _ in told) or None,
            "compliance": _vulnerabilities(host.compliance for host, _ in known),
            "filters": _filters(),
            "history": [history_row(run) for run in reversed(scan.runs)] or None,
        }
    )


def host_details(call: Call) -> Response:
    run, index = _host_of(call)
    host, progress = _known(run, call.now)[index]
    host_id = index + _FIRST_HOST_ID
    tags = run.report.properties(index, progress.span)
    return reply(
        {
            "info": {
                "mac-address": tags.get("mac-address"),
                "host-fqdn": tags.get("host-fqdn"),
                "host-ip": tags.get("host-ip"),
                "operating-system": tags.get("operating-system"),
                "netbios-name": tags.get("netbios-name"),
                "host_start": tags.get("HOST_START"),
                "host_end": tags.get("HOST_END"),
            },
            "vulnerabilities": _findings_of_host(host.tallies, host_id, host.name),
            "compliance": _findings_of_host(host.compliance, host_id, host.name),
        }
    )


def plugin_output(call: Call) -> Response:
    run, index = _host_of(call)
    plugin_id = call.number("plugin_id")
    host, progress = _known(run, call.now)[index]
    if plugin_id not in host.plugin_ids():
        raise NotFound
    found = run.report.items(index, progress.span)
    items = [item for item in found if item.plugin.id == plugin_id]
    return reply(
        {
            "outputs": _outputs(items, host.name),
            "info": {"plugindescription": plugin_description(items[0].plugin)},
        }
    )


def plugin_description(plugin: Plugin) -> dict[str, Any]:
    """The attributes of a plugin, nested as in the API."""
    elements = plugin.elements
    references = [str(text).partition(":")[::2] for text in _as_list(elements.get("xref"))]
    risk = ("risk_factor", "cvss_base_score", "cvss_vector", "cvss3_base_score", "cvss3_vector")
    return {
        "severity": plugin.severity,
        "pluginname": plugin.name,
        "pluginfamily": plugin.family,
        "pluginid": str(plugin.id),
        "pluginattributes": {
            "synopsis": elements.get("synopsis"),
            "description": elements.get("description"),
            "solution": elements.get("solution"),
            "see_also": _as_list(elements.get("see_also")) or None,
            "has_patch": "patch_publication_date" in elements,
            "risk_information": {name: elements[name] for name in risk if name in elements},
            "ref_information": {
                "ref": [
                    {"name": name.lower(), "values": {"value": [value]}}
                    for name, value in references
                ]
            },
            "xrefs": [{"type": name, "id": value} for name, value in references],
            "plugin_information": {
                "plugin_id": plugin.id,
                "plugin_version": elements.get("script_version"),
                "plugin_type": elements.get("plugin_type"),
                "plugin_family": plugin.family,
                "plugin_publication_date": elements.get("plugin_publication_date"),
                "plugin_modification_date": elements.get("plugin_modification_date"),
            },
            "vuln_information": {
                "exploit_available": elements.get("exploit_available"),
                "cve": _as_list(elements.get("cve")) or None,
            },
        },
    }


def _known(run: Run, now: float) -> list[tuple[HostSummary, HostProgress]]:
    """The results of each host so far. Hosts start in order, so this is a prefix of all."""
    return [
        (host.part(progress.share), progress)
        for host, progress in zip(run.report.hosts, run.hosts(now), strict=True)
        if progress.share > 0
    ]


def _host_of(call: Call) -> tuple[Run, int]:
    run = call.nessus.engine.get(call.id).run(call.query_number("history_id"))
    index = call.number("host_id") - _FIRST_HOST_ID
    if run is None or not 0 <= index < len(_known(run, call.now)):
        raise NotFound
    return run, index


def _host_rows(
    known: Sequence[tuple[HostSummary, HostProgress]], *, compliance: bool = False
) -> list[dict[str, Any]]:
    return [
        _host_row(index, host, progress.share, compliance=compliance)
        for index, (host, progress) in enumerate(known)
        if (host.compliance if compliance else host.tallies)
    ]


def _host_row(
    index: int, host: HostSummary, share: float, *, compliance: bool = False
) -> dict[str, Any]:
    """`severity` is the total number of findings, despite its name."""
    shown = HostSummary(name=host.name, tallies=host.compliance) if compliance else host
    counts = shown.counts
    done = int(100 * share)
    considered = int(_CHECKS * share)
    levels = [
        {"count": counts[level] if level < len(counts) else 0, "severitylevel": level}
        for level in range(_LEVELS_SHOWN)
    ]
    row = {
        "totalchecksconsidered": _CHECKS,
        "numchecksconsidered": considered,
        "scanprogresstotal": 100,
        "scanprogresscurrent": done,
        "host_index": index,
        "score": sum(count * score for count, score in zip(counts, _SCORES, strict=True)),
        "severitycount": {"item": levels},
        "progress": f"{done}-100/{considered}-{_CHECKS}",
        "severity": sum(counts),
        "host_id": index + _FIRST_HOST_ID,
        "hostname": host.name,
    }
    names = ("info", "low", "medium", "high", "critical")
    row |= dict(zip(names, counts, strict=True))
    row |= {f"offline_{name}": 0 for name in names}
    return row


def _vulnerabilities(hosts: Iterable[Sequence[Tally]]) -> list[dict[str, Any]]:
    """Counts by plugin and severity over all hosts, worst first."""
    totals: dict[tuple[int, int], list[Tally]] = {}
    for tallies in hosts:
        for tally in tallies:
            totals.setdefault((tally.severity, tally.plugin.id), []).append(tally)
    worst_first = sorted(totals.items(), key=lambda entry: (-entry[0][0], entry[0][1]))
    return [
        {
            "count": sum(tally.count for tally in tallies),
            "vuln_index": index,
            "plugin_name": tallies[0].plugin.name,
            "severity": severity,
            "plugin_id": plugin_id,
            "severity_index": index,
            "cpe": tallies[0].plugin.elements.get("cpe"),
            "offline": False,
            "plugin_family": tallies[0].plugin.family,
            "snoozed": 0,
        }
        for index, ((severity, plugin_id), tallies) in enumerate(worst_first)
    ]


def _findings_of_host(
    tallies: Sequence[Tally], host_id: int, hostname: str
) -> list[dict[str, Any]]:
    return [
        {
            "count": tally.count,
            "host_id": host_id,
            "hostname": hostname,
            "plugin_family": tally.plugin.family,
            "plugin_id": tally.plugin.id,
            "plugin_name": tally.plugin.name,
            "severity": tally.severity,
            "severity_index": index,
            "vuln_index": index,
        }
        for index, tally in enumerate(tallies)
    ]


def _remediations(known: Sequence[tuple[HostSummary, HostProgress]]) -> dict[str, Any]:
    """Plugins with a patch, and the hosts affected."""
    fixes: dict[int, list[Tally]] = {}
    impacted = 0
    for host, _ in known:
        patchable = [
            tally for tally in host.tallies if "patch_publication_date" in tally.plugin.elements
        ]
        impacted += bool(patchable)
        for tally in patchable:
            fixes.setdefault(tally.plugin.id, []).append(tally)
    rows = [_remediation(tallies) for tallies in fixes.values()]
    cves = {
        cve for tallies in fixes.values() for cve in _as_list(tallies[0].plugin.elements.get("cve"))
    }
    return {
        "remediations": rows,
        "num_hosts": len(known),
        "num_cves": len(cves),
        "num_impacted_hosts": impacted,
        "num_remediated_cves": len(cves),
    }


def _remediation(tallies: Sequence[Tally]) -> dict[str, Any]:
    plugin = tallies[0].plugin
    solution = str(plugin.elements.get("solution", ""))
    return {
        "remediation": f"{plugin.name}: {solution}",
        "hosts": len(tallies),
        "value": f"{plugin.id:032x}",
        "vulns": len(_as_list(plugin.elements.get("cve"))),
    }


def _outputs(items: Sequence[Item], hostname: str) -> list[dict[str, Any]]:
    """One entry per distinct output, with its ports."""
    grouped: dict[str, list[Item]] = {}
    for item in items:
        grouped.setdefault(item.output, []).append(item)
    return [
        {
            "ports": {
                f"{item.port} / {item.protocol} / {item.service}": [{"hostname": hostname}]
                for item in same
            },
            "has_attachment": 0,
            "severity": same[0].severity,
            "plugin_output": output,
            "hosts": None,
            "custom_description": None,
        }
        for output, same in grouped.items()
    ]


def _as_list(value: str | list[str] | None) -> list[str]:
    if value is None:
        return []
    return value.split("\n") if isinstance(value, str) else value
