"""Group keys -> numbers: the one place that knows which keys are the same group.

Keys are numbered in the order in which they appear, whatever the batches that bring
them. Several columns are numbered each by itself; pairs of those numbers are integers
again, to be numbered in turn.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlogloss._errors import raise_changed
from fastlogloss._kernels._labels import IntTable
from fastlogloss._key_cells import read_columns
from fastlogloss._key_columns import (
    ColumnKeys,
    Lookup,
    Numbers,
    find,
    keys_of,
    numbered,
    order_of,
    together,
)
from fastlogloss._key_objects import Cells, Column, Rows, of_objects


class KeyReader:
    """Groups of a batch, to be numbered some rows at a time."""

    def __init__(self, keys: "Keys", columns: list[Column]) -> None:
        self._keys = keys
        self._columns = columns
        self._lookups = [Lookup() for _ in columns]

    def numbered(self) -> tuple[NDArray[Any], NDArray[np.int32], int] | None:
        """Integers that kernels look up themselves, and where; or None.

        Returns
        -------
        keys : ndarray of shape (n,)
        window : ndarray of int32
            Numbers of a range of keys, + 1; or 0.
        base : int
            The first key of the range.
        """
        array = self._columns[0].array
        if len(self._columns) > 1 or array is None or not len(self._keys):
            return None
        found = numbered(self._keys._columns[0], array)
        return None if found is None else (array, *found)

    def number(self, start: int, stop: int, out: Numbers) -> None:
        """Number the rows from `start` to `stop` into `out`; new groups at the end."""
        self._keys._open(self._columns)
        numbers = out[: stop - start]
        for i, column in enumerate(self._columns):
            if i == 0:
                self._column(i, column, slice(start, stop), numbers)
                continue
            other = np.empty(stop - start, np.int64)
            self._column(i, column, slice(start, stop), other)
            other |= numbers << 32
            self._keys._pairs[i - 1].number(other, numbers)

    def _column(self, i: int, column: Column, rows: slice, out: Numbers) -> None:
        keys = self._keys._columns[i]
        if column.codes is not None:
            self._lookups[i].number(keys, column, rows, out, self._keys._version)
            return
        cells = column.cells(rows, keys.kind)
        if len(cells.values) != len(out):
            raise_changed()
        keys.number(cells, out, rows.start)


class Keys:
    """Groups, numbered in the order in which they first appear.

    Missing keys (None, NaN, NaT) are one group. 1 and 1.0 are the same group, 1 and "1"
    are not. Categories are what they stand for, and dates of any unit and their
    datetime objects are the same.
    """

    def __init__(self) -> None:
        self._columns: list[ColumnKeys] = []
        self._pairs: list[IntTable] = []
        self._version = 0  # numbers of another one may be of other groups now

    def reader(self, groups: Any, n: int) -> KeyReader:
        """What numbers the `n` rows of `groups`; nothing is changed yet."""
        columns = read_columns(groups, n)
        self._joined(columns)
        return KeyReader(self, columns)

    def _joined(self, columns: list[Column]) -> list[ColumnKeys]:
        if len(self) == 0:
            return [keys_of(column.kind) for column in columns]
        if len(columns) != len(self._columns):
            raise ValueError(
                f"groups had {len(self._columns)} columns before, now {len(columns)}"
            )
        names = ["groups"]
        if len(columns) > 1:
            names = [f"column {i} of groups" for i in range(len(columns))]
        return [*map(together, self._columns, columns, names)]

    def _open(self, columns: list[Column]) -> None:
        joined = self._joined(columns)
        if len(self) == 0:
            self._version += 1
            pairs = [IntTable() for _ in columns[1:]]
            self._columns, self._pairs = joined, pairs
        else:
            self._columns = joined

    def __len__(self) -> int:
        tables = self._pairs or self._columns
        return len(tables[-1]) if tables else 0

    def _parts(self) -> list[Numbers]:
        """For each column, the number of the key of each group."""
        numbers = np.arange(len(self))
        parts = []
        for pairs in reversed(self._pairs):
            codes = np.frombuffer(pairs.tobytes(), np.int64)[numbers]
            parts.append(codes & 0xFFFFFFFF)
            numbers = codes >> 32
        return [numbers, *reversed(parts)]

    def values(self) -> NDArray[Any] | tuple[NDArray[Any], ...]:
        """The groups in the order of their numbers; of several columns, a tuple."""
        parts = zip(self._columns, self._parts(), strict=False)
        values = tuple(column.values()[numbers] for column, numbers in parts)
        return values if len(values) > 1 else values[0] if values else np.empty(0)

    def sorted_order(self) -> Numbers:
        """Numbers of the groups in the order of their keys, missing ones last.

        Keys that have no order are taken in that of their first appearance.
        """
        if not len(self):
            return np.empty(0, np.int64)
        ranks = []
        for column, numbers in zip(self._columns, self._parts(), strict=True):
            rank = np.empty(len(column), np.int64)
            rank[order_of(column)] = np.arange(len(column))
            ranks.append(rank[numbers])
        return np.lexsort(ranks[::-1])

    def find(self, key: Any) -> int | None:
        """Number of the group of a key, a tuple of several columns; None without."""
        hash(key)
        if not len(self):
            return None
        items = key if len(self._columns) > 1 else (key,)
        if not isinstance(items, tuple) or len(items) != len(self._columns):
            return None
        number = 0
        for i, (held, item) in enumerate(zip(self._columns, items, strict=True)):
            found = find(held, item)
            if found >= 0 and i:
                pair = np.array([number << 32 | found], np.int64)
                out = np.empty(1, np.int64)
                self._pairs[i - 1].number(pair, out, None, False)
                found = int(out[0])
            if found < 0:
                return None
            number = found
        return number

    def truncate(self, count: int) -> None:
        """Forget all groups numbered `count` and above."""
        self._version += 1
        for i in range(len(self._columns) - 1, 0, -1):
            pairs = self._pairs[i - 1]
            pairs.truncate(count)
            codes = np.frombuffer(pairs.tobytes(), np.int64)
            self._columns[i].truncate(int((codes & 0xFFFFFFFF).max(initial=-1)) + 1)
            count = int((codes >> 32).max(initial=-1)) + 1
        if self._columns:
            self._columns[0].truncate(count)

    def numbers_of(self, other: "Keys") -> Numbers:
        """Number here of each group of other keys; those that are new are added."""
        numbers = np.empty(len(other), np.int64)
        if len(other):
            _reader_of(self, other._state()).number(0, len(other), numbers)
        return numbers

    def copy(self) -> "Keys":
        """The same keys and numbers."""
        return self.kept(slice(None))

    def kept(self, numbers: Rows) -> "Keys":
        """These groups alone, numbered anew."""
        keys = Keys()
        keys.__setstate__([(kind, held[numbers]) for kind, held in self._state()])
        return keys

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Keys):
            return NotImplemented
        if len(self) != len(other):
            return False
        try:
            keys = self.copy()
            keys.numbers_of(other)
        except (TypeError, ValueError):  # other kinds of keys
            return False
        return len(keys) == len(self)

    def _state(self) -> list[tuple[str, NDArray[Any]]]:
        parts = zip(self._columns, self._parts(), strict=False)
        return [(c.kind, c.values()[numbers]) for c, numbers in parts if len(self)]

    __getstate__ = _state

    def __setstate__(self, state: list[tuple[str, NDArray[Any]]]) -> None:
        Keys.__init__(self)
        if state and len(state[0][1]):
            n = len(state[0][1])
            _reader_of(self, state).number(0, n, np.empty(n, np.int64))

    def __reduce__(self) -> tuple[Any, ...]:
        return Keys, (), self._state()


def _reader_of(keys: Keys, state: list[tuple[str, NDArray[Any]]]) -> KeyReader:
    return KeyReader(keys, [_held(kind, values) for kind, values in state])


def _held(kind: str, values: NDArray[Any]) -> Column:
    """A column of keys that have been numbered elsewhere."""
    if values.dtype.kind == "O":
        column = of_objects(values)
        column.kind = kind if column.kind is not None else None
        return column
    return Column(kind, len(values), lambda rows: Cells(values[rows]))
