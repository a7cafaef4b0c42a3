"""Classes and labels: which are which, or an Objection.

`_labels` knows their types; here is what a function makes of them.
"""

from typing import Any

import numpy as np

from fastlogloss._arrays import Array, as_array, is_array_like, is_real
from fastlogloss._errors import (
    CHUNK,
    Names,
    Objection,
    describe,
    explain_labels,
    find,
    raise_changed,
    shortened,
)
from fastlogloss._labels import (
    Encoded,
    Factorized,
    encode,
    plain_strings,
    read,
    sorted_labels,
)

Labels = Array | Factorized  # as `_labels.read` has them

_IGNORED = -100  # the label of rows to be left out, to torch and what is built on it


def read_classes(labels: Any, drop_in: bool) -> tuple[list[Any] | None, bool]:
    """`labels` as a sorted list, or None, and whether they were in another order.

    `drop_in` as in `read_labels`.
    """
    if labels is None:
        return None, False
    array: Any = None
    if type(labels) is list or is_array_like(labels):
        found = sorted_labels(labels)
        if found is not None:
            return found, False
        array = read(labels) if np.ndim(labels) == 1 else None
    if isinstance(array, Factorized):
        array = np.array(array.found)
    values: Any
    for values in (array, None if drop_in else plain_strings(labels)):
        found = None if values is None else _in_order(values)
        if found is not None and len(found) == len(labels):
            return found, found != values.tolist()
    raise Objection(
        "labels",
        lambda: f"labels must be at least two labels, all different, got {labels!r}",
        unread=True,
    )


def _in_order(values: Array) -> list[Any] | None:
    try:
        return sorted_labels(np.sort(values))
    except TypeError:  # of objects that have no order
        return None


def read_labels(y_true: Any, names: Names, drop_in: bool = False) -> Labels:
    """A vector of labels, as `_labels.read` has it.

    Strings of subclasses (members of an Enum) are the strings that they are; for a
    drop-in scikit-learn is asked, to which they are their texts.
    """
    y = read(y_true)
    if y is None and not drop_in:
        y = plain_strings(y_true)
    if y is None or not n_labels(y):
        raise no_vector(y_true, names)
    return y


def no_vector(y_true: Any, names: Names) -> Objection:
    def explain() -> str:
        array: Any = as_array(y_true)
        is_vector = array is not None and (array.ndim == 1 or array.shape[1:] == (1,))
        if not is_vector:
            return f"{names.targets} must be a vector of labels, got {describe(y_true)}"
        if not len(array):
            return f"{names.targets} holds no labels"
        # numpy makes one type of a list of several
        labels = y_true if isinstance(y_true, list | tuple) else array.ravel()
        return explain_labels(labels, names.targets)

    return Objection("y_true", explain, unread=True)


def encode_labels(
    y: Labels,
    classes: list[Any] | None,
    n_classes: int | None,
    names: Names,
    drop_in: bool = False,
    takes_unseen: bool = False,
    is_sure: bool = True,
) -> Encoded:
    """`Encoded` labels that `read_labels` has read; `is_sure` as of `encode`."""
    limit = n_labels(y) if classes is not None or n_classes is None else n_classes
    limit = max(limit, 2)
    encoded = encode(y, classes, limit=limit, is_sure=is_sure)
    if encoded is None and not drop_in:
        strings = None if isinstance(y, Factorized) else plain_strings(y)
        if strings is not None:
            encoded = encode(strings, classes, limit=limit)
    if encoded is None:

        def explain() -> str:
            of_rows = [y.found[i] for i in y.numbers] if type(y) is Factorized else y
            return explain_labels(of_rows, names.targets, limit, names.scores)

        # Numbers are read; scikit-learn may read other objects, and wider ones.
        is_read = isinstance(y, np.ndarray) and is_real(y)
        raise Objection("y_true", explain, unread=not is_read)
    if classes is None and not drop_in and _marks_rows(encoded.classes):
        raise Objection(
            "y_true",
            f"{names.targets} holds the label {_IGNORED}, with which torch marks rows "
            "that do not count: leave these out, or name all classes if it is one",
        )
    if encoded.unseen and not takes_unseen:
        raise Objection("y_true", lambda: _explain_unseen(y, encoded, names))
    if n_classes is not None and len(encoded.classes) != n_classes:
        raise Objection(
            "y_true",
            f"{names.targets} holds the labels {shortened(encoded.classes)}, but the "
            f"scores are for {n_classes} classes: name all of them (labels=)",
            unread=True,
        )
    return encoded


def _explain_unseen(y: Labels, encoded: Encoded, names: Names) -> str:
    for start in range(0, n_labels(y), CHUNK):
        code = encoded.codes.chunk(start, start + CHUNK)
        at = find(lambda code: code == len(encoded.classes), code)
        if at is not None:
            i = start + at[0]
            return (
                f"{names.targets} holds the label {_label(y, i)!r} in row {i}, "
                f"which is none of {shortened(encoded.classes)}"
            )
    raise_changed()


def _marks_rows(classes: list[Any]) -> bool:
    # One class by its value, beside codes.
    return bool(classes[0] == _IGNORED and classes[1:] and classes[1] >= 0)


def _label(y: Labels, i: int) -> Any:
    if isinstance(y, Factorized):
        return y.found[y.numbers[i]]
    return y[i : i + 1].tolist()[0]


def n_labels(y: Labels) -> int:
    return len(y.numbers) if isinstance(y, Factorized) else len(y)
