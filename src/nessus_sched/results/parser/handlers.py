"""Handlers that an XML parser calls for the elements of a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from xml.parsers.expat import XMLParserType

from nessus_sched.results.model import Finding, HostEnd, HostReport, host_key
from nessus_sched.results.parser.items import (
    COMPLIANCE_ELEMENTS,
    OUTPUT,
    ItemBuilder,
    RawItem,
    host_report,
)
from nessus_sched.results.parser.limits import ELEMENT, Damage, Fatal, Limits, Text
from nessus_sched.results.parser.policy import Policy
from nessus_sched.results.parser.problems import ParseProblemKind
from nessus_sched.results.parser.repeats import SeenFindings

_ROOT: Final = "NessusClientData_v2"
_OLD_ROOT: Final = "NessusClientData"


class Handlers:
    """Turns start and end tags into events. Exists for the whole document, across the new
    parsers that are needed after damage.

    States: outside a finding (`_start`, `_end`), within one (`_item_start`, `_item_end`),
    within the policy. Elements are identified by their local names.
    """

    def __init__(self, limits: Limits, complain: Callable[[ParseProblemKind, str], None]) -> None:
        self.events: list[HostReport | Finding | HostEnd] = []
        self.names: dict[str, str] = {}
        """Names seen so far; filled by the parser."""
        self.report_name: str | None = None
        self.policy = Policy(limits, self._leave_policy)
        self.hosts = 0
        self.findings = 0
        self.has_report = False
        """Whether a report has begun. Without one, the document is at best a policy."""
        self.finished = False
        """Whether the root element was closed."""
        self._limits = limits
        self._tell = complain
        self._builder = ItemBuilder()
        self._text = Text(limits.text)
        self._begin_text = self._text.begin
        self._depth = 0
        self._numbers: dict[str, int] = {}
        """Of the hosts, by their keys: a host may be in several elements."""
        self._seen = SeenFindings(limits.findings)
        self._host_name: str | None = None
        self._host_number = 0
        self._host: HostReport | None = None
        self._host_findings = 0
        self._host_whole = True
        self._tags: list[tuple[str, str]] = []
        self._tags_told = 0
        self._tag: str | None = None
        self._item: RawItem | None = None
        self._child: str | None = None
        self._nested = 0
        self._room = 0
        self._full = False

    def attach(self, parser: XMLParserType, *, depth: int) -> None:
        """Makes `parser` call these handlers, starting with `depth` open elements."""
        self._parser = parser
        self._depth = depth
        parser.StartDoctypeDeclHandler = self._doctype
        self._leave_item()

    def abort_item(self) -> str | None:
        """Discards the current element after damage; returns which finding is lost."""
        self._host_whole = False
        self._tag = None
        item, self._item, self._child, self._nested = self._item, None, None, 0
        if item is None:
            return None
        return f"a finding of plugin {item.attributes.get('pluginID', '?')[:20]} was left out"

    def checkpoint(self) -> None:
        """Call this between pieces of the document."""
        self._text.checkpoint()
        self.policy.text.checkpoint()

    def end_host(self, *, whole: bool) -> None:
        """Ends the current host, if there is one."""
        if self._host_name is None:
            return
        host = self._known_host()
        if len(self._tags) > self._tags_told:  # properties after the findings
            host = self._make_host()
        self.events.append(
            HostEnd(host=host, findings=self._host_findings, complete=whole and self._host_whole)
        )
        self._seen.end_element()
        self._host_name = self._host = None

    # -- outside findings

    def _doctype(self, *_: object) -> None:
        raise Fatal(ParseProblemKind.DOCTYPE, "a document type declaration is refused")

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        if self._depth > self._limits.depth:
            raise Damage(
                ParseProblemKind.TOO_LARGE, f"elements nested more than {self._limits.depth} deep"
            )
        local = name.rpartition(":")[2]
        if self._depth == 1:
            self._check_root(local)
        elif local == "ReportItem":
            self._begin_item(attributes)
        elif local == "tag":
            if self._host_name is not None:
                self._tag = attributes.get("name", "")
                self._begin_text()
        elif local == "ReportHost":
            self._begin_host(attributes.get("name", ""))
        elif local == "Report":
            self.has_report = True
            self.report_name = attributes.get("name")
        elif local == "Policy" and self._host_name is None:
            self._enter_policy()

    def _end(self, name: str) -> None:
        self._depth -= 1
        local = name.rpartition(":")[2]
        if self._tag is not None:
            self._end_tag(local)
        elif local == "HostProperties":
            if self._host_name is not None and self._host is None:
                self._known_host()
        elif local == "ReportHost":
            self.end_host(whole=True)
        elif self._depth == 0:
            self.end_host(whole=False)
            self.finished = True
            self._check_has_report()

    def _check_root(self, local: str) -> None:
        if local == _OLD_ROOT:
            raise Fatal(ParseProblemKind.NOT_A_REPORT, "a report of version 1; version 2 is needed")
        if local != _ROOT:
            raise Fatal(
                ParseProblemKind.NOT_A_REPORT, f"the document is a <{local[:60]}>, no <{_ROOT}>"
            )

    def _check_has_report(self) -> None:
        if not self.has_report and not self.hosts:
            only = "" if self.policy.name is None else ", only a scan policy"
            self._tell(ParseProblemKind.NOT_A_REPORT, f"the document holds no report{only}")

    def _enter_policy(self) -> None:
        parser = self._parser
        parser.StartElementHandler = self.policy.start
        parser.EndElementHandler = self.policy.end
        parser.CharacterDataHandler = self.policy.text.add

    def _leave_policy(self) -> None:
        self._depth -= 1
        self._leave_item()

    # -- hosts

    def _begin_host(self, name: str) -> None:
        self.end_host(whole=False)
        self._host_name = name
        self._host_whole = True
        self._host_findings = 0
        self._tags, self._tags_told = [], 0
        self._tag = None
        self._make_room()
        self._host_number = self._numbered(name)
        self._seen.begin_element(self._host_number)

    def _numbered(self, name: str) -> int:
        """The number of a host with that name; those without a name are not known again."""
        key = host_key(name)
        number = self._numbers.get(key)
        if number is None:
            number = self.hosts
            self.hosts += 1
            if key and number < self._limits.hosts:
                self._numbers[key] = number
        return number

    def _end_tag(self, local: str) -> None:
        if local != "tag":
            return  # an element within a tag
        assert self._tag is not None
        text = self._take(f"property {self._tag[:60]}")
        if text is not None:
            self._tags.append((self._tag, text))
        self._tag = None

    def _known_host(self) -> HostReport:
        """The current host, announced on first use."""
        if self._host is None:
            self._host = self._make_host()
            self.events.append(self._host)
            self._tags_told = len(self._tags)
        return self._host

    def _make_host(self) -> HostReport:
        assert self._host_name is not None
        return host_report(self._host_number, self._host_name, self._tags, self._complain)

    # -- findings

    def _begin_item(self, attributes: Mapping[str, str]) -> None:
        if self._host_name is None:
            self._begin_host("")
            self._host_whole = False
            self._complain(
                ParseProblemKind.MISPLACED,
                "a finding outside a host, kept under a host without a name",
            )
        self._known_host()
        self._item = RawItem(attributes=attributes)
        self._make_room()
        self._parser.StartElementHandler = self._item_start
        self._parser.EndElementHandler = self._item_end

    def _leave_item(self) -> None:
        parser = self._parser
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.add

    def _item_start(self, name: str, attributes: Mapping[str, str]) -> None:
        if self._child is not None:
            self._nested += 1
            if self._nested > self._limits.depth:
                raise Damage(
                    ParseProblemKind.TOO_LARGE,
                    f"elements nested more than {self._limits.depth} deep",
                )
            self._complain(
                ParseProblemKind.BAD_VALUE,
                f"<{name[:60]}> within <{self._child[:60]}>, kept as its text",
            )
            return
        self._child = name
        if attributes:
            assert self._item is not None
            for key, value in attributes.items():
                self._item.about.append((f"{name}@{key}", value))
        self._begin_text()

    def _item_end(self, name: str) -> None:
        if self._nested:
            self._nested -= 1
            return
        item = self._item
        assert item is not None
        if self._child is None:
            self._end_item(item)
            return
        self._child = None
        text = self._take(name)
        if text is None:
            return
        local = name.rpartition(":")[2] if ":" in name else name
        if local == OUTPUT:
            item.output = text if item.output is None else f"{item.output}\n{text}"
        elif local in COMPLIANCE_ELEMENTS:
            item.compliance.append((local, text))
        else:
            item.about.append((local, text))

    def _end_item(self, item: RawItem) -> None:
        assert self._host_name is not None
        self._depth -= 1
        if self._seen.before(item):
            self._item = None
            self._leave_item()
            return
        finding = self._builder.finding(
            item,
            index=self.findings,
            host_index=self._host_number,
            host=host_key(self._host_name),
            complain=self._complain,
        )
        self.events.append(finding)
        self.findings += 1
        self._host_findings += 1
        self._item = None
        self._leave_item()

    # -- both

    def _make_room(self) -> None:
        self._room = self._limits.item
        self._full = False

    def _take(self, name: str) -> str | None:
        """The text of the ending element, or None if its owner's limit is reached."""
        text, lost = self._text.take()
        self._room -= len(text) + ELEMENT
        if self._room < 0:
            if not self._full:
                self._full = True
                self._complain(
                    ParseProblemKind.TOO_LARGE, f"{name[:60]} and what follows were left out"
                )
            return None
        if lost:
            size = len(text) + lost
            self._complain(
                ParseProblemKind.TOO_LARGE, f"{name[:60]} of {size} characters was cut short"
            )
        return text

    def _complain(self, kind: ParseProblemKind, message: str) -> None:
        where = "" if self._host_name is None else f"host {self._host_name[:80]!r}: "
        if self._item is not None:
            where += f"plugin {self._item.attributes.get('pluginID', '?')[:20]}: "
        self._tell(kind, where + message)
