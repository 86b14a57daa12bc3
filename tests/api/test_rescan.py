"""Rescans: what is taken over, who may ask for one, and that "nothing" is no all-clear."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
from trio.testing import MockClock

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.outcomes.rescan import rescan
from nessus_sched.api.permissions import Roles
from nessus_sched.config.schema import Config, RoleSettings
from nessus_sched.core.credentials import Credential, CredentialKind
from nessus_sched.core.secret import Secret
from nessus_sched.core.store_errors import NoFindings
from nessus_sched.core.targets.targets import parse_targets
from nessus_sched.core.task import Discovery, Priority, ScanKind, ScanRequest, Task
from nessus_sched.ipc.peer import Peer
from nessus_sched.results.query.model import Query
from nessus_sched.results.reached import ScannedHost, by_target, covered
from nessus_sched.scheduler.views import TaskView
from support.apps import app_of
from support.fake_scanner import FakeScanner
from support.world import World, config_of, scanner_settings, virtual_now, world

ANN, BOB = Peer(connection="a", uid=54321, gid=54321), Peer(connection="b", uid=54322, gid=54321)
OLD, NEW = (
    Credential(name=name, kind=CredentialKind.SSH_PASSWORD, username="u", password=Secret("p"))
    for name in ("old", "new")
)
FAILED = {"hosts": "failed_logins"}


@attrs.define
class FakeFindings:
    """The hosts that a query finds, None if the results are gone."""

    found: list[ScannedHost] | None = attrs.field(factory=list)
    asked: Query | None = None

    @property
    def fields(self) -> list[str]:
        """The fields of the latest query's conditions."""
        assert self.asked is not None
        return [condition.field for condition in self.asked.conditions]

    async def hosts(self, task_id: str, query: Query) -> list[ScannedHost]:
        self.asked = query
        if self.found is None:
            raise NoFindings(task_id)
        return self.found

    async def coverage_as(self, task_id: str, targets: Any, left: Any, view: Any) -> Any:
        if self.found is None:
            raise NoFindings(task_id)
        hosts = by_target(self.found)
        return view(covered(parse_targets(targets), left(), hosts), hosts)


@attrs.frozen
class Shown:
    """A task as it might be."""

    view: TaskView

    async def task(self, _task_id: str) -> TaskView:
        return self.view


@asynccontextmanager
async def done(
    directory: Path, *which: RoleSettings, **request: Any
) -> AsyncIterator[tuple[World, App, FakeFindings, Task]]:
    """A completed task of ANN."""
    scanners = {name: FakeScanner(virtual_now()) for name in "ab"}
    scanners["a"].offered_policies = ["p"]
    config = config_of(
        directory,
        scanner_settings("a"),
        scanner_settings("b", pool="other"),
        credentials=(OLD, NEW),
    )
    async with world(config, scanners) as w:
        roles, findings = Roles(Config(roles=which)), FakeFindings()
        app = attrs.evolve(
            app_of(w),
            findings=cast(Any, findings),
            scopes_of=roles.scopes_of,
            sees=roles.sees,
            may_submit=roles.may_submit,
        )
        plain: dict[str, Any] = {
            "kind": ScanKind.TRUSTED,
            "targets": ("192.0.2.0/29",),
            "credentials": ("old",),
            "priority": Priority.HIGH,
            "settings": {"portscan_range": "1-99"},
            "max_runtime": 3600.0,
        }
        made = ScanRequest(**{**plain, **request})
        view = (await w.service.submit(made, actor=ANN.actor)).view
        yield w, app, findings, await w.settled(view.task.task_id)


async def ask(app: App, peer: Peer, task: Task, **arguments: Any) -> Any:
    given = {"task_id": task.task_id, **FAILED, **arguments}
    return await rescan.fn(app, Call(peer=peer), validation.parse(rescan.arguments, given))


async def refusal(app: App, peer: Peer, task: Task, **arguments: Any) -> ToolError:
    with pytest.raises(ToolError) as caught:
        await ask(app, peer, task, **arguments)
    return caught.value


def hosts(*names: str) -> list[ScannedHost]:
    return [ScannedHost(name=name) for name in names]


async def test_it_is_the_same_scan_of_fewer_hosts(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with done(tmp_path, name="web tier", exclude=("192.0.2.7",)) as (w, app, findings, old):
        findings.found = hosts("192.0.2.3", "192.0.2.4", "192.0.2.99")
        answer = await ask(app, ANN, old)
        made = (await w.task(answer.task_id)).request
        assert made == attrs.evolve(
            old.request, targets=("192.0.2.3-192.0.2.4",), rescan_of=old.task_id
        )
        assert (answer.rescan_of, answer.target_count) == (old.task_id, 2)


async def test_what_is_given_counts_instead(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with done(tmp_path) as (w, app, findings, old):
        findings.found = hosts("192.0.2.3")
        answer = await ask(
            app,
            ANN,
            old,
            credential=["new", "old"],
            name="again",
            description="why",
            scanner_instance="b",
            priority="low",
            profile="none",
            settings={"portscan_range": "1-9"},
            max_runtime_minutes=5,
        )
        assert (await w.task(answer.task_id)).request == attrs.evolve(
            old.request,
            targets=("192.0.2.3",),
            credentials=("new", "old"),
            name="again",
            description="why",
            scanner_instance="b",
            pool="other",
            priority=Priority.LOW,
            profile="none",
            settings={"portscan_range": "1-9"},
            max_runtime=300.0,
            rescan_of=old.task_id,
        )


async def test_another_kind_takes_over_what_fits_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    quick = {"kind": ScanKind.QUICK, "credentials": (), "discovery": Discovery.PORTS}
    async with done(tmp_path, profile="none", **quick) as (w, app, findings, old):
        findings.found = hosts("192.0.2.3")
        answer = await ask(app, ANN, old, kind="trusted", credential=["new"])
        assert (await w.task(answer.task_id)).request == attrs.evolve(
            old.request,
            kind=ScanKind.TRUSTED,
            targets=("192.0.2.3",),
            credentials=("new",),
            discovery=None,
            profile=None,
            settings={},
            rescan_of=old.task_id,
        )
        assert (await refusal(app, ANN, old, kind="trusted")).code == "credential_needed"
        assert (await refusal(app, ANN, old, kind="custom")).code == "template_or_policy"
        custom = await ask(app, ANN, old, kind="custom", template="malware")
        again = await w.settled(custom.task_id)
        assert (again.request.template, again.request.discovery) == ("malware", None)
        other = await ask(app, ANN, again, template="advanced", dry_run=False)
        assert (await w.task(other.task_id)).request.template == "advanced"


async def test_a_kind_that_does_not_log_in_takes_no_credentials_over(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with done(tmp_path) as (w, app, findings, old):
        findings.found = hosts("192.0.2.3")
        answer = await ask(app, ANN, old, kind="quick")
        found = (await w.task(answer.task_id)).request
        assert (found.credentials, found.discovery) == ((), Discovery.HOSTS)


async def test_a_scan_by_policy_stays_one_unless_a_template_or_kind_is_given(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    by_policy = {"kind": ScanKind.CUSTOM, "policy": "p", "credentials": (), "settings": {}}
    async with done(tmp_path, **by_policy) as (w, app, findings, old):
        findings.found = hosts("192.0.2.3")

        async def rescanned(**arguments: Any) -> ScanRequest:
            answer = await ask(app, ANN, old, **arguments)
            return (await w.task(answer.task_id)).request

        assert (await rescanned()).policy == "p"
        custom = await rescanned(template="malware")
        assert (custom.template, custom.policy) == ("malware", None)
        basic = await rescanned(kind="basic")
        assert (basic.kind, basic.policy) == (ScanKind.BASIC, None)


async def test_a_dry_run_shows_the_targets_and_a_key_gives_the_same_task(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with done(tmp_path) as (_w, app, findings, old):
        findings.found = hosts("192.0.2.3")
        dry = await ask(app, ANN, old, dry_run=True)
        assert (dry.task_id, dry.targets, dry.rescan_of) == (None, ["192.0.2.3"], old.task_id)
        first = await ask(app, ANN, old, idempotency_key="k")
        again = await ask(app, ANN, old, idempotency_key="k")
        assert (again.task_id, first.created, again.created) == (first.task_id, True, False)
        findings.found = hosts("192.0.2.4")
        assert (await refusal(app, ANN, old, idempotency_key="k")).code == "idempotency_conflict"
        # PostgreSQL could not store it.
        assert (await refusal(app, ANN, old, idempotency_key="k\0")).code == "bad_arguments"


async def test_each_choice_of_hosts_asks_for_its_own(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with done(tmp_path) as (_w, app, findings, old):
        findings.found = [
            *hosts("192.0.2.1"),
            ScannedHost(name="192.0.2.2", answered=False),
            ScannedHost(name="192.0.2.3", ended=False),
        ]
        missed = await ask(app, ANN, old, hosts="not_reached", dry_run=True)
        assert missed.targets == ["192.0.2.3"]
        quiet = await ask(app, ANN, old, hosts="silent", dry_run=True)
        assert quiet.targets == ["192.0.2.0", "192.0.2.2", "192.0.2.4/30"]
        assert findings.asked is None
        await ask(app, ANN, old, dry_run=True)
        assert findings.fields == ["host_login"]
        filters = ["severity>=high", "port=22"]
        await ask(app, ANN, old, hosts="matching", filters=filters, match="any", dry_run=True)
        assert findings.fields == ["severity", "port"]
        assert findings.asked is not None
        assert findings.asked.match == "any"


async def test_nothing_to_do_is_a_refusal_that_is_no_all_clear(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with done(tmp_path) as (w, app, findings, old):
        for arguments in (FAILED, {"hosts": "matching", "filters": ["severity>=high"]}):
            error = await refusal(app, ANN, old, **arguments)
            assert error.code == "nothing_to_rescan"
            assert "Nothing was queued" in error.message
            assert "says nothing about hosts that the scan did not see" in error.hint
        findings.found = hosts(*(f"192.0.2.{n}" for n in range(8)))
        error = await refusal(app, ANN, old, hosts="not_reached")
        assert error.code == "nothing_to_rescan"
        assert (await refusal(app, ANN, old, hosts="silent")).code == "nothing_to_rescan"
        findings.found = hosts("198.51.100.1")  # of no target
        assert (await refusal(app, ANN, old)).code == "nothing_to_rescan"
        findings.found = None  # purged
        assert (await refusal(app, ANN, old)).code == "no_results"
        assert len((await w.queries.tasks(cast(Any, None), limit=9)).tasks) == 1


async def test_doubts_about_the_earlier_scan_come_along(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with done(tmp_path) as (w, app, findings, old):
        warning = {"code": "ended_early", "message": "It ended early.", "advice": "Absent."}
        doubted = attrs.evolve(old, summary={"hosts": 1, "warnings": [warning]})
        app = attrs.evolve(app, queries=cast(Any, Shown(w.queries.view(doubted))))
        findings.found = []
        assert "It ended early." in (await refusal(app, ANN, old)).hint
        findings.found = hosts("192.0.2.1")
        assert (await ask(app, ANN, old, dry_run=True)).notes == ["It ended early. Absent."]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"hosts": "matching"}, "bad_arguments"),
        ({"filters": ["severity>=high"]}, "bad_arguments"),
        ({"hosts": "matching", "filters": ["severty>=high"]}, "bad_query"),
        ({"credential": ["nonesuch"]}, "unknown_credential"),
        ({"credential": ["old", "old"]}, "repeated_credential"),
        ({"scanner_instance": "c"}, "unknown_scanner"),
        ({"task_id": "t-nosuchtask"}, "unknown_task"),
    ],
)
async def test_what_is_wrong_is_said(
    arguments: dict[str, Any], code: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with done(tmp_path) as (_w, app, findings, old):
        findings.found = hosts("192.0.2.1")
        assert (await refusal(app, ANN, old, **arguments)).code == code


async def test_a_scan_that_does_not_log_in_takes_no_credential(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with done(tmp_path, kind=ScanKind.BASIC, credentials=()) as (_w, app, findings, old):
        findings.found = hosts("192.0.2.1")
        error = await refusal(app, ANN, old, hosts="silent", credential=["new"])
        assert error.code == "credential_not_used"
        assert (await ask(app, ANN, old, hosts="silent", dry_run=True)).rescan_of


async def test_what_has_no_results_or_was_imported_cannot_be_rescanned(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with done(tmp_path) as (w, app, findings, old):
        findings.found = hosts("192.0.2.1")
        await app.operator.pause_all("keep", actor="test")
        waiting = (await w.service.submit(old.request, actor=ANN.actor)).view.task
        assert (await refusal(app, ANN, waiting)).code == "no_results"
        assert (await refusal(app, ANN, waiting, hosts="not_reached")).code == "no_results"
        await w.service.cancel(waiting.task_id, actor=ANN.actor)
        canceled = await w.task(waiting.task_id)
        assert (await refusal(app, ANN, canceled)).code == "no_results"
        answer = await ask(app, ANN, canceled, hosts="not_reached", dry_run=True)
        assert answer.targets == ["192.0.2.0/29"]
        assert (await refusal(app, ANN, canceled, hosts="silent")).code == "nothing_to_rescan"
        report = attrs.evolve(old, request=attrs.evolve(old.request, targets=()))
        app = attrs.evolve(app, queries=cast(Any, Shown(w.queries.view(report))))
        assert (await refusal(app, ANN, old)).code == "not_rescannable"


async def test_the_role_counts_as_at_a_submission(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    names = (str(ANN.uid),)
    tools = ("rescan", "submit_trusted_scan")
    lab = RoleSettings(name="lab", users=names, targets=("192.0.2.0/30",), tools=tools)
    async with done(tmp_path, lab) as (w, app, findings, old):
        findings.found = hosts("192.0.2.2")
        assert (await ask(app, ANN, old, dry_run=True)).targets == ["192.0.2.2"]
        findings.found = hosts("192.0.2.5")
        assert (await refusal(app, ANN, old)).code == "targets_out_of_scope"
        assert (await refusal(app, BOB, old)).code == "not_permitted"
        narrow = Roles(Config(roles=(attrs.evolve(lab, tools=("rescan",)),)))
        findings.found = hosts("192.0.2.2")
        error = await refusal(attrs.evolve(app, may_submit=narrow.may_submit), ANN, old)
        assert error.code == "not_permitted"
        assert "submit_trusted_scan" in error.message
        error = await refusal(app, ANN, old, kind="basic")
        assert "submit_scan" in error.message
        assert len((await w.queries.tasks(cast(Any, None), limit=9)).tasks) == 1
