"""JSON lines in a file: appended whole, durable, and whatever happens to the file."""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
import trio

from nessus_sched.config.delivery import JsonLinesSink, SinkSettings
from nessus_sched.core.delivery.message import Message
from nessus_sched.delivery.sinks import json_lines
from nessus_sched.delivery.sinks.open import sink_for
from nessus_sched.delivery.sinks.port import Failure, Sink, SinkFailed
from support.counterparts import NoScans, full_document, message


def sink_to(path: Path) -> Sink:
    settings = SinkSettings(name="siem", json_lines=JsonLinesSink(file=path))
    return sink_for(settings, wall=lambda: 0.0, scans=NoScans())


async def failure_of(path: Path) -> SinkFailed:
    with pytest.raises(SinkFailed) as failed:
        await sink_to(path).deliver(message(full_document()))
    return failed.value


def messages(path: Path) -> list[str]:
    return [json.loads(line)["message"] for line in path.read_text().splitlines()]


async def test_messages_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"message":"before"}\n')
    path.chmod(0o600)
    sink = sink_to(path)
    await sink.deliver(message(title="one"))
    await sink.deliver(message(title="two"))
    assert messages(path) == ["before", "one", "two"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600  # the operator's choice


async def test_a_new_file_is_readable_by_its_group_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    before = os.umask(0o077)
    try:
        await sink_to(path).deliver(message())
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


async def test_rotation_by_renaming_and_by_truncating(tmp_path: Path) -> None:
    path, old = tmp_path / "events.jsonl", tmp_path / "events.jsonl.1"
    sink = sink_to(path)
    await sink.deliver(message(title="one"))
    path.rename(old)
    await sink.deliver(message(title="two"))
    assert (messages(old), messages(path)) == (["one"], ["two"])
    os.truncate(path, 0)
    await sink.deliver(message(title="three"))
    assert messages(path) == ["three"]


async def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"message":"cut o')
    await sink_to(path).deliver(message(title="one"))
    cut, line = path.read_text().splitlines()
    assert cut == '{"message":"cut o'
    assert json.loads(line)["message"] == "one"


async def test_it_is_on_the_disk_when_the_delivery_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    path = tmp_path / "events.jsonl"
    await sink_to(path).deliver(message())
    assert synced[0] == path.stat().st_size
    assert len(synced) == 2  # and its directory


async def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"message":"before"}\n')
    real = os.write

    def write(descriptor: int, data: Any) -> int:
        if len(data) < 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data[:500])

    monkeypatch.setattr(os, "write", write)
    failed = await failure_of(path)
    assert str(failed) == f"{path} cannot be written: no space left on device"
    assert failed.kind is Failure.TRY_AGAIN
    assert messages(path) == ["before"]


async def test_a_disk_that_is_really_full() -> None:
    failed = await failure_of(Path("/dev/full"))
    assert failed.kind is Failure.HOLD
    assert str(failed) == "/dev/full cannot be written: it is not a regular file"


async def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    missing = await failure_of(tmp_path / "no" / "events.jsonl")
    directory = await failure_of(tmp_path)
    below_a_file = tmp_path / "file"
    below_a_file.write_text("")
    inside = await failure_of(below_a_file / "events.jsonl")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    nobody_reads = await failure_of(pipe)
    assert [
        str(each).split(" cannot be written: ")[1] for each in (missing, directory, inside)
    ] == [
        "no such file or directory",
        "is a directory",
        "not a directory",
    ]
    assert {each.kind for each in (missing, directory, inside, nobody_reads)} == {Failure.HOLD}


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EACCES, Failure.HOLD), (errno.EROFS, Failure.HOLD), (errno.EIO, Failure.TRY_AGAIN)],
)
async def test_errors_of_the_system(
    number: int, kind: Failure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> int:
        raise OSError(number, "no")

    monkeypatch.setattr(os, "open", refuse)
    failed = await failure_of(tmp_path / "events.jsonl")
    assert failed.kind is kind
    assert ("ReadWritePaths" in str(failed)) == (number == errno.EROFS)


async def test_a_disk_that_hangs_holds_up_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(json_lines, "SECONDS", 0.05)
    real = json_lines._append

    def append(path: Path, sent: Message) -> None:
        if path.name == "slow":
            release.wait(30)
        real(path, sent)

    monkeypatch.setattr(json_lines, "_append", append)
    try:
        failed = await failure_of(tmp_path / "slow")
        assert str(failed).endswith("slow was not written within 0.05 s")
        assert failed.kind is Failure.TRY_AGAIN
        monkeypatch.setattr(json_lines, "SECONDS", 30.0)
        await sink_to(tmp_path / "quick").deliver(message(title="one"))
    finally:
        release.set()
    assert messages(tmp_path / "quick") == ["one"]


async def test_routes_that_share_a_file_mix_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    document = full_document([f"h{n}.example.com" for n in range(300)])
    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(sink_to(path).deliver, message(document))
    told = [json.loads(line)["event"]["id"] for line in path.read_text().splitlines()]
    assert told == told[: len(told) // 6] * 6
