"""Where in a document one is, while it passes by in pieces."""

from __future__ import annotations


class Place:
    """Line (from 1) and column (from 0, in bytes) of the begin of the present piece."""

    def __init__(self) -> None:
        self._line = 1
        self._column = 0

    def at(self, piece: bytes, offset: int) -> tuple[int, int]:
        """Line and column of an offset in the present piece; a negative offset means the
        end of the line before the piece."""
        breaks = piece.count(b"\n", 0, max(offset, 0))
        if breaks == 0:
            return self._line, max(self._column + offset, 0)
        return self._line + breaks, offset - piece.rfind(b"\n", 0, offset) - 1

    def pass_over(self, piece: bytes) -> None:
        """The next piece begins where this one ends."""
        self._line, self._column = self.at(piece, len(piece))
