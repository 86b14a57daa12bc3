"""The configuration of the demo: two simulated scanners."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from nessus_sched.sim.certificate import make_certificate
from nessus_sched.sim.options import SimOptions

BY_NAME = ("localhost", "127.0.0.0/8", "::1/128")
"""A name that resolves on every machine, with its addresses."""
ALLOWED = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")


@attrs.frozen(kw_only=True)
class DemoScanner:
    id: str
    url: str
    fingerprint: str
    access_key: str
    secret_key: str
    max_concurrent_scans: int


def written_config(
    state_directory: Path, *, ports: Sequence[int], seeds: Sequence[int], http: str
) -> str:
    """For scanners that are started later by hand: `sim --port PORT --seed SEED` for each."""
    scanners = []
    for name, port, seed in zip(("east", "west"), ports, seeds, strict=True):
        options = SimOptions(seed=seed)
        scanners.append(
            DemoScanner(
                id=name,
                url=f"https://127.0.0.1:{port}",
                fingerprint=make_certificate(
                    options.host,
                    seed=seed,
                    names=options.assumes("certificate_has_names"),
                ).fingerprint,
                access_key=options.effective_access_key,
                secret_key=options.effective_secret_key,
                max_concurrent_scans=2,
            )
        )
    return config_text(state_directory, scanners, http=http)


def config_text(state_directory: Path, scanners: Sequence[DemoScanner], *, http: str) -> str:
    """The YAML text; polls fast, because simulated scans take seconds."""
    return "\n".join(
        [
            "# Two simulated scanners (nessus-sched sim); the keys are made up.",
            f"state_directory: {_quoted(str(state_directory))}",
            f"http: {{bind: {_quoted(http)}}}",
            f"targets: {{allow: [{', '.join(map(_quoted, (*ALLOWED, *BY_NAME)))}]}}",
            "polling: {fastest: 0.5s, slowest: 5s}",
            "credentials:",
            "  - name: demo-linux",
            "    kind: ssh_password",
            "    username: scanuser",
            "    password: made-up",
            "    escalation: {method: sudo, account: root, password: made-up}",
            "scanners:",
            *(line for scanner in scanners for line in _scanner_lines(scanner)),
            "",
        ]
    )


def _scanner_lines(scanner: DemoScanner) -> list[str]:
    return [
        f"  - id: {scanner.id}",
        f"    name: Simulated scanner {scanner.id}",
        f"    url: {scanner.url}",
        "    auth:",
        "      api_keys:",
        f"        access_key: {scanner.access_key}",
        f"        secret_key: {scanner.secret_key}",
        f"    tls: {{fingerprint: {scanner.fingerprint}}}",
        f"    max_concurrent_scans: {scanner.max_concurrent_scans}",
    ]


def _quoted(text: str) -> str:
    """The text as a YAML scalar."""
    return "'" + text.replace("'", "''") + "'"
