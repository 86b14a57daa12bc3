"""Judgments about logins: every branch, from signs as the scanner's plugins give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nessus_sched.results.evidence import HostEvidence
from nessus_sched.results.logins.verdict import (
    Credentialed,
    HostVerdict,
    Login,
    Privilege,
    judge,
    judge_scan,
)
from nessus_sched.results.model import Finding, HostEnd
from nessus_sched.results.summary import summarize
from support.nessus_xml import document, host, item, output, read

ENABLED = "Local security checks have been enabled for this host.\n"
LOCALHOST = "Nessus can run commands on localhost\n\nLocal checks have been enabled for this host."
NOT_ENABLED = "The command failed.\nLocal security checks have NOT been enabled for this host.\n"
PACKAGES = (
    "OS Security Patch Assessment failed because :\n\n  - Plugin      : ssh_get_info2.nasl\n"
    "    Plugin ID   : 97993\n    Plugin Name : Software Enumeration, login over SSH\n"
    "    Protocol    : SSH\n    Message     : \nUnable to retrieve the package list.\n"
)
LOGGED = (
    "The following service errors were logged :\n\n  - Plugin      : x.nasl\n"
    "    Plugin ID   : 97993\n    Protocol    : SSH\n"
    "    Message     : \nUnable to login to remote host with supplied credential sets.\n"
)
KEY = (
    "  - User : scan\n    - Plugin : x.nasl\n"
    "      Message     : Failed to parse the given key information.\n"
)


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
        ([said("no"), said("yes")], Login.PARTIAL, Privilege.UNKNOWN),
        ([said("yes"), item(150799), item(102094)], Login.PARTIAL, Privilege.SUFFICIENT),
        ([said("no"), item(150799)], Login.PARTIAL, Privilege.SUFFICIENT),
        ([item(12634, output(ENABLED))], Login.FULL, Privilege.UNKNOWN),
        ([item(97993, output(LOCALHOST))], Login.FULL, Privilege.UNKNOWN),
        ([said("no"), item(12634, output(NOT_ENABLED))], Login.NONE, Privilege.UNKNOWN),
        ([said("no"), item(21745, output(PACKAGES))], Login.PARTIAL, Privilege.UNKNOWN),
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
    assert all(sign.source.startswith("plugin ") for sign in verdict.evidence)


WHEN = {"HOST_START": "Mon Mar 10 10:42:00 2025"}


@pytest.mark.parametrize(
    ("tags", "login"),
    [
        ({"Credentialed_Scan": "true"}, Login.FULL),
        ({"Credentialed_Scan": "false"}, Login.NONE),
        ({"ssh-login-used": "scan"}, Login.PARTIAL),
        ({"smb-login-used": "EXAMPLE\\scan"}, Login.PARTIAL),
        ({"ssh-login-used": ""}, Login.UNKNOWN),
        ({"local-checks-proto": "ssh"}, Login.UNKNOWN),
        ({"LastAuthenticatedResults": "1623326538"}, Login.PARTIAL),
        ({"LastAuthenticatedResults": "1741603260", **WHEN}, Login.FULL),
        ({"LastAuthenticatedResults": "1623326538", **WHEN}, Login.PARTIAL),
        ({"LastAuthenticatedResults": "1623326538", "Credentialed_Scan": "false"}, Login.NONE),
        (
            {"LastAuthenticatedResults": "1623326538", "LastUnauthenticatedResults": "1741603260"},
            Login.UNKNOWN,
        ),
        ({"LastAuthenticatedResults": "soon"}, Login.UNKNOWN),
        ({}, Login.UNKNOWN),
    ],
)
def test_tags(tags: dict[str, str], login: Login) -> None:
    verdict = judged(item(1), tags=tags)
    assert verdict.login is login
    assert not any("scan" in (sign.detail or "") for sign in verdict.evidence)


def test_a_scan_of_the_scanner_itself_says_so() -> None:
    (sign,) = judged(said("yes (on the localhost)")).evidence
    assert sign.says == "credentialed checks: yes (on the localhost)"
    (sign,) = judged(said("yes, as 'scan' via ssh")).evidence
    assert sign.says == "credentialed checks: yes (via ssh)"


@pytest.mark.parametrize(
    ("words", "reason", "advice"),
    [
        (
            "- It was not possible to log in via smb (unable to create a socket).",
            "It was not possible to log in via smb (unable to create a socket).",
            "could not connect to the login service",
        ),
        (
            LOGGED,
            "Unable to login to remote host with supplied credential sets.",
            "Check user, password or key",
        ),
        (
            KEY,
            "Failed to parse the given key information.",
            "could not read the private key",
        ),
        ("- Failed to authenticate\nusing the supplied password.\n",
         "Failed to authenticate using the supplied password.", "Check user, password or key"),
        ("Unable to negotiate a key exchange algorithm.",
         "Unable to negotiate a key exchange algorithm.", "could not agree on a protocol"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("plugin_id", [21745, 104410])
def test_a_failed_login_gives_the_scanners_reason(
    plugin_id: int, words: str, reason: str, advice: str
) -> None:
    verdict = judged(said("no"), item(plugin_id, output(words), port=445, svc_name="cifs"))
    assert verdict.login is Login.FAILED
    (why,) = verdict.reasons
    assert why.endswith(f": {reason}")
    assert verdict.advice is not None
    assert advice in verdict.advice
    assert ("password" in verdict.advice) == (advice == "Check user, password or key")


SMB_OPEN = item(11011, port=445, svc_name="cifs")
SSH_OPEN = item(10881, port=22, svc_name="ssh")


@pytest.mark.parametrize(
    ("items", "login", "advice"),
    [
        ([SMB_OPEN], Login.NONE, "No Windows login was tried"),
        ([SSH_OPEN], Login.NONE, "No SSH login was tried"),
        ([SSH_OPEN, SMB_OPEN], Login.NONE, "No Windows or SSH login was tried"),
        ([item(1, port=80)], Login.NONE, "Use a credential"),
        (
            [item(110723, output("SMB was detected on port 445 but no credentials were provided."),
                  port=445, svc_name="cifs"), SSH_OPEN],
            Login.NOT_PROVIDED, "No Windows login was given",
        ),
    ],
)  # fmt: skip
def test_what_login_was_missing(items: list[str], login: Login, advice: str) -> None:
    verdict = judged(said("no"), *items)
    assert verdict.login is login
    assert verdict.advice is not None
    assert advice in verdict.advice


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
    verdict = judged(*[item(104410)] * 500)
    assert len(verdict.evidence) == 24
    assert verdict.evidence_left_out == 476


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


CASES = Path(__file__).parents[2] / ".." / "shared" / "cases"


@pytest.mark.skipif(not CASES.is_dir(), reason="no case files beside the checkout")
@pytest.mark.parametrize(
    ("case", "login", "privilege"),
    [
        ("b_insufficient", "partial", "insufficient"),
        ("c_maxpriv", "partial", "sufficient"),
        ("f_pkglist", "partial", "unknown"),
        ("h_12634_only", "full", "unknown"),
        ("i_lastauth_only", "partial", "unknown"),
        ("j_two_19506_mixed", "partial", "unknown"),
        ("l_localhost", "full", "unknown"),
    ],
)
def test_cases(case: str, login: str, privilege: str) -> None:
    with (CASES / f"{case}.nessus").open("rb") as stream:
        (host,) = summarize(stream)["host_verdicts"]
    assert (host["login"], host["privilege"]) == (login, privilege)
