"""The simulated Nessus as one object without I/O; time is passed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count

from nessus_sched.sim.accounts import Accounts
from nessus_sched.sim.exports import Exports
from nessus_sched.sim.faults import FaultKind, Faults
from nessus_sched.sim.findings.conduct import Conduct, Rules, conduct_of
from nessus_sched.sim.findings.drift import Drift
from nessus_sched.sim.findings.generate import GeneratedReport
from nessus_sched.sim.findings.machines import Machine, Network
from nessus_sched.sim.findings.replay import Replay
from nessus_sched.sim.findings.report import Report
from nessus_sched.sim.folders import SHORT_NAME, Folders
from nessus_sched.sim.ledger import Ledger
from nessus_sched.sim.messages import ApiError
from nessus_sched.sim.options import SimOptions
from nessus_sched.sim.policies import Policies
from nessus_sched.sim.preferences import Preferences
from nessus_sched.sim.recording import read_recording
from nessus_sched.sim.refusals import Refusal
from nessus_sched.sim.runs import Run, RunStatus
from nessus_sched.sim.scans import Engine, LaunchPlan, Scan
from nessus_sched.sim.seeded import dice, guid, hex_digits, run_uuid

READ_ONLY = 16


class SimulatedNessus:
    """The state of one simulated Nessus and its operations.

    `now` returns epoch seconds, which may be virtual time. `sim.api.respond` is the HTTP
    interface, `sim.app` the ASGI application, `sim.serve` the server.
    """

    def __init__(self, options: SimOptions | None = None, *, now: Callable[[], float]) -> None:
        self.options = options or SimOptions()
        self.now = now
        ids = count(4)  # folders 2 and 3 exist; folders, policies and scans share the other ids
        self.ids = ids
        self.credential_ids = count(1)
        self.ledger = Ledger()
        self.faults = Faults()
        self.accounts = Accounts(self.options)
        short = self.options.assumes("long_folder_names_refused")
        self.folders = Folders(ids, longest=SHORT_NAME if short else None)
        self.policies = Policies(ids)
        self.preferences = Preferences(max_scans=self.options.max_scans)
        self.exports = Exports(self.options.seed)
        self.engine = Engine(ledger=self.ledger, ids=ids, max_scans=self.preferences.max_scans)
        self.uploads: dict[str, bytes] = {}
        self.used_ips: set[str] = set()
        self.scans_take = self.options.scans_take
        self.pause_takes = self.options.pause_takes
        self.refuses = set(self.options.refuses)
        self.boot_time = now()
        self.loading_until = self.boot_time + self.options.loading_seconds
        self.refusing_until = self.boot_time
        self.certificate_generation = 0
        self.on_change: Callable[[], None] = lambda: None
        """Called to refuse or break connections, or to change the certificate; by the server in
        Trio's thread."""
        self.server_uuid = guid(dice(self.options.seed, "server"))
        self.network = Network.build(
            self.options.seed,
            self.options.alive_share,
            self.options.dead_targets,
            singles_alive=self.options.single_targets_alive,
        )
        self._replay = Replay.find(self.options.replay_directory, self.options.replay_files)
        self._drawn = 0
        recording = self.options.recording
        self.recording = None if recording is None else read_recording(recording, now())

    @property
    def permissions(self) -> int:
        """Permissions of the account: 16 may only read, 32 and above may create scans."""
        return READ_ONLY if Refusal.NO_RIGHTS in self.refuses else self.options.permissions

    @property
    def scan_api(self) -> bool:
        """Whether scans can be changed without the token of the web UI."""
        return self.options.license.scan_api and Refusal.NO_API not in self.refuses

    @property
    def scans(self) -> dict[int, Scan]:
        return self.engine.scans

    def advance(self) -> float:
        """Applies all changes that are due, and returns the time."""
        now = self.now()
        self.engine.advance(now)
        return now

    def fresh_uuid(self) -> str:
        self._drawn += 1
        return run_uuid(dice(self.options.seed, "uuid", self._drawn))

    def fresh_name(self, stem: str) -> str:
        """A new name for an uploaded file whose name is taken, as Nessus renames it."""
        self._drawn += 1
        return f"{stem}-{hex_digits(dice(self.options.seed, 'file', self._drawn), 6)}"

    def loading_percent(self, now: float) -> int | None:
        """Progress of loading plugins in percent, None if loaded."""
        if now >= self.loading_until:
            return None
        loaded = (now - self.boot_time) / (self.loading_until - self.boot_time)
        return max(0, min(99, int(100 * loaded)))

    def launch(self, scan: Scan, alt_targets: Sequence[str] = ()) -> Run:
        """Starts a run; raises `ApiError` if the scan cannot be launched now."""
        now = self.advance()
        if scan.imported:
            raise ApiError(403, "An imported scan can not be launched")
        if scan.busy:
            raise ApiError(self.options.launch_conflict_status, "The scan is already running")
        if self.engine.full() and self.options.over_limit == "refuse":
            raise ApiError(500, "The maximum number of concurrent scans is reached")
        targets = tuple(alt_targets) or scan.targets
        report = self._report(scan, targets)
        aborts = self.faults.for_scan(FaultKind.SCAN_ABORTS, scan.name)
        unknown = self.faults.for_scan(FaultKind.UNKNOWN_STATUS, scan.name)
        plan = LaunchPlan(
            uuid=self.fresh_uuid(),
            targets=targets,
            alt_targets=bool(alt_targets),
            takes=self.scans_take * self._conduct(scan).slowness(len(report.hosts)),
            transition_takes=self.options.transition_takes,
            pause_takes=self.pause_takes,
            report=report,
            aborts_at=aborts.progress if aborts else None,
            held=self.faults.for_scan(FaultKind.STAYS_PENDING, scan.name) is not None,
            shown_as=(unknown.message or "mystified") if unknown else None,
        )
        run = self.engine.launch(scan, plan, now)
        self.ledger.record("launch", scan.name, at=now)
        return run

    def restart(self, *, down_seconds: float = 0.0, loading_seconds: float | None = None) -> None:
        """Restarts the service: sessions and exports are lost, running scans abort, connections
        break, and none are accepted for `down_seconds`. Keys, scans and the UI token survive."""
        now = self.advance()
        loading = self.options.loading_seconds if loading_seconds is None else loading_seconds
        cancels = self.options.assumes("restart_cancels")
        self.engine.end_all(RunStatus.CANCELED if cancels else RunStatus.ABORTED, now)
        self.accounts.forget_sessions()
        self.exports.forget_all()
        self.boot_time = now + down_seconds
        self.loading_until = self.boot_time + loading
        self.ledger.record("restart", at=now)
        self.refuse(down_seconds)

    def reinstall_ui(self) -> None:
        """Changes the token of the web UI; clients must fetch it again after a 412."""
        self.accounts.renew_ui_token()

    def refuse(self, seconds: float) -> None:
        """Breaks all connections and accepts none for `seconds`."""
        self.refusing_until = self.now() + seconds
        self.on_change()

    def change_certificate(self) -> None:
        self.certificate_generation += 1
        self.on_change()

    def _report(self, scan: Scan, targets: Sequence[str]) -> Report:
        if self._replay is not None:
            report = self._replay.for_scan(scan.id)
            self.ledger.replayed[scan.name] = report.name
            return report
        conduct = self._conduct(scan)
        drift = Drift(self.options.seed, self.options.drift, self.now())
        found = self.network.survey(targets, ping=conduct.ping, drift=drift)
        machines = [machine for machine in found if self._licensed(machine)]
        return GeneratedReport(scan.order(targets, conduct), machines, self.options, drift)

    def _conduct(self, scan: Scan) -> Conduct:
        """How a scan runs; the settings of a policy come first."""
        policy = None if scan.policy_id is None else self.policies.by_id.get(scan.policy_id)
        settings = {**(policy.settings if policy else {}), **scan.settings}
        plugins = {**(policy.plugins if policy else {}), **scan.plugins}
        rules = Rules(
            fills_defaults=self.options.assumes("fills_defaults"),
            mode_ids_work=self.options.assumes("mode_ids_work"),
            netstat_ignores_range=self.options.assumes("netstat_ignores_port_range"),
            unlisted_plugins_run=self.options.assumes("unlisted_plugins_run"),
        )
        return conduct_of(scan.template, settings, plugins, rules)

    def _licensed(self, machine: Machine) -> bool:
        """Whether the license has room; hosts beyond it are skipped without an error."""
        limit = self.options.ip_limit
        if machine.ip not in self.used_ips and limit is not None and len(self.used_ips) >= limit:
            return False
        self.used_ips.add(machine.ip)
        return True
