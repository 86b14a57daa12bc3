"""Sinks and routes in the configuration: mistakes, secrets, defaults."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from nessus_sched.config.loading import load_text
from nessus_sched.config.problems import ConfigError
from nessus_sched.config.render import effective
from nessus_sched.config.schema import Config

SINKS = """\
sinks:
  - {name: mail, apprise: "mailtos://u:${P}@mail.example.com?to=soc@example.com"}
  - {name: soc, webhook: {url: "https://hooks.example.com/T0KEN-of-the-hook", secret: "${P}"}}
  - name: dojo
    defectdojo: {url: "https://dojo.example.com", token: "${P}", product: Network}
  - {name: siem, json_lines: {syslog: "tls://log.example.com"}}
"""


def loads(text: str) -> Config:
    return load_text(
        SINKS + dedent(text), file="f.yaml", folder=Path("/etc/n"), environ={"P": "s3cr3t-value"}
    )


def test_sinks() -> None:
    config = loads("")
    assert [sink.name for sink in config.sinks] == ["mail", "soc", "dojo", "siem"]
    lines = config.sinks[3].json_lines
    assert lines is not None
    assert lines.syslog == "tls://log.example.com:6514"
    shown = str(effective(config))
    assert "s3cr3t-value" not in shown
    assert "T0KEN" not in shown


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("routes: [{name: a, sink: mial}]", "there is no such sink (did you mean 'mail'?)"),
        (
            "routes: [{name: a, sink: dojo, when: daily}]",
            "DefectDojo gets each task when it ends, and no digests",
        ),
        ("routes: [{name: a, sink: mail, day: mon}]", "is only for weekly digests"),
        ("routes: [{name: a, sink: mail, at: '06:00'}]", "is only for digests"),
        ("routes: [{name: a, sink: mail, on: []}]", "names nothing to send"),
        ("routes: [{name: a, sink: mail, labels: {ownr: x}}]", "unknown label"),
    ],
)
def test_mistakes_in_routes(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as failed:
        loads(text)
    (told,) = map(str, failed.value.problems)
    assert problem in told


@pytest.mark.parametrize(
    ("sink", "problem"),
    [
        ("{name: x}", "give exactly one of"),
        ("{name: x, apprise: 'json://a', json_lines: {file: /a}}", "give exactly one of"),
        ("{name: x, json_lines: {}}", "give either file or syslog"),
        ("{name: x, json_lines: {file: a, syslog: 'udp://b'}}", "give either file or syslog"),
        ("{name: x, json_lines: {syslog: 'ftp://b'}}", "syslog"),
        ("{name: x, json_lines: {syslog: 'unix:log'}}", "must be absolute"),
        ("{name: x, webhook: {url: 'ftp://a'}}", "http"),
        ("{name: x, webhook: {}}", "url"),
        ("{name: x, defectdojo: {url: 'https://a', product: b}}", "token"),
        ("{name: x, apprise: '${NOT_SET}'}", "NOT_SET"),
    ],
)
def test_mistakes_in_sinks(sink: str, problem: str) -> None:
    with pytest.raises(ConfigError) as failed:
        load_text(f"sinks: [{sink}]", file="f.yaml", folder=Path("/etc/n"), environ={})
    assert any(problem in str(each) for each in failed.value.problems)
