"""Notes on scikit-learn's errors: the argument, the row and the remedy that they omit.

Nothing here is in a hurry.
"""

from typing import Any

import numpy as np

from fastlogloss._arrays import as_array
from fastlogloss._errors import explain_label, find, find_missing, place, shortened


def add_reason(
    error: Exception,
    y_true: Any,
    y_proba: Any = None,
    sample_weight: Any = None,
    labels: Any = None,
    **others: Any,
) -> None:
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


def _reason_in_scores(y_proba: Any) -> str | None:
    p: Any = as_array(y_proba)
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


def _reason_in_weights(sample_weight: Any) -> str | None:
    if sample_weight is None:
        return None
    w: Any = as_array(sample_weight)
    at = find_missing(w)
    if at is not None:
        return f"sample_weight is missing or NaN in {place(at)}: 0 leaves a row out."
    at = find(lambda w: ~np.isfinite(w), w)
    if at is None:
        return None
    return f"sample_weight is {w[at]} in {place(at)}: 0 leaves a row out."


def _reason_in_labels(y_true: Any, y_proba: Any, labels: Any) -> str | None:
    y: Any = as_array(y_true)
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
        text = explain_label(values, "y_true")
        if text is not None:
            return f"{text}."
    if labels is not None:
        known: Any = as_array(labels)
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


def _reason_in_columns(y: Any, p: Any) -> str:
    if y.shape == p.shape and find(lambda y: ~((y >= 0) & (y <= 1)), y) is None:
        return (
            "y_true holds a row of numbers in [0, 1] for each row of y_proba: log_loss "
            "takes soft targets with soft_targets=True."
        )
    return f"y_true has {y.shape[1]} columns, but each row has one label."
