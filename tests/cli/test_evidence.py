"""`nessus-sched report evidence`: a file, or a sentence that says why there is none."""

from __future__ import annotations

import json
import math
import os
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import trio

from nessus_sched.core.clock import system_now
from nessus_sched.results.pack.verify_pack import check
from support.audited_quarter import until_the_end
from support.command import Said, fits, one_sentence, typed
from support.live_daemon import Live, asked


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("evidence")
    state = directory / "state"
    trio.run(until_the_end, state)
    file = directory / "config.yaml"
    file.write_text(
        f"state_directory: {state}\ncalendar: {{time_zone: Europe/Berlin}}\n"
        "targets: {allow: [192.0.2.0/24]}\n"
        "labels: [{networks: [192.0.2.0/30], owner: web-team}]\n"
        "scanners: [{id: a, url: 'https://192.0.2.250:8834', auth: {api_keys: {access_key: "
        f"{'a' * 64}, secret_key: {'b' * 64}}}}}}}]\n"
    )
    return file


QUARTER = ("--since", "2025-07-01T00:00Z", "--until", "2025-10-01T00:00Z")


def evidence(config: Path, file: Path, *words: str) -> Said:
    return typed("report", "evidence", "-o", str(file), "--config", str(config), *words)


def test_a_pack(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "q3.zip"
    said = evidence(config, file, *QUARTER)
    assert said.code == 0, said
    assert said.out.startswith(f"{file}: 3 scans, ")
    assert not check(str(file)).problems
    checked = typed("report", "verify", str(file), "--json")
    fits("report verify", checked.json)
    assert f"journal head {checked.json['head']}" in said.out
    before = file.read_bytes()
    one_sentence(evidence(config, file, *QUARTER), 1, "it exists; replace it with --force")
    again = evidence(config, file, *QUARTER, "--force", "--json")
    fits("report evidence", again.json)
    assert again.json["head"] == checked.json["head"]
    assert again.json["rows"]["scans.jsonl"] == 3
    assert file.read_bytes() == before


def test_dates_are_those_of_the_calendar_wherever_one_is(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packs: list[bytes] = []
    for zone in ("UTC", "Asia/Tokyo"):
        file = tmp_path / f"{len(packs)}.zip"
        words = ("report", "evidence", "-o", str(file), "--config", str(config))
        monkeypatch.setenv("TZ", zone)
        said = typed("--tz", zone, *words, "--since", "2025-07-01", "--until", "2025-10-01")
        assert said.code == 0, said
        packs.append(file.read_bytes())
        assert "2025-06-30T22:00:00Z to 2025-09-30T22:00:00Z" in typed(
            "report", "verify", str(file)
        ).out  # fmt: skip
    assert packs[0] == packs[1]


def test_a_label(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "q3.zip"
    assert evidence(config, file, *QUARTER, "--owner", "web-team").code == 0
    assert not check(str(file)).problems


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "give --since and --until, or --last"),
        (("--since", "2025-07-01"), 2, "give --since and --until, or --last"),
        ((*QUARTER, "--last", "quarter"), 2, "give --since and --until, or --last"),
        (("--since", "x", "--until", "2025-10-01"), 2, "'x' is not a time"),
        (("--since", "0001-01-01", "--until", "2025-10-01"), 2, "'0001-01-01' is too far away"),
        (("--since", "2025-07-01T00:00:00.5", "--until", "2025-10-01"), 2, "whole seconds"),
        (("--since", "2025-07-01", "--until", "2125-10-01"), 1, "which has not come yet"),
        (("--since", "2025-10-01", "--until", "2025-07-01"), 1, "ends before it begins"),
        (
            (*QUARTER, "--owner", "nobody"),
            1,
            "no label in the configuration has the owner",
        ),
        ((*QUARTER, "--owner", "web-team", "--schedule", "office"), 1, "give one of"),
        ((*QUARTER, "--network", "192.0.2.0/33"), 1, "192.0.2.0/33"),
    ],
)
def test_a_pack_that_cannot_be_made(
    config: Path, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    file = tmp_path / "q3.zip"
    one_sentence(evidence(config, file, *words), code, said)
    assert not file.exists()


def test_a_pack_is_a_file(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one_sentence(evidence(config, Path("-"), *QUARTER), 2, "name a file")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_beside_a_daemon(live: Live, tmp_path: Path) -> None:
    file = tmp_path / "now.zip"
    task_id = asked(live, "submit --wait", "submit", "192.0.2.0/28", "--wait")["task_id"]
    end = datetime.fromtimestamp(math.ceil(system_now()), UTC)
    begin = end - timedelta(hours=1)
    period = ("--since", begin.isoformat(), "--until", end.isoformat())
    words = ("report", "evidence", "-o", str(file), "--json", *period)
    while (said := live(*words)).code == 1:  # until that second has come, and scans have ended
        assert "has not come yet" in said.err or "yet: " in said.err, said
    assert said.code == 0, said
    assert not check(str(file)).problems
    with zipfile.ZipFile(file) as pack:
        scans = [json.loads(line) for line in pack.read("scans.jsonl").splitlines()]
    scan = next(each for each in scans if each["task_id"] == task_id)
    assert (scan["source"], scan["state"]) == ("journal", "completed")
    assert scan["outcome"]["results"]["coverage"]["requested"] == 16
    assert scan["outcome"]["results"]["plugin_set"]
    assert scan["outcome"]["submitter"]["uid"] == os.getuid()
    assert scan["began"] <= scan["ended"]
    assert len(scan["scanners"]) == 1


def test_without_a_store(tmp_path: Path, config: Path) -> None:
    other = tmp_path / "other.yaml"
    text = config.read_text().replace("state_directory: ", f"state_directory: {tmp_path}")
    other.write_text(text)
    one_sentence(evidence(other, tmp_path / "q3.zip", *QUARTER), 1, "there is no ")


def test_the_last_week_month_and_quarter_are_that_long(config: Path, tmp_path: Path) -> None:
    today = datetime.fromtimestamp(system_now(), ZoneInfo("Europe/Berlin")).date()
    first = today.replace(day=1)
    quarter = first.replace(month=today.month - (today.month - 1) % 3)
    for unit, end, days in (
        ("week", today - timedelta(days=today.weekday()), range(7, 8)),
        ("month", first, range(28, 32)),
        ("quarter", quarter, range(90, 93)),
    ):
        file = tmp_path / f"{unit}.zip"
        made = evidence(config, file, "--last", unit, "--json")
        fits("report evidence", made.json)
        begin, until = (
            datetime.fromisoformat(made.json[name]).astimezone(ZoneInfo("Europe/Berlin")).date()
            for name in ("since", "until")
        )
        assert until == end
        assert (until - begin).days in days
        told = evidence(config, file, "--last", unit, "--force").out
        assert f"period {begin} to {until - timedelta(days=1)} (Europe/Berlin)" in told
