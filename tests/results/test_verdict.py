"""Judgements about logins: every branch, from signs as the scanner's plugins give them."""

from __future__ import annotations

import pytest

from nessus_sched.results.evidence import HostEvidence
from nessus_sched.results.model import Finding, HostEnd
from nessus_sched.results.verdict import (
    Credentialed,
    HostVerdict,
    Login,
    Privilege,
    judge,
    judge_scan,
)
from support.nessus_xml import document, host, item, output, read


def said(word: str) -> str:
    return item(19506, output(f"Information about this scan :\n\nCredentialed checks : {word}\n"))


def judged(*items: str, tags: dict[str, str] | None = None) -> HostVerdict:
    events, _ = read(document(host("192.0.2.1", *items, tags=tags)))
    evidence = HostEvidence()
    for event in events:
        if isinstance(event, Finding):
            evidence.add_finding(event)
        if isinstance(event, HostEnd):
            evidence.add_host(event.host)
    return judge("192.0.2.1", evidence)


@pytest.mark.parametrize(
    ("items", "login", "privilege"),
    [
        ([said("yes")], Login.FULL, Privilege.UNKNOWN),
        ([said("yes, as 'scan' via ssh"), item(110095)], Login.FULL, Privilege.SUFFICIENT),
        ([said("yes"), item(102095)], Login.FULL, Privilege.SUFFICIENT),
        ([said("no"), item(117887)], Login.FULL, Privilege.UNKNOWN),
        ([said("no"), said("yes")], Login.FULL, Privilege.UNKNOWN),
        ([said("yes"), item(110385)], Login.PARTIAL, Privilege.INSUFFICIENT),
        ([said("yes"), item(110095), item(110385)], Login.PARTIAL, Privilege.INSUFFICIENT),
        ([said("yes"), item(102094)], Login.PARTIAL, Privilege.INSUFFICIENT),
        ([said("yes"), item(24786)], Login.PARTIAL, Privilege.INSUFFICIENT),
        ([said("yes"), item(117885)], Login.PARTIAL, Privilege.UNKNOWN),
        ([said("yes"), item(21745)], Login.PARTIAL, Privilege.UNKNOWN),
        ([said("no"), item(141118)], Login.PARTIAL, Privilege.UNKNOWN),
        ([said("no"), item(110695)], Login.PARTIAL, Privilege.UNKNOWN),
        ([said("no"), item(104410)], Login.FAILED, Privilege.UNKNOWN),
        ([said("no"), item(21745)], Login.FAILED, Privilege.UNKNOWN),
        ([said("no"), item(104410), item(110723)], Login.FAILED, Privilege.UNKNOWN),
        ([said("no"), item(110723)], Login.NOT_PROVIDED, Privilege.UNKNOWN),
        ([said("no"), item(117886)], Login.NONE, Privilege.UNKNOWN),
        ([said("no")], Login.NONE, Privilege.UNKNOWN),
        ([item(1)], Login.UNKNOWN, Privilege.UNKNOWN),
        ([item(19506, output(""))], Login.UNKNOWN, Privilege.UNKNOWN),
    ],
)
def test_hosts(items: list[str], login: Login, privilege: Privilege) -> None:
    verdict = judged(*items)
    assert (verdict.login, verdict.privilege) == (login, privilege)
    assert (verdict.advice is None) == (login is Login.FULL)
    assert bool(verdict.reasons) == (login is Login.PARTIAL)


@pytest.mark.parametrize(
    ("tags", "login"),
    [
        ({"Credentialed_Scan": "true"}, Login.FULL),
        ({"Credentialed_Scan": "false"}, Login.NONE),
        ({"ssh-login-used": "scan"}, Login.PARTIAL),
        ({"smb-login-used": "EXAMPLE\\scan"}, Login.PARTIAL),
        ({"ssh-login-used": ""}, Login.UNKNOWN),
        ({}, Login.UNKNOWN),
    ],
)
def test_tags(tags: dict[str, str], login: Login) -> None:
    verdict = judged(item(1), tags=tags)
    assert verdict.login is login
    assert not any("scan" in (sign.detail or "") for sign in verdict.evidence)


@pytest.mark.parametrize(
    "plugin_id",
    [10394, 12634, 14272, 21643, 22869, 24786, 26917, 51192, 66334, 97833, 102094, 149334],
)
def test_what_is_no_proof_proves_nothing(plugin_id: int) -> None:
    assert judged(said("no"), item(plugin_id)).login is Login.NONE
    assert judged(item(plugin_id)).login is Login.UNKNOWN


def test_evidence_says_where_and_why() -> None:
    words = "- Plugin : a\n  Message     : Bad \x1b[1mkey\n  Message     : Bad \x1b[1mkey\n"
    failed = item(104410, output(words.replace("\x1b", "\u202e")), port=22, svc_name="ssh")
    (sign,) = judged(failed).evidence
    assert sign.source == "plugin 104410"
    assert sign.where == "22/tcp ssh"
    assert sign.detail == "Bad [1mkey"


def test_a_rate_limit_is_a_hint() -> None:
    advice = judged(item(104410), item(122501)).advice
    assert advice is not None
    assert "limits SSH logins" in advice


def test_a_dead_host_is_not_alive() -> None:
    dead = item(10180, output("The remote host is considered as dead - not scanning"))
    assert not judged(dead).alive
    assert judged(item(10180, output("The remote host is up"))).alive


def test_evidence_is_bounded() -> None:
    assert len(judged(*[item(104410)] * 500).evidence) < 50


@pytest.mark.parametrize(
    ("logins", "word", "login"),
    [
        ({}, Credentialed.UNKNOWN, Login.UNKNOWN),
        ({Login.FULL: 3}, Credentialed.YES, Login.FULL),
        ({Login.FULL: 3, Login.FAILED: 1}, Credentialed.PARTLY, Login.PARTIAL),
        ({Login.FULL: 3, Login.UNKNOWN: 1}, Credentialed.PARTLY, Login.PARTIAL),
        ({Login.PARTIAL: 1, Login.NONE: 9}, Credentialed.PARTLY, Login.PARTIAL),
        ({Login.FAILED: 1, Login.NONE: 9}, Credentialed.NO, Login.FAILED),
        ({Login.NOT_PROVIDED: 1, Login.NONE: 9}, Credentialed.NOT_TRIED, Login.NOT_PROVIDED),
        ({Login.NONE: 1, Login.UNKNOWN: 1}, Credentialed.NOT_TRIED, Login.NONE),
        ({Login.UNKNOWN: 2}, Credentialed.UNKNOWN, Login.UNKNOWN),
    ],
)
def test_scans(logins: dict[Login, int], word: Credentialed, login: Login) -> None:
    verdict = judge_scan(logins, {Privilege.UNKNOWN: sum(logins.values())})
    assert (verdict.credentialed, verdict.login) == (word, login)
    assert {name: count for name, count in verdict.counts.items() if count} == {
        name.value: count for name, count in logins.items()
    }
