"""Columns of group keys, whatever holds them, read some rows at a time.

A column is never converted as a whole: its rows are sliced, and then made an array of
whole numbers, floats, dates or objects. Only the dictionaries of chunked columns of
Arrow are unified before, and lists become arrays of objects.
"""

import datetime
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogloss._arrays import as_array
from fastlogloss._errors import describe, is_missing
from fastlogloss._kernels._labels import kinds

Array = NDArray[Any]
_CHUNK = 16384
_Rows = slice | NDArray[np.int64]  # some next to each other, or any

_KIND = {"b": "booleans", "i": "numbers", "u": "numbers", "f": "numbers"}
_KIND |= {"M": "dates", "m": "spans of time", "U": "strings", "T": "strings"}
_KIND |= {"S": "objects", "c": "objects"}
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
    is_object : bool
        Whether the keys are Python objects.
    """

    def __init__(
        self,
        kind: str | None,
        n: int,
        part: Callable[[_Rows], Cells],
        codes: Callable[[_Rows], Cells] | None = None,
        is_object: bool = False,
    ) -> None:
        self.kind = kind
        self.n = n
        self.part = part
        self.codes = codes
        self.is_object = is_object
        self.is_float = False  # whether numbers among objects are taken for floats

    def cells(self, rows: _Rows, kind: str | None) -> Cells:
        """Those rows, as objects or as what the column holds."""
        values, missing = self.part(rows)
        if not self.is_object or kind == "objects":
            return Cells(values, missing)
        if missing is not None:
            values = np.where(missing, None, values)  # type: ignore[call-overload]
        return _typed(values, self.kind, self.is_float)

    @functools.cached_property
    def is_missing_at_all(self) -> bool:
        return all(
            missing is not None and missing.all()
            for start in range(0, self.n, _CHUNK)
            for missing in [known(*self.part(slice(start, start + _CHUNK))).missing]
        )


def read_columns(groups: Any, n: int) -> list[Column]:
    """The columns of `groups`, each of `n` rows."""
    columns = _split(groups)
    if columns is None:
        return [_read(groups, n, "groups")]
    if not columns:
        raise ValueError("groups must have at least one column, got none")
    if len(columns) == 1:
        return [_read(columns[0], n, "groups")]
    return [_read(c, n, f"column {i} of groups") for i, c in enumerate(columns)]


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
    column = Column(kind, len(array), lambda s: Cells(array[s]), is_object=True)
    column.is_float = any(issubclass(t, float | np.floating) for t in types)
    return column


def unhashable(key: Any, row: int, name: str = "groups") -> str:
    return f"{name} must hold hashable keys, got {repr(key)[:80]} in row {row}"


def _split(groups: Any) -> list[Any] | None:
    """The columns of a tuple or a data frame; None for what is a single one."""
    if isinstance(groups, tuple):
        return list(groups)
    if len(getattr(groups, "shape", ())) == 2 and hasattr(groups, "columns"):
        if hasattr(groups, "iloc"):  # whose names need not be different
            return [groups.iloc[:, i] for i in range(groups.shape[1])]
        get = getattr(groups, "get_columns", None)
        return list(get() if get else groups.columns)
    return None


def _read(values: Any, n: int, name: str) -> Column:
    column = _column(values, name)
    if column is None:
        raise TypeError(
            f"{name} must be a vector of keys, or a tuple of such columns, got "
            f"{describe(values)}"
        )
    if column.n != n:
        raise ValueError(f"{name} has {column.n} rows, but y_true has {n}")
    return column


def _column(values: Any, name: str) -> Column | None:
    module = type(values).__module__.partition(".")[0]
    if isinstance(values, list):
        array = np.empty(len(values), object)
        for i, value in enumerate(values):  # of a list, numpy may make a matrix
            array[i] = value
        return of_objects(array, name)
    if module == "polars" and hasattr(values, "to_physical"):
        return _polars(values, name)
    if module == "pyarrow" and hasattr(values, "slice") and hasattr(values, "type"):
        return _arrow(values, name)
    dtype = getattr(values, "dtype", None)
    if module == "pandas" and dtype is not None and not isinstance(dtype, np.dtype):
        return _pandas(getattr(values, "array", values), name)
    vector: Any = as_array(values)
    if vector is not None and vector.ndim == 2 and vector.shape[1] == 1:
        vector = vector[:, 0]
    return None if vector is None or vector.ndim != 1 else _plain(vector, name)


def _plain(array: Array, name: str) -> Column | None:
    kind = array.dtype.kind
    if kind == "O":
        return of_objects(array, name)
    if kind not in _KIND or (kind in "fiu" and array.itemsize > 8):
        return None
    if kind == "U" and array.itemsize:
        dtype = array.dtype.newbyteorder("=")
        codes = lambda s: Cells(np.require(array[s], dtype, "C"))  # noqa: E731
        return Column("strings", len(array), lambda s: _as_objects(array[s]), codes)
    if kind in "USTc":
        return Column(_KIND[kind], len(array), lambda s: _as_objects(array[s]))
    return Column(_KIND[kind], len(array), lambda s: Cells(array[s]))


def _as_objects(array: Array) -> Cells:
    return Cells(np.ascontiguousarray(array.astype(object)))


def _pandas(array: Any, name: str) -> Column | None:
    import pandas

    dtype = array.dtype
    n = len(array)
    if isinstance(dtype, pandas.CategoricalDtype):
        inner = _column(dtype.categories, name)
        return None if inner is None else _categories(array, inner)
    if isinstance(dtype, pandas.DatetimeTZDtype):
        return Column(ZONED, n, lambda s: Cells(_utc(array[s])))
    if isinstance(dtype, pandas.ArrowDtype):
        return _arrow(array.__arrow_array__(), name)
    if dtype.kind in "iufb" and not isinstance(dtype, pandas.SparseDtype):

        def part(rows: _Rows) -> Cells:
            some = array[rows]
            zero = dtype.type(0)
            to = np.dtype(dtype.type)
            return Cells(some.to_numpy(to, na_value=zero), np.asarray(some.isna()))

        return Column(_KIND[dtype.kind], n, part)
    if isinstance(dtype, pandas.StringDtype):
        return Column("strings", n, lambda s: Cells(array[s].to_numpy(object)))
    whole = np.asarray(array)
    return _plain(whole, name)


def _categories(array: Any, categories: Column) -> Column:
    def codes(rows: _Rows) -> Cells:
        numbers = array[rows].codes
        missing = numbers < 0
        return Cells(numbers, missing if missing.any() else None)

    def part(rows: _Rows) -> Cells:
        numbers, missing = codes(rows)
        if missing is None:
            return categories.part(numbers)
        if missing.all():
            return Cells(np.full(len(numbers), None))
        values, _ = categories.part(np.where(missing, numbers.max(), numbers))
        return Cells(values, missing)

    return Column(categories.kind, len(array), part, codes, categories.is_object)


def _utc(array: Any) -> Array:
    return np.asarray(array.tz_convert(None))


def _polars(series: Any, name: str) -> Column | None:
    import polars

    n, dtype = len(series), series.dtype

    def fill(some: Any, zero: Any) -> Cells:
        missing = some.is_null().to_numpy() if some.null_count() else None
        return Cells(some.fill_null(zero).to_numpy(), missing)

    if dtype in (polars.Categorical, polars.Enum):
        return Column(
            "strings",
            n,
            lambda s: Cells(series[s].cast(polars.String).to_numpy()),
            lambda s: fill(series[s].to_physical(), 0),
        )
    if dtype.is_integer() or dtype.is_float():
        if dtype in (getattr(polars, "Int128", None), getattr(polars, "UInt128", None)):
            return None
        return Column("numbers", n, lambda s: fill(series[s], 0))
    if dtype == polars.Boolean:
        return Column("booleans", n, lambda s: fill(series[s], False))
    if dtype == polars.String:
        return Column("strings", n, lambda s: Cells(series[s].to_numpy()))
    if dtype == polars.Null:
        return Column(None, n, lambda s: Cells(np.full(len(series[s]), None)))
    if dtype in (polars.Date, polars.Datetime, polars.Duration):
        zone = getattr(dtype, "time_zone", None)
        kind = "spans of time" if dtype == polars.Duration else "dates"
        return Column(ZONED if zone else kind, n, lambda s: Cells(series[s].to_numpy()))
    return of_objects(np.fromiter(series.to_list(), object, n), name)


def _arrow(array: Any, name: str) -> Column | None:
    import pyarrow
    from pyarrow import types

    type_, n = array.type, len(array)

    def piece(rows: _Rows) -> Any:
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(n)
            some = array.slice(start, stop - start)
        else:
            some = array.take(pyarrow.array(rows))
        if isinstance(some, pyarrow.ChunkedArray):
            some = some.combine_chunks()
        return some

    def fill(some: Any, zero: Any) -> Cells:
        missing = None
        if some.null_count:
            missing = some.is_null().to_numpy(zero_copy_only=False)
            some = some.fill_null(zero)
        return Cells(some.to_numpy(zero_copy_only=False), missing)

    if types.is_dictionary(type_):
        if isinstance(array, pyarrow.ChunkedArray):
            array = array.unify_dictionaries()
        inner = _arrow(array.slice(0, 0).cast(type_.value_type), name)
        if inner is None:
            return None

        def plain(rows: _Rows) -> Cells:
            column = _arrow(piece(rows).cast(type_.value_type), name)
            assert column is not None
            return column.part(slice(None))

        coded = lambda s: fill(piece(s).indices, 0)  # noqa: E731
        return Column(inner.kind, n, plain, coded)
    if types.is_integer(type_) or types.is_floating(type_):
        return Column("numbers", n, lambda s: fill(piece(s), 0))
    if types.is_boolean(type_):
        return Column("booleans", n, lambda s: fill(piece(s), False))
    kind = None
    if str(type_) in ("string", "large_string", "string_view"):
        kind = "strings"
    elif types.is_date(type_) or types.is_timestamp(type_):
        kind = ZONED if getattr(type_, "tz", None) else "dates"
    elif types.is_duration(type_):
        kind = "spans of time"
    elif not types.is_null(type_):
        return of_objects(np.fromiter(array.to_pylist(), object, n), name)
    return Column(kind, n, lambda s: Cells(piece(s).to_numpy(zero_copy_only=False)))


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


def _typed(objects: Array, kind: str | None, is_float: bool) -> Cells:
    """Objects of a kind as an array of a dtype for it."""
    if kind == "strings" and kinds(objects, True) <= {str, np.str_, type(None)}:
        return Cells(objects)
    missing = known(objects).missing
    rest = objects if missing is None else objects[~missing]
    if kind == "strings":
        array = np.array([str.__str__(x) for x in rest], object)
    elif kind == "numbers":
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
    parts = []
    for item in items:
        if hasattr(item, "to_numpy"):  # pandas has nanoseconds
            parts.append(item.to_numpy())
        elif _zone(item) is not None:
            parts.append(
                np.datetime64(item.astimezone(datetime.UTC).replace(tzinfo=None))
            )
        else:
            parts.append(
                item if isinstance(item, np.generic) else np.array(item, dtype)
            )
    return np.array(parts) if parts else np.empty(0, dtype)


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
