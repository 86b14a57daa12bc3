"""A template as a scanner's editor describes it: every input with its default. Pure.

A scan runs with what its request says and nothing else: the defaults that the editor shows
are the web interface's, which sends all of them. A scan made from `advanced` with a name and
targets alone ran without ping and without a port scanner (a public report of Nessus 10.10).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

import attrs

from nessus_sched.core.asked import Scalar, plain_mode
from nessus_sched.core.reserved import RESERVED
from nessus_sched.nessus.json_fields import Document, file_name, part, rows, text, token

DEEPEST: Final = 24
"""Recorded answers nest inputs less than ten levels deep."""
MOST_INPUTS: Final = 5000
"""The largest template recorded has 180 inputs."""
MOST_OPTIONS: Final = 500
LONGEST_VALUE: Final = 4000
LONGEST_NAME: Final = 300
CUSTOM: Final = "Custom"
_UNSENT: Final = frozenset({"file", "password"})
_BRANCHES: Final = ("inputs", "groups", "sections")


@attrs.frozen(kw_only=True)
class Input:
    """One input. `nested` always come with it, `choices` with the option of that name (in
    lower case) only; `options` are the values it takes, empty for any."""

    id: str
    kind: str
    default: Scalar | None = None
    nested: tuple[Input, ...] = ()
    choices: Mapping[str, tuple[Input, ...]] = attrs.field(factory=dict)
    options: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Part:
    """A tab of the editor. `mode` is the preset that the tab offers, where it does."""

    inputs: tuple[Input, ...] = ()
    mode: Input | None = None

    @property
    def names(self) -> frozenset[str]:
        """The settings of the tab, those behind options that are not chosen among them."""
        return frozenset(each.id for each in every(self.inputs))


@attrs.frozen(kw_only=True)
class Login:
    """A credential type that a template takes, and the scan's settings that go with it."""

    inputs: tuple[Input, ...] = ()
    settings: tuple[Input, ...] = ()


@attrs.frozen(kw_only=True)
class Audit:
    """An audit that the scanner brings along; `variables` must be sent with it."""

    id: str
    name: str
    category: str
    variables: tuple[Input, ...] = ()
    required: frozenset[str] = frozenset()
    """The variables that must not be empty."""


@attrs.frozen(kw_only=True)
class EditorTemplate:
    """`logins` by type name, None where the answer does not tell; `audit_logins` are the
    types that an audit category needs, any one of them."""

    parts: tuple[Part, ...] = ()
    logins: Mapping[str, Login] | None = None
    families: Mapping[str, str] = attrs.field(factory=dict)
    """Plugin families and their status, where the template's plugins may be chosen."""
    audits: tuple[Audit, ...] = ()
    audit_logins: Mapping[str, frozenset[str]] = attrs.field(factory=dict)
    problem: str = ""
    """Why this is a stand-in for the scanner's own template; empty when it is that."""

    @property
    def names(self) -> frozenset[str]:
        modes = {each.mode.id for each in self.parts if each.mode is not None}
        return frozenset(modes).union(*(each.names for each in self.parts))

    def mode(self, name: str) -> Input | None:
        return next((p.mode for p in self.parts if p.mode is not None and p.mode.id == name), None)


def read_template(document: Document, uuid: str) -> EditorTemplate:
    """From `GET /editor/scan/templates/{uuid}`, asked with API version 2."""
    settings, compliance = part(document, "settings"), part(document, "compliance")
    groups = rows(compliance, "data")
    return EditorTemplate(
        parts=tuple(_part(part(settings, name), uuid) for name in settings),
        logins=_logins(document),
        families={
            text(name, longest=LONGEST_NAME): text(family.get("status"), longest=LONGEST_NAME)
            for name, family in part(part(document, "plugins"), "families").items()
            if isinstance(family, dict)
        },
        audits=tuple(audit for group in groups for audit in _audits(group)),
        audit_logins={
            _name(group): frozenset(text(each) for each in group.get("required_creds") or ())
            for group in groups
            if isinstance(group.get("required_creds"), list)
        },
    )


def values(inputs: Iterable[Input], chosen: Mapping[str, Scalar]) -> Iterator[tuple[str, Scalar]]:
    """Each input that is sent with its value: the chosen one, or its default. An option that
    is chosen brings its own inputs."""
    for each in inputs:
        value = chosen.get(each.id, each.default)
        if value is not None and each.kind not in _UNSENT and each.id not in RESERVED:
            yield each.id, value
        yield from values(each.nested, chosen)
        yield from values(each.choices.get(str(value).lower(), ()), chosen)


def every(inputs: Iterable[Input]) -> Iterator[Input]:
    """All inputs, those behind options that are not chosen among them."""
    for each in inputs:
        yield each
        yield from every(each.nested)
        for choice in each.choices.values():
            yield from every(choice)


def mode_name(mode: Input, wanted: str) -> str | None:
    """How the template spells a mode, None when it offers no such mode. Modes are sent by
    name; ids such as `host_enumeration` appear in exports and as the default of `malware`."""
    if wanted in mode.options:
        return wanted
    plain = plain_mode(wanted)
    same = [name for name in mode.options if plain_mode(name) == plain]
    near = [name for name in mode.options if plain and plain_mode(name).startswith(plain)]
    found = same or (near if len(near) == 1 else [])
    return found[0] if found else None


def default_mode(mode: Input) -> str:
    """The default as the web interface sends it. It sends the `default` of the assessment as
    it stands, although the option is called `Default`."""
    told = str(mode.default)
    if any(told.lower() == name.lower() for name in mode.options):
        return told
    return mode_name(mode, told) or told


def _part(tab: Document, uuid: str) -> Part:
    modes = tab.get("modes")
    mode = _input(modes, uuid, 0) if isinstance(modes, dict) and token(modes.get("id")) else None
    return Part(
        inputs=tuple(islice(_inputs(tab, uuid, 0), MOST_INPUTS)),
        mode=mode if mode is not None and mode.default is not None else None,
    )


def _inputs(node: object, uuid: str, depth: int) -> Iterator[Input]:
    """The inputs at or below a node that do not belong to another input."""
    if depth > DEEPEST:
        return
    if isinstance(node, list):
        for each in node:
            yield from _inputs(each, uuid, depth + 1)
    elif isinstance(node, dict) and token(node.get("id")) and "type" in node:
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
    offered: Sequence[object] = options[:MOST_OPTIONS] if isinstance(options, list) else ()
    named = [row for row in offered if isinstance(row, dict) and "name" in row]
    return Input(
        id=text(node.get("id")),
        kind=text(node.get("type"), longest=LONGEST_NAME),
        default=default if sent else None,
        nested=tuple(_below(node, uuid, depth)),
        choices={_name(row).lower(): tuple(_below(row, uuid, depth)) for row in named},
        options=tuple(
            _name(row) if isinstance(row, dict) else text(row, longest=LONGEST_NAME)
            for row in offered
            if not isinstance(row, dict) or "name" in row
        ),
    )


def _below(node: Document, uuid: str, depth: int) -> Iterator[Input]:
    for branch in _BRANCHES:
        yield from _inputs(node.get(branch), uuid, depth + 1)


def _logins(document: Document) -> Mapping[str, Login] | None:
    """The types of the category Host. A template without a list of credentials takes none."""
    if "credentials" not in document:
        return {}
    groups = rows(part(document, "credentials"), "data")
    return {
        _name(row): Login(
            inputs=tuple(_inputs(row.get("inputs"), "", 0)),
            settings=tuple(_inputs(row.get("settings"), "", 0)),
        )
        for group in groups
        if group.get("name") == "Host"
        for row in rows(group, "types")
    }


def _audits(group: Document) -> Iterator[Audit]:
    """The ones with an id; the entry for uploading a file of one's own has none."""
    for row in rows(group, "audits"):
        audit_id = file_name(text(row.get("id")))
        if audit_id is not None:
            fields = rows(row, "inputs")
            yield Audit(
                id=audit_id,
                name=_name(row),
                category=_name(group),
                variables=tuple(_inputs(fields, "", 0)),
                required=frozenset(text(each.get("id")) for each in fields if each.get("required")),
            )


def _name(row: Document) -> str:
    return text(row.get("name"), longest=LONGEST_NAME)
