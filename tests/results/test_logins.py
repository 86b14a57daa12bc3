"""Which credential worked on which host, as far as a report says so."""

from __future__ import annotations

import io
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nessus_sched.cli.results.text import show_summary
from nessus_sched.core.asked import Asked, SentLogin
from nessus_sched.results.logins.used import (
    LoginUsed,
    credentials_of,
    distinct,
    logins_in,
    sentence,
)
from nessus_sched.results.parser.reader import Reader
from nessus_sched.results.plausibility import ScanFacts
from nessus_sched.results.query.input import read_query
from nessus_sched.results.summary import summarize
from nessus_sched.store.findings.store import open_findings
from support.nessus_xml import document, host, item, output

LINUX = SentLogin(name="linux", type="SSH", username="audit")
SWITCH = SentLogin(name="switch", type="SSH", username="admin")
WINDOWS = SentLogin(name="win", type="Windows", username="LAB\\Scanner")
SNMP = SentLogin(name="snmp", type="SNMPv3", username="monitor")
SENT = (LINUX, SWITCH, WINDOWS, SNMP)


def said(word: str) -> str:
    return f"Information about this scan :\n\nCredentialed checks : {word}\nScan type : Normal\n"


def block(user: str, protocol: str) -> str:
    return (
        f"User:        '{user}'\nPort:        22\nProto:       {protocol}\nMethod:      password\n"
    )


VALID = "\nNessus was able to log in to the remote host via the following :\n\n"


@pytest.mark.parametrize(
    ("plugin", "text", "found"),
    [
        (19506, said("yes, as 'audit' via ssh"), [LoginUsed("ssh", "audit")]),
        (19506, said("yes, as 'LAB\\o'hara' via SMB"), [LoginUsed("smb", "LAB\\o'hara")]),
        (19506, said("yes, via SNMP"), [LoginUsed("snmp")]),
        (19506, said("yes"), []),
        (19506, said("yes (on the localhost)"), []),
        (19506, said("no"), []),
        (141118, VALID + block("audit", "SSH"), [LoginUsed("ssh", "audit")]),
        (
            141118,
            VALID + block("audit", "SSH") + "\n" + block("lab\\x", "SMB"),
            [LoginUsed("ssh", "audit"), LoginUsed("smb", "lab\\x")],
        ),
        (141118, VALID + "Proto:       SSH\n", [LoginUsed("ssh")]),
        (117887, "Assessment is available.\n\nAccount  : root\nProtocol : SSH\n", [
            LoginUsed("ssh", "root")]),
        (104410, "Protocol : SSH\n - User : audit\n", []),
        (10180, VALID + block("audit", "SSH"), []),
        (None, VALID + block("audit", "SSH"), []),
    ],
)  # fmt: skip
def test_what_an_output_says(plugin: int | None, text: str, found: list[LoginUsed]) -> None:
    assert list(logins_in(plugin, text)) == found


@pytest.mark.parametrize(
    ("login", "names", "text"),
    [
        (LoginUsed("ssh", "audit"), ("linux",), "linux (ssh as audit)"),
        (LoginUsed("ssh", "admin"), ("switch",), "switch (ssh as admin)"),
        (LoginUsed("ssh", "Audit"), (), "ssh as Audit"),
        (LoginUsed("ssh"), ("linux", "switch"), "linux or switch (ssh)"),
        (LoginUsed("smb", "scanner"), ("win",), "win (smb as scanner)"),
        (LoginUsed("smb", "192.0.2.7\\SCANNER"), ("win",), "win (smb as 192.0.2.7\\SCANNER)"),
        (LoginUsed("smb", "scanner@example.com"), ("win",), "win (smb as scanner@example.com)"),
        (LoginUsed("smb", "audit"), (), "smb as audit"),
        (LoginUsed("snmp"), ("snmp",), "snmp (snmp)"),
        (LoginUsed("https", "audit"), (), "https as audit"),
    ],
)  # fmt: skip
def test_which_credential_it_was(login: LoginUsed, names: tuple[str, ...], text: str) -> None:
    assert credentials_of(login, SENT) == names
    assert sentence(login, SENT) == text


def test_credentials_of_the_same_kind_and_user_cannot_be_told_apart() -> None:
    twin = SentLogin(name="old", type="SSH", username="audit")
    assert credentials_of(LoginUsed("ssh", "audit"), (LINUX, twin)) == ("linux", "old")


def test_an_unknown_user_does_not_count_where_the_report_names_one() -> None:
    known = LoginUsed("ssh", "audit")
    assert distinct([LoginUsed("ssh"), known, known, LoginUsed("snmp"), LoginUsed("local")]) == (
        known,
        LoginUsed("snmp"),
    )


@given(st.text(max_size=300), st.sampled_from([19506, 141118, 117887]))
def test_any_output_is_read_and_nothing_strange_is_kept(text: str, plugin: int) -> None:
    for lead in ("", said("yes, as '"), VALID + "User: '"):
        for login in logins_in(plugin, lead + text):
            assert str(login).isprintable()
            assert len(str(login)) < 120


def report() -> bytes:
    linux = item(19506, output(said("yes, as 'audit' via ssh")))
    return document(
        host("192.0.2.1", linux, item(141118, output(VALID + block("audit", "SSH")))),
        host("192.0.2.2", linux),
        host("192.0.2.3", item(19506, output(said("yes, as 'LAB\\scanner' via smb")))),
        host("192.0.2.4", item(19506, output(said("yes, as 'stray' via ssh")))),
        host("192.0.2.5", item(19506, output(said("no"))), item(104410)),
        host("192.0.2.6", item(10180, output("The remote host is considered as dead"))),
    )


def test_a_summary_says_which_login_worked_where() -> None:
    facts = ScanFacts(asked=Asked(logins=(LINUX, SWITCH, WINDOWS)), credential=True)
    found = summarize(io.BytesIO(report()), facts)

    def row(credential: str | None, protocol: str | None, user: str | None, hosts: int) -> Any:
        return {
            "credential": credential,
            "one_of": [],
            "protocol": protocol,
            "user": user,
            "hosts": hosts,
        }

    assert found["verdict"]["logins"] == [
        row("linux", "ssh", "audit", 2),
        row("win", "smb", "LAB\\scanner", 1),
        row(None, "ssh", "stray", 1),
        row("switch", None, None, 0),
    ]
    by_host = {each["host"]: each["logins"] for each in found["host_verdicts"]}
    assert by_host["192.0.2.1"] == [
        {"credential": "linux", "one_of": [], "protocol": "ssh", "user": "audit"}
    ]
    assert by_host["192.0.2.5"] == []
    unknown = summarize(io.BytesIO(report()))["verdict"]["logins"]
    assert {each["credential"] for each in unknown} == {None}


def test_a_scan_that_was_to_log_in_nowhere_gets_no_advice_on_logins(
    capsys: pytest.CaptureFixture[str],
) -> None:
    none = host("192.0.2.1", item(19506, output(said("no"))), item(110723))
    failed = host("192.0.2.2", item(19506, output(said("no"))), item(104410))
    for hosts, unwanted in (((none,), ["192.0.2.1"]), ((none, failed), ["192.0.2.1"])):
        data = document(*hosts)
        for facts, without in ((ScanFacts(), []), (ScanFacts(no_login=True), unwanted)):
            found = summarize(io.BytesIO(data), facts)
            silent = [each["host"] for each in found["host_verdicts"] if each["advice"] is None]
            assert silent == without
            advice = found["verdict"]["advice"]
            assert any("not provided" in each for each in advice) is not bool(without)
            assert any("failed" in each for each in advice) is (len(hosts) == 2)
            show_summary("report", found)
            told = "what to do" in capsys.readouterr().out
            assert told is (len(hosts) == 2 or not without)


def test_a_host_that_is_twice_in_a_report_counts_once() -> None:
    ssh = host("192.0.2.1", item(19506, output(said("yes, as 'audit' via ssh"))))
    smb = host("192.0.2.1", item(19506, output(said("yes, as 'scanner' via smb"))))
    facts = ScanFacts(asked=Asked(logins=(LINUX, WINDOWS)))
    found = summarize(io.BytesIO(document(ssh, ssh, smb)), facts)
    assert [(each["credential"], each["hosts"]) for each in found["verdict"]["logins"]] == [
        ("win", 1),
        ("linux", 1),
    ]


async def test_every_host_of_a_stored_scan_says_its_logins(tmp_path: Path) -> None:
    async with aclosing(await open_findings(tmp_path / "findings.db")) as store:
        await store.put("t", Reader(io.BytesIO(report())), at=0.0, sent=(LINUX, WINDOWS))
        groups = (await store.page("t", read_query({"group_by": "host"}))).rows
        assert {row["host"]: row.get("logins") for row in groups} == {
            "192.0.2.1": ["linux (ssh as audit)"],
            "192.0.2.2": ["linux (ssh as audit)"],
            "192.0.2.3": ["win (smb as LAB\\scanner)"],
            "192.0.2.4": ["ssh as stray"],
            "192.0.2.5": None,
            "192.0.2.6": None,
        }
        with_linux = read_query({"group_by": "host", "filters": ["host_logins contains linux"]})
        found = (await store.page("t", with_linux)).rows
        assert [row["host"] for row in found] == ["192.0.2.1", "192.0.2.2"]
