"""What `demo --json` prints."""

from __future__ import annotations

import attrs

from nessus_sched.core.fields import field


@attrs.frozen(kw_only=True)
class StoryLine:
    at: str = field("The story's time, UTC.")
    chapter: str = field("What it is about.")
    text: str = field("What happened.")
    details: list[str] = field("More lines, of a digest.")


@attrs.frozen(kw_only=True)
class StoryTask:
    task_id: str = field("Its id.")
    name: str = field("Its name.")
    state: str = field("How it ended.")


@attrs.frozen(kw_only=True)
class StoryScanner:
    scanner_instance: str = field("Its id.")
    scans_run: int = field("Scans that it started.")
    max_running: int = field("The most at once.")


@attrs.frozen(kw_only=True)
class StoryTold:
    story: list[StoryLine] = field("What happened, in order.")
    tasks: list[StoryTask] = field("The tasks.")
    scanners: list[StoryScanner] = field("The simulated scanners.")
    changes: dict[str, int] = field("Findings above info by what scans changed about them.")
    severity_counts: dict[str, int] = field("What is open at the end, by severity.")
    excepted: int = field("How many of these have an exception.")
    exceptions: int = field("Exceptions in force at the end.")
    report: str = field("The path of the management report.")
    seconds: float = field("How long it took.")
