"""The catalog names every event that the program logs."""

from __future__ import annotations

import re
from pathlib import Path

from nessus_sched.telemetry.events import CATALOG, TASK_EVENTS

SOURCE = Path(__file__).parents[2] / "src" / "nessus_sched"
LITERAL = re.compile(r"\blog\.(?:debug|info|warning|error|exception|critical)\(\s*f?\"([^\"]+)")
NAMED = re.compile(r"\bevents\.([A-Z_]+)")
CHANGES = re.compile(r"event=\"([a-z_]+)\"(?: if .+? else \"([a-z_]+)\")?")


def texts(*rooms: str) -> str:
    files = [file for room in rooms for file in sorted((SOURCE / room).rglob("*.py"))]
    return "\n".join(file.read_text() for file in files)


def test_every_event_of_the_catalog_is_logged_by_its_name_there() -> None:
    rooms = (
        *("config", "results", "store", "nessus", "ipc", "telemetry", "scheduler"),
        *("api", "certify", "mcp", "http", "delivery"),
    )
    found = texts(*rooms, "daemon")
    of_tasks = {f"task_{name}" for name in TASK_EVENTS}
    assert of_tasks.issuperset(LITERAL.findall(found))
    assert set(CATALOG) - of_tasks == {name.lower() for name in NAMED.findall(found)}


def test_every_change_of_a_task_is_in_the_catalog() -> None:
    found = {name for pair in CHANGES.findall(texts("scheduler")) for name in pair if name}
    assert len(found) > 10
    assert not found - set(TASK_EVENTS)


def test_every_event_says_what_it_means() -> None:
    assert all(event.meaning.endswith((".", ")")) for event in CATALOG.values())
    assert all(re.fullmatch(r"[a-z_]+", name) for name in CATALOG)
