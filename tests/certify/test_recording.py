"""Recordings: nothing private is in them, and a simulator that plays one gives the same table."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from urllib.parse import quote

import attrs
import pytest
from trio.testing import MockClock

from nessus_sched.certify.examination import Outcome, examine
from nessus_sched.sim.recording import BadRecording, read_recording
from nessus_sched.sim.templates import templates
from support.certification import recorded, replayed, subject
from support.five_scanners import FIVE
from support.nessus_xml import document, element, host, item, output
from support.simulated_nessus import lab, scan_order

REPLAYED_TARGET = "192.0.2.1"


def table(outcome: Outcome) -> list[tuple[str, ...]]:
    return [attrs.astuple(row) for row in outcome.rows]


@pytest.mark.slow
@pytest.mark.parametrize("name", FIVE)
async def test_a_replay_gives_the_same_table(
    name: str, autojump_clock: MockClock, tmp_path: Path
) -> None:
    auth, options, _ = FIVE[name]
    one = lab(auth, scans_take=30, **options)
    outcome, recording = await recorded(one, auth, tmp_path)
    again = replayed(recording, tmp_path, auth)
    played = await examine(subject(again, tmp_path, keys=auth == "keys", target=REPLAYED_TARGET))
    assert table(played) == table(outcome)
    assert played.measured is not None
    assert outcome.measured is not None
    assert attrs.evolve(played.measured, at=outcome.measured.at) == outcome.measured


@pytest.mark.slow
async def test_times_are_kept(autojump_clock: MockClock, tmp_path: Path) -> None:
    one = lab(scans_take=60, pause_takes=75)
    outcome, recording = await recorded(one, "keys", tmp_path)
    played = await examine(
        subject(replayed(recording, tmp_path, "keys"), tmp_path, target=REPLAYED_TARGET)
    )
    assert outcome.measured is not None
    assert played.measured is not None
    assert played.measured.pause_seconds == outcome.measured.pause_seconds


@pytest.mark.parametrize(
    ("content", "compressed"), [(b"", False), (b"no", False), (b"{}", True), (b"[1]", True)]
)
def test_other_files_are_refused(content: bytes, compressed: bool, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(content) if compressed else content)
    with pytest.raises(BadRecording):
        read_recording(path, 0.0)


def text_of(recording: bytes) -> str:
    text = gzip.decompress(recording).decode()
    assert json.loads(text)["exchanges"]
    return text


SECRETS = ("canary-access-key-1", "canary-secret-key-2", "canary-password-3")
PLANTED = (
    *SECRETS,
    *("canary.user.4", "Canary Display Name 5", "canary6@example.org"),
    *("203.0.113.213", "canary-own-folder", "canary other folder 9", "canary weekly scan 10"),
    *("canary policy 11", "canary-proxy-12.example.org", "canary-host-13.example.org"),
    *("198.51.100.214", "canary plugin 15", "canary output 16", "canary description 17"),
    *("canary-service-18", "canary_tag_19", "canary policy name 20", "canary-comment-21"),
    *("canary\\account-22", "Canary Family 23", "canary-preference-24", "canary refusal 25"),
)


def report_with_canaries() -> bytes:
    scan_info = (
        "Information about this scan :\n\nNessus version : 10.8.3\n"
        "Scan name : canary weekly scan 10\n"
        "Credentialed checks : yes, as 'canary\\account-22' via ssh\nScanner IP : 198.51.100.214"
    )
    found = item(
        777,
        element("description", "canary description 17"),
        output("canary output 16"),
        pluginName="canary plugin 15",
        pluginFamily="Canary Family 23",
        svc_name="canary-service-18",
    )
    policy = (
        "<Policy><policyName>canary policy name 20</policyName>"
        "<policyComments>canary-comment-21</policyComments><policyOwner>canary.user.4</policyOwner>"
        "<Preferences><ServerPreferences>"
        "<preference><name>TARGET</name><value>203.0.113.213</value></preference>"
        "<preference><name>sc_version</name><value>canary-preference-24</value></preference>"
        "<preference><name>canary-preference-24</name><value>yes</value></preference>"
        "</ServerPreferences></Preferences></Policy>"
    )
    tags = {"canary_tag_19": "1", "host-ip": "198.51.100.214", "HOST_END": "canary output 16"}
    return document(
        host("canary-host-13.example.org", item(19506, output(scan_info)), found, tags=tags),
        policy=policy,
    )


@pytest.mark.slow
@pytest.mark.parametrize("auth", ["keys", "session"])
@pytest.mark.parametrize("found", ["replayed", "simulated"])
async def test_nothing_private_is_in_it(
    auth: str, found: str, autojump_clock: MockClock, tmp_path: Path
) -> None:
    report = tmp_path / "report.nessus"
    report.write_bytes(report_with_canaries())
    one = lab(
        auth,
        scans_take=30,
        access_key=SECRETS[0],
        secret_key=SECRETS[1],
        password=SECRETS[2],
        username="canary.user.4",
        replay_files=(report,) if found == "replayed" else (),
    )
    accounts, now = one.nessus.accounts, one.nessus.now()
    accounts.name, accounts.email = "Canary Display Name 5", "canary6@example.org"
    one.nessus.folders.create("canary other folder 9")
    one.nessus.preferences.values["proxy"] = "canary-proxy-12.example.org"
    one.nessus.policies.add("canary policy 11", next(iter(templates().values())), {}, now)
    others = scan_order("other")
    made = await one.client.create_scan(
        attrs.evolve(others, name=f"canary weekly scan 10 {others.marker}")
    )
    one.nessus.scans[made.scan_id].name = "canary weekly scan 10"
    one.inject(
        kind="status", method="POST", path="/scans/*/pause", status=403, message="canary refusal 25"
    )
    outcome, recording = await recorded(
        one, auth, tmp_path, target="203.0.113.213", folder="canary-own-folder"
    )
    assert {row.check: row.result for row in outcome.rows}["export"] == "holds"
    text = text_of(recording).lower()
    for canary in PLANTED:
        for form in (canary, json.dumps(canary)[1:-1], quote(canary)):
            assert form.lower() not in text, canary
