"""Adds a credential to the text of a configuration file; everything else stays as it is."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any, Final

import click

from nessus_sched.config.yaml_reader import read_document

_ITEM: Final = re.compile(r"^(?P<indent> *)- ", re.MULTILINE)
CREDENTIALS: Final = "credentials"


def with_credential(text: str, entry: Mapping[str, Any]) -> str:
    """The text with that credential, in the place of one with the same name if there is one.

    Raises `click.ClickException` if that would change anything else.
    """
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    offset = 0 if (found := _ITEM.search(text)) and not found["indent"] else 2
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    document = yaml.load(text)
    items = document.get(CREDENTIALS)
    if items is None:
        items = document[CREDENTIALS] = []
    place = next((row for row, item in enumerate(items) if item["name"] == entry["name"]), None)
    if place is None:
        items.append(dict(entry))
    else:
        items[place] = dict(entry)
    stream = io.StringIO()
    yaml.dump(document, stream)
    _check_rest(text, stream.getvalue(), entry)
    return stream.getvalue()


def _check_rest(before: str, after: str, entry: Mapping[str, Any]) -> None:
    old, new = read_document(before).data, read_document(after).data
    rows = {row["name"]: row for row in old.get(CREDENTIALS) or ()}
    wanted = {**old, CREDENTIALS: list({**rows, entry["name"]: dict(entry)}.values())}
    if new != wanted:
        raise click.ClickException(
            "the file cannot be changed without changing more than this credential; add it by hand"
        )
