"""Parses a template from a scanner's editor: every input with its default. Pure.

A scan runs with the settings of its request and nothing else: the editor's defaults belong to
the web interface, which sends all of them. A scan created from `advanced` with only a name and
targets ran without ping and without a port scanner (a public report about Nessus 10.10).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import attrs

from nessus_sched.core.asked import Scalar, plain_mode
from nessus_sched.core.profile import RESERVED
from nessus_sched.nessus.json_fields import (
    Document,
    as_file_name,
    as_text,
    as_token,
    object_at,
    rows,
)

MAX_DEPTH: Final = 24
"""Recorded answers nest inputs less than ten levels deep."""
MAX_INPUTS: Final = 5000
"""The largest template recorded has 180 inputs."""
MAX_OPTIONS: Final = 500
LONGEST_VALUE: Final = 4000
LONGEST_NAME: Final = 300
CUSTOM: Final = "Custom"
_UNSENT: Final = frozenset({"file", "password"})
_BRANCHES: Final = ("inputs", "groups", "sections")


@attrs.frozen(kw_only=True)
class Input:
    """One input. `nested` inputs always apply, those in `choices` only with the option of
    that name (in lower case); `options` are the allowed values, empty for any."""

    id: str
    kind: str
    default: Scalar | None = None
    nested: tuple[Input, ...] = ()
    choices: Mapping[str, tuple[Input, ...]] = attrs.field(factory=dict)
    options: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Tab:
    """A tab of the editor. `mode` is its choice of presets, if it has one."""

    inputs: tuple[Input, ...] = ()
    mode: Input | None = None

    @property
    def names(self) -> frozenset[str]:
        """All settings of the tab, including those of options that are not chosen."""
        return frozenset(each.id for each in every(self.inputs))


@attrs.frozen(kw_only=True)
class Login:
    """A credential type that a template accepts, and the scan settings that belong to it. `most`
    is how many a scan takes, None for no limit."""

    inputs: tuple[Input, ...] = ()
    settings: tuple[Input, ...] = ()
    most: int | None = None


@attrs.frozen(kw_only=True)
class Audit:
    """An audit that ships with the scanner; `variables` must be sent with it."""

    id: str
    name: str
    category: str
    variables: tuple[Input, ...] = ()
    required: frozenset[str] = frozenset()
    """The variables that must not be empty."""


@attrs.frozen(kw_only=True)
class EditorTemplate:
    """`logins` by type name, None if the answer does not list them. An audit category needs
    one of its `audit_logins`."""

    tabs: tuple[Tab, ...] = ()
    logins: Mapping[str, Login] | None = None
    families: Mapping[str, str] = attrs.field(factory=dict)
    """Plugin families and their status, if the template allows choosing plugins."""
    audits: tuple[Audit, ...] = ()
    audit_logins: Mapping[str, frozenset[str]] = attrs.field(factory=dict)
    problem: str = ""
    """Why this is a stand-in for the scanner's own template; empty if it is not."""

    @property
    def names(self) -> frozenset[str]:
        modes = {each.mode.id for each in self.tabs if each.mode is not None}
        return frozenset(modes).union(*(each.names for each in self.tabs))

    def mode(self, name: str) -> Input | None:
        return next((p.mode for p in self.tabs if p.mode is not None and p.mode.id == name), None)


def read_template(document: Document, uuid: str) -> EditorTemplate:
    """Reads the answer to `GET /editor/scan/templates/{uuid}` with API version 2."""
    settings, compliance = object_at(document, "settings"), object_at(document, "compliance")
    groups = rows(compliance, "data")
    return EditorTemplate(
        tabs=tuple(_tab(object_at(settings, name), uuid) for name in settings),
        logins=_logins(document),
        families={
            as_text(name, longest=LONGEST_NAME): as_text(family.get("status"), longest=LONGEST_NAME)
            for name, family in object_at(object_at(document, "plugins"), "families").items()
            if isinstance(family, dict)
        },
        audits=tuple(audit for group in groups for audit in _audits(group)),
        audit_logins={
            _name(group): frozenset(as_text(each) for each in group.get("required_creds") or ())
            for group in groups
            if isinstance(group.get("required_creds"), list)
        },
    )


def values(inputs: Iterable[Input], chosen: Mapping[str, Scalar]) -> Iterator[tuple[str, Scalar]]:
    """The inputs to send, with the chosen value or the default. A chosen option adds its own
    inputs."""
    for each in inputs:
        value = chosen.get(each.id, each.default)
        if value is not None and each.kind not in _UNSENT and each.id not in RESERVED:
            yield each.id, value
        yield from values(each.nested, chosen)
        yield from values(each.choices.get(str(value).lower(), ()), chosen)


def every(inputs: Iterable[Input]) -> Iterator[Input]:
    """All inputs, including those of options that are not chosen."""
    for each in inputs:
        yield each
        yield from every(each.nested)
        for choice in each.choices.values():
            yield from every(choice)


def mode_name(mode: Input, wanted: str) -> str | None:
    """The template's spelling of a mode, or None if it has no such mode. Modes are sent by
    name; ids such as `host_enumeration` appear in exports and as the default of `malware`."""
    if wanted in mode.options:
        return wanted
    plain = plain_mode(wanted)
    same = [name for name in mode.options if plain_mode(name) == plain]
    near = [name for name in mode.options if plain and plain_mode(name).startswith(plain)]
    found = same or (near if len(near) == 1 else [])
    return found[0] if found else None


def default_mode(mode: Input) -> str:
    """The default as the web interface sends it, which for the assessment is `default` although
    the option is called `Default`."""
    told = str(mode.default)
    if any(told.lower() == name.lower() for name in mode.options):
        return told
    return mode_name(mode, told) or told


def _tab(tab: Document, uuid: str) -> Tab:
    modes = tab.get("modes")
    mode = _input(modes, uuid, 0) if isinstance(modes, dict) and as_token(modes.get("id")) else None
    return Tab(
        inputs=tuple(islice(_inputs(tab, uuid, 0), MAX_INPUTS)),
        mode=mode if mode is not None and mode.default is not None else None,
    )


def _inputs(node: object, uuid: str, depth: int) -> Iterator[Input]:
    """The inputs at or below a node that do not belong to another input."""
    if depth > MAX_DEPTH:
        return
    if isinstance(node, list):
        for each in node:
            yield from _inputs(each, uuid, depth + 1)
    elif isinstance(node, dict) and as_token(node.get("id")) and "type" in node:
        excluded = node.get("excluded_template_uuids")
        if not (isinstance(excluded, list) and uuid in excluded):
            yield _input(node, uuid, depth)
    elif isinstance(node, dict):
        for branch in _BRANCHES:
            yield from _inputs(node.get(branch), uuid, depth + 1)


def _input(node: Document, uuid: str, depth: int) -> Input:
    default = node.get("default")
    sent = isinstance(default, str | int | float) and len(str(default)) <= LONGEST_VALUE
    options = node.get("options")
    offered: Sequence[object] = options[:MAX_OPTIONS] if isinstance(options, list) else ()
    named = [row for row in offered if isinstance(row, dict) and "name" in row]
    return Input(
        id=as_text(node.get("id")),
        kind=as_text(node.get("type"), longest=LONGEST_NAME),
        default=default if sent else None,
        nested=tuple(_below(node, uuid, depth)),
        choices={_name(row).lower(): tuple(_below(row, uuid, depth)) for row in named},
        options=tuple(
            _name(row) if isinstance(row, dict) else as_text(row, longest=LONGEST_NAME)
            for row in offered
            if not isinstance(row, dict) or "name" in row
        ),
    )


def _below(node: Document, uuid: str, depth: int) -> Iterator[Input]:
    for branch in _BRANCHES:
        yield from _inputs(node.get(branch), uuid, depth + 1)


def _logins(document: Document) -> Mapping[str, Login] | None:
    """Credential types of the category Host; empty if the template lists no credentials."""
    if "credentials" not in document:
        return {}
    groups = rows(object_at(document, "credentials"), "data")
    return {
        _name(row): Login(
            inputs=tuple(_inputs(row.get("inputs"), "", 0)),
            settings=tuple(_inputs(row.get("settings"), "", 0)),
            most=_most(row.get("max")),
        )
        for group in groups
        if group.get("name") == "Host"
        for row in rows(group, "types")
    }


def _most(value: object) -> int | None:
    """The `max` of a credential type, which is -1 for no limit."""
    return value if type(value) is int and value > 0 else None


def _audits(group: Document) -> Iterator[Audit]:
    """The audits of a category. The entry for uploading a file has no id and is skipped."""
    for row in rows(group, "audits"):
        audit_id = as_file_name(as_text(row.get("id")))
        if audit_id is not None:
            fields = rows(row, "inputs")
            yield Audit(
                id=audit_id,
                name=_name(row),
                category=_name(group),
                variables=tuple(_inputs(fields, "", 0)),
                required=frozenset(
                    as_text(each.get("id")) for each in fields if each.get("required")
                ),
            )


def _name(row: Document) -> str:
    return as_text(row.get("name"), longest=LONGEST_NAME)
