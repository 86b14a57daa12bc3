"""Messages as people read them (pure)."""

from __future__ import annotations

from nessus_sched.core.delivery.message import Message


def plain_text(message: Message) -> str:
    """The events and groups of a message, a line each."""
    document = message.document
    lines = [each["text"] for each in document.get("events", ())]
    lines += [
        f"{each['change']}: {each['name']} ({each['severity']}) on {', '.join(each['hosts'])}"
        for each in document.get("groups", ())
    ]
    return "\n".join(lines)
