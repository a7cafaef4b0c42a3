"""Arrays of Arrow -> NumPy's, without a copy where there need be none.

Numbers and lists of numbers are read where they lie. Strings and dictionaries become
codes by way of the dictionary, so that no string is made for a row. Rows in messages
are counted from the first of the batch.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastlogloss._arrays import Array


def import_pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError as error:
        raise ImportError(
            'Arrow data needs pyarrow: pip install "fastlogloss[cli]"'
        ) from error
    return pyarrow


def column_of(batch: Any, name: str) -> Any:
    """A column without nulls."""
    array = plain(batch.column(name))
    if array.null_count:
        row = array.is_null().index(True).as_py()
        raise ValueError(f"column {name!r} is null in row {row}")
    return array


def key_column(batch: Any, name: str) -> Any:
    """A column of keys; strings as a dictionary."""
    array = plain(batch.column(name))
    return array.dictionary_encode() if is_text(array.type) else array


def plain(array: Any) -> Any:
    """The array without extensions and run ends; with strings that all casts know."""
    pyarrow = import_pyarrow()
    types = pyarrow.types
    if isinstance(array.type, pyarrow.BaseExtensionType):
        array = array.storage
    if types.is_run_end_encoded(array.type):
        array = pyarrow.compute.run_end_decode(array)
    if types.is_string_view(array.type):
        array = array.cast(pyarrow.large_string())
    elif types.is_dictionary(array.type):
        if types.is_string_view(array.type.value_type):
            values = array.dictionary.cast(pyarrow.large_string())
            array = pyarrow.DictionaryArray.from_arrays(array.indices, values)
    return array


def is_text(type_: Any) -> bool:
    return str(type_) in ("string", "large_string")


def as_numbers(array: Any) -> Array | None:
    """An array without nulls as NumPy's; None where it holds no numbers."""
    pyarrow = import_pyarrow()
    types, type_ = pyarrow.types, array.type
    if types.is_decimal(type_):
        # Of the text, since pyarrow does not round correctly on the direct way.
        array = array.cast(pyarrow.string()).cast(pyarrow.float64())
    elif not (
        types.is_integer(type_) or types.is_floating(type_) or types.is_boolean(type_)
    ):
        return None
    numbers: Array = array.to_numpy(zero_copy_only=False)
    return numbers


def codes_of(array: Any, classes: Sequence[Any], name: str) -> Array:
    """Codes of strings or of a dictionary; one too many for what is no class."""
    pyarrow = import_pyarrow()
    if is_text(array.type):
        array = array.dictionary_encode()
    if not pyarrow.types.is_dictionary(array.type):
        raise ValueError(
            f"column {name!r} holds {array.type}; labels are strings or whole numbers"
        )
    column = {label: code for code, label in enumerate(classes)}
    n = len(column)
    dtype = np.uint8 if n < 255 else np.int64
    found = [column.get(label, n) for label in array.dictionary.to_pylist()]
    codes = np.array(found, dtype)
    of_rows: Array = codes[array.indices.to_numpy(zero_copy_only=False)]
    return of_rows


def matrix(batch: Any, names: Sequence[str]) -> Array:
    """Numbers of a column, of a column of lists, or of several columns."""
    if len(names) == 1:
        return _vector_or_rows(column_of(batch, names[0]), names[0])
    columns = [_vector(column_of(batch, name), name) for name in names]
    dtype = np.result_type(*(column.dtype for column in columns))
    matrix = np.empty((len(batch), len(names)), dtype, order="F")
    for j, column in enumerate(columns):
        matrix[:, j] = column
    return matrix


def _vector(array: Any, name: str) -> Array:
    pyarrow = import_pyarrow()
    if pyarrow.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    numbers = as_numbers(array)
    if numbers is None:
        raise ValueError(f"column {name!r} holds {array.type} instead of numbers")
    return numbers


def _vector_or_rows(array: Any, name: str) -> Array:
    width = width_of(array)
    if width is None:
        return _vector(array, name)
    if not import_pyarrow().types.is_fixed_size_list(array.type):
        lengths = array.value_lengths().to_numpy()
        other = lengths != width
        if other.any():
            row = int(other.argmax())
            raise ValueError(
                f"column {name!r} must hold lists of one length, got {width} in row 0 "
                f"and {lengths[row]} in row {row}"
            )
    inner = array.flatten()
    if inner.null_count:
        row, column = divmod(inner.is_null().index(True).as_py(), width)
        raise ValueError(f"column {name!r} is null in row {row}, column {column}")
    return _vector(inner, name).reshape(len(array), width)


def width_of(array: Any) -> int | None:
    """Length of the first of some lists; None of what is no list."""
    types = import_pyarrow().types
    if types.is_fixed_size_list(array.type):
        return int(array.type.list_size)
    if types.is_list(array.type) or types.is_large_list(array.type):
        return int(array.value_lengths()[0].as_py()) if len(array) else 0
    return None


def n_classes_of(batch: Any, names: Sequence[str]) -> int:
    """Number of the classes that some columns of scores are for."""
    if len(names) > 1:
        return len(names)
    array = plain(batch.column(names[0])).drop_null()
    return max(2, width_of(array) or 0)
