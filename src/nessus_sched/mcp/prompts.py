"""Prompts for common jobs: numbered steps, of which a caller sees those its role has tools for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from string import Template
from typing import Final

from nessus_sched.api.operations import ToolError
from nessus_sched.api.tools import ALL_TOOLS
from nessus_sched.mcp.definitions import PromptArgument, PromptDef
from nessus_sched.mcp.prompt_texts import (
    CHANGED,
    CLEAN,
    LOGINS,
    MAINTENANCE,
    ONBOARD,
    REVIEW,
    SCAN,
    WHY,
    Job,
)
from nessus_sched.results.untrusted import clean_line

LONGEST: Final = 500
_WORD: Final = re.compile(r"[a-z]+(?:_[a-z]+)+")
_LIST: Final = "targets"
"""The argument that is a list: it stands in calls as one, and in sentences as it was given."""


def _required(name: str, description: str) -> PromptArgument:
    return PromptArgument(name=name, description=description, required=True)


_TARGETS: Final = _required("targets", "Addresses, networks or names, separated by commas.")
_NETWORKS: Final = _required("targets", "Addresses or networks, separated by commas.")
_TASK: Final = _required("task_id", "The task.")


def _prompt(name: str, description: str, job: Job, *arguments: PromptArgument) -> PromptDef:
    async def render(given: Mapping[str, str], has_tool: Callable[[str], bool]) -> str:
        missing = [each.name for each in arguments if not given.get(each.name)]
        if missing:
            raise ToolError("invalid_arguments", f"{name} needs {', '.join(missing)}")
        return _text(job, given, has_tool)

    return PromptDef(name=name, description=description, arguments=arguments, render=render)


def _text(job: Job, given: Mapping[str, str], has_tool: Callable[[str], bool]) -> str:
    steps, lacking = [], list[str]()
    for step in job.steps:
        without = [tool for tool in named_tools(step) if not has_tool(tool)]
        lacking += without
        if not without:
            steps.append(step)
    parts = [job.goal, *(f"{number}. {step}" for number, step in enumerate(steps, 1))]
    if lacking:
        names = ", ".join(dict.fromkeys(lacking))
        parts.append(f"You cannot use {names} here: say what is not known or done for that reason.")
    parts.append(job.end)
    text = "\n".join(part for part in parts if part)
    return Template(text).safe_substitute(_values(given))


def named_tools(step: str) -> Sequence[str]:
    """The tools that a step needs."""
    return [word for word in _WORD.findall(step) if ALL_TOOLS.get(word) is not None]


def _values(given: Mapping[str, str]) -> Mapping[str, str]:
    """For `$name` the text, for `${name_json}` the value in a call, for `${targets_list}` the
    members of a filter."""
    values: dict[str, str] = {}
    for name, raw in given.items():
        text = clean_line(raw, LONGEST)
        members = [each for each in re.split(r"[,;\s]+", text) if each]
        value = members if name == _LIST else text
        values |= {
            name: text,
            f"{name}_json": json.dumps(value, ensure_ascii=False),
            f"{name}_list": json.dumps(", ".join(members), ensure_ascii=False)[1:-1],
        }
    return values


PROMPTS: Final = (
    _prompt("scan_and_report", "Scan targets and report what is critical.", SCAN, _TARGETS),
    _prompt("why_waiting", "Why a scan does not start.", WHY, _TASK),
    _prompt("failed_logins", "On which hosts logins failed, and why.", LOGINS, _TASK),
    _prompt(
        "what_changed", "What is new and what is fixed between two scans.", CHANGED,
        _required("before_task_id", "The earlier scan's task."),
        _required("after_task_id", "The later scan's task."),
    ),
    _prompt(
        "weekly_review", "What changed in a week, what is open, and what was not scanned.",
        REVIEW, _NETWORKS,
    ),
    _prompt(
        "is_it_clean", "Whether a host is clean, and what to do to know.", CLEAN,
        _required("host", "Its address or name."),
    ),
    _prompt(
        "prepare_maintenance_night", "Plan one scan with a login between two times.",
        MAINTENANCE, _TARGETS,
        _required("begin", "When it may start, such as 2026-03-02T22:00+01:00."),
        _required("end", "When it has to be over, such as 2026-03-03T05:00+01:00."),
    ),
    _prompt(
        "onboard_network", "Scan a network for the first time, and keep scanning it.", ONBOARD,
        _NETWORKS,
    ),
)  # fmt: skip
