"""Text that scanned hosts can write, made fit to be shown.

Names, banners and outputs of a report come from the network under test. Before a face
shows them they lose what steers terminals and bidirectional rendering, and are cut to size.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_SUSPICIOUS: Final = re.compile("[^\n\t -~\u00a1-\u00ac\u00ae-\u02ff]")
_DROPPED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Controls, formats (bidi marks, zero width, tags), surrogates, private and unassigned
characters, line and paragraph separators."""
ELLIPSIS: Final = "…"


def clean(text: str, limit: int | None = None, *, lines: bool = True) -> str:
    """`text` without control, bidi and invisible characters, cut to `limit` characters.

    Line breaks and tabs stay if `lines`, else they become spaces. A cut text ends in an
    ellipsis, which counts.
    """
    if limit is not None and len(text) > 2 * limit + 64:
        text = text[: 2 * limit + 64]  # so that the cost follows the limit, not the text
        cut = True
    else:
        cut = False
    text = _SUSPICIOUS.sub(_judge, text.replace("\r\n", "\n"))
    if not lines:
        text = " ".join(text.split())
    if limit is not None and (cut or len(text) > limit):
        return text[: max(limit - 1, 0)] + ELLIPSIS
    return text


def clean_line(text: str, limit: int = 200) -> str:
    """One line of it, for names and titles."""
    return clean(text, limit, lines=False)


def _judge(found: re.Match[str]) -> str:
    character = found[0]
    category = unicodedata.category(character)
    if category in ("Zl", "Zp"):
        return "\n"
    return "" if category in _DROPPED else character
