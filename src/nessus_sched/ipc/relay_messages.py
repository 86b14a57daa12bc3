"""What the relay reads in messages. Standard library only, like the relay."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PARSE_ERROR, INVALID_REQUEST, INTERNAL_ERROR = -32700, -32600, -32603
ASK_AGAIN = ("initialize", "server/discover", "ping", "tools/list", "prompts/list")
READING_TOOLS = ("get_", "list_", "search_", "compare_", "wait_")
"""Methods, and prefixes of tool names, that are safe to repeat: they change nothing."""


def parse_message(line: bytes) -> Any:
    """The JSON object on a line; an empty one if it is not an object."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else {}


def is_safe_to_retry(request: Any) -> bool:
    """Whether a request is safe to repeat if its answer was lost."""
    if request.get("method") != "tools/call":
        return request.get("method") in ASK_AGAIN
    params = request.get("params")
    name = params.get("name") if isinstance(params, dict) else None
    return isinstance(name, str) and name.startswith(READING_TOOLS)


def closing(message: Any) -> bool:
    """Whether the daemon says why it closes the connection, or never opened it."""
    error = message.get("error")
    data = error.get("data") if isinstance(error, dict) else None
    return message.get("id") is None and isinstance(data, dict) and data.get("closing") is True
