"""Different keys of one column, numbered in the order in which they first appear.

A key is an integer in a table of the kernels (dates and floats too, by `_key_codes`), a
string, or, in general, a Python object in a dict.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlogloss._errors import is_missing, raise_changed
from fastlogloss._kernels._labels import IntTable, RecordTable, StringTable, recode
from fastlogloss._key_codes import Codec, codec_of, with_none
from fastlogloss._key_objects import Cells, Column, known, of_objects, unhashable

Numbers = NDArray[np.int64]


class _Integers:
    """Keys that a codec makes integers."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.codec: Codec = codec_of(kind)
        self.table = IntTable()

    def __len__(self) -> int:
        return len(self.table)

    @property
    def missing(self) -> int:
        return self.table.missing

    def codes(self) -> Numbers:
        return np.frombuffer(self.table.tobytes(), np.int64)

    def number(self, cells: Cells, out: Numbers, start: int, add: bool = True) -> None:
        values, missing = known(*cells)
        if missing is not None and missing.all():  # whatever they are
            values = np.zeros(len(values), self.codec.dtype)
        codes = self.codec.encode(values, missing, self.codes, start, add)
        if self.codec.is_recoded:  # to a finer unit
            held = self.codec.recode(self.codes(), self.missing)
            mask = np.arange(len(held)) == self.missing
            table = IntTable()
            table.number(held, np.empty_like(held), mask)
            self.table, self.codec.unit = table, "ns"
        self.table.number(codes, out, missing, add)
        if add:
            self.codec.span(self.table.low, self.table.high)

    def numbers_of(self, array: NDArray[Any]) -> tuple[NDArray[np.int32], int] | None:
        """`IntTable.numbers`, where the keys of an array are their own codes."""
        return self.table.numbers() if self.codec.is_own_code(array.dtype) else None

    def values(self) -> NDArray[Any]:
        return self.codec.decode(self.codes(), self.missing)

    def truncate(self, count: int) -> None:
        self.table.truncate(count)
        self.codec.forget(self.codes())


class _Strings:
    kind = "strings"

    def __init__(self) -> None:
        self.table = StringTable(np.str_)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def missing(self) -> int:
        return self.table.missing

    def number(self, cells: Cells, out: Numbers, start: int, add: bool = True) -> None:
        values = np.ascontiguousarray(cells.values, object)
        if cells.missing is not None:
            values = with_none(values, cells.missing)
        self.table.number(values, out, add)

    def values(self) -> NDArray[Any]:
        return _object_array(self.table.tolist())

    def truncate(self, count: int) -> None:
        self.table.truncate(count)


class _Objects:
    """Keys of any types, those of several too; the same where a dict says so."""

    kind = "objects"

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}  # in their order; None for what is missing

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def missing(self) -> int:
        return self.numbers.get(None, -1)

    def number(self, cells: Cells, out: Numbers, start: int, add: bool = True) -> None:
        numbers = self.numbers
        keys = cells.values.tolist()
        if cells.missing is not None:
            gaps = zip(keys, cells.missing, strict=True)
            keys = [None if missing else key for key, missing in gaps]
        for i, key in enumerate(keys):
            try:
                number = numbers.get(key, -1)
            except TypeError:
                raise TypeError(unhashable(key, start + i)) from None
            if number < 0:
                key = None if is_missing(key) else key
                number = numbers.get(key, -1)
                if number < 0 and add:
                    number = numbers[key] = len(numbers)
            out[i] = number

    def values(self) -> NDArray[Any]:
        array = _object_array(list(self.numbers))
        column = of_objects(array)
        if column.kind not in ("numbers", "booleans"):
            return array
        keys = keys_of(column.kind)
        out = np.empty(len(self), np.int64)
        try:
            keys.number(column.cells(slice(None), column.kind), out, 0)
        except ValueError:  # large ones besides fractions
            return array
        return keys.values()

    def truncate(self, count: int) -> None:
        while len(self.numbers) > count:
            self.numbers.popitem()


ColumnKeys = _Integers | _Strings | _Objects


def numbered(keys: ColumnKeys, array: NDArray[Any]) -> Any:
    """Numbers + 1 of a range of integers, or 0, and the first of them; or None."""
    return keys.numbers_of(array) if isinstance(keys, _Integers) else None


def keys_of(kind: str | None) -> ColumnKeys:
    if kind == "strings":
        return _Strings()
    return _Objects() if kind in (None, "objects") else _Integers(kind)


def _object_array(items: list[Any]) -> NDArray[Any]:
    array = np.empty(len(items), object)
    for i, item in enumerate(items):
        array[i] = item
    return array


_MIXED = ("strings", "numbers", "booleans", "objects")


def together(held: ColumnKeys, column: Column, name: str) -> ColumnKeys:
    """The keys that take the column's too: those held, or new ones with their numbers.

    Strings and numbers are together only where a column of objects has both.
    """
    kind = column.kind
    if kind in (None, held.kind):
        return held
    if len(held) == (held.missing >= 0):  # no key yet
        kind_new = kind
    elif "objects" in (kind, held.kind) and {kind, held.kind} <= {*_MIXED}:
        if held.kind == "objects":
            return held
        kind_new = "objects"
    elif column.is_missing_at_all:
        return held
    else:
        raise TypeError(f"{name} held {held.kind} before, but now holds {kind}")
    keys = keys_of(kind_new)
    numbers = np.empty(len(held), np.int64)
    keys.number(known(held.values()), numbers, 0)
    return keys


class Lookup:
    """Numbers of the codes of a column that is numbered already."""

    def __init__(self) -> None:
        self.table: IntTable | RecordTable | None = None
        self.numbers: Numbers = np.empty(0, np.int64)
        self.version = -1

    def number(
        self, keys: ColumnKeys, column: Column, rows: slice, out: Numbers, version: int
    ) -> None:
        assert column.codes is not None
        codes, missing = column.codes(rows)
        if len(codes) != len(out):
            raise_changed()
        if self.table is None or self.version != version:
            is_text = codes.dtype.kind == "U"
            self.table = RecordTable(codes.itemsize, 2**30) if is_text else IntTable()
            self.numbers = np.empty(0, np.int64)
        self.version = -1  # until all codes of the table have numbers
        if isinstance(self.table, RecordTable):
            self.table.encode(codes, out)
        else:
            self.table.number(np.require(codes, np.int64, ["C", "A"]), out, missing)
        before = len(self.numbers)
        if len(self.table) > before:
            new = np.flatnonzero(out >= before)[::-1]
            first = np.empty(len(self.table) - before, np.int64)
            first[out[new] - before] = new  # of several the last one stays
            numbers = np.empty(len(first), np.int64)
            cells = column.cells(first + rows.start, keys.kind)
            keys.number(cells, numbers, rows.start)
            self.numbers = np.concatenate([self.numbers, numbers])
        self.version = version
        recode(out, self.numbers)


def order_of(column: ColumnKeys) -> Numbers:
    values = column.values()
    present = np.flatnonzero(np.arange(len(column)) != column.missing)
    keys = values[present]
    try:
        order = np.argsort(keys, kind="stable")
    except Exception:  # whatever objects raise that have no order
        order = np.arange(len(keys))
    missing = [column.missing] if column.missing >= 0 else []
    return np.concatenate([present[order], missing]).astype(np.int64)


def find(held: ColumnKeys, item: Any) -> int:
    if is_missing(item):
        return held.missing
    column = of_objects(_object_array([item]))
    if held.kind not in ("objects", column.kind):
        return -1
    if isinstance(held, _Integers) and held.codec.domain == "f":
        column.types = {float}
    out = np.empty(1, np.int64)
    try:
        held.number(column.cells(slice(0, 1), held.kind), out, 0, False)
    except ValueError:  # beyond the range of what is held
        return -1
    return int(out[0])
