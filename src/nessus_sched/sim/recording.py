"""Replays a real scanner's responses from the recording of a certification.

Requests that change something are answered in order. A read gets the response recorded at the
same time after the last change, so that polling more or less often makes no difference. Nothing
is checked: requests that were not recorded get a 404.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from nessus_sched.sim.messages import Answer, Request, Reset, Response, read_json, refusal, reply

FORMAT: Final = "nessus-sched recording"
DEFAULT_FOLDER: Final = "nessus-sched"
LARGEST: Final = 256 * 2**20
_SLACK: Final = 0.25
_LONGEST_DELAY: Final = 30.0
_UI_SCRIPT: Final = b'getApiToken=function(){return"AAAAAAAA-0000-4000-8000-000000000000"};'
_DATES: Final = frozenset({
    "timestamp", "creation_date", "last_modification_date", "scan_start", "scan_end",
    "scan_start_timestamp", "scan_end_timestamp", "scanner_boottime", "expiration_date",
    "expiration",
})  # fmt: skip
"""Fields in epoch seconds, which are shifted to the time of the replay."""


class BadRecording(ValueError):
    """The file is not a recording."""


@attrs.frozen
class _RecordedAnswer:
    """`phase` counts the changes before it; `after` is seconds since the last of them."""

    phase: int
    after: float
    row: Mapping[str, Any]


class Recording:
    """Replays one recording; counts the changes requested so far."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], began: float, started: float) -> None:
        self._shift = started - began
        self._questions: dict[str, list[_RecordedAnswer]] = {}
        self._changes: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
        self._names: list[str] = []
        self._folder = DEFAULT_FOLDER
        self._phase = 0
        self._changed_at = started
        self._read(rows)

    def answer(self, request: Request, now: float) -> Answer:
        key = _key(request.method, request.path, request.query)
        if request.path == "/nessus6.js":
            return Response(body=_UI_SCRIPT, content_type="text/javascript")
        if request.path == "/session" and request.method != "GET":
            return reply({"token": "0" * 48} if request.method == "POST" else {})
        if request.method == "GET":
            return self._delivered(self._question(key, now))
        if request.path == "/folders":
            self._folder = str(read_json(request).get("name", self._folder))
        elif request.path == "/scans" and request.method == "POST":
            self._names.append(str(read_json(request).get("settings", {}).get("name", "")))
        return self._delivered(self._change(key, now))

    def _read(self, rows: Sequence[Mapping[str, Any]]) -> None:
        phase, since = 0, 0.0
        for row in rows:
            key = _key(row["method"], row["path"], row["query"])
            if row["method"] == "GET":
                recorded = _RecordedAnswer(phase, row["at"] - since, row)
                self._questions.setdefault(key, []).append(recorded)
            elif row["path"] != "/session":
                phase, since = phase + 1, row["at"] + row["took"]
                self._changes.setdefault(key, []).append((phase, row))

    def _change(self, key: str, now: float) -> Mapping[str, Any] | None:
        known = self._changes.get(key, [])
        if not known:
            return None
        later = [each for each in known if each[0] > self._phase]
        self._phase, row = later[0] if later else known[-1]
        self._changed_at = now + min(row["took"], _LONGEST_DELAY)
        return row

    def _question(self, key: str, now: float) -> Mapping[str, Any] | None:
        known = self._questions.get(key, [])
        if not known:
            return None
        after = now - self._changed_at + _SLACK
        past = [
            each
            for each in known
            if each.phase < self._phase or (each.phase == self._phase and each.after <= after)
        ]
        present = [each for each in known if each.phase == self._phase]
        if past and (past[-1].phase == self._phase or not present):
            return past[-1].row
        return (present or known)[0].row

    def _delivered(self, row: Mapping[str, Any] | None) -> Answer:
        if row is None:
            return refusal(404, "The requested file was not found")
        if row["status"] == 0 or row.get("damaged"):
            return Reset()
        delay = min(row["took"], _LONGEST_DELAY)
        kind = row["type"] or "application/json"
        if "report" in row:
            body = row["report"].encode()
        elif "json" in row:
            body = json.dumps(self._filled("", row["json"])).encode()
        else:
            body = b" " * int(row.get("bytes", 0))
        return Response(status=row["status"], body=body, content_type=kind, delay=delay)

    def _filled(self, key: str, value: Any) -> Any:
        """The value with the names of the current scans and current dates."""
        if isinstance(value, dict):
            return {name: self._filled(name, each) for name, each in value.items()}
        if isinstance(value, list):
            return [self._filled(key, each) for each in value]
        if isinstance(value, str):
            return self._name(value)
        if key in _DATES and isinstance(value, int | float) and value > 0:
            return type(value)(value + self._shift)
        return value

    def _name(self, value: str) -> str:
        if value == "<folder>":
            return self._folder
        number = value.removeprefix("<scan ").removesuffix(">")
        if f"<scan {number}>" != value or not number.isdecimal():
            return value
        index = int(number) - 1
        return self._names[index] if 0 <= index < len(self._names) else value


def read_recording(path: Path, started: float) -> Recording:
    """Raises `BadRecording`, or `OSError` if the file cannot be read."""
    try:
        with gzip.open(path, "rb") as file:
            content = file.read(LARGEST)
        document = json.loads(content)
        if document["format"] != FORMAT or document["version"] != 1:
            raise BadRecording(f"{path} is not a recording that this version can read")
        return Recording(document["exchanges"], float(document["began"]), started)
    except (gzip.BadGzipFile, zlib.error, EOFError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, BadRecording):
            raise
        raise BadRecording(f"{path} is not a recording: {error}") from error


def _key(method: str, path: str, query: Mapping[str, str]) -> str:
    parameters = "&".join(f"{name}={value}" for name, value in sorted(query.items()))
    return f"{method} {path}?{parameters}"
