"""Five scanners that answer in different ways, and the table that is right for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nessus_sched.sim.assumptions import ASSUMPTIONS
from support.certification import DIFFERS, FAILED, UNTESTED, all_hold

CONTRARY = {name: not each.default for name, each in ASSUMPTIONS.items()}

FIVE: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, str]]] = {
    "manager": ("keys", {}, all_hold()),
    "professional": ("session", {"edition": "professional"}, all_hold()),
    "essentials": ("session", {"edition": "essentials"}, all_hold(templates=DIFFERS)),
    "trial": (
        "keys",
        {"trial": True},
        all_hold(export=FAILED, what_ran=UNTESTED, partial_export=DIFFERS, plugin_selection=FAILED),
    ),
    "contrary": (
        "keys",
        {"assume": CONTRARY},
        all_hold(partial_export=DIFFERS, plugin_selection=DIFFERS),
    ),
}
"""Login, options of the simulator, and the table that is right for it."""
