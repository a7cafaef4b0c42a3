"""Containers of group keys -> columns that are read some rows at a time.

A column is never converted as a whole: its rows are sliced, and then made an array of
whole numbers, floats, dates or objects. Exceptions are what has no array of its own:
lists, sparse columns, periods, and what polars and Arrow nest, become an array of
objects; the dictionaries of chunked columns of Arrow are unified.
"""

from typing import Any

import numpy as np

from fastlogloss._arrays import as_array
from fastlogloss._errors import describe
from fastlogloss._key_objects import ZONED, Array, Cells, Column, Rows, of_objects

_KIND = {"b": "booleans", "i": "numbers", "u": "numbers", "f": "numbers"}
_KIND |= {"M": "dates", "m": "spans of time", "U": "strings", "T": "strings"}
_KIND |= {"S": "objects", "c": "objects"}


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
        return Column(
            "strings",
            len(array),
            lambda s: _as_objects(array[s]),
            lambda s: Cells(np.require(array[s], dtype, "C")),
        )
    if kind in "USTc":
        return Column(_KIND[kind], len(array), lambda s: _as_objects(array[s]))
    return Column(_KIND[kind], len(array), lambda s: Cells(array[s]), array=array)


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

        def part(rows: Rows) -> Cells:
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
    code_of_row = array.codes  # a view

    def codes(rows: Rows) -> Cells:
        numbers = code_of_row[rows]
        if numbers.min(initial=0) >= 0:
            return Cells(numbers)
        return Cells(numbers, numbers < 0)

    def part(rows: Rows) -> Cells:
        numbers, missing = codes(rows)
        if missing is None:
            return categories.part(numbers)
        if missing.all():
            return Cells(np.full(len(numbers), None))
        values, _ = categories.part(np.where(missing, numbers.max(), numbers))
        return Cells(values, missing)

    return Column(categories.kind, len(array), part, codes, categories.types)


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

    def piece(rows: Rows) -> Any:
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

        def plain(rows: Rows) -> Cells:
            column = _arrow(piece(rows).cast(type_.value_type), name)
            assert column is not None
            return column.part(slice(None))

        return Column(inner.kind, n, plain, lambda s: fill(piece(s).indices, 0))
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
