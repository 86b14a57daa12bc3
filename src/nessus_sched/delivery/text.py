"""A message as plain text for people (pure).

Names, solutions and host names come from the network, and chats give meaning to some characters:
nothing in the text mentions anybody, and nothing becomes a link or other markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from nessus_sched.core.delivery.message import Message, MessageKind
from nessus_sched.core.text import lasting, pluralize
from nessus_sched.results.untrusted import ELLIPSIS, clean_line

LONGEST: Final = 20_000
"""Characters of a text."""
_LINE: Final = 300
_HOSTS: Final = 8
_DAY: Final = 86400.0
_CHANGES: Final[Mapping[str, str]] = {
    "new": "New, to be fixed",
    "resurfaced": "Back again, to be fixed",
    "unverified": "Not seen, but not verified either",
    "fixed": "Fixed",
}
_AUDITS: Final = "Compliance checks"
"""Above those of audits, which have neither a severity nor a solution of their own."""
_OUTCOMES: Final[Mapping[str, str]] = {
    "completed": "completed",
    "failed": "did not complete",
    "dead": "failed permanently",
}
_MARKUP: Final = re.compile(r"<(?=[!@#/?a-zA-Z])|\](?=[(\[])|(?<![\w.+-])@(?=\w)")
"""Where Slack, Teams, Telegram, Discord and others see a mention, a tag or a link."""


def plain_text(message: Message, limit: int = LONGEST) -> str:
    """What a message reports, in at most `limit` characters; empty if its title says it all."""
    return _fitted(list(_sections(message)), limit)


def harmless(text: object, limit: int = _LINE) -> str:
    """One line that no chat takes for markup."""
    spaced = _MARKUP.sub(lambda found: f"{found[0]} ", clean_line(str(text), limit))
    return spaced.replace("`", "'")


def _sections(message: Message) -> Iterator[list[str]]:
    document = message.document
    if message.kind is MessageKind.SAMPLE:
        who = harmless(document.get("sent_by") or "someone")
        yield [f"This is a sample that {who} sent to test the route."]
    period = document.get("period")
    if period and len(document) > 1:
        yield [f"From {_moment(period.get('from'))} to {_moment(period.get('to'))}."]
    for change, heading in _CHANGES.items():
        groups = [each for each in document.get("groups", ()) if each.get("change") == change]
        counts = dict((document.get("changes") or {}).get(change) or {})
        if checks := (document.get("compliance_changes") or {}).get(change):
            counts["compliance check" if checks == 1 else "compliance checks"] = checks
        if groups or counts:
            yield list(_findings(heading, groups, counts, message.at))
    if tasks := document.get("tasks"):
        yield ["Tasks:", *map(_task, tasks)]
    if events := document.get("events"):
        yield ["Events:", *map(_event, events)]
    if baseline := document.get("baseline"):
        yield [_baseline(baseline)]
    if left_out := list(_left_out(document)):
        yield [f"Not listed: {', '.join(left_out)}."]


def _findings(
    heading: str, groups: Sequence[Mapping[str, Any]], counts: Mapping[str, int], at: float
) -> Iterator[str]:
    """What to do, worst first, and below it what it fixes and where."""
    told = ", ".join(f"{count} {severity}" for severity, count in counts.items() if count)
    yield f"{heading} ({told}):" if told else f"{heading}:"
    by_solution: dict[str, list[Mapping[str, Any]]] = {}
    for group in groups:
        solution = _AUDITS if group.get("compliance_check_name") else group.get("solution") or ""
        by_solution.setdefault(harmless(solution), []).append(group)
    for solution, same in by_solution.items():
        if solution:
            yield f"* {solution}"
        for group in same:
            yield f"{'  - ' if solution else '* '}{_finding(group, at)}"


def _finding(group: Mapping[str, Any], at: float) -> str:
    shown = [harmless(host, 100) for host in group.get("where", ())[:_HOSTS]]
    more = int(group.get("hosts", len(shown))) - len(shown)
    where = ", ".join(shown)
    if more > 0:
        where += f" and {more} more" if shown else pluralize(more, "host")
    severity = str(group.get("severity", "")) + (", exploited" if group.get("cisa_kev") else "")
    age = _age(group.get("first_seen"), at)
    if check := group.get("compliance_check_name"):
        return f"{harmless(check)} on {where}{age}"
    name = harmless(group.get("plugin_name") or "?")
    return f"{severity}: {name} (plugin {group.get('plugin_id')}) on {where}{age}"


def _age(since: object, at: float) -> str:
    moment = _parsed(since)
    if moment is None or at - moment.timestamp() < _DAY:
        return ""
    return f", first seen {lasting(at - moment.timestamp())} ago"


def _task(task: Mapping[str, Any]) -> str:
    name = harmless(task.get("name") or task.get("schedule") or task.get("task_id"), 100)
    outcome = str(task.get("outcome", ""))
    why = task.get("partial") or (task.get("error") or {}).get("message")
    parts = [f"{name} ({harmless(task.get('task_id'), 60)}) {_OUTCOMES.get(outcome, outcome)}"]
    if why:
        parts[0] += f": {harmless(why).rstrip('.')}"
    if task.get("not_reached"):
        parts.append(f"{task['not_reached']} not reached")
    if task.get("failed_logins"):
        parts.append(f"logins failed on {pluralize(task['failed_logins'], 'host')}")
    return "* " + "; ".join(parts)


def _event(event: Mapping[str, Any]) -> str:
    return f"* {_moment(event.get('at'))} {harmless(event.get('text', ''))}"


def _baseline(baseline: Mapping[str, Any]) -> str:
    counts = baseline.get("severity_counts") or {}
    told = ", ".join(f"{count} {severity}" for severity, count in counts.items() if count)
    hosts = pluralize(int(baseline.get("hosts", 0)), "host")
    return f"First scan of {hosts}" + (f", with {told}." if told else ".")


def _left_out(document: Mapping[str, Any]) -> Iterator[str]:
    words = {"groups": "finding", "tasks": "task", "events": "event"}
    for key, thing in words.items():
        if count := document.get(f"{key}_left_out"):
            yield pluralize(int(count), f"more {thing}")


def _fitted(sections: list[list[str]], limit: int) -> str:
    """Whole lines, as many as fit, and how many do not."""
    lines = [line for section in sections for line in (*section, "")][:-1]
    text = "\n".join(lines)
    if len(text) <= limit:
        return text
    room = limit - len("\n… 100000 more lines")
    kept, used = list[str](), 0
    for line in lines:
        used += len(line) + 1
        if used > room:
            break
        kept.append(line)
    if not kept:
        return text[: max(limit - 1, 0)] + ELLIPSIS
    return (
        "\n".join(kept).rstrip() + f"\n{ELLIPSIS} {pluralize(len(lines) - len(kept), 'more line')}"
    )


def _moment(text: object) -> str:
    moment = _parsed(text)
    return "?" if moment is None else moment.strftime("%Y-%m-%d %H:%M UTC")


def _parsed(text: object) -> datetime | None:
    """A time of a document, which is in UTC."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
