"""Evidence packs: equal to the truth, equal when made again, and complete or refused."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from nessus_sched.config.delivery import LabelSettings
from nessus_sched.config.ledger import HostIdentity
from nessus_sched.config.schema import Config
from nessus_sched.core.credentials import Credential, CredentialKind
from nessus_sched.core.exceptions.exception import ExceptionStatus
from nessus_sched.core.secret import MASK, Secret
from nessus_sched.core.states import TaskState
from nessus_sched.core.store_errors import StoreUnavailable
from nessus_sched.daemon.evidence import NoEvidence, Written, write_evidence
from nessus_sched.daemon.journal import back_up, back_up_ledger, parse_head, verify_journal
from nessus_sched.daemon.ledger_keeper import origin_of
from nessus_sched.results.pack.exceptions import Exceptions
from nessus_sched.results.pack.scope import BadScope, PackScope
from nessus_sched.results.pack.times import iso
from nessus_sched.results.pack.verify_pack import check
from support.audited_quarter import (
    ACCEPTED,
    INSIDE,
    NOW,
    SINCE,
    UNTIL,
    afterwards,
    desk,
    truth,
    until_the_end,
)
from support.patched_network import BY_PLUGIN, DAY, Truth
from support.world import config_of


async def made(directory: Path, file: Path, **changes: Any) -> Written:
    asked: dict[str, Any] = {"scope": PackScope(), "since": SINCE, "until": UNTIL, "now": NOW}
    with file.open("wb") as out:
        config = changes.pop("config", None) or config_of(directory)
        return await write_evidence(config, out, **{**asked, **changes})


class Pack:
    """A pack, read without the program that made it."""

    def __init__(self, file: Path) -> None:
        self._zip = zipfile.ZipFile(file)
        self.names = self._zip.namelist()
        self.manifest = json.loads(self._zip.read("manifest.json"))

    def table(self, name: str) -> list[dict[str, str]]:
        text = self._zip.read(name).decode()
        return list(csv.DictReader(io.StringIO(text, newline="")))

    def lines(self, name: str) -> list[Any]:
        return [json.loads(line) for line in self._zip.read(name).decode().splitlines()]

    def text(self, name: str) -> str:
        return self._zip.read(name).decode()


@pytest.fixture(scope="module")
def quarter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory at the end of the quarter; not to be changed."""
    directory = tmp_path_factory.mktemp("quarter") / "state"
    trio.run(until_the_end, directory)
    return directory


@pytest.fixture(scope="module")
def pack(quarter: Path, tmp_path_factory: pytest.TempPathFactory) -> Pack:
    file = tmp_path_factory.mktemp("pack") / "pack.zip"
    trio.run(made, quarter, file)
    checked = check(str(file))
    assert not checked.problems
    return Pack(file)


def _known() -> dict[tuple[str, int], Truth]:
    return truth()[1]


def _key(row: dict[str, str]) -> tuple[str, int]:
    return row["host"], int(row["plugin_id"])


def test_what_was_open_at_the_end(pack: Pack) -> None:
    rows = {_key(row): row for row in pack.table("open.csv")}
    known = {key: each for key, each in _known().items() if each.open}
    assert rows.keys() == known.keys()
    assert len(rows) == len(pack.table("open.csv"))
    for key, each in known.items():
        row = rows[key]
        assert row["first_seen"] == iso(each.first)
        assert row["since"] == iso(each.first if each.back_at is None else each.back_at)
        assert row["times_resurfaced"] == str(each.back)
        assert row["state"] == ("resurfaced" if each.back else "open")
        assert row["unverified"] == (each.doubt or "")
        assert row["unverified_since"] == (iso(each.doubted_at) or "" if each.doubt else "")


def test_what_was_fixed_in_the_quarter(pack: Pack) -> None:
    network = truth()[0]
    by_time = {at: f"t{number + 1:08d}" for number, at in enumerate(network.times)}
    rows = {_key(row): row for row in pack.table("fixed.csv")}
    known = {
        key: each
        for key, each in _known().items()
        if not each.open and each.fixed_at is not None and each.fixed_at >= SINCE
    }
    assert known
    assert rows.keys() == known.keys()
    for key, each in known.items():
        assert each.fixed_at is not None
        assert rows[key]["fixed_at"] == iso(each.fixed_at)
        assert rows[key]["task_id"] == by_time[each.fixed_at]
        assert rows[key]["last_seen"] == iso(each.last)


def test_what_was_new_in_the_quarter(pack: Pack) -> None:
    rows = {(*_key(row), row["change"]): row for row in pack.table("new.csv")}
    known = {}
    for key, each in _known().items():
        if each.first >= SINCE:
            known[(*key, "new")] = each.first
        elif each.open and each.back_at is not None and each.back_at >= SINCE:
            known[(*key, "resurfaced")] = each.back_at
    assert {key: row["at"] for key, row in rows.items()} == {
        key: iso(at) for key, at in known.items()
    }
    assert {change for *_, change in known} == {"new", "resurfaced"}


async def test_what_came_back_before_the_period_is_not_new(quarter: Path, tmp_path: Path) -> None:
    file = tmp_path / "pack.zip"
    assert any(each.open and each.back_at is not None for each in _known().values())
    await made(quarter, file, since=truth()[0].times[INSIDE[-1]] + 1)
    assert Pack(file).table("open.csv")
    shown = {row["exception_id"] for row in Pack(file).table("exceptions.csv")}
    assert shown == {"x-accepted", "x-waiting"}
    assert Pack(file).table("new.csv") == Pack(file).table("fixed.csv") == []


def test_an_exception_of_which_only_the_store_knows() -> None:
    stored = attrs.evolve(
        ACCEPTED, status=ExceptionStatus.APPROVED, approved_at=UNTIL + 5.0, decided_by="uid:2000"
    )
    (term,) = Exceptions([stored]).complete(UNTIL)
    assert (term.exception.status, term.exception.approved_at) == (ExceptionStatus.PROPOSED, None)
    assert Exceptions([stored]).complete(ACCEPTED.proposed_at) == []
    (term,) = Exceptions([attrs.evolve(stored, approved_at=UNTIL - 5.0)]).complete(UNTIL)
    assert (term.exception.status, term.approver) == (ExceptionStatus.APPROVED, "uid:2000")
    revoked = attrs.evolve(
        stored, approved_at=UNTIL - 5.0, status=ExceptionStatus.REVOKED, ended_at=UNTIL + 5.0
    )
    (term,) = Exceptions([revoked]).complete(UNTIL)
    assert (term.exception.status, term.approver) == (ExceptionStatus.APPROVED, "")


def test_the_scans(pack: Pack) -> None:
    network, rows = truth()[0], pack.table("scans.csv")
    assert [row["task_id"] for row in rows] == [f"t{number + 1:08d}" for number in INSIDE]
    for number, row in zip(INSIDE, rows, strict=True):
        at, hosts = network.times[number], network.seen[number]
        assert (row["began"], row["ended"]) == (iso(at - 60), iso(at + 60))
        assert (row["state"], row["source"]) == ("completed", "journal")
        assert row["scanners"] == "east"
        assert row["targets"] == "192.0.2.0/28"
        assert row["schedule"] == ("office" if number % 2 else "")
        assert (row["requested"], row["answered"]) == ("16", str(len(hosts)))
        assert int(row["silent"]) == 16 - len(hosts)
        assert row["credentials"] == "linux"
        full = sum(entered for _, entered in hosts.values())
        assert (row["logins_full"], row["submitted_by"]) == (str(full), "uid:1000")


def test_exceptions(pack: Pack) -> None:
    rows = {row["exception_id"]: row for row in pack.table("exceptions.csv")}
    accepted, short = rows["x-accepted"], rows["x-short"]
    assert accepted["status"] == "approved"
    assert (accepted["proposed_by"], accepted["approved_by"]) == ("uid:1000", "uid:2000")
    assert accepted["reason"] == "internal CA, =replaced in Q4"
    assert accepted["ended_at"] == ""
    covered = [row for row in pack.table("open.csv") if row["exception"]]
    assert {(row["exception"], row["exception_id"]) for row in covered} == {
        ("accepted", "x-accepted")
    }
    assert len(covered) == int(accepted["findings"]) > 0
    assert {int(row["plugin_id"]) for row in covered} == {51192}
    assert short["status"] == "expired"
    assert short["findings"] == "0"
    waiting = rows["x-waiting"]
    assert (waiting["status"], waiting["reason"]) == ("proposed", "to be decided")
    assert (waiting["approved_by"], waiting["approved_at"], waiting["findings"]) == ("", "", "0")


def test_schedules(pack: Pack) -> None:
    (schedule,) = pack.lines("schedules.jsonl")
    assert schedule["when"] == "0 2 * * mon (UTC)"
    assert schedule["fired"] == len(INSIDE)
    assert schedule["skipped"] == 1
    assert [each["why"] for each in schedule["without_task"]] == ["its scan before had not ended"]
    assert not schedule["removed"]


def test_the_counts_and_severities(pack: Pack) -> None:
    counts: dict[str, int] = {}
    words = ("info", "low", "medium", "high", "critical")
    for (_, plugin), each in _known().items():
        if each.open:
            word = words[BY_PLUGIN[plugin].severity]
            counts[word] = counts.get(word, 0) + 1
    assert pack.manifest["open_by_severity"] == counts
    assert pack.manifest["missing"] == []
    assert "Nothing is known to be missing." in pack.text("README.txt")


async def test_it_is_the_same_file_when_made_again(quarter: Path, tmp_path: Path) -> None:
    state, first, again = tmp_path / "state", tmp_path / "1.zip", tmp_path / "2.zip"
    shutil.copytree(quarter, state)
    await made(state, first)
    await afterwards(state)
    await made(state, again, now=NOW + 1e7)
    assert first.read_bytes() == again.read_bytes()


async def test_it_is_the_same_file_after_all_tasks_were_deleted(
    quarter: Path, tmp_path: Path
) -> None:
    state = _copied(quarter, tmp_path)
    before = await _bytes(state, tmp_path)
    async with desk(state) as here:
        purged = await here.tasks.purge(set(TaskState), before=NOW, at=NOW)
        assert len(purged) == len(INSIDE) + 1
    assert await _bytes(state, tmp_path) == before


async def test_it_is_the_same_file_from_a_backup(quarter: Path, tmp_path: Path) -> None:
    restored = tmp_path / "restored"
    restored.mkdir()
    back_up(Config(state_directory=quarter), restored / "tasks.db")
    back_up_ledger(Config(state_directory=quarter), restored / "ledger.db")
    shutil.copy(quarter / "findings.db", restored)
    assert await _bytes(restored, tmp_path) == await _bytes(quarter, tmp_path)


async def test_a_running_store_still_has_the_head_of_the_pack(
    quarter: Path, tmp_path: Path
) -> None:
    state = _copied(quarter, tmp_path)
    written = await made(state, tmp_path / "pack.zip")
    await afterwards(state)
    assert verify_journal(Config(state_directory=state), parse_head(written.head)).ok
    seq, _, digest = written.head.partition(":")
    other = parse_head(f"{seq}:{digest[::-1]}")
    assert not verify_journal(Config(state_directory=state), other).ok


async def test_it_is_the_same_file_after_the_ledger_was_made_again(
    quarter: Path, tmp_path: Path
) -> None:
    state = _copied(quarter, tmp_path)
    before = await _bytes(state, tmp_path)
    await afterwards(state)
    async with desk(state) as here:
        await here.ledger.clear()
        for number in range(len(here.network.times)):
            task = await here.tasks.get(f"t{number + 1:08d}")
            assert task is not None
            await here.ledger.apply(origin_of(task), identity=HostIdentity.ADDRESS, now=NOW + 9.0)
    assert await _bytes(state, tmp_path) == before


# -- what is missing


async def test_a_deleted_beginning_of_the_journal_is_named(quarter: Path, tmp_path: Path) -> None:
    state, file = _copied(quarter, tmp_path), tmp_path / "pack.zip"
    async with desk(state) as here:
        await here.tasks.purge(set(TaskState), before=SINCE + 60.0 * DAY, at=NOW)
        deleted = await here.tasks.prune_journal(before=SINCE + 60.0 * DAY, at=NOW)
    written = await made(state, file)
    assert not check(str(file)).problems
    first, second = written.missing
    assert f"up to row {deleted} " in first
    assert second.startswith("Of 1 scan ")
    rows = {row["task_id"]: row for row in Pack(file).table("scans.csv")}
    assert rows["t00000002"]["source"] == "ledger"
    assert rows["t00000002"]["ended"] == iso(truth()[0].times[1])
    assert rows["t00000003"]["source"] == "journal"
    assert first in Pack(file).text("README.txt")
    accepted = Pack(file).table("exceptions.csv")[0]
    assert (accepted["approved_by"], accepted["source"]) == ("uid:2000", "store")


async def test_scans_of_an_older_release(tmp_path: Path) -> None:
    state, file = tmp_path / "state", tmp_path / "pack.zip"
    async with desk(state) as here:
        older = attrs.evolve(here, outcomes=False)
        for number in INSIDE:
            await older.scan(number)
        await here.tasks.purge_tasks(["t00000002"], at=NOW)
    written = await made(state, file)
    assert not check(str(file)).problems
    rows = Pack(file).table("scans.csv")
    assert [row["source"] for row in rows] == ["deleted", "task", "task"]
    assert rows[0]["state"] == "completed"
    assert rows[1]["name"] == "scan 2"
    (missing,) = written.missing
    assert missing.startswith("1 scan of an older release")


# -- refusals


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"now": UNTIL - 1.0}, "the period ends at 2025-10-01T00:00:00Z, which has not come yet"),
        ({"since": UNTIL}, "the period ends before it begins"),
    ],
)
async def test_a_period_that_is_none(
    quarter: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(NoEvidence, match=said):
        await made(quarter, tmp_path / "pack.zip", **changes)


async def test_a_scan_that_began_in_the_period_has_to_end(quarter: Path, tmp_path: Path) -> None:
    state, file = _copied(quarter, tmp_path), tmp_path / "pack.zip"
    async with desk(state) as here:
        task = await here.begin(4, at=UNTIL - 10.0)
    with pytest.raises(NoEvidence, match=r"1 scan that began .* not ended yet: t00000005"):
        await made(state, file)
    async with desk(state) as here:
        task = await here.end(4, task, enter=False)
    with pytest.raises(NoEvidence, match="1 finished scan not in the ledger yet"):
        await made(state, file)
    async with desk(state) as here:
        await here.ledger.apply(origin_of(task), identity=HostIdentity.ADDRESS, now=NOW)
    first = await _bytes(state, tmp_path)
    await afterwards(state, (5,))
    assert await _bytes(state, tmp_path) == first
    await made(state, file)
    assert not check(str(file)).problems
    rows = Pack(file).table("scans.csv")
    assert [row["task_id"] for row in rows] == [*(f"t{n + 1:08d}" for n in INSIDE), "t00000005"]
    assert rows[-1]["ended"] > iso(UNTIL)
    assert int(rows[-1]["journal_row"]) > int(Pack(file).manifest["journal"]["head"].split(":")[0])


async def test_a_scan_that_waits_since_before_the_end_is_none_of_the_period(
    quarter: Path, tmp_path: Path
) -> None:
    state = _copied(quarter, tmp_path)
    before = await _bytes(state, tmp_path)
    async with desk(state) as here:
        await here.scan(4, created_at=UNTIL + 5.0)
    assert await _bytes(state, tmp_path) == before


# -- scopes


async def test_networks(quarter: Path, tmp_path: Path) -> None:
    file = tmp_path / "pack.zip"
    await made(quarter, file, scope=PackScope(targets=("192.0.2.1-192.0.2.3",)))
    assert not check(str(file)).problems
    half = {"192.0.2.1", "192.0.2.2", "192.0.2.3"}
    wanted = {key for key, each in _known().items() if each.open and key[0] in half}
    assert {_key(row) for row in Pack(file).table("open.csv")} == wanted
    assert len(Pack(file).table("scans.csv")) == len(INSIDE)
    assert Pack(file).manifest["scope"] == {"networks": ["192.0.2.1-192.0.2.3"]}
    await made(quarter, file, scope=PackScope(targets=("198.51.100.0/24",)))
    assert not check(str(file)).problems
    assert not Pack(file).table("scans.csv")
    assert not Pack(file).table("open.csv")


async def test_a_schedule(quarter: Path, tmp_path: Path) -> None:
    file = tmp_path / "pack.zip"
    await made(quarter, file, scope=PackScope(schedule="Office"))
    assert not check(str(file)).problems
    assert [row["name"] for row in Pack(file).table("scans.csv")] == ["scan 1", "scan 3"]
    assert len(Pack(file).lines("schedules.jsonl")) == 1
    wanted = {key for key, each in _known().items() if each.open}
    assert {_key(row) for row in Pack(file).table("open.csv")} == wanted


async def test_labels(quarter: Path, tmp_path: Path) -> None:
    file = tmp_path / "pack.zip"
    labels = (LabelSettings(networks=("192.0.2.0/30",), owner="web-team"),)
    await made(
        quarter, file, scope=PackScope(labels={"owner": "Web-Team"}),
        config=config_of(quarter, labels=labels),
    )  # fmt: skip
    assert not check(str(file)).problems
    wanted = {
        key for key, each in _known().items() if each.open and key[0][-2:] in (".1", ".2", ".3")
    }
    assert {_key(row) for row in Pack(file).table("open.csv")} == wanted
    assert len(Pack(file).table("scans.csv")) == len(INSIDE)
    with pytest.raises(BadScope, match="no label in the configuration has the owner 'nobody'"):
        await made(quarter, file, scope=PackScope(labels={"owner": "nobody"}))


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        (PackScope(targets=("192.0.2.1",), schedule="office"), "give one of"),
        (PackScope(targets=("192.0.2.0/33",)), "192.0.2.0/33"),
        (PackScope(schedule="ofice"), "has no schedule 'ofice'"),
    ],
)
async def test_a_scope_that_is_none(
    quarter: Path, tmp_path: Path, scope: PackScope, said: str
) -> None:
    with pytest.raises(BadScope, match=said):
        await made(quarter, tmp_path / "pack.zip", scope=scope)


# -- secrets


async def test_secrets_are_masked_and_the_check_says_so(quarter: Path, tmp_path: Path) -> None:
    file = tmp_path / "pack.zip"
    linux = Credential(
        name="linux", kind=CredentialKind.SSH_PASSWORD, username="u",
        password=Secret("behind a proxy"),
    )  # fmt: skip
    await made(quarter, file, config=config_of(quarter, credentials=(linux,)))
    pack = Pack(file)
    assert not any(b"behind a proxy" in zipfile.ZipFile(file).read(name) for name in pack.names)
    assert pack.manifest["journal"]["masked"] == 3  # proposed, approved, expired
    checked = check(str(file))
    assert not checked.problems
    assert checked.notes == [
        "journal rows that quoted a secret, which is masked: 3; their hashes are taken as given"
    ]
    short = {row["exception_id"]: row for row in pack.table("exceptions.csv")}["x-short"]
    assert short["reason"] == MASK


async def test_secrets_in_findings_are_masked(quarter: Path, tmp_path: Path) -> None:
    file, secret = tmp_path / "pack.zip", Secret("Check 20007")
    linux = Credential(
        name="linux", kind=CredentialKind.SSH_PASSWORD, username="u", password=secret
    )  # fmt: skip
    await made(quarter, file, config=config_of(quarter, credentials=(linux,)))
    for name in ("open.csv", "fixed.csv", "new.csv"):
        assert "Check 20007" not in Pack(file).text(name)
        assert MASK in Pack(file).text(name)


async def test_a_gap_in_the_journal_is_no_evidence(quarter: Path, tmp_path: Path) -> None:
    state = _copied(quarter, tmp_path)
    with closing(sqlite3.connect(state / "tasks.db")) as connection:
        connection.execute("DELETE FROM journal WHERE seq = 10")
        connection.commit()
    with pytest.raises(StoreUnavailable, match="rows 10 to 10 of the journal are gone"):
        await made(state, tmp_path / "pack.zip")


def _copied(quarter: Path, tmp_path: Path) -> Path:
    return shutil.copytree(quarter, tmp_path / "state")


async def _bytes(state: Path, tmp_path: Path) -> bytes:
    file = tmp_path / "bytes.zip"
    await made(state, file)
    return file.read_bytes()
