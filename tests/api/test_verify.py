"""Verifying fixes: what is taken over from the earlier scan, and who may ask for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
from trio.testing import MockClock

from nessus_sched.api import validation
from nessus_sched.api.app import App
from nessus_sched.api.operations import Call, ToolError
from nessus_sched.api.outcomes.verify import verify_fix
from nessus_sched.api.permissions import Roles
from nessus_sched.config.schema import Config, RoleSettings
from nessus_sched.core.credentials import Credential, CredentialKind
from nessus_sched.core.profile import ScanProfile
from nessus_sched.core.secret import Secret
from nessus_sched.core.task import ScanKind, ScanRequest, Task
from nessus_sched.ipc.peer import Peer
from nessus_sched.results.ledger.questions import Entry, HostPage
from nessus_sched.results.ledger.selection import Selected, Selection
from nessus_sched.results.ledger.states import Life, State
from support.apps import app_of
from support.fake_scanner import FakeScanner
from support.world import World, config_of, scanner_settings, virtual_now, world

ANN = Peer(connection="a", uid=54321, gid=54321)
LINUX = Credential(
    name="linux", kind=CredentialKind.SSH_PASSWORD, username="u", password=Secret("p")
)
LIFE = Life(state=State.ACTIVE, first_seen=1, last_seen=2, since=1)


@attrs.define
class FakeLedger:
    found: list[Selected] = attrs.field(factory=list)
    asked: list[Selection] = attrs.field(factory=list)
    waiting: int = 0

    async def selected(self, wanted: Selection, now: float) -> Sequence[Selected]:
        self.asked.append(wanted)
        return self.found

    async def hosts(self, name: str, **_more: Any) -> Sequence[HostPage]:
        return []


def finding(task: str, host: str = "192.0.2.1", **changes: Any) -> Selected:
    entry = Entry(
        host=host, ip=host, plugin_id=10, name="n", severity=3, first_severity=3, port=443,
        protocol="tcp", check=None, life=LIFE, first_scan=True, unseen_before=None, cves=(),
        exploited=False, published=None, solution=None, first_task_id=task, last_task_id=task,
    )  # fmt: skip
    given = {"family": "Web Servers", "plugin_type": "remote", "seen_on": None, "series": "s"}
    return Selected(entry=entry, **{**given, **changes})


@asynccontextmanager
async def site(
    directory: Path, *roles: RoleSettings, **request: Any
) -> AsyncIterator[tuple[World, App, FakeLedger, Task]]:
    """With a completed task that may have seen findings."""
    scanners = {name: FakeScanner(virtual_now()) for name in "ab"}
    profiles = (
        ScanProfile(name="gentle", default_for=(ScanKind.TRUSTED,)),
        ScanProfile(name="wild", default_for=(ScanKind.CUSTOM,)),
    )
    config = config_of(
        directory, scanner_settings("a"), scanner_settings("b", pool="other"),
        credentials=(LINUX,), scan_profiles=profiles,
    )  # fmt: skip
    async with world(config, scanners) as w:
        ledger, limits = FakeLedger(), Roles(Config(roles=roles))
        app = attrs.evolve(
            app_of(w),
            ledger=cast(Any, ledger),
            scopes_of=limits.scopes_of,
            sees=limits.sees,
            may_submit=limits.may_submit,
        )
        plain: dict[str, Any] = {
            "kind": ScanKind.TRUSTED, "targets": ("192.0.2.0/29",), "credentials": ("linux",),
        }  # fmt: skip
        made = ScanRequest(**{**plain, **request})
        view = (await w.service.submit(made, actor=ANN.actor)).view
        yield w, app, ledger, await w.settled(view.task.task_id)


async def ask(app: App, **arguments: Any) -> Any:
    given = {"hosts": ["192.0.2.0/24"], **arguments}
    return await verify_fix.fn(app, Call(peer=ANN), validation.parse(verify_fix.arguments, given))


async def refusal(app: App, **arguments: Any) -> ToolError:
    with pytest.raises(ToolError) as caught:
        await ask(app, **arguments)
    return caught.value


async def request_of(w: World, answer: Any) -> ScanRequest:
    (scan,) = answer.scans
    return (await w.task(scan.task_id)).request


@pytest.mark.slow
async def test_it_has_the_profile_of_the_kind_that_saw_the_finding(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with site(tmp_path) as (w, app, ledger, old):
        ledger.found = [finding(old.task_id)]
        request = await request_of(w, await ask(app))
        assert (request.profile, request.credentials) == ("gentle", ("linux",))
    other = tmp_path / "other"
    other.mkdir()
    async with site(other, kind=ScanKind.BASIC, credentials=()) as (w, app, ledger, old):
        ledger.found = [finding(old.task_id)]
        assert (await request_of(w, await ask(app))).profile == "none"


async def test_what_is_not_configured_any_more_is_left_out(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with site(tmp_path, scanner_instance="b", pool="other") as (w, app, ledger, old):
        ledger.found = [finding(old.task_id)]
        request = await request_of(w, await ask(app))
        assert (request.scanner_instance, request.pool) == ("b", "other")
        config = attrs.evolve(
            w.context.config, scanners=w.context.config.scanners[:1], scan_profiles=()
        )
        w.context.config = config
        answer = await ask(app, dry_run=True)
        assert answer.scans[0].status == "valid"
        w.context.config = attrs.evolve(config, credentials=())
        assert (await refusal(app)).code == "unknown_credential"


async def test_a_report_from_elsewhere_has_no_login_to_take_over(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with site(tmp_path) as (_w, app, ledger, _old):
        ledger.found = [finding("t-purged", plugin_type="local")]
        answer = await ask(app, dry_run=True)
        assert answer.scans[0].credentials == []
        assert "1 finding may need a login" in answer.notes[0]
        answer = await ask(app, dry_run=True, credential=["linux"])
        assert (answer.scans[0].credentials, answer.notes) == (["linux"], [])


@pytest.mark.slow
async def test_several_scans_with_one_key_are_the_same_ones_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with site(tmp_path) as (w, app, ledger, old):
        ledger.found = [finding(old.task_id), finding("t-purged", "192.0.2.2")]
        first = await ask(app, idempotency_key="k")
        tasks = [scan.task_id for scan in first.scans]
        for task_id in tasks:
            await w.settled(task_id)
        again = await ask(app, idempotency_key="k")
        assert [scan.task_id for scan in again.scans] == tasks
        assert len(set(tasks)) == 2
        other = await ask(app, idempotency_key="l")
        assert not {scan.task_id for scan in other.scans} & {*tasks}
        ledger.found = ledger.found[1:]
        assert (await refusal(app, idempotency_key="k")).code == "idempotency_conflict"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([], "nothing_to_verify"),
        ([finding("t", "198.51.100.1")], "nothing_to_verify"),
        ([finding("t", "http://192.0.2.1/x y")], "nothing_to_verify"),
        ([finding("t", family=None)], "nothing_to_verify"),
        ([finding("t")] * 501, "too_many_findings"),
    ],
)
async def test_what_cannot_be_verified_is_refused(
    found: list[Selected], code: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    lab = RoleSettings(name="lab", users=(str(ANN.uid),), targets=("192.0.2.0/24",))
    async with site(tmp_path, lab) as (_w, app, ledger, _old):
        ledger.found = found
        error = await refusal(app)
        assert error.code == code
        # A role with fewer targets does not learn what others have scanned.
        assert "No scan has ever" not in (error.hint or "")


async def test_the_scope_and_the_role_count_as_at_a_submission(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    narrow = RoleSettings(name="lab", users=(str(ANN.uid),), tools=("verify_fix",))
    async with site(tmp_path) as (w, app, ledger, old):
        ledger.found = [finding(old.task_id, "203.0.113.1")]
        assert (await refusal(app)).code == "targets_out_of_scope"
        ledger.found = [finding(old.task_id)]
        limited = attrs.evolve(app, may_submit=Roles(Config(roles=(narrow,))).may_submit)
        error = await refusal(limited)
        assert (error.code, "submit_custom_scan" in error.message) == ("not_permitted", True)
        assert len((await w.queries.tasks(cast(Any, None), limit=9)).tasks) == 1
        error = await refusal(app, hosts=[], task_id=old.task_id)
        assert error.code == "not_a_verification"
