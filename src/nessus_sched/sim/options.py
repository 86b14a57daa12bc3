"""Options of a simulated Nessus: edition, size, speed and accounts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import attrs

from nessus_sched.sim.assumptions import ASSUMPTIONS
from nessus_sched.sim.refusals import Refusal


@attrs.frozen(kw_only=True)
class Edition:
    """A product edition and what its license allows."""

    name: str
    title: str
    license_type: str
    scan_api: bool
    """Without it, writes on scans with API keys get a 412."""
    licensed_ips: int | None
    """Addresses that the license covers, None for no limit."""
    locked_templates: frozenset[str]


_MANAGER_ONLY = frozenset({"mobile", "mdm"})
_SUBSCRIPTION_ONLY = frozenset({"asv", "pci", "compliance", "offline", "cloud_audit", "scap"})

EDITIONS = {
    edition.name: edition
    for edition in (
        Edition(
            name="manager",
            title="Nessus Manager",
            license_type="manager",
            scan_api=True,
            licensed_ips=None,
            locked_templates=frozenset(),
        ),
        Edition(
            name="professional",
            title="Nessus Professional",
            license_type="professional",
            scan_api=False,
            licensed_ips=None,
            locked_templates=_MANAGER_ONLY,
        ),
        Edition(
            name="expert",
            title="Nessus Expert",
            license_type="expert",
            scan_api=False,
            licensed_ips=None,
            locked_templates=_MANAGER_ONLY,
        ),
        Edition(
            name="essentials",
            title="Nessus Essentials",
            license_type="home",
            scan_api=False,
            licensed_ips=16,
            locked_templates=_MANAGER_ONLY | _SUBSCRIPTION_ONLY,
        ),
    )
}


def _known_edition(_options: object, _field: object, value: str) -> None:
    if value not in EDITIONS:
        raise ValueError(f"unknown edition {value!r}; choose one of {', '.join(EDITIONS)}")


def _known_assumptions(_options: object, _field: object, value: Mapping[str, bool]) -> None:
    unknown = sorted(set(value) - set(ASSUMPTIONS))
    if unknown:
        raise ValueError(f"unknown: {', '.join(unknown)}; there are {', '.join(ASSUMPTIONS)}")


def derived_key(seed: int, purpose: str) -> str:
    """64 hex digits derived from the seed, so that a config can be written in advance."""
    return hashlib.sha256(f"nessus-sched sim {purpose} {seed}".encode()).hexdigest()


@attrs.frozen(kw_only=True)
class SimOptions:
    """How a simulated Nessus behaves. Times are in seconds, sizes in bytes.

    Empty keys are derived from the seed: two simulators with the same seed have the same keys
    and the same findings for the same targets.
    """

    host: str = "127.0.0.1"
    port: int = 0
    """0 lets the system choose."""
    seed: int = 1
    edition: str = attrs.field(default="manager", validator=_known_edition)

    assume: Mapping[str, bool] = attrs.field(factory=dict, validator=_known_assumptions)
    """Assumptions by name; see `sim.assumptions`."""

    # Speed and size
    scans_take: float = 10.0
    transition_takes: float = 0.2
    """Duration of resuming and stopping."""
    pause_takes: float | None = None
    """Duration of pausing, None for `transition_takes`. A real scanner lets running checks
    finish first, which can take minutes."""
    export_takes: float = 0.5
    """Time until an export is ready."""
    loading_seconds: float = 0.0
    """Time for loading plugins after a start or restart."""
    max_scans: int = 0
    """`global.max_scans`: maximum number of concurrent scans, 0 for no limit."""
    over_limit: str = attrs.field(
        default="pending", validator=attrs.validators.in_(["pending", "refuse"])
    )
    trial: bool = False
    """An evaluation license, with which results cannot be exported."""
    licensed_ips: int | None = None
    """Instead of the edition's own limit."""
    launch_conflict_status: int = 500
    """Status for launching a running scan: old documentation says 500, others saw 409."""
    refuses: frozenset[Refusal] = frozenset()
    """Refusals at start; can be changed at run time."""
    gate_cuts_body: bool = False
    """Break the connection after the headers of a 412, as Essentials 10 was seen to do."""

    # Authentication
    username: str = "admin"
    password: str = attrs.field(default="nessus", repr=False)
    access_key: str = attrs.field(default="", repr=False)
    secret_key: str = attrs.field(default="", repr=False)
    permissions: int = 128
    """Permissions of the account: 16 may only read, 32 and above may create scans."""
    idle_timeout: float = 30 * 60.0
    max_login_attempts: int = 5
    """Bad logins until the account is locked, 0 for never."""
    ui_token_upper_case: bool = True

    # Findings
    alive_share: float = 0.4
    """Share of live addresses in networks and ranges."""
    single_targets_alive: bool = True
    """Single targets always answer; otherwise as in a network."""
    dead_targets: tuple[str, ...] = ()
    """Addresses, networks and names that do not answer."""
    wrong_passwords: frozenset[str] = frozenset({"wrong"})
    """Passwords and passphrases that targets refuse; they accept all others."""
    unprivileged_users: frozenset[str] = frozenset({"guest", "limited"})
    """Users whose login works but cannot run all checks without escalation."""
    intermittent_users: frozenset[str] = frozenset({"flaky"})
    """Users whose login works and then fails at least once."""
    drift: float = attrs.field(
        default=0.0, validator=[attrs.validators.ge(0), attrs.validators.le(1)]
    )
    """Share of findings that is decided again each week; see `sim.findings.drift`."""
    patched: frozenset[int] = frozenset()
    """Plugins that find nothing on any host, as if everything had been patched."""
    filler_findings: int = 0
    """Additional informational findings on each host, to make large exports."""
    filler_bytes: int = 1000
    """Length of the plugin output of each of them."""
    replay_directory: Path | None = None
    """Replay the `.nessus` files in this directory, one per scan, in sorted order."""
    recording: Path | None = None
    """Replay the recording of a certification instead of simulating."""
    replay_files: tuple[Path, ...] = ()
    """Replay just these, in this order."""

    # Faults from outside
    control: bool = False
    """Serve the control interface under `/_sim/`."""
    control_token: str | None = attrs.field(default=None, repr=False)
    """Bearer token for the control interface; without one it only serves loopback addresses."""

    def assumes(self, name: str) -> bool:
        """Whether an assumption holds."""
        return self.assume.get(name, ASSUMPTIONS[name].default)

    @property
    def license(self) -> Edition:
        return EDITIONS[self.edition]

    @property
    def ip_limit(self) -> int | None:
        return self.license.licensed_ips if self.licensed_ips is None else self.licensed_ips

    @property
    def effective_access_key(self) -> str:
        return self.access_key or derived_key(self.seed, "access key")

    @property
    def effective_secret_key(self) -> str:
        return self.secret_key or derived_key(self.seed, "secret key")
