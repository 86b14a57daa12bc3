"""A message: what one route reports at one time."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import attrs

MAX_BYTES: Final = 256 * 1024
"""Size of a message's document as JSON; what does not fit is counted, not listed."""


class MessageKind(StrEnum):
    EVENT = "event"
    """Something that happened, or the end of a task."""
    DIGEST = "digest"
    SAMPLE = "sample"
    """Sent by an operator to try a route."""


@attrs.frozen(kw_only=True)
class Message:
    """`message_id` is the same at every attempt. `at` is the time of what it reports (epoch
    seconds), `title` one line, `document` JSON without secrets, of at most `MAX_BYTES`.

    Keys of the document, left out where empty: `period` (`from`, `to`), `tasks`, `events` (each
    with `event`, `at`, `text` and more), `changes` (counts by change and severity),
    `compliance_changes` (of compliance checks, by change), `groups` (what to do, worst first:
    `change`, `plugin_id`, `plugin_name`, `compliance_check_name` if it is one, `severity`,
    `solution`, `cisa_kev`, `hosts` (how many), `where` (the first of them), `first_seen`),
    `baseline` (`hosts`, `severity_counts`), `tasks_left_out`, `events_left_out`,
    `groups_left_out` (how many are not listed), and of a sample `sent_by`.
    """

    message_id: str
    route: str
    kind: MessageKind
    at: float
    title: str
    document: Mapping[str, Any]
    task_id: str | None = None
    """The task that it is about, if it is about one."""
    attachment: str | None = None
    """The path of a report for people that belongs to it."""
