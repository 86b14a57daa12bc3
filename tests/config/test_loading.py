"""Loading: what a good file gives, and for each mistake its line and its words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from nessus_sched.config.loading import load, load_text
from nessus_sched.config.problems import ConfigError
from nessus_sched.config.scanners import (
    ApiKeys,
    UiSession,
)
from nessus_sched.config.schema import Config
from nessus_sched.config.types import LogLevel
from nessus_sched.core.credentials import CredentialKind, EscalationMethod
from nessus_sched.core.secret import Secret
from nessus_sched.core.task import OnEarlyEnd

FOLDER = Path("/etc/nessus-sched")


def loads(text: str, environ: Mapping[str, str] | None = None) -> Config:
    return load_text(dedent(text), file="f.yaml", folder=FOLDER, environ=environ or {})


def problems(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loads(text, environ)
    return [str(problem) for problem in caught.value.problems]


SCANNER = """\
    scanners:
      - id: local
        url: https://127.0.0.1:8834
        auth: {api_keys: {access_key: a, secret_key: s}}
"""


@pytest.mark.parametrize("text", ["", "---\n", "# nothing\n"])
def test_an_empty_file_is_a_mistake_and_no_configuration(text: str) -> None:
    assert problems(text) == ["f.yaml:1:1: the file is empty (see config init)"]


def test_what_is_left_out_has_its_default() -> None:
    assert loads("scanners: []\n") == loads("{}") == Config()


def test_a_full_file() -> None:
    config = loads(
        """\
        state_directory: state
        socket: {path: /run/x.sock, mode: "0600", group: nessus-mcp}
        http: {bind: "[::1]:9000", hosts: [scan.example.com], status_page: false}
        targets: {allow: [192.0.2.0/24, "*.example.com"], deny: [192.0.2.1], max_addresses: 10}
        scheduling:
          {fairness_after: 90, max_runtime: 2h, overlap_guard: false, on_early_end: discard}
        polling: {fastest: 500ms, slowest: 1m}
        retention: {completed: forever, dead: 1w, exports: 0}
        limits: {message_size: 64KiB, export_size: 2097152}
        log: {level: debug, components: {nessus: warning}}
        credentials:
          - name: linux
            kind: ssh_password
            username: scan
            password: p
            escalation: {method: su+sudo, su_user: admin, password: q}
          - {name: snmp, kind: snmpv3, username: u, auth_password: a, privacy_password: b}
        roles: [{name: staff, users: [1000, alice], groups: [wheel], read_only: true}]
        custom_settings_allowed: [portscan_range]
        notifications: [{url: "https://hooks.example.com/x?y=1", events: [dead]}]
        scanners:
          - id: local
            url: HTTPS://Nessus.Example.com:8834/
            pool: fast
            auth: {api_keys: {access_key: a, secret_key: s}}
            tls: {fingerprint: "FINGERPRINT"}
            max_concurrent_scans: 5
            networks: [192.0.2.0/24, 2001:db8::/32]
            labels: {site: lab}
          - id: other
            url: https://[2001:DB8::1]:8834
            auth: {ui_session: {username: u, password: "0123"}}
            enabled: false
            tls: {verify: false}
        """.replace("FINGERPRINT", ":".join(["AB"] * 32))
    )
    local, other = config.scanners
    assert config.state_directory == FOLDER / "state"
    assert (config.socket.path, config.socket.mode) == (Path("/run/x.sock"), 0o600)
    assert config.http.bind == "[::1]:9000"
    assert config.scheduling.fairness_after == 90
    assert config.scheduling.max_runtime == 7200
    assert config.scheduling.on_early_end is OnEarlyEnd.DISCARD
    assert config.polling.fastest == 0.5
    assert config.retention.completed == math.inf
    assert config.retention.exports == 0
    assert config.limits.message_size == 65536
    assert config.log.components == {"nessus": LogLevel.WARNING}
    assert config.credentials[0].kind is CredentialKind.SSH_PASSWORD
    assert config.credentials[0].escalation is not None
    assert config.credentials[0].escalation.method is EscalationMethod.SU_SUDO
    assert config.roles[0].users == ("1000", "alice")
    assert local.url == "https://nessus.example.com:8834"
    assert local.name == "local"
    assert local.auth == ApiKeys(access_key=Secret("a"), secret_key=Secret("s"))
    assert local.tls.fingerprint == "ab" * 32
    assert local.networks == ("192.0.2.0/24", "2001:db8::/32")
    assert other.url == "https://[2001:db8::1]:8834"
    assert other.auth == UiSession(username="u", password=Secret("0123"))
    assert (other.enabled, other.tls.verify) == (False, False)


def one(line: int, words: str, text: str) -> object:
    return pytest.param(line, words, text, id=words)


@pytest.mark.parametrize(
    ("line", "words", "text"),
    [
        one(1, "unknown key (did you mean 'scanners'?)", "scaners: []"),
        one(2, "targets.alow: unknown key (did you mean 'allow'?)", "targets:\n  alow: []"),
        one(1, "expected a mapping of state_directory", "- a\n- b"),
        one(1, "expected a mapping of state_directory", "just text"),
        one(1, "targets: is empty", "targets:"),
        one(1, "targets.allow: expected a list", "targets: {allow: 192.0.2.0/24}"),
        one(4, "targets.allow[1]: expected an addr", "targets:\n  allow:\n  - a\n  - 1.2.3.4/x"),
        one(1, "targets.deny[0]", "targets: {deny: [192.0.2.1/24]}"),
        one(1, "write 192.0.2.0/24 for the network", "targets: {deny: [192.0.2.1/24]}"),
        one(1, "max_addresses: must be at least 1", "targets: {max_addresses: 0}"),
        one(1, "max_addresses: expected a whole number", "targets: {max_addresses: many}"),
        one(1, "max_addresses: expected a whole number", "targets: {max_addresses: 1.5}"),
        one(1, "max_addresses: expected a whole number", "targets: {max_addresses: true}"),
        one(2, "log.level: expected one of debug, info", "log:\n  level: warn"),
        one(1, "did you mean 'warning'?", "log: {level: warn}"),
        one(1, "unknown component (did you mean 'nessus'?)", "log: {components: {nesus: info}}"),
        one(1, "log.components.mcp: expected one of", "log: {components: {mcp: loud}}"),
        one(1, "expected a duration", "scheduling: {max_runtime: soon}"),
        one(1, "max_runtime: must be at least 1m", "scheduling: {max_runtime: -5}"),
        one(1, "expected a duration", "scheduling: {max_runtime: .nan}"),
        one(1, "max_runtime: must be at least 1m", "scheduling: {max_runtime: 5s}"),
        one(1, "on_early_end: expected one of", "scheduling: {on_early_end: rol}"),
        one(1, "backoff_base: must not be greater", "scheduling: {backoff_base: 2h}"),
        one(
            1,
            "max_concurrent_scans: must not be greater than max_concurrent_hosts",
            "networks: [{cidr: 192.0.2.0/24, max_concurrent_scans: 3, max_concurrent_hosts: 2}]",
        ),
        one(1, "fastest: must not be greater than slowest", "polling: {fastest: 5m}"),
        one(1, "expected a size", "limits: {message_size: big}"),
        one(1, "message_size: must be at most 1GiB", "limits: {message_size: 2GiB}"),
        one(1, "mode: expected a file mode in quotes", "socket: {mode: 660}"),
        one(1, "overlap_guard: expected true or false", "scheduling: {overlap_guard: yes}"),
        one(1, "the port is missing", "http: {bind: 127.0.0.1}"),
        one(1, "the port is missing", "http: {bind: '[::1]'}"),
        one(1, "http.bind: expected ADDRESS:PORT", "http: {bind: '127.0.0.1:99999'}"),
        one(1, "IPv6 goes in brackets", "http: {bind: '::1:9834'}"),
        one(1, "http.bind: expected ADDRESS:PORT", "http: {bind: 9834}"),
        one(1, "~ is not expanded", "state_directory: ~/state"),
        one(1, "expected text: put it in quotes", "socket: {group: 12}"),
        one(1, "it has a control character", 'socket: {group: "a\\nb"}'),
        one(1, "there is no such file", "audits: [{name: cis, file: /nonexistent/x.audit}]"),
        one(1, "audits[0]: give either file or builtin", "audits: [{name: cis}]"),
        one(1, "audits[0].name: expected letters", "audits: [{name: a b, file: x}]"),
        one(1, "can never be allowed", "custom_settings_allowed: [text_targets]"),
        one(1, "can never be allowed", "custom_settings_allowed: [target_groups]"),
        one(1, "give either file or builtin", "audits: [{name: a, file: /etc/hosts, builtin: b}]"),
        one(1, "variables: only applies to", "audits: [{name: a, file: /x, variables: {a: b}}]"),
        one(1, "unknown key", "scan_profiles: [{name: a, portz: all}]"),
        one(1, "no range of ports: '9-1'", "scan_profiles: [{name: a, ports: '22,9-1'}]"),
        one(1, "no range of ports", "scan_profiles: [{name: a, ports: '1-65536'}]"),
        one(1, "expected `common`, `all`", "scan_profiles: [{name: a, ports: most}]"),
        one(1, "must be at least 1", "scan_profiles: [{name: a, max_hosts: 0}]"),
        one(1, "expected one of basic", "scan_profiles: [{name: a, default_for: [all]}]"),
        one(1, "'none' means no profile", "scan_profiles: [{name: none}]"),
        one(2, "is set by the scheduler", "scan_profiles:\n- {name: a, settings: {acls: x}}"),
        one(3, "scan_profiles[0] is already the default for basic",
            "scan_profiles:\n- {name: a, default_for: [basic]}\n"
            "- {name: b, default_for: [quick, basic]}"),
        one(1, "the same name as scan_profiles[0]", "scan_profiles: [{name: a}, {name: A}]"),
        one(1, "account: does not belong to enable", "credentials: [{name: a, kind: ssh_password, "
            "username: u, password: p, escalation: {method: enable, password: q, account: r}}]"),
        one(1, "auth_algorithm: expected one of MD5", "credentials: [{name: a, kind: snmpv3, "
            "username: u, auth_password: p, auth_algorithm: SHA3}]"),
        one(1, "roles[0]: matches no one", "roles: [{name: r}]"),
        one(1, "roles[0].users[0]: expected a user", "roles: [{name: r, users: ['a b']}]"),
        one(1, "roles[1].name: the same name as roles[0]", "roles: [{name: r}, {name: R}]"),
        one(1, "notifications[0].url: expected an http", "notifications: [{url: ftp://x}]"),
        one(1, "events[0]: expected one of", "notifications: [{events: [all]}]"),
        one(2, "this key is given twice", "log: {}\nlog: {}"),
        one(3, "a second document", "log: {}\n---\nlog: {}"),
        one(1, "begins with *, an alias", "log: *x"),
        one(1, "begins with &, an anchor", "log: &x {}"),
        one(1, "begins with !, a tag", "log: !x {}"),
        one(1, "a key must be a plain word", "[a]: b"),
        one(2, "is not YAML: expected ',' or ']'", "log: [a\n"),
        one(2, "is not YAML: mapping values are not allowed here", "log: {}\na: b: c"),
        one(2, "this is a tab; indent with spaces", "log: {}\n\tx: 1"),
        one(1, "cannot start any token, while scanning for the next token (if this", "log: @x"),
        one(1, "put ${...} in quotes inside { }", "socket: {group: ${NOPE}}"),
        one(1, "more than 20 levels deep", "log: " + "[" * 25 + "]" * 25),
        one(1, "has a character that YAML does not allow", "log: \x07"),
        one(1, "has an escape or a number", 'log: "\\Uffffffff"'),
        one(1, "environment variable NOPE is not set", "socket: {group: '${NOPE}'}"),
        one(1, "has ${ without }", "socket: {group: '${NOPE'}"),
        one(1, "is not a valid reference", "socket: {group: '${a b}'}"),
        one(1, "file /none cannot be read: No such file", "socket: {group: '${file:/none}'}"),
        one(1, "credential x cannot be read", "socket: {group: '${credential:x}'}"),
        one(1, "needs the name of a systemd credential", "socket: {group: '${credential:../x}'}"),
    ],
)  # fmt: skip
def test_a_mistake_has_its_line_and_says_what_was_expected(
    line: int, words: str, text: str
) -> None:
    found = problems(text)
    assert any(problem.startswith(f"f.yaml:{line}:") and words in problem for problem in found), (
        found
    )


def scanner_with(**changes: str) -> str:
    keys = {
        "id": "local",
        "url": "https://127.0.0.1:8834",
        "auth": "{api_keys: {access_key: a, secret_key: s}}",
        **changes,
    }
    return "scanners:\n" + "".join(
        f"  {'-' if index == 0 else ' '} {key}: {value}\n"
        for index, (key, value) in enumerate(keys.items())
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8834", "127.0.0.1:8834", "https://", "https://host:0", "https://host:x",
        "'https://host:'", "https://host/path", "https://host?q", "https://user:pw@host",
        "https://0x7f.1", "https://[::1", "https://[127.0.0.1]", "https://a b", "https://a\\b",
        "https://host#x", '""', "12",
    ],
)  # fmt: skip
def test_a_bad_url(url: str) -> None:
    assert problems(scanner_with(url=url))[0].startswith(
        "f.yaml:3:10: scanners[0].url: expected https://HOST[:PORT]"
    )


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("max_concurrent_scans", "0", "max_concurrent_scans: must be at least 1"),
        ("id", "-x", "id: expected letters"),
        ("id", "a b", "id: expected letters"),
        ("id", "''", "id: expected letters"),
        ("networks", "[web.example.com]", "host names are not networks"),
        ("tls", "{verify: no}", "tls.verify: expected true or false"),
        ("tls", "{fingerprint: 12ab}", "fingerprint: expected a SHA-256 fingerprint"),
        ("tls", "{ca_file: /nonexistent}", "ca_file: expected the path of a readable file"),
        ("tls", "{verify: false, fingerprint: %s}" % ("ab" * 32), "no effect with verify: false"),
        ("auth", "{}", "auth: give api_keys or ui_session"),
        ("auth", "null", "auth: is empty"),
        ("auth", "{api_key: {}}", "auth.api_key: unknown key (did you mean 'api_keys'?)"),
        ("auth", "{api_keys: {access_key: a}}", "auth.api_keys: missing key 'secret_key'"),
        ("auth", "{api_keys: {access_key: '', secret_key: s}}", "access_key: expected text"),
        ("labels", "{a: [1]}", "labels.a: expected text"),
        ("labels", "[a]", "labels: expected a mapping"),
        ("name", "", "name: is empty"),
    ],
)
def test_a_bad_scanner(key: str, value: str, words: str) -> None:
    found = problems(scanner_with(**{key: value}))
    assert any(f"scanners[0].{words}" in problem or words in problem for problem in found), found


def test_both_ways_to_log_in() -> None:
    both = "{api_keys: {access_key: a, secret_key: s}, ui_session: {username: u, password: p}}"
    assert problems(scanner_with(auth=both)) == [
        "f.yaml:4:11: scanners[0].auth: give either api_keys or ui_session, not both"
    ]


def test_duplicate_scanner_id() -> None:
    again = scanner_with().replace("scanners:\n", "")
    assert problems(scanner_with() + again) == [
        "f.yaml:5:9: scanners[1].id: the same id as scanners[0]"
    ]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("kind: ssh_password", "credentials[0]: missing key 'password', which kind ssh_password"),
        ("kind: ssh_key, password: p", "missing key 'private_key'"),
        ("kind: ssh_key, private_key: k, password: p", "password: does not belong to kind ssh_key"),
        ("kind: windows, password: p, escalation: {method: sudo}", "not belong to kind windows"),
        ("kind: ssh_password, password: p, domain: D", "domain: does not belong to kind ssh_pass"),
        ("kind: snmpv3, privacy_password: p", "missing key 'auth_password'"),
        ("kind: ssh, password: p", "kind: expected one of ssh_password, ssh_key"),
        ("kind: [], password: p", "kind: expected one of ssh_password, ssh_key"),
        (
            "kind: ssh_password, password: p, escalation: {method: sudo, su_user: x}",
            "escalation.su_user: does not belong to sudo",
        ),
        (
            "kind: ssh_password, password: p, escalation: {method: su+sudo, password: p}",
            "escalation: missing key 'su_user', which su+sudo needs",
        ),
        (
            "kind: ssh_password, password: p, privileged: true, escalation: {method: sudo}",
            "privileged needs no escalation",
        ),
    ],
)  # fmt: skip
def test_a_credential_whose_keys_do_not_fit_its_kind(keys: str, words: str) -> None:
    found = problems("credentials:\n  - {name: c, username: u, " + keys + "}")
    assert all(problem.startswith("f.yaml:2:") for problem in found)
    assert any(words in problem for problem in found), found


def test_all_mistakes_at_once_in_the_order_of_the_file() -> None:
    found = problems(
        """\
        targets: {allow: [nonsense!], max_addresses: -1}
        log: {level: loud}
        scanners:
          - {id: a, url: "https://${HOST}", auth: {api_keys: {access_key: 1}}}
          - {id: a, urll: x}
        """
    )
    places = [problem.split(": ")[0] for problem in found]
    assert places == [
        "f.yaml:1:19", "f.yaml:1:46", "f.yaml:2:14", "f.yaml:4:18", "f.yaml:4:54", "f.yaml:4:67",
        "f.yaml:5:5", "f.yaml:5:5", "f.yaml:5:10", "f.yaml:5:13",
    ]  # fmt: skip


def test_values_from_the_environment_may_be_numbers_and_booleans() -> None:
    text = scanner_with(max_concurrent_scans="${MAX:-3}", enabled="${ON}")
    scanner = loads(text, {"ON": "false"}).scanners[0]
    assert (scanner.max_concurrent_scans, scanner.enabled) == (3, False)
    assert "expected a whole number" in problems(text, {"ON": "false", "MAX": "x"})[0]
    assert "must be at least 1" in problems(text, {"ON": "false", "MAX": "0"})[0]
    assert "expected true or false" in problems(text, {"ON": "yes"})[0]


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.yaml: cannot be read: No such file"):
        load(tmp_path / "none.yaml", environ={})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, environ={})
    with pytest.raises(ConfigError, match="is not a regular file"):
        load(Path("/dev/zero"), environ={})


def test_files_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(b"log: {}\n# \xff\n")
    with pytest.raises(ConfigError, match=r"c.yaml:2:1: is not UTF-8 text"):
        load(file, environ={})
    file.write_bytes(b"#" * 1_000_001)
    with pytest.raises(ConfigError, match="longer than 1000000 bytes"):
        load(file, environ={})


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("x")
    (tmp_path / "secret").write_text("hidden\n")
    file = tmp_path / "c.yaml"
    tls = scanner_with(tls="{ca_file: ca.pem}", name="${file:secret}")
    file.write_text("\ufeffstate_directory: state\n" + tls)
    config = load(file, environ={})
    assert config.state_directory == tmp_path / "state"
    assert config.scanners[0].tls.ca_file == tmp_path / "ca.pem"
    assert config.scanners[0].name == "hidden"
