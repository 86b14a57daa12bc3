"""What is made of the configuration for people: effective values, reference, example,
warnings."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nessus_sched.config.calendar import BlackoutSettings, WindowSettings
from nessus_sched.config.delivery import SinkSettings
from nessus_sched.config.loading import load, load_text
from nessus_sched.config.parsers import duration, retention_time, size
from nessus_sched.config.reference import reference
from nessus_sched.config.render import duration_text, effective, size_text, to_yaml
from nessus_sched.config.scanners import (
    ApiKeys,
    ScannerSettings,
    TlsSettings,
)
from nessus_sched.config.schema import (
    Config,
    HttpSettings,
    TargetSettings,
    WebhookSettings,
)
from nessus_sched.config.secrets import secrets_of
from nessus_sched.config.warnings import warnings
from nessus_sched.core.credentials import (
    Credential,
    CredentialKind,
    Escalation,
    EscalationMethod,
)
from nessus_sched.core.secret import Secret

EXAMPLE = Path(__file__).parents[2] / "etc" / "nessus-sched.yaml"
KEYS = ApiKeys(access_key=Secret("access"), secret_key=Secret("secret"))
ONE = ScannerSettings(id="one", url="https://one.example", auth=KEYS)
GOOD = Config(scanners=(ONE,), targets=TargetSettings(allow=("192.0.2.0/24",)))


def test_the_example_loads_as_it_is() -> None:
    config = load(EXAMPLE, environ={})
    assert [scanner.id for scanner in config.scanners] == ["local", "lab"]
    assert warnings(config, NOW) == ()


def test_the_example_takes_its_values_from_the_environment() -> None:
    environ = {"NESSUS_ACCESS_KEY": "k", "LAB_SCANNER": "192.0.2.9", "STATE_DIRECTORY": "/s"}
    config = load(EXAMPLE, environ=environ)
    assert isinstance(config.scanners[0].auth, ApiKeys)
    assert config.scanners[0].auth.access_key == Secret("k")
    assert config.scanners[1].url == "https://192.0.2.9:8834"
    assert config.state_directory == Path("/s")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://hooks.example.com", "https://hooks.example.com"),
        ("https://hooks.example.com/", "https://hooks.example.com/"),
        ("https://hooks.example.com/services/T0/B0/XyZ", "https://hooks.example.com/***"),
        ("https://hooks.example.com:8443?token=XyZ", "https://hooks.example.com:8443/***"),
    ],
)
def test_the_token_in_the_url_of_a_webhook_is_masked(url: str, shown: str) -> None:
    config = attrs.evolve(GOOD, notifications=(WebhookSettings(url=url),))
    assert effective(config)["notifications"][0]["url"] == shown
    assert "XyZ" not in to_yaml(config)


def test_what_is_no_word_in_the_url_of_a_webhook_is_a_secret() -> None:
    url = "https://hooks.example.com/services/T00000000/AbCdEfGhIjKlMnOpQrStUv?sig=a1%2Fb2c3d4"
    found = {secret.reveal() for secret in secrets_of(WebhookSettings(url=url))}
    assert found == {"T00000000", "AbCdEfGhIjKlMnOpQrStUv", "a1%2Fb2c3d4", "a1/b2c3d4"}


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        (
            "mailtos://scans2026:pass%40w0rd1@192.0.2.13:2525?from=a@mail4.example.com&to=b2c3d4e5@x.example",
            {"pass@w0rd1"},
        ),
        ("mailto://mail01.example.com?user=scans@example.com&pass=pass%40w0rd1", {"pass@w0rd1"}),
        ("MAILTO://mail01.example.com/soc2026@example.com", set()),
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", {
            "T1JJ3T3L2", "A1BRTD4JD", "TIiajkdnlazkcOXrIdevi7FQ",
        }),
        ("jsons://u:pass-w0rd@192.0.2.13:8443/hook/t0ken.of.it", {"pass-w0rd", "t0ken.of.it"}),
        ("gotifys://push2.example.com/AbCdEf123.xyz", {"AbCdEf123.xyz"}),
        ("sendgrid://SG.a1b2c3d4.e5f6G7h8:me@mail2.example.com", {"SG.a1b2c3d4.e5f6G7h8", "me"}),
    ],
)  # fmt: skip
def test_tokens_and_passwords_of_apprise_are_secrets_but_no_hosts_or_mail_addresses(
    url: str, secret: set[str]
) -> None:
    found = {each.reveal() for each in secrets_of(SinkSettings(name="x", apprise=Secret(url)))}
    assert found == {url, *secret}


def test_the_example_is_about_every_section() -> None:
    text = EXAMPLE.read_text()
    for field in attrs.fields(Config):
        if field.name not in {
            "polling",
            "limits",
            "custom_settings_allowed",
            "custom_policies_allowed",
        }:
            assert f"{field.name}:" in text


def test_effective_values_are_written_as_in_the_file() -> None:
    shown = effective(GOOD)
    assert shown["scheduling"]["max_runtime"] == "1d"
    assert shown["limits"]["message_size"] == "4MiB"
    assert shown["socket"]["mode"] == "0660"
    assert shown["scanners"][0]["auth"] == {"api_keys": {"access_key": "***", "secret_key": "***"}}
    assert json.loads(json.dumps(shown)) == shown


def test_the_example_rendered_loads_to_the_same_but_for_secrets() -> None:
    config = load(EXAMPLE, environ={})
    again = load_text(to_yaml(config), file="f", folder=Path("/"), environ={})
    assert effective(again) == effective(config)
    assert attrs.evolve(again, scanners=(), credentials=()) == attrs.evolve(
        config, scanners=(), credentials=()
    )


words = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=20)


@pytest.mark.slow
@settings(deadline=None)
@given(st.dictionaries(words, words, max_size=3), words)
def test_odd_words_survive_rendering(labels: dict[str, str], name: str) -> None:
    config = attrs.evolve(GOOD, scanners=(attrs.evolve(ONE, labels=labels, name=name),))
    again = load_text(to_yaml(config), file="f", folder=Path("/"), environ={})
    assert again.scanners[0].labels == labels
    assert again.scanners[0].name == name


@settings(deadline=None)
@given(st.integers(0, 10**9))
def test_durations_and_sizes_survive_rendering(number: int) -> None:
    assert duration(duration_text(number)) == number
    assert duration(duration_text(number / 1000)) == pytest.approx(number / 1000)
    assert size(size_text(number)) == number
    assert retention_time(duration_text(math.inf)) == math.inf


def test_the_reference_has_every_key() -> None:
    text = reference()
    for line in ("## scanners[].auth.ui_session", "## credentials[].escalation", "## limits"):
        assert line in text
    for key in ("state_directory", "max_concurrent_scans", "fingerprint", "su_user", "idle_exit"):
        assert f"| `{key}` |" in text
    assert "attrs" not in text
    assert '`"1d"`' in text


SHORT = Credential(
    name="short", kind=CredentialKind.SSH_PASSWORD, username="u", password=Secret("p4ss!")
)
ED25519 = Credential(
    name="key",
    kind=CredentialKind.SSH_KEY,
    username="scan",
    private_key=Secret(
        "-----BEGIN OPENSSH PRIVATE KEY-----\n"
        + b64encode(b"openssh-key-v1\0 none none ssh-ed25519 ...").decode()
        + "\n-----END OPENSSH PRIVATE KEY-----\n"
    ),
)


LONG = Secret("long enough")
NOW = 1_800_000_000.0


def window(*times: str, **changes: Any) -> WindowSettings:
    return WindowSettings(name="nights", times=times, **changes)


def pbrun(**escalation: Any) -> Credential:
    return Credential(
        name="a", kind=CredentialKind.SSH_PASSWORD, username="u", password=LONG,
        escalation=Escalation(method=EscalationMethod.PBRUN, **escalation),
    )  # fmt: skip


def test_a_good_configuration_has_no_warnings() -> None:
    assert warnings(GOOD, NOW) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scanners": ()}, "no scanners"),
        ({"scanners": (attrs.evolve(ONE, tls=TlsSettings(verify=False)),)}, "verify: false"),
        ({"scanners": (ONE, attrs.evolve(ONE, id="two"))}, "same url"),
        ({"targets": TargetSettings()}, "targets.allow is empty"),
        ({"targets": TargetSettings(allow=("*.example.com",))}, "no networks"),
        ({"http": HttpSettings(bind="192.0.2.1:9834")}, "from other machines"),
        ({"http": HttpSettings(bind="[::]:9834")}, "from other machines"),
        ({"notifications": (WebhookSettings(url="http://a.example"),)}, "plain http"),
        ({"scanners": (attrs.evolve(ONE, folder="x" * 21),)}, "longer than 20 characters"),
        ({"credentials": (ED25519,)}, "Ed25519"),
        ({"credentials": (SHORT,)}, "1 secret has fewer than 6 characters and is not masked"),
        ({"credentials": (pbrun(account="oracle", password=LONG),)}, "account is ignored"),
        ({"credentials": (pbrun(),)}, "needs a password for pbrun"),
        ({"windows": (window("2020-01-01"),)}, "window 'nights' does not open within a year"),
        (
            {
                "windows": (window("mon 10:00-12:00"),),
                "blackouts": (BlackoutSettings(name="b", times=("mon-wed",)),),
            },
            "does not open within a year outside blackouts",
        ),
        ({"windows": (window("22:00-22:20"),)}, "open for 20m at most"),
    ],
)  # fmt: skip
def test_warnings(change: dict[str, Any], words: str) -> None:
    (warning,) = warnings(attrs.evolve(GOOD, **change), NOW)
    assert words in warning


def test_windows_that_open_need_no_warning() -> None:
    elsewhere = BlackoutSettings(name="b", times=("mon-sun",), networks=("192.0.2.0/24",))
    config = attrs.evolve(
        GOOD, windows=(window("mon-fri 20:00-06:00"), window("2030-01-01")), blackouts=(elsewhere,)
    )
    assert [each for each in warnings(config, NOW) if "nights" in each] == [
        "window 'nights' does not open within a year: the scans it applies to never run"
    ]


@pytest.mark.parametrize("bind", [None, "localhost:1", "127.0.0.9:1", "[::1]:1"])
def test_loopback_needs_no_warning(bind: str | None) -> None:
    assert warnings(attrs.evolve(GOOD, http=HttpSettings(bind=bind)), NOW) == ()


def test_a_configuration_of_before_with_an_account_for_pbrun_still_loads() -> None:
    text = (
        "credentials:\n- {name: a, kind: ssh_password, username: u, password: p, "
        "escalation: {method: pbrun, account: oracle}}\n"
    )
    said = warnings(load_text(text, file="f.yaml", folder=Path(), environ={}), NOW)
    assert [each for each in said if "pbrun" in each] == [
        "credential a: Nessus does not use an account for pbrun; escalation.account is ignored",
        "credential a: Nessus needs a password for pbrun",
    ]
