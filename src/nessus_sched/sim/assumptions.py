"""Switches for behavior of real scanners that the evidence does not settle.

A client must work with each switch either way. `nessus-sched sim --assume list` prints this
table; the simulator's documentation is generated from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs


@attrs.frozen
class Assumption:
    """`meaning` says what `yes` means; `evidence` what is known."""

    name: str
    default: bool
    meaning: str
    evidence: str


_TABLE = (
    Assumption(
        "fills_defaults",
        False,
        "Settings missing from a request get the defaults of the template.",
        "Nessus 10.10 did not fill them in: a scan with only a name and targets ran without ping"
        " and port scanner. The vendor says that the defaults apply only to the UI.",
    ),
    Assumption(
        "mode_ids_work",
        False,
        "Modes are also accepted by the id shown in reports, such as portscan_common.",
        "All captured requests send names; none with an id was found.",
    ),
    Assumption(
        "unknown_modes_refused",
        False,
        "A mode that the template does not offer is refused with 400; otherwise it is ignored.",
        "None.",
    ),
    Assumption(
        "unknown_settings_refused",
        False,
        "A setting that no template has is refused with 400; otherwise it is ignored.",
        "None.",
    ),
    Assumption(
        "bad_values_refused",
        False,
        "A value that a setting does not offer is refused with 400; otherwise it is ignored.",
        "None.",
    ),
    Assumption(
        "misplaced_credentials_refused",
        True,
        "A credential of a type that the template does not have is refused with 400; otherwise"
        " it is silently dropped.",
        "Editor answers list the types of each template; what a wrong one does is not recorded.",
    ),
    Assumption(
        "surplus_credentials_refused",
        True,
        "More credentials of a type than the `max` of the editor are refused with 400; otherwise"
        " the first ones count.",
        "Editor answers list `max`: -1 for SSH and Windows, 1 for SNMPv3; what more do is not"
        " recorded.",
    ),
    Assumption(
        "policy_scans_take_settings",
        False,
        "A scan based on a policy can have its own settings and credentials.",
        "The vendor says that it cannot.",
    ),
    Assumption(
        "compliance_needs_audit",
        True,
        "A compliance scan without an audit is refused with 404; otherwise it finds nothing.",
        "Reports differ: refused or empty.",
    ),
    Assumption(
        "audit_needs_credential",
        True,
        "An audit without a credential that its category requires is refused with 400;"
        " otherwise it finds nothing.",
        "Editor answers list the required credentials; what a missing one does is not recorded.",
    ),
    Assumption(
        "plugins_need_version_2",
        False,
        "Plugin families in a request apply only with the header X-API-Version: 2.",
        "One observer of engine 19.18; a recorded Nessus 8 accepted them without it.",
    ),
    Assumption(
        "unlisted_plugins_run",
        True,
        "In a family with the status `mixed`, plugins that the request does not list run, too.",
        "None for Nessus; another product of the vendor has a field for it.",
    ),
    Assumption(
        "netstat_ignores_port_range",
        True,
        "Ports listed by netstat count even outside the port range.",
        "The vendor's documentation of local port enumerators.",
    ),
    Assumption(
        "long_folder_names_refused",
        False,
        "A folder name of more than 20 characters is refused with 400.",
        "One client truncates names to 20.",
    ),
    Assumption(
        "uploads_renamed",
        True,
        "An upload whose name is taken gets a new name; otherwise it replaces the old file.",
        "The response has the name to use; when it differs is not recorded.",
    ),
    Assumption(
        "trial_refuses_export",
        True,
        "A trial license answers an export with 403; otherwise the download is a JSON error.",
        "One author saw both, in 2026.",
    ),
    Assumption(
        "plugins_while_running",
        True,
        "The details of a running scan list the plugins of the hosts so far; otherwise only those"
        " of a scan that has ended do.",
        "No recording is of a running scan.",
    ),
    Assumption(
        "partial_exports_have_unfinished_hosts",
        True,
        "Exports of stopped and aborted runs include unfinished hosts, without an end; otherwise"
        " only finished ones.",
        "None recorded.",
    ),
    Assumption(
        "restart_cancels",
        False,
        "A restart leaves running scans canceled instead of aborted.",
        "Both statuses occur in reports.",
    ),
    Assumption(
        "empty_rows_dated",
        False,
        "The list shows a uuid and dates for scans that never ran.",
        "A recorded Nessus 8 shows null and 0; others were seen with both.",
    ),
    Assumption(
        "always_gzip",
        False,
        "The script of the web UI is gzipped even if the client does not request it.",
        "A build or a proxy may do so.",
    ),
    Assumption(
        "keep_alive",
        True,
        "Connections stay open after a response.",
        "Recorded for Nessus 8; editions without API close them with a 412.",
    ),
    Assumption(
        "certificate_has_names",
        False,
        "The certificate names the host, like one installed by an operator.",
        "The self-made certificate of a fresh Nessus has no subject alternative names.",
    ),
)

ASSUMPTIONS: Mapping[str, Assumption] = {assumption.name: assumption for assumption in _TABLE}


def parse(entries: Iterable[str]) -> dict[str, bool]:
    """`NAME=yes|no` each. Raises `ValueError` saying what is wrong."""
    chosen = {}
    for entry in entries:
        name, _, word = entry.partition("=")
        if name not in ASSUMPTIONS:
            raise ValueError(f"unknown {name!r}; there are {', '.join(ASSUMPTIONS)}")
        if word not in ("yes", "no"):
            raise ValueError(f"{name} must be yes or no")
        chosen[name] = word == "yes"
    return chosen
