"""HTML in which everything is escaped, by construction: text becomes markup only here."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from nessus_sched.results.untrusted import clean_line


class Markup(str):
    """HTML that is safe to be sent."""

    __slots__ = ()


Child = Markup | str | int | None

_VOID = frozenset({"meta", "link", "br"})


def element(name: str, /, *children: Child, **attributes: str | int | None) -> Markup:
    """An element. Children that are not `Markup` are cleaned and escaped; those and
    attributes that are None are left out. `class_` and `http_equiv` name attributes that
    Python cannot spell."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(clean_line(str(value)))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{fragment(*children)}</{name}>")


def fragment(*children: Child) -> Markup:
    """The children, one after the other."""
    return Markup("".join(_safe(child) for child in children if child is not None))


def table(headings: Iterable[str], rows: Iterable[Iterable[Child]]) -> Markup:
    """A table of cells; a heading that begins with `#` is that of numbers."""
    titles = list(headings)
    kinds = ["number" if title.startswith("#") else None for title in titles]
    head = (
        element("th", title.lstrip("#"), class_=kind)
        for title, kind in zip(titles, kinds, strict=True)
    )
    body = (
        element(
            "tr",
            *(element("td", cell, class_=kind) for cell, kind in zip(row, kinds, strict=True)),
        )
        for row in rows
    )
    return element("table", element("thead", element("tr", *head)), element("tbody", *body))


def _safe(child: Markup | str | int) -> str:
    return child if isinstance(child, Markup) else escape(clean_line(str(child), 300))
