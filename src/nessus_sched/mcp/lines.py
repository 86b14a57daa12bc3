"""Lines out of chunks of bytes. Standard library only: the relay uses it, too."""

from __future__ import annotations

MAX_LINE = 8 * 1024 * 1024


class Lines:
    """Puts lines together, within bounds. What never ends in `\\n` is never a line: its
    sender died while writing it."""

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self._max_line = max_line
        self._rest = bytearray()
        self._overlong = False

    def feed(self, chunk: bytes) -> list[bytes | None]:
        """The lines that `chunk` completes, without their ends and without empty ones;
        None stands for one that was too long and is lost."""
        *ended, rest = chunk.split(b"\n")
        lines: list[bytes | None] = []
        for part in ended:
            self._take(part)
            if self._overlong:
                lines.append(None)
            elif self._rest.strip():
                lines.append(bytes(self._rest))
            self._rest.clear()
            self._overlong = False
        self._take(rest)
        return lines

    def _take(self, part: bytes) -> None:
        if len(self._rest) + len(part) > self._max_line:
            self._overlong = True
            self._rest.clear()
        if not self._overlong:
            self._rest += part
