"""What is wrong, where, and in which words: errors of the functions that own them.

Nothing here is in a hurry, but little is allocated: rows are looked at in chunks.
"""

import math
import sys

import numpy as np

from fastlogloss._inputs import first_unreal
from fastlogloss._targets import as_array

CHUNK = 65536  # numbers


def chunks(array):
    """Some rows at a time, fewer of wide ones, each with the number of the first."""
    step = max(1, CHUNK // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array), step):
        yield start, array[start : start + step]


def find(is_wrong, array):
    """Index of the first row, or row and column, that `is_wrong`; or None."""
    for start, chunk in chunks(array):
        wrong = is_wrong(chunk)
        if wrong.any():
            row, *column = np.unravel_index(wrong.argmax(), wrong.shape)
            return int(start + row), *map(int, column)
    return None


def place(at, options=None):
    words = f"row {at[0]}" if len(at) == 1 else f"row {at[0]}, column {at[1]}"
    return words + options.of if options else words


def shortened(labels):
    """Text of a list of labels that is never long."""
    text = repr(list(labels))
    return text if len(text) <= 100 else f"{text[:80]} ... ({len(labels)} labels)"


def describe(value):
    """What was given, for the message of an error."""
    kind = type(value).__name__
    array = as_array(value)
    if array is not None:
        if array.ndim == 0 and array is not value:
            return kind
        words = f"{kind} of shape {array.shape} and dtype {array.dtype}"
        return words + _first_object(array) if array.dtype.kind == "O" else words
    if isinstance(value, np.ndarray):
        return f"{kind}, a subclass of ndarray whose meaning would be lost"
    try:
        np.asarray(value)
    except Exception as error:  # whatever a foreign object raises
        return f"{kind}, of which numpy makes no array: {error}"
    return kind


def _first_object(array):
    """Words about the first object that is no real number, if there is one."""
    try:
        at = first_unreal(array)
        text = repr(array[at])[:80]
    except Exception:  # whatever a foreign object raises
        return ""
    return f", with {text} in {place(at)}" if at and len(at) < 3 else ""


def raise_changed():
    raise RuntimeError("an argument was changed by another thread during the call")


def check_flag(name, value):
    if value is not True and value is not False and not isinstance(value, np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")


def check_out(out, dtypes, name="out"):
    """Raise for what cannot be written to, or means something else than an ndarray."""
    if type(out) not in (np.ndarray, np.memmap) or out.dtype not in dtypes:
        names = " or ".join(np.dtype(dtype).name for dtype in dtypes)
        raise TypeError(f"{name} must be an ndarray of {names}, got {describe(out)}")
    if not out.flags.writeable:
        raise ValueError(f"{name} is read-only")


def check_rows(out, n):
    if out.shape != (n,):
        raise ValueError(f"out has shape {out.shape}, but there are {n} rows")


def explain_labels(labels, name, limit=None, score_name=None):
    """Raise for the first of the labels that is none, or one more than the `limit`."""
    found = {}  # in the order of their first rows
    for row, label in enumerate(labels):
        is_scalar = isinstance(label, np.generic) and label.dtype.kind in "biufcUS"
        value = label.item() if is_scalar else label
        first = next(iter(found), value)
        objection = _objection(value)
        if objection is None and isinstance(value, str) != isinstance(first, str):
            objection = f", but {first!r} in row 0"
        if objection is not None:
            raise ValueError(
                f"{name} must hold labels, strings or whole numbers, got {value!r} in "
                f"row {row}{objection}"
            )
        found[value] = row
        if limit is not None and len(found) > limit:
            raise ValueError(
                f"{name} holds labels beyond the {limit} classes of {score_name}: "
                f"after {shortened([*found][:limit])} comes {value!r} in row {row}; "
                f"name all labels (labels=), or has {score_name} another shape?"
            )
    raise ValueError(
        f"{name} must hold labels, strings or whole numbers, got {describe(labels)}; "
        "objects must be strings"
    )


def _objection(label):
    """What to say of what is no label; None of labels."""
    if isinstance(label, str):
        return None
    if isinstance(label, int):
        fits = -(2**63) <= label < 2**64
        return None if fits else ", which has more than 64 bits"
    if isinstance(label, np.longdouble):
        return ", which has more than 64 bits"
    if isinstance(label, float) and math.isfinite(label):
        if label == math.floor(label):
            return None
        if 0 < label < 1:
            return "; are these soft targets (soft_targets=True)?"
    return ""


def caller_level():
    """`stacklevel` of the first frame that is not ours."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and _is_ours(frame):
        frame, level = frame.f_back, level + 1
    return level


def _is_ours(frame):
    # Globals of exec() need not have a name.
    return str(frame.f_globals.get("__name__")).startswith("fastlogloss.")
