"""What is wrong, where, and in which words: errors of the functions that own them.

Nothing here is in a hurry, but little is allocated: rows are looked at in chunks.
"""

import math
import sys

import numpy as np

from fastlogloss._arrays import as_array, first_unreal

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


def find_missing(array):
    """Index of the first missing value; or None."""
    kind = array.dtype.kind
    if kind in "fc":
        return find(np.isnan, array)
    if kind in "mM":
        return find(np.isnat, array)
    if kind in "OT":
        function = np.frompyfunc(is_missing, 1, 1)
        return find(lambda a: function(a.astype(object)).astype(bool), array)
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
    text = objection(labels, name, limit, score_name)
    if text is None:
        text = (
            f"{name} must hold labels, strings or whole numbers, got "
            f"{describe(labels)}; objects must be strings"
        )
    raise ValueError(text)


def objection(labels, name, limit=None, score_name=None):
    """What to say of the first of the labels that `explain_labels` raises for."""
    found = {}  # in the order of their first rows
    for row, label in enumerate(labels):
        is_scalar = isinstance(label, np.generic) and label.dtype.kind in "biufcUS"
        value = label.item() if is_scalar else label
        first = next(iter(found), value)
        why = _objection(value)
        if why is None and isinstance(value, str) != isinstance(first, str):
            why = f", but {first!r} in row 0"
        if why is not None:
            return (
                f"{name} must hold labels, strings or whole numbers, got {value!r} in "
                f"row {row}{why}"
            )
        found[value] = row
        if limit is not None and len(found) > limit:
            return (
                f"{name} holds labels beyond the {limit} classes of {score_name}: "
                f"after {shortened([*found][:limit])} comes {value!r} in row {row}; "
                f"name all labels (labels=), or has {score_name} another shape?"
            )
    return None


def _objection(label):
    """What to say of what is no label; None of labels."""
    if isinstance(label, str):
        return None
    if is_missing(label):
        return "; leave out rows without a label"
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


def is_missing(value):
    """Whether it stands for no value: None, NaN, NaT, pandas.NA."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except TypeError:  # of pandas.NA, which is neither equal nor different
        return type(value).__name__ == "NAType"


def add_reason(error, y_true, y_proba=None, sample_weight=None, labels=None, **others):
    """Add to an error of scikit-learn what it leaves out: argument, row, remedy."""
    # Lengths and parameters it names itself.
    names_all = type(error).__name__ == "InvalidParameterError"
    if names_all or isinstance(error, Warning) or "inconsistent num" in str(error):
        return
    try:
        if y_proba is None:
            y_proba = others.get("y_pred")
        reason = (
            _reason_in_scores(y_proba)
            or _reason_in_weights(sample_weight)
            or _reason_in_labels(y_true, y_proba, labels)
        )
        if reason and reason not in getattr(error, "__notes__", ()):
            error.add_note(reason)
    except Exception:  # whatever a foreign object raises; the error is raised as it is
        return


def _reason_in_scores(y_proba):
    p = as_array(y_proba)
    at = find_missing(p)
    if at is not None:
        return f"y_proba is missing or NaN in {place(at)}: leave such rows out."
    if p.dtype.kind == "O":
        p = p.astype(np.float64)
    at = find(lambda p: ~((p >= 0) & (p <= 1)), p)
    if at is None:
        return None
    return (
        f"y_proba is {p[at]} in {place(at)}, which is no probability. log_loss takes "
        "logits with from_logits=True; clip what is off by rounding."
    )


def _reason_in_weights(sample_weight):
    if sample_weight is None:
        return None
    w = as_array(sample_weight)
    at = find_missing(w)
    if at is not None:
        return f"sample_weight is missing or NaN in {place(at)}: 0 leaves a row out."
    at = find(lambda w: ~np.isfinite(w), w)
    return at and f"sample_weight is {w[at]} in {place(at)}: 0 leaves a row out."


def _reason_in_labels(y_true, y_proba, labels):
    y = as_array(y_true)
    at = find_missing(y)
    if at is not None:
        return (
            f"y_true is missing or NaN in {place(at[:1])}: leave such rows out of all "
            "arguments."
        )
    y = y[:, 0] if y.shape[1:] == (1,) else y
    if y.ndim == 2:
        return _reason_in_columns(y, as_array(y_proba))
    numbers = y
    if y.dtype.kind == "O" and not any(isinstance(label, str) for label in y.flat):
        numbers = y.astype(np.float64)
    if numbers.dtype.kind == "f":
        at = find(lambda y: ~(np.isfinite(y) & (y == np.floor(y))), numbers)
        if at is not None:
            soft = "; log_loss takes soft targets with soft_targets=True"
            hint = soft if 0 < numbers[at] < 1 else ""
            return (
                f"y_true is {numbers[at]} in {place(at)}: labels are strings or whole "
                f"numbers{hint}."
            )
    values = y_true if isinstance(y_true, list | tuple) else y.tolist()
    if y.dtype.kind in "OU":
        text = objection(values, "y_true")
        if text is not None:
            return f"{text}."
    if labels is not None:
        known = as_array(labels)
        at = find_missing(known)
        if at is not None:
            return f"labels is missing or NaN in {place(at)}."
        known = set(known.tolist())
        for row, label in enumerate(values):
            if label not in known:
                return (
                    f"y_true is {label!r} in row {row}, which is none of the labels "
                    f"{shortened(labels)}."
                )
    return None


def _reason_in_columns(y, p):
    if y.shape == p.shape and find(lambda y: ~((y >= 0) & (y <= 1)), y) is None:
        return (
            "y_true holds a row of numbers in [0, 1] for each row of y_proba: log_loss "
            "takes soft targets with soft_targets=True."
        )
    return f"y_true has {y.shape[1]} columns, but each row has one label."


def caller_level():
    """`stacklevel` of the first frame that is not ours."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and _is_ours(frame):
        frame, level = frame.f_back, level + 1
    return level


def _is_ours(frame):
    # Globals of exec() need not have a name.
    return str(frame.f_globals.get("__name__")).startswith("fastlogloss.")
