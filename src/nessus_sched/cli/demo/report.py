"""The demo's output for people."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from nessus_sched.cli.demo.scene import Scene
from nessus_sched.cli.demo.tables import Row, fitting, scan_rows
from nessus_sched.cli.mcp import client_of, desktop_entry, typed_program
from nessus_sched.ipc.discovery import config_places
from nessus_sched.results.untrusted import clean_line

HOSTS_SHOWN = 12


class DemoScreen:
    """Prints to a terminal, or as plain text to any other stdout; `quiet` prints nothing."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = Console(quiet=quiet, highlight=False)
        self._progress: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._told: set[tuple[str, str]] = set()

    def scene_is_up(self, urls: Mapping[str, str]) -> None:
        self._console.print("[bold]Two simulated Nessus scanners and the daemon are up.[/]")
        for name, url in urls.items():
            self._console.print(f"  {name}: {url}, 2 scans at once")
        self._console.print()

    def submitted(self, tool: str, name: str, answer: Mapping[str, Any]) -> None:
        place = answer["scanner_instance"] or "the first free scanner"
        self._console.print(f"  {tool}: [bold]{name}[/] -> {answer['task_id']} for {place}")

    @contextmanager
    def progress(self) -> Iterator[None]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[status]}"),
            TextColumn("{task.fields[scanner]}", style="dim"),
        )
        self._console.print()
        with Progress(*columns, console=self._console) as self._progress:
            yield
        self._console.print()

    def update(self, tasks: Sequence[Mapping[str, Any]], *, standing: bool = False) -> None:
        """Shows each problem once; what tasks wait for only if nothing moves (`standing`)."""
        assert self._progress is not None
        for task in tasks:
            task_id = task["task_id"]
            shown = {"status": task["status"], "scanner": task["scanner_instance"] or ""}
            if task_id not in self._bars:
                name = clean_line(task["name"], 40)
                self._bars[task_id] = self._progress.add_task(name, total=100, **shown)
            done = 100 if task["settled"] else task["progress_percent"] or 0
            self._progress.update(self._bars[task_id], completed=done, **shown)
            if not task["settled"] and (standing or task["error"]):
                self._tell_trouble(task)

    def _tell_trouble(self, task: Mapping[str, Any]) -> None:
        trouble = trouble_of(task)
        if trouble is None or (task["task_id"], trouble[0]) in self._told:
            return
        self._told.add((task["task_id"], trouble[0]))
        told = clean_line(f"  {task['name']}, {task['status']}: {trouble[1]}")
        self._console.print(told, style="yellow", markup=False)

    def results(
        self,
        tasks: Sequence[Mapping[str, Any]],
        summaries: Mapping[str, Mapping[str, Any]],
        document: Mapping[str, Any],
    ) -> None:
        """Findings by severity for each scan, and the hosts with the worst."""
        totals = document["severity_counts"]
        self._table("Findings", *scan_rows(tasks, totals))
        self._hosts(summaries, [each for each in totals if each != "info"])

    def state(
        self, scanners: Mapping[str, Any], queue: Mapping[str, Any], health: Mapping[str, Any]
    ) -> None:
        rows = [
            {
                "scanner": each["scanner_instance"],
                "edition": clean_line(each["edition"] or ""),
                "slots": f"{each['active_scans']} of {each['max_concurrent_scans']} used",
                "queue": str(each["queued"]),
                "available": "yes" if each["available"] else clean_line(each["reason"]),
            }
            for each in scanners["scanners"]
        ]
        self._table("Scanners", rows)
        self._console.print(f"Queue: {queue['queued']} waiting, {queue['active']} running.")
        self._console.print(f"Health: {health['status']}.")
        self._console.print()

    def what_next(self, scene: Scene, *, stay: bool) -> None:
        """Lines to copy, never wrapped."""
        us = typed_program()
        config = scene.config_file if stay else config_places(os.environ)[0]
        self._lines("What next", "")
        self._lines("Your own scanners:", f"  {us} config init", f"  {us} serve", "")
        self._lines("Claude Desktop: Settings > Developer > Edit Config, and restart it afterwards")
        self._lines("", desktop_entry(client_of(config)), "")
        if stay:
            self._lines("Health:", f"  curl http://{scene.http}/health", "")
            self._lines("Running. Connect a client with:", f"  {shlex.join(client_of(config))}")
            self._lines("Press Ctrl-C to stop the demo.")

    def _lines(self, heading: str, *rest: str) -> None:
        if heading:
            self._console.print(heading, style="bold", markup=False, soft_wrap=True)
        for each in rest:
            self._console.print(each, markup=False, soft_wrap=True)

    def _hosts(self, summaries: Mapping[str, Mapping[str, Any]], severities: Sequence[str]) -> None:
        hosts = [host for each in summaries.values() for host in each["summary"]["top_hosts"]]
        hosts.sort(key=lambda host: [-host[each] for each in severities])
        rows = [
            {"host": clean_line(host["host"], 60), **{each: str(host[each]) for each in severities}}
            for host in hosts[:HOSTS_SHOWN]
        ]
        self._table("Worst hosts", rows)

    def _table(self, title: str, rows: Sequence[Row], total: Row | None = None) -> None:
        if rows:
            self._console.print(fitting(self._console, title, rows, total))
            self._console.print()


def trouble_of(task: Mapping[str, Any]) -> tuple[str, str] | None:
    """Code and message of what holds a task up; None if nothing is known."""
    error, wait = task["error"], task["wait"] or {}
    if error is not None:
        return error["code"], error["message"]
    if wait.get("wait_code"):
        return wait["wait_code"], wait["wait_reason"]
    return None


def not_completed(tasks: Sequence[Mapping[str, Any]]) -> str | None:
    """One sentence about the tasks that did not complete; None if all did."""
    failed = [task for task in tasks if task["status"] != "completed"]
    if not failed:
        return None
    described = []
    for task in failed:
        trouble = trouble_of(task)
        why = f": {trouble[1]}" if trouble else ""
        described.append(f"{task['name']} ({task['status']}{why})")
    return f"not completed: {', '.join(described)}"
