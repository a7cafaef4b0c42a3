"""Labels to codes: the one place that knows about types of labels.

Codes number the columns of the probabilities. Everything that is not plainly a vector
of class labels gives None; scikit-learn then says what is wrong with it.

Longer than 300 lines: each type of labels has a few, and all share what a class is.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogloss._arrays import as_array
from fastlogloss._kernels import loops
from fastlogloss._kernels._labels import RecordTable, encode_strings, recode

_CHUNK = 16384
_FIRST = 256  # rows that mostly hold all labels
_BYTE = 255  # classes whose codes are bytes, with one more for what is no class


class Codes:
    """Labels that stand for codes, or soft targets, as the caller has them.

    Attributes
    ----------
    y : ndarray
        Of any numeric type and layout: kernels read it as it is.
    classes : ndarray or None
        What stands for each code in `y`; None where they are the codes, as far as the
        kernel will find, or targets.
    tolerance : float
        Of the sum of a row of targets.
    """

    __slots__ = ("classes", "tolerance", "y")

    def __init__(
        self,
        y: NDArray[Any],
        classes: NDArray[Any] | None = None,
        tolerance: float = 0.0,
    ) -> None:
        self.y = y
        self.classes = classes
        self.tolerance = tolerance

    def __len__(self) -> int:
        return len(self.y)

    def part(self, start: int, stop: int) -> "Codes":
        """The same for some rows."""
        return Codes(self.y[start:stop], self.classes, self.tolerance)

    def chunk(self, start: int, stop: int) -> NDArray[Any]:
        """Codes of some rows; one too many for what is no class."""
        y = self.y[start:stop]
        if self.classes is None:
            return y.view(np.uint8) if y.dtype.kind == "b" else y
        codes = np.empty(len(y), np.int64)
        if not loops.encode(y, self.classes, codes):
            codes[codes < 0] = len(self.classes)
        return codes


class Encoded(NamedTuple):
    """Codes and what was found on the way."""

    codes: Codes
    classes: list[Any]  # what the codes stand for
    unseen: bool  # some label is none of the classes; its code is len(classes)


class Factorized(NamedTuple):
    """Labels that a data frame library has numbered already."""

    numbers: NDArray[Any]
    found: list[Any]


def read(y: Any) -> NDArray[Any] | Factorized | None:
    """The labels `y` as a vector, or None for what is not plainly one.

    Returns
    -------
    ndarray of shape (n,), Factorized or None
    """
    if type(y) is np.ndarray and y.dtype.kind != "V" and y.dtype.isbuiltin != 2:
        return y if y.ndim == 1 else _ravel(y)
    if _is_pandas_extension(y):
        # Categories, nullable and Arrow-backed columns: numpy sees only objects.
        if getattr(y, "ndim", 0) != 1:
            return None
        numbers, found = y.factorize()
        found = _class_list(as_array(found))
        if found is None or len(numbers) == 0 or numbers.min() < 0:
            return None
        return Factorized(numbers, found)
    array = as_array(y)
    if array is None:
        return None
    if array.dtype.kind == "U" and isinstance(y, list | tuple):
        # numpy turns [1, "a"] into strings, and members of an Enum into their names;
        # only lists of strings are what they seem.
        if not all(map(_is_its_own_text, set(map(type, y)))):
            return None
    return array if array.ndim == 1 else _ravel(array)


def plain_strings(labels: Any) -> NDArray[Any] | None:
    """An array of the strings that labels of subclasses of str are; or None.

    That is their value, not what their method says: the text of a member of an Enum
    is its name.
    """
    if not isinstance(labels, list | tuple):
        array = as_array(labels)
        if array is None or array.dtype.kind != "O":
            return None
        array = array if array.ndim == 1 else _ravel(array)
        labels = [] if array is None else array.tolist()
    if not labels or not all(issubclass(kind, str) for kind in set(map(type, labels))):
        return None
    return np.array([str.__str__(label) for label in labels], object)


def _is_its_own_text(kind: type) -> bool:
    return kind is np.str_ or (issubclass(kind, str) and kind.__str__ is str.__str__)


def encode(
    y: NDArray[Any] | Factorized,
    classes: list[Any] | None = None,
    *,
    limit: int,
    is_sure: bool = True,
) -> Encoded | None:
    """Codes of labels that `read` has read.

    Parameters
    ----------
    y : ndarray of shape (n,) or Factorized
    classes : list, optional
        The label of each column. Without it, the sorted labels of `y`.
    limit : int
        Different labels that make sense; more of them give None.
    is_sure : bool
        Whether numbers are looked for that are none of the classes. Else the kernel
        finds out whether there are, and nothing is said of them here.

    Returns
    -------
    Encoded or None
    """
    if isinstance(y, Factorized):
        if len(y.found) > limit:
            return None
        numbers = y.numbers.astype(np.uint8 if len(y.found) <= _BYTE else np.int64)
        return _store(numbers, y.found, classes)
    if y.dtype.kind in "biuf":
        return _encode_numeric(y, classes, limit, is_sure)
    found = None
    if y.dtype.kind in "OT" or (y.dtype.kind == "U" and y.itemsize):
        number = _number_texts if y.dtype.kind == "U" else _number_strings
        numbers = np.empty(len(y), np.uint8)
        found = number(y, min(limit, _BYTE), numbers)
        if found is None and limit > _BYTE:
            numbers = np.empty(len(y), np.int64)
            found = number(y, limit, numbers)
    return None if found is None else _store(numbers, found, classes)


def _number_texts(
    y: NDArray[Any], limit: int, numbers: NDArray[Any]
) -> list[Any] | None:
    """Number labels of fixed width; what they are, None where they are too many."""
    table = RecordTable(y.itemsize, limit)
    for start in range(0, len(y), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        if not table.encode(_records(y[chunk]), numbers[chunk]):
            return None
    found: list[Any] = np.frombuffer(table.tobytes(), _record_dtype(y.dtype)).tolist()
    return found


def _number_strings(
    y: NDArray[Any], limit: int, numbers: NDArray[Any]
) -> list[Any] | None:
    """Likewise of objects; None also where one of them is no string."""
    y = np.ascontiguousarray(y, object)
    return encode_strings(y, limit, numbers, np.str_)


def sorted_labels(labels: Any) -> list[Any] | None:
    """`labels` as a list if they are at least two, sorted and all different.

    Anything else makes scikit-learn warn, sort or raise: None.
    """
    if np.ndim(labels) != 1:
        return None
    array = read(labels)
    values = array.found if isinstance(array, Factorized) else _class_list(array)
    if values is None or len(values) < 2 or len(values) != len(labels):
        return None
    if any(a >= b for a, b in itertools.pairwise(values)):
        return None
    return values


def class_list(classes: Any) -> list[Any]:
    """`classes` as a list of at least two different labels, in the order given."""
    array = read(classes)
    values = array.found if isinstance(array, Factorized) else _class_list(array)
    if values is None:
        values = _class_list(plain_strings(classes))
    if values is None or len(values) != len(classes):
        raise ValueError("classes must be a vector of labels: strings or whole numbers")
    if len(values) < 2 or len(set(values)) < len(values):
        raise ValueError(f"classes must be at least two different labels, got {values}")
    return values


def _ravel(y: NDArray[Any]) -> NDArray[Any] | None:
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else None


def _is_pandas_extension(y: Any) -> bool:
    dtype = getattr(y, "dtype", None)
    return (
        hasattr(y, "factorize")
        and dtype is not None
        and not isinstance(dtype, np.dtype)
    )


def _class_list(labels: NDArray[Any] | None) -> list[Any] | None:
    """A vector of different labels as a list, if they are what can be a class."""
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "biufUOT":
        return None
    if labels.dtype.kind == "f" and not _are_integral(labels):
        return None
    values: list[Any] = labels.tolist()
    if labels.dtype.kind == "O" and not _is_one_type(values):
        return None
    return values


def _is_one_type(values: list[Any]) -> bool:
    # All strings, or (nullable columns) all integers or all booleans.
    return len(set(map(type, values))) == 1 and type(values[0]) in (str, int, bool)


def _encode_numeric(
    y: NDArray[Any], classes: list[Any] | None, limit: int, is_sure: bool
) -> Encoded | None:
    if y.dtype.itemsize > 8:
        return None
    dtype = _record_dtype(y.dtype)
    if classes is not None:
        try:
            values = np.array(classes, dtype)
        except (TypeError, ValueError, OverflowError):  # strings; beyond the dtype
            values = None
        if values is None or not (values == np.array(classes, object)).all():
            return _encode_others(y, classes, limit)
        codes = Codes(y, values)
        unseen = is_sure and any(
            (codes.chunk(i, i + _CHUNK) == len(classes)).any()
            for i in range(0, len(y), _CHUNK)
        )
        if unseen and y.dtype.kind == "f":  # which may be no label at all
            return _encode_others(y, classes, limit)
        return Encoded(codes, classes, unseen)
    table = RecordTable(8, limit)
    start, stop = 0, _FIRST
    while start < len(y):
        if not table.encode(_records(y[start:stop])):
            return None
        if len(table) == limit:
            break  # the kernel finds out whether that is all
        start, stop = stop, stop + _CHUNK
    found: Any = np.frombuffer(table.tobytes(), dtype)
    if y.dtype.kind == "b":
        found = found.astype(bool)
    found = _class_list(found)
    if found is None:
        return None
    found.sort()
    return Encoded(Codes(y, np.array(found, dtype)), found, False)


def _encode_others(y: NDArray[Any], classes: list[Any], limit: int) -> Encoded | None:
    """Labels some of whose classes are of another type: looked up once, and stored."""
    table = RecordTable(8, limit)
    numbers = np.empty(len(y), np.int64)
    for start in range(0, len(y), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        if not table.encode(_records(y[chunk]), numbers[chunk]):
            return None
    found: Any = np.frombuffer(table.tobytes(), _record_dtype(y.dtype))
    found = _class_list(found.astype(bool) if y.dtype.kind == "b" else found)
    return None if found is None else _store(numbers, found, classes)


def _are_integral(values: NDArray[Any]) -> bool:
    """Whether floats are what an int64 can be: scikit-learn refuses all others."""
    is_near = (values >= -(2.0**63)) & (values < 2.0**63)
    return bool(is_near.all() and (values == np.floor(values)).all())


def _record_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.kind == "U":
        return dtype.newbyteorder("=")
    return np.dtype({"f": "f8", "u": "u8"}.get(dtype.kind, "i8"))


def _records(y: NDArray[Any]) -> NDArray[Any]:
    records = np.require(y, _record_dtype(y.dtype), "C")
    # -0.0 and 0.0 are one label, but not one bit pattern.
    return records + 0.0 if records.dtype.kind == "f" else records


def _store(
    numbers: NDArray[Any], found: list[Any], classes: list[Any] | None
) -> Encoded:
    classes, code_of_number, unseen = _match(found, classes)
    if len(classes) > _BYTE and numbers.itemsize == 1:
        numbers = numbers.astype(np.int64)
    recode(numbers, code_of_number)
    return Encoded(Codes(numbers), classes, unseen)


def _match(
    found: list[Any], classes: list[Any] | None
) -> tuple[list[Any], NDArray[np.int64], bool]:
    """Code of each label of `found`; one too many for those that are no class."""
    if classes is None:
        classes = sorted(found)
    column = {label: code for code, label in enumerate(classes)}
    codes = [column.get(label, len(classes)) for label in found]
    return classes, np.array(codes, np.int64), len(classes) in codes
