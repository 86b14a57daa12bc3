"""What a browser would see of a page."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final

VOID: Final = frozenset({"meta", "br", "img", "link", "input", "hr"})
_SVG_VOID: Final = frozenset({"rect", "line", "circle", "polyline", "path"})


class Page(HTMLParser):
    """Fails if elements are not nested and closed as they should be."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html = html
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[tuple[str, str]] = []
        self._texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"{tag} with an attribute twice"
        given = dict(attrs)
        self.tags.append((tag, given))
        if tag not in VOID:
            self._open.append((tag, (given.get("class") or "").split(" ")[0]))
            self._texts.append((self._path(), ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _SVG_VOID, f"<{tag}/>"
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        name, _ = self._open.pop()
        assert name == tag, f"</{tag}> closes <{name}>"

    def handle_data(self, data: str) -> None:
        if any(tag == "style" for tag, _ in self._open):
            return
        self.text += data
        for place in range(len(self._texts) - 1, -1, -1):
            if self._texts[place][0] == self._path():
                self._texts[place] = (self._path(), self._texts[place][1] + data)
                break

    def _path(self) -> str:
        return " ".join(f"{tag}.{name}" if name else tag for tag, name in self._open)

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    def texts(self, end: str) -> list[str]:
        """The own texts of all elements whose path (`div.tile b`) ends so."""
        return [" ".join(text.split()) for path, text in self._texts if path.endswith(end)]

    def tiles(self) -> dict[str, str]:
        labels = [
            text for path, text in self._texts
            if "div.tile span" in path and not path.endswith(".change")
        ]  # fmt: skip
        return dict(zip(labels, self.texts("div.tile b"), strict=True))

    def attributes(self, name: str) -> set[str]:
        return {value for _, given in self.tags if (value := given.get(name)) is not None}
