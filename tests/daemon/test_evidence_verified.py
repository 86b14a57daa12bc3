"""The check of an evidence pack finds every change, with and without this program."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nessus_sched.daemon.evidence import verifier, write_evidence
from nessus_sched.results.pack.scope import PackScope
from nessus_sched.results.pack.verify_pack import SEAL, SEAL_SIZE, check, main
from nessus_sched.results.pack.writer import PackWriter
from support.audited_quarter import NOW, SINCE, UNTIL, until_the_end
from support.command import typed
from support.world import config_of

Contents = dict[str, bytes]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    directory = tmp_path_factory.mktemp("verified")
    out = io.BytesIO()

    async def make() -> None:
        await until_the_end(directory)
        config, scope = config_of(directory), PackScope()
        await write_evidence(config, out, scope, SINCE, UNTIL, now=NOW)

    trio.run(make)
    return out.getvalue()


def problems(data: bytes, directory: Path) -> list[str]:
    file = directory / "changed.zip"
    file.write_bytes(data)
    return check(str(file)).problems


anything = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


# -- the file


@anything
@given(data=st.data())
def test_any_changed_byte_is_found(pack: bytes, tmp_path: Path, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(pack) - 1))
    changed = bytearray(pack)
    changed[place] ^= data.draw(st.integers(1, 255))
    assert problems(bytes(changed), tmp_path)


@pytest.mark.slow
def test_each_changed_byte_of_the_ends_is_found(pack: bytes, tmp_path: Path) -> None:
    for place in [*range(300), *range(len(pack) - 2500, len(pack))]:
        changed = bytearray(pack)
        changed[place] ^= 1 << place % 8
        assert problems(bytes(changed), tmp_path), place


@anything
@given(data=st.data())
def test_a_shortened_or_lengthened_file_is_found(
    pack: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(pack)))
    end = data.draw(st.integers(start, len(pack)))
    added = data.draw(st.binary(max_size=100))
    changed = pack[:start] + added + pack[end:]
    assert changed == pack or problems(changed, tmp_path)
    assert problems(pack + (added or b"\0"), tmp_path)
    assert problems(pack[: data.draw(st.integers(0, len(pack) - 1))], tmp_path)


# -- its files, in a zip file that is well-formed and has a right seal


def unpacked(data: bytes) -> Contents:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def sealed(members: list[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in members:
            file.writestr(name, data)
    before = out.getvalue()[:-2] + SEAL_SIZE.to_bytes(2, "little")
    return before + SEAL + hashlib.sha256(before).hexdigest().encode()


def test_a_repacked_file_is_not_refused_for_its_packing(pack: bytes, tmp_path: Path) -> None:
    assert not problems(sealed(list(unpacked(pack).items())), tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda members: [*members, ("more.txt", b"")], "more.txt was added"),
        (lambda members: [*members, members[3]], "scans.csv is there twice"),
        (lambda members: [*members, ("scans.csv", b"")], "scans.csv is there twice"),
        (lambda members: members[1:], "README.txt is missing"),
        (lambda members: members[:-1], "manifest.json cannot be read"),
        (
            lambda members: [members[1], members[0], *members[2:]],
            "the files are not in their order",
        ),
        (
            lambda members: [(members[0][0], members[0][1] + b" "), *members[1:]],
            "README.txt has",
        ),
        (
            lambda members: [(members[0][0], members[0][1].swapcase()), *members[1:]],
            "README.txt is not as it was written",
        ),
    ],
)
def test_changed_members(
    pack: bytes,
    tmp_path: Path,
    change: Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]],
    said: str,
) -> None:
    found = problems(sealed(change(list(unpacked(pack).items()))), tmp_path)
    assert any(each.startswith(said) for each in found), found


# -- the contents, in a pack whose manifest was changed to fit


def repacked(contents: Contents, **changes: Any) -> bytes:
    """With the manifest that the new contents have."""
    manifest = json.loads(contents["manifest.json"])
    for each in manifest["members"]:
        data = contents[each["name"]]
        each |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        if each["name"] in changes.get("rows", {}):
            each["rows"] = changes["rows"][each["name"]]
    manifest |= {name: value for name, value in changes.items() if name != "rows"}
    changed = {**contents, "manifest.json": json.dumps(manifest).encode()}
    return sealed(list(changed.items()))


def lines(data: bytes) -> list[Any]:
    return [json.loads(line) for line in data.splitlines()]


def text(documents: list[Any]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in documents)


def test_a_row_that_is_gone_is_found(pack: bytes, tmp_path: Path) -> None:
    contents = unpacked(pack)
    rows = contents["open.csv"].splitlines(keepends=True)
    contents["open.csv"] = b"".join(rows[:-1])
    assert problems(repacked(contents), tmp_path) == [
        f"open.csv has {len(rows) - 2} rows, the manifest says {len(rows) - 1}",
        "open.csv does not have the counts by severity that the manifest has",
    ]
    found = problems(repacked(contents, rows={"open.csv": len(rows) - 2}), tmp_path)
    assert found == ["open.csv does not have the counts by severity that the manifest has"]


def _cancel_one(rows: list[dict[str, Any]]) -> None:
    row = next(each for each in rows if '"completed"' in each["content"])
    row["content"] = row["content"].replace('"completed"', '"canceled"')


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.__delitem__(5), "follows row"),
        (lambda rows: rows.__delitem__(-1), "the journal does not end with the head"),
        (lambda rows: rows.__delitem__(0), "follows row"),
        (lambda rows: rows.append(dict(rows[-1])), "follows row"),
        (lambda rows: rows.reverse(), "follows row"),
        (lambda rows: _cancel_one(rows), "is not what was written"),
        (lambda rows: rows[3].update(task_digest="00" * 32), "is not what was written"),
        (lambda rows: rows[3].update(hash="0" * 64), "is not what was written"),
        (lambda rows: rows[3].update(masked=True), "1 journal rows are masked"),
    ],
)
def test_a_changed_journal_is_found(
    pack: bytes, tmp_path: Path, change: Callable[[list[Any]], None], said: str
) -> None:
    contents = unpacked(pack)
    rows = lines(contents["journal.jsonl"])
    change(rows)
    contents["journal.jsonl"] = text(rows)
    changed = repacked(contents, rows={"journal.jsonl": len(rows)})
    assert any(said in each for each in problems(changed, tmp_path))


@anything
@given(data=st.data())
def test_a_journal_with_any_changed_row_is_found(
    pack: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    contents = unpacked(pack)
    rows = lines(contents["journal.jsonl"])
    row = data.draw(st.sampled_from(rows))
    place = data.draw(st.integers(0, len(row["content"]) - 1))
    letter = data.draw(st.characters(codec="ascii", exclude_characters=row["content"][place]))
    row["content"] = row["content"][:place] + letter + row["content"][place + 1 :]
    contents["journal.jsonl"] = text(rows)
    assert problems(repacked(contents), tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda scan: scan["outcome"]["results"]["coverage"].update(answered=16, silent=0),
        lambda scan: scan["outcome"]["request"].update(targets=["192.0.2.0/24"]),
        lambda scan: scan.update(state="partial"),
        lambda scan: scan.update(task_id="t00000009"),
        lambda scan: scan.update(journal_row=scan["journal_row"] - 1),
    ],
)
def test_a_scan_that_the_journal_does_not_have_is_found(
    pack: bytes, tmp_path: Path, change: Callable[[Any], None]
) -> None:
    contents = unpacked(pack)
    documents = lines(contents["scans.jsonl"])
    change(documents[1])
    contents["scans.jsonl"] = text(documents)
    found = problems(repacked(contents), tmp_path)
    assert [each for each in found if "is not as the journal has it" in each] == found != []


@pytest.mark.parametrize(
    "manifest",
    [b"", b"[]", b"{}", b"\xff", b'{"format": "other", "format_version": 1}', b"1" * 5000],
)
def test_a_manifest_that_is_none(pack: bytes, tmp_path: Path, manifest: bytes) -> None:
    contents = {**unpacked(pack), "manifest.json": manifest}
    (found,) = problems(sealed(list(contents.items())), tmp_path)
    assert found.startswith("manifest.json cannot be read: ")


@anything
@given(data=st.data())
def test_a_manifest_with_any_value_is_an_answer(
    pack: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    odd = st.one_of(st.none(), st.integers(), st.text(max_size=5), st.lists(st.none(), max_size=2))
    contents = unpacked(pack)
    manifest = json.loads(contents["manifest.json"])
    name = data.draw(st.sampled_from(["journal", "members", "open_by_severity"]))
    value = data.draw(odd)
    if name == "members":
        manifest[name][data.draw(st.integers(0, 5))] = value
    else:
        manifest[name] = value
    contents["manifest.json"] = json.dumps(manifest).encode()
    assert problems(sealed(list(contents.items())), tmp_path)


# -- without this program


def bare(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Python without site packages, environment and the working directory."""
    argv = [sys.executable, "-I", "-S", "-W", "error", *words]
    return subprocess.run(argv, capture_output=True, text=True, cwd=cwd, check=False, env={})


def test_the_check_runs_on_its_own(pack: bytes, tmp_path: Path) -> None:
    file, place = tmp_path / "pack.zip", tmp_path / "unzipped"
    file.write_bytes(pack)
    with zipfile.ZipFile(file) as members:
        members.extractall(place)
    zipped = bare(str(place / "verify.py"), str(file), cwd=tmp_path)
    assert (zipped.returncode, zipped.stderr) == (0, "")
    assert zipped.stdout.splitlines()[:2] == [
        "OK: evidence from 2025-07-01T00:00:00Z to 2025-10-01T00:00:00Z",
        f"SHA-256 of the file: {hashlib.sha256(pack).hexdigest()}",
    ]
    here = bare("verify.py", cwd=place)
    assert (here.returncode, here.stderr) == (0, "")
    (place / "scans.csv").write_bytes(b"")
    (place / "more.txt").write_bytes(b"")
    (place / "logins.csv").unlink()
    there = bare("verify.py", cwd=place)
    assert (there.returncode, there.stderr) == (1, "")
    assert there.stdout.splitlines()[:2] == ["logins.csv is missing", "more.txt was added"]
    assert there.stdout.splitlines()[-1].startswith("FAILED: ")


def test_the_check_is_python_3_8() -> None:
    tree = ast.parse(verifier(), feature_version=(3, 8))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [each.name for each in node.names] if isinstance(node, ast.Import) else [node.module]
        )
        if name
    }
    assert imported <= sys.stdlib_module_names


@pytest.mark.parametrize("words", [["--help"], ["one", "two"], ["there is none"]])
def test_its_exit_codes(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    expected: Mapping[int, int] = {1: 0, 2: 2}
    code = expected[len(words)] if words != ["there is none"] else 1
    assert main(words) == code
    assert capsys.readouterr().out


# -- by command


def test_the_command_says_the_same(pack: bytes, tmp_path: Path) -> None:
    file = tmp_path / "pack.zip"
    file.write_bytes(pack)
    said = typed("report", "verify", str(file))
    assert said.code == 0
    assert said.out.startswith("OK: ")
    assert typed("report", "verify", str(file), "--json").json["sha256"] in said.out
    file.write_bytes(pack[:-1])
    changed = typed("report", "verify", str(file))
    assert changed.code == 1
    assert "FAILED: " in changed.out


# -- writing


def test_nothing_tells_when_or_where_it_was_made(pack: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(pack)) as file:
        infos = file.infolist()
    assert {each.date_time for each in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {(each.create_system, each.external_attr >> 16) for each in infos} == {(3, 0o100644)}


def test_a_pack_that_could_not_be_finished_is_none(tmp_path: Path) -> None:
    file = tmp_path / "pack.zip"

    def write() -> None:
        with file.open("wb") as out, PackWriter(out) as writer:
            writer.add("README.txt", b"text")
            with writer.lines("scans.jsonl") as rows:
                rows.write({"number": 1 // number} for number in (1, 0))

    with pytest.raises(ZeroDivisionError):
        write()
    assert check(str(file)).problems
