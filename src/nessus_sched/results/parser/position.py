"""Tracks line and column while a document is read in pieces."""

from __future__ import annotations


class Position:
    """Line (from 1) and column (from 0, in bytes) of the start of the current piece."""

    def __init__(self) -> None:
        self._line = 1
        self._column = 0

    def at(self, piece: bytes, offset: int) -> tuple[int, int]:
        """Line and column of an offset in the current piece; a negative offset means the end
        of the line before the piece."""
        breaks = piece.count(b"\n", 0, max(offset, 0))
        if breaks == 0:
            return self._line, max(self._column + offset, 0)
        return self._line + breaks, offset - piece.rfind(b"\n", 0, offset) - 1

    def advance(self, piece: bytes) -> None:
        """Moves to the end of the piece, where the next one starts."""
        self._line, self._column = self.at(piece, len(piece))
