"""A request with a template and no settings: accepted by a real Nessus, which then scans almost
nothing, since a template's defaults are not filled in by the server."""

from __future__ import annotations

from typing import Any


def body_before(uuid: str, **settings: Any) -> dict[str, Any]:
    """The body of `POST /scans` without any settings."""
    return {
        "uuid": uuid,
        "settings": {
            "name": "nightly [ns:t-before.1]",
            "description": "",
            "text_targets": "192.0.2.7",
            "launch": "ON_DEMAND",
            "enabled": False,
            **settings,
        },
    }
