"""Ways in which a scanner refuses all work while it still answers everything else.

Of these responses only the 412 is recorded from an on-prem Nessus. The other statuses and texts
are plausible guesses, and a client must not depend on the exact wording.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum

import attrs


class Refusal(StrEnum):
    LICENSE_EXPIRED = "license_expired"
    """No scan can be created or launched; results can still be read."""
    NO_RIGHTS = "no_rights"
    """The account may only read (permissions 16)."""
    NO_API = "no_api"
    """The license has no API for scans, whatever the edition."""
    NO_PLUGINS = "no_plugins"
    """The plugins are missing, for example after a restart while compiling them."""
    NO_TEMPLATES = "no_templates"
    """The editor offers no template."""
    HOST_LIMIT = "host_limit"
    """The license has no room for another host."""
    SCAN_LIMIT = "scan_limit"
    """No more scans can be stored."""
    LAUNCH_REFUSED = "launch_refused"
    """Scans can be created but not launched."""
    DISK_FULL = "disk_full"
    """Nothing can be written."""


_CREATE = ("POST /scans", "POST /scans/{id}/copy", "POST /scans/import")
_LAUNCH = "POST /scans/{id}/launch"
_WRITES = ("POST /file/upload", "POST /policies", "POST /folders", "POST /scans/{id}/export")


@attrs.frozen
class Words:
    """The response, and the routes (by label) that get it."""

    status: int
    text: str
    routes: tuple[str, ...]


ANSWERS: Mapping[Refusal, Words] = {
    Refusal.LICENSE_EXPIRED: Words(403, "Your license has expired", (*_CREATE, _LAUNCH)),
    Refusal.NO_RIGHTS: Words(
        403,
        "You do not have permission to perform this request",
        (
            *_CREATE,
            _LAUNCH,
            *("PUT /scans/{id}", "DELETE /scans/{id}", "POST /folders", "POST /policies"),
            *(f"POST /scans/{{id}}/{action}" for action in ("pause", "resume", "stop", "kill")),
        ),
    ),
    Refusal.NO_PLUGINS: Words(
        500,
        "Nessus has no plugins. Some functionality is therefore limited.",
        (*_CREATE, _LAUNCH),
    ),
    Refusal.NO_TEMPLATES: Words(400, "Invalid 'uuid' field", ("POST /scans",)),
    Refusal.HOST_LIMIT: Words(
        403, "The number of hosts exceeds what your license allows", (_LAUNCH,)
    ),
    Refusal.SCAN_LIMIT: Words(403, "The maximum number of scans has been reached", _CREATE),
    Refusal.LAUNCH_REFUSED: Words(403, "The scan can not be launched", (_LAUNCH,)),
    Refusal.DISK_FULL: Words(
        500, "Failed to save: no space left on device", (*_CREATE, _LAUNCH, *_WRITES)
    ),
}


def answer_to(route: str, refusals: Collection[Refusal]) -> Words | None:
    """The refusal of a request to the route, or None if it is served. The API gate is handled
    elsewhere, because it affects every gated route."""
    for refusal, words in ANSWERS.items():
        if refusal in refusals and route in words.routes:
            return words
    return None
