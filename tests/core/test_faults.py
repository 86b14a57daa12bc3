"""The table of faults: complete, used, and without contradictions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import nessus_sched
from nessus_sched.cli.formatting import with_command_names
from nessus_sched.core.error_kinds import Blame, ErrorKind, Response
from nessus_sched.core.faults import FAULTS, advice, kind_of, remedy
from nessus_sched.core.scanner import ScannerError, TransientError

SOURCES = Path(nessus_sched.__file__).parent
TABLE = {SOURCES / "core/error_kinds.py", SOURCES / "core/faults.py"}


def subclasses(kind: type[ScannerError]) -> Iterator[type[ScannerError]]:
    yield kind
    for each in kind.__subclasses__():
        if each.__module__.startswith("nessus_sched"):
            yield from subclasses(each)


@pytest.mark.slow
def test_every_kind_is_in_the_table_and_used_somewhere() -> None:
    assert set(FAULTS) == set(ErrorKind)
    texts = [p.read_text() for p in SOURCES.rglob("*.py") if p not in TABLE]
    used = {name for text in texts for name in re.findall(r"\bErrorKind\.([A-Z_]+)\b", text)}
    assert used == set(ErrorKind.__members__)


def test_no_kind_is_written_as_a_string() -> None:
    """Then the type checker sees to it that nothing uses an unknown one."""
    codes = "|".join(ErrorKind)
    for path in (SOURCES / "scheduler").rglob("*.py"):
        found = re.findall(rf'(?:fail|task_error|Error)\([^)]*"(?:{codes})"', path.read_text())
        assert not found, f"{path}: {found}"


def test_every_kind_has_advice_of_its_own() -> None:
    texts = [fault.advice for fault in FAULTS.values()]
    assert len(set(texts)) == len(texts)
    assert all(text.endswith(".") for text in texts)


def test_operators_are_not_sent_to_themselves() -> None:
    for kind in ErrorKind:
        said = remedy(kind)
        assert not said.startswith("Tell the operator")
        assert said[0].isupper()
        assert said.endswith(".")
    assert "tls.fingerprint" in remedy("certificate_mismatch")


def test_a_name_that_does_not_resolve_is_no_matter_of_the_scanner() -> None:
    said = advice("name_not_resolved", goes_on=True)
    assert "does not resolve" in said
    assert "scanner" not in said


def test_advice_for_a_settled_task_promises_no_further_try() -> None:
    assert "retried automatically" in advice("scan_aborted", goes_on=True)
    assert "automatically" not in advice("scan_aborted", goes_on=False)


def test_people_are_told_commands_in_place_of_tools() -> None:
    assert "'nessus-sched scanners list'" in with_command_names(
        advice("scanner_trouble", goes_on=True)
    )


@pytest.mark.parametrize("error", list(subclasses(ScannerError)), ids=lambda error: error.__name__)
def test_an_error_of_a_scanner_agrees_with_the_table(error: type[ScannerError]) -> None:
    assert error("it is so").transient is issubclass(error, TransientError)


def test_whoever_is_to_blame_fits_what_follows() -> None:
    for kind, fault in FAULTS.items():
        if fault.response in {Response.SUSPEND, Response.REQUEUE}:
            assert fault.blame is Blame.SCANNER, kind
        if fault.response is Response.REROUTE:
            assert fault.blame in {Blame.TASK, Blame.UNCLEAR}, kind
        if fault.passes:
            assert not fault.final, kind


def test_codes_of_other_versions_are_understood() -> None:
    assert kind_of("scan_not_ours") is ErrorKind.NOT_OURS
    assert kind_of("bad_export") is ErrorKind.BAD_EXPORT
    assert kind_of("from_the_future") is ErrorKind.SCANNER_ERROR
