"""Binary streams, of files and of the standard input."""

from typing import Any

_LINE = 1 << 20  # bytes


class Stream:
    """A binary stream whose first bytes can be looked at; a file to pyarrow."""

    closed = False

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._head = b""

    def peek(self, n: int) -> bytes:
        """The first `n` bytes, fewer where there are no more."""
        while len(self._head) < n:
            more = self._raw.read(n - len(self._head))
            if not more:
                break
            self._head += more
        return self._head[:n]

    def peek_line(self) -> bytes:
        """The first line."""
        n = 1 << 12
        while b"\n" not in self.peek(n) and len(self._head) == n and n < _LINE:
            n *= 2
        return self._head.splitlines()[0] if self._head else b""

    def read(self, n: int = -1) -> bytes:
        if not self._head:
            return bytes(self._raw.read(n))
        found, self._head = self._head, b""
        if 0 <= n < len(found):
            found, self._head = found[:n], found[n:]
            return found
        rest = self._raw.read(n - len(found) if n >= 0 else -1)
        return found + bytes(rest)

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return True
