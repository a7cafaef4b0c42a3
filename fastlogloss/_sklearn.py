"""What scikit-learn says of input that is off the fast path, and how it reads it."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastlogloss._arrays import (
    Array,
    adds_pairwise,
    as_array,
    is_array_like,
    legible,
    limits,
    precision,
    sum_tolerance,
)
from fastlogloss._engine import worst_rows
from fastlogloss._labels import Codes, Encoded
from fastlogloss._notes import add_reason
from fastlogloss._targets import ManyHot

_ONE_HOT = np.eye(2, dtype=np.int64)  # labels of two rows, those that it reads fastest
METRICS = ("log_loss", "d2_log_loss_score")
_FLOATS: tuple[type, ...] = (
    np.float64,
    np.float32,
    np.float16,
)  # all others are made float64


@functools.cache
def original(name: str) -> Callable[..., Any]:
    """`sklearn.metrics.<name>` as it is without `patch_sklearn`, which asks first.

    Errors of the metrics have a note that says what is wrong in which row, where that
    is known.
    """
    import sklearn.metrics

    function: Callable[..., Any] = getattr(sklearn.metrics, name)
    if name not in METRICS:
        return function

    @functools.wraps(function)
    def call(*args: Any, **keywords: Any) -> Any:
        try:
            return function(*args, **keywords)
        except Exception as error:
            add_reason(error, *args, **keywords)
            raise

    return call


def ask_about_sums(problem: Any, sums: Any) -> None:
    """Let scikit-learn warn of rows that do not sum to one, if it would of these.

    How it rounds a sum depends on the dtype and on the layout of memory. NumPy adds up
    some of the rows as it would all of them, and scikit-learn is asked about one row of
    the sum that is furthest from one.

    Parameters
    ----------
    problem : Problem
    sums : Sums
        With a row from which on sums may be bad.
    """
    p, precision = problem.p, problem.spec.precision
    eps, tolerance = limits(precision, p.shape[1], adds_pairwise(p))
    for start, stop, row, total in worst_rows(p, sums.bad_sum_from):
        if abs(total - 1.0) <= tolerance:
            continue
        # Mostly it is this row. Where it is not, another may be rounded otherwise.
        for rows in ((row, row + 1), (start, stop)):
            worst = _worst_sum(p, *rows, precision)
            if not abs(float(worst) - 1.0) <= sum_tolerance(eps):
                half = min(worst, 2) / 2
                original("log_loss")(_ONE_HOT, np.full((2, 2), half, worst.dtype))
                return


def ask_about_order(labels: Any) -> None:
    """Let scikit-learn warn of labels that it sorts."""
    original("log_loss")(labels, _even(len(labels), len(labels)), labels=labels)


def ask_about(argument: str, call: Any, scores: Any = None) -> None:
    """Let scikit-learn refuse one argument of a call, beside others that are fine.

    The other arguments are as many as the `scores`, which have been read.
    """
    if argument == "scores":
        if not is_array_like(call.scores) or np.isscalar(call.scores):
            original(call.function)([0, 1], call.scores)
        _check_array(call.scores)
        return
    n, n_classes = len(scores.p), scores.n_classes
    p = _even(n, n_classes)
    if argument == "sample_weight":
        original("log_loss")(
            np.arange(n) % n_classes,
            p,
            labels=np.arange(n_classes),
            sample_weight=call.sample_weight,
            normalize=bool(call.normalize),
        )
    elif scores.spec.soft:
        original("log_loss")(
            [0] * n_classes, _even(n_classes, n_classes), labels=call.labels
        )
    else:
        original("log_loss")(call.y_true, p, labels=call.labels)


def _even(n: int, n_classes: int) -> Array:
    """Probabilities that scikit-learn has nothing to say of."""
    return np.broadcast_to(1.0 / n_classes, (n, n_classes))


def as_read(argument: str, call: Any) -> Any:
    """A call with an argument as scikit-learn reads it, once it has accepted it.

    None where that loses what scores mean: a mask, a unit, objects that are no numbers
    though their texts are.
    """
    if argument == "scores":
        array = as_array(call.scores)
        is_lost = (
            isinstance(call.scores, np.ndarray)
            if array is None
            else (array.dtype.kind == "O")
        )
        if is_lost and not call.drop_in:
            return None
        return call._replace(scores=np.asarray(_check_array(call.scores)))
    if argument == "sample_weight":
        weights = np.asarray(call.sample_weight).astype(np.float64)
        return call._replace(sample_weight=weights)
    if call.spec.soft:  # labels name what needs no names
        return call._replace(labels=None)
    return call._replace(y_true=_binarized(call.y_true, call.labels), labels=None)


def in_sorted_order(call: Any) -> Any:
    """A call with `labels` instead of the classes of columns."""
    classes, p = call.classes, legible(call.scores)
    order = sorted(range(len(classes)), key=classes.__getitem__)
    labels = [classes[i] for i in order]
    if labels != classes:
        p = np.asarray(p, precision(p))
        if p.ndim == 1:
            p = np.stack([1 - p, p], axis=1)
        p = p[:, order]
    return call._replace(scores=p, labels=labels, classes=None)


def _check_array(values: Any) -> Any:
    from sklearn.utils import check_array

    return check_array(values, ensure_2d=False, dtype=_FLOATS, ensure_all_finite=False)


def _binarized(y_true: Any, labels: Any) -> Encoded | ManyHot:
    """`Encoded` labels, or rows of several of them."""
    from sklearn.preprocessing import LabelBinarizer

    binarizer = LabelBinarizer().fit(y_true if labels is None else labels)
    y = np.asarray(binarizer.transform(y_true))
    if y.shape[1] == 1:
        y = np.hstack([1 - y, y])
    if (y.sum(axis=1) == 1).all() and (y >= 0).all():
        return Encoded(Codes(y.argmax(axis=1)), binarizer.classes_.tolist(), False)
    return ManyHot(y)


def _worst_sum(p: Array, start: int, stop: int, precision: np.dtype[Any]) -> Any:
    """Of these rows, and one more, the sum that is furthest from 1 to scikit-learn."""
    # A single row would be added up in another order.
    rows = p[max(0, min(start, len(p) - 2)) : stop + 1]
    sums = rows.astype(precision, copy=False).sum(axis=1)
    return sums[np.abs(sums - 1).argmax()]
