"""Group keys that are Python objects: what they are, as an array for it.

Also `Column`, which all containers of keys are made, and its `Cells`.
"""

import datetime
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogloss._errors import is_missing
from fastlogloss._kernels._labels import kinds
from fastlogloss._key_codes import with_none

Array = NDArray[Any]
Rows = slice | NDArray[np.int64]  # some next to each other, or any

_CHUNK = 16384
ZONED = "dates with a time zone"


class Cells(NamedTuple):
    """Some rows of a column, and which of them are missing; None where none are."""

    values: Array
    missing: Array | None = None


class Column:
    """Keys of `n` rows.

    Parameters
    ----------
    kind : str or None
        What the keys are; None where all are missing.
    part : callable
        The `Cells` of some rows.
    codes : callable, optional
        For what is numbered already, likewise the `Cells` of codes.
    types : set of type, optional
        Those of keys that are Python objects.
    array : ndarray, optional
        The whole column, where that is an array of numbers.
    """

    def __init__(
        self,
        kind: str | None,
        n: int,
        part: Callable[[Rows], Cells],
        codes: Callable[[Rows], Cells] | None = None,
        types: set[type] | None = None,
        array: Array | None = None,
    ) -> None:
        self.array = array
        self.kind = kind
        self.n = n
        self.part = part
        self.codes = codes
        self.types = types

    def cells(self, rows: Rows, kind: str | None) -> Cells:
        """Those rows, as objects or as what the column holds."""
        values, missing = self.part(rows)
        if self.types is None or kind == "objects":
            return Cells(values, missing)
        if missing is not None:
            values = with_none(values, missing)
        return _typed(values, self.kind, self.types)

    @functools.cached_property
    def is_missing_at_all(self) -> bool:
        return all(
            missing is not None and missing.all()
            for start in range(0, self.n, _CHUNK)
            for missing in [known(*self.part(slice(start, start + _CHUNK))).missing]
        )


def of_objects(values: Any, name: str = "groups") -> Column:
    """A column of a vector of Python objects."""
    array = np.ascontiguousarray(values, object)
    types = kinds(array, True)
    kind = _kind_of(types)
    if kind == "objects":
        for type_ in types:
            if type_.__hash__ is None:
                wrong = (type(x).__hash__ is None for x in array)
                row = next(i for i, is_wrong in enumerate(wrong) if is_wrong)
                raise TypeError(unhashable(array[row], row, name))
        # A missing value may be of any type.
        kind = _kind_of({type(x) for x in array if not is_missing(x)})
    if kind == "dates":
        zoned = {_zone(x) is not None for x in array if not is_missing(x)}
        kind = "objects" if len(zoned) > 1 else ZONED if zoned == {True} else kind
    return Column(kind, len(array), lambda s: Cells(array[s]), types=types)


_TEXT = {str, np.str_}


def unhashable(key: Any, row: int, name: str = "groups") -> str:
    return f"{name} must hold hashable keys, got {repr(key)[:80]} in row {row}"


def known(values: Array, missing: Array | None = None) -> Cells:
    """The same, with what is missing by its value marked."""
    kind = values.dtype.kind
    found = None
    if kind == "f":
        found = np.isnan(values)
    elif kind in "mM":
        found = np.isnat(values)
    elif kind == "O":
        found = np.fromiter(map(is_missing, values), bool, len(values))
    if found is not None and found.any():
        missing = found if missing is None else found | missing
    return Cells(values, None if missing is None else np.ascontiguousarray(missing))


def _typed(objects: Array, kind: str | None, types: set[type]) -> Cells:
    """Objects of a kind as an array of a dtype for it."""
    if kind == "strings" and not any(issubclass(t, str) for t in types - _TEXT):
        return Cells(objects)  # the table takes all else for missing
    missing = known(objects).missing
    rest = objects if missing is None else objects[~missing]
    if kind == "strings":
        array = np.array([str.__str__(x) for x in rest], object)
    elif kind == "numbers":
        is_float = any(issubclass(t, float | np.floating) for t in types)
        array = _numbers(rest, is_float)
    elif kind == "booleans":
        array = rest.astype(bool)
    elif kind in ("dates", ZONED):
        array = _times(rest.tolist(), "M8[us]")
    elif kind == "spans of time":
        array = _times(rest.tolist(), "m8[us]")
    else:
        return Cells(objects, missing)
    if missing is None:
        return Cells(array)
    values = np.zeros(len(objects), array.dtype)
    values[~missing] = array
    return Cells(values, missing)


def _numbers(objects: Array, is_float: bool) -> Array:
    for dtype in (np.float64,) if is_float else (np.int64, np.uint64):
        try:
            array = objects.astype(dtype)
        except OverflowError:
            continue
        if (array == objects).all():
            return array
    raise ValueError(
        "groups must hold numbers of up to 64 bits; make longer ones strings"
    )


def _times(items: list[Any], dtype: str) -> Array:
    parts = [_time(item, dtype) for item in items]
    times = np.array(parts, None if parts else dtype)
    # Nanoseconds of one of them may be too fine for the others.
    if times.dtype != dtype and any(
        a.astype(dtype) != b.astype(dtype) for a, b in zip(times, parts, strict=True)
    ):
        raise ValueError("groups must hold times within the range of their finest unit")
    return times


def _time(item: Any, dtype: str) -> Any:
    if hasattr(item, "to_numpy"):  # pandas has nanoseconds
        fine = item.to_numpy()
        coarse = fine.astype(dtype)
        return coarse if coarse == fine else fine
    if isinstance(item, np.generic):
        return item
    if isinstance(item, datetime.timedelta) and abs(item.days) > _MOST_DAYS:
        raise ValueError(f"groups must hold spans of up to {_MOST_DAYS} days")
    if _zone(item) is not None:
        item = item.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.array(item, dtype)[()]


_MOST_DAYS = 10**8  # of microseconds in 64 bits


def _zone(item: Any) -> Any:
    return getattr(item, "tzinfo", None)


def _kind_of(types: set[type]) -> str | None:
    found = {_kind_of_type(t) for t in types} - {None}
    return "objects" if len(found) > 1 else found.pop() if found else None


def _kind_of_type(type_: type) -> str | None:
    if type_ is type(None) or type_.__name__ in ("NAType", "NaTType"):
        return None
    for kind, bases in _BASES.items():
        if issubclass(type_, bases):
            return kind
    return "objects"


_BASES: dict[str, tuple[type, ...]] = {
    "strings": (str,),
    "booleans": (bool, np.bool_),
    "spans of time": (datetime.timedelta, np.timedelta64),  # to numpy, an integer
    "dates": (datetime.date, np.datetime64),
    "numbers": (int, float, np.integer, np.float64, np.float32, np.float16),
}
