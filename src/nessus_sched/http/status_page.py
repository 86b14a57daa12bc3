"""The status page: one HTML document without scripts, which loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from nessus_sched.http.markup import Child, Markup, element, fragment, table
from nessus_sched.http.overview import Overview
from nessus_sched.http.rows import (
    clock,
    ended_row,
    pill,
    queued_row,
    running_row,
    scanner_row,
    span,
)
from nessus_sched.http.style import STYLE
from nessus_sched.telemetry.health import Status

REFRESH: Final = 10
"""Seconds after which a browser asks again."""
_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Nothing but our own style sheet is obeyed."""


def render(overview: Overview) -> str:
    """The whole document."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="refresh", content=REFRESH),
        element("title", f"{overview.health.status}: nessus-sched"),
        element("style", Markup(STYLE)),
    )
    body = element(
        "body",
        _header(overview),
        element("main", _troubles(overview), _totals(overview), *_sections(overview)),
        _footer(overview),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _header(overview: Overview) -> Markup:
    return element(
        "header",
        element("h1", "nessus-sched"),
        pill(overview.health.status, _HEALTH[overview.health.status]),
        element("span", clock(overview.at), class_="when"),
    )


_HEALTH: Final = {Status.OK: "good", Status.DEGRADED: "warn", Status.FAILED: "bad"}


def _troubles(overview: Overview) -> Markup | None:
    found = [
        element(
            "li",
            pill(name, _HEALTH[component.status]),
            component.reason,
            element("small", f"for {span(overview.at - component.since)}"),
        )
        for name, component in overview.health.components.items()
        if component.status is not Status.OK
    ]
    tone = _HEALTH[overview.health.status]
    return element("ul", *found, class_=f"troubles {tone}") if found else None


def _totals(overview: Overview) -> Markup:
    pool = overview.pool
    figures: tuple[tuple[Child, str, str | None], ...] = (
        (f"{pool.active} / {pool.capacity}", "slots in use", None),
        (pool.queued, "waiting", None),
        (overview.dead_letters, "dead letters", "bad" if overview.dead_letters else None),
        (overview.clients, "clients", None),
    )
    return element(
        "div",
        *(
            element("div", element("b", value, class_=tone), element("span", word))
            for value, word, tone in figures
        ),
        class_="totals",
    )


def _sections(overview: Overview) -> list[Markup]:
    return [
        _section(
            "Scanners",
            table(
                ("Scanner", "State", "Slots", "#Queue", "#Longest wait", "#Plugins", "Version"),
                [scanner_row(view, overview.at) for view in overview.scanners],
            )
            if overview.scanners
            else None,
            "No scanners configured",
        ),
        _section(
            "Running",
            table(
                ("Task", "Kind", "Targets", "Scanner", "State", "Progress", "#For"),
                [running_row(view, overview.at) for view in overview.active],
            )
            if overview.active
            else None,
            "Nothing running",
        ),
        _section("Waiting", _waiting(overview), "Nothing waiting"),
        _section(
            "Recently finished",
            table(
                (
                    "Task",
                    "Kind",
                    "Targets",
                    "Scanner",
                    "Outcome",
                    "Findings",
                    "Logins",
                    "#Finished",
                ),
                [ended_row(task, overview.at) for task in overview.ended],
            )
            if overview.ended
            else None,
            "Nothing finished yet",
        ),
    ]


def _section(title: str, content: Markup | None, otherwise: str) -> Markup:
    empty = element("p", otherwise, class_="dim")
    return element("section", element("h2", title), content or empty)


def _waiting(overview: Overview) -> Markup | None:
    if not overview.waiting:
        return None
    left_out = overview.pool.queued - len(overview.waiting)
    more = element("p", f"and {left_out} more", class_="dim") if left_out > 0 else None
    overflow = overview.pool.overflow
    told = element(
        "p",
        f"{overflow.length} for the first free scanner, "
        f"{overview.pool.queued - overflow.length} for a specific scanner",
        class_="dim",
    )
    rows = [queued_row(view, overview.at) for view in overview.waiting]
    return fragment(
        told, table(("Task", "Kind", "Targets", "Queue", "#Place", "Why", "#For"), rows), more
    )


def _footer(overview: Overview) -> Markup:
    links = (element("a", name, href=f"/{name}") for name in ("health", "ready", "metrics"))
    return element("footer", f"nessus-sched {overview.version}", *links)
