"""The policy section of a report, skipped but for three things worth knowing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from nessus_sched.results.parser.limits import Damage, Limits, Text
from nessus_sched.results.parser.problems import Trouble

_TARGETS: Final = "TARGET"
_PLUGIN_SET: Final = "plugin_set"


class Policy:
    """Reads `<Policy>`: its name, the targets that were asked for, and the ids of the active
    plugins (digits with separators; None where the list was cut).

    The section is often more than half of the document, holds single values of a
    megabyte, and may name users: nothing else of it is kept.
    """

    def __init__(self, limits: Limits, on_end: Callable[[], None]) -> None:
        self.name: str | None = None
        self.targets: str | None = None
        self.plugin_set: str | None = None
        self.text = Text(limits.text)
        self._most = limits.depth
        self._on_end = on_end
        self._depth = 0
        self._preference = ""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        if self._depth > self._most:
            raise Damage(Trouble.TOO_LARGE, f"elements nested more than {self._most} deep")
        wanted = name == "value" and self._preference in (_TARGETS, _PLUGIN_SET)
        if wanted or name in ("name", "policyName"):
            self.text.begin()

    def end(self, name: str) -> None:
        if self._depth == 0:
            self._on_end()
            return
        self._depth -= 1
        if name == "name":
            self._preference = self.text.take()[0]
        elif name == "policyName" and self.name is None:
            self.name = self.text.take()[0]
        elif name == "value" and self._preference == _TARGETS and self.targets is None:
            self.targets = self.text.take()[0]
        elif name == "value" and self._preference == _PLUGIN_SET and self.plugin_set is None:
            text, lost = self.text.take()
            self.plugin_set = None if lost else text
        elif name == "preference":
            self._preference = ""
