"""The configuration of the story's daemon."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from nessus_sched.sim.state import SimulatedNessus

NETWORKS: Final = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
PLANT: Final = "203.0.113.0/24"
"""The network that is scanned in its window only."""
DIGEST: Final = "weekly digest"


def story_config(state_directory: Path, scanners: Mapping[str, SimulatedNessus]) -> str:
    """The YAML text."""
    return "\n".join(
        [
            f"state_directory: {json.dumps(str(state_directory))}",
            "http: {bind: null}",
            f"targets: {{allow: {json.dumps(NETWORKS)}}}",
            # Scans take an hour here: looking at them every few seconds would only take time.
            "polling: {fastest: 1m, slowest: 6h, info: 6h, probe: 5m, probe_max: 1h}",
            "scheduling: {lost_after: 1h, quarantine: 5m, part_duration: 45m}",
            "windows:",
            "  - name: plant-nights",
            "    times: ['mon-sun 01:00-04:00']",
            f"    networks: ['{PLANT}']",
            "    at_end: pause",
            "credentials:",
            "  - name: demo-linux",
            "    kind: ssh_password",
            "    username: scanuser",
            "    password: made-up",
            "    escalation: {method: sudo, account: root, password: made-up}",
            "sinks:",
            "  - {name: team, json_lines: {file: messages.jsonl}}",
            "routes:",
            "  - {name: weekly-digest, sink: team, when: weekly, day: sun, at: '20:00'}",
            "scanners:",
            *(line for name, each in scanners.items() for line in _scanner(name, each)),
            "",
        ]
    )


def _scanner(name: str, nessus: SimulatedNessus) -> list[str]:
    return [
        f"  - id: {name}",
        "    url: https://127.0.0.1:8834",
        "    auth:",
        "      api_keys:",
        f"        access_key: {nessus.accounts.access_key}",
        f"        secret_key: {nessus.accounts.secret_key}",
        "    max_concurrent_scans: 1",
    ]
