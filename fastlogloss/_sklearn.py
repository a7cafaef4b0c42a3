"""What scikit-learn says of input that is off the fast path, or no probabilities."""

import functools

import numpy as np

from fastlogloss._arrays import limits, sum_tolerance
from fastlogloss._engine import worst_rows
from fastlogloss._errors import add_reason

_ONE_HOT = np.eye(2, dtype=np.int64)  # labels of two rows, those that it reads fastest
METRICS = ("log_loss", "d2_log_loss_score")
_FLOATS: tuple[type, ...] = (
    np.float64,
    np.float32,
    np.float16,
)  # all others are made float64


@functools.cache
def original(name):
    """`sklearn.metrics.<name>` as it is without `patch_sklearn`, which asks first.

    Errors of the metrics have a note that says what is wrong in which row, where that
    is known.
    """
    import sklearn.metrics

    function = getattr(sklearn.metrics, name)
    if name not in METRICS:
        return function

    @functools.wraps(function)
    def call(*args, **keywords):
        try:
            return function(*args, **keywords)
        except Exception as error:
            add_reason(error, *args, **keywords)
            raise

    return call


def ask_about_sums(found):
    """Let scikit-learn warn of rows that do not sum to one, if it would of these.

    How it rounds a sum depends on the dtype and on the layout of memory. NumPy adds up
    some of the rows as it would all of them, and scikit-learn is asked about one row of
    the sum that is furthest from one.

    Parameters
    ----------
    found : Evaluation
        With a row from which on sums may be bad.
    """
    p = found.proba
    eps, tolerance = limits(found.precision, p.shape[1])
    for start, stop, row, total in worst_rows(p, found.bad_sum_from):
        if abs(total - 1.0) <= tolerance:
            continue
        # Mostly it is this row. Where it is not, another may be rounded otherwise.
        for rows in ((row, row + 1), (start, stop)):
            worst = _worst_sum(p, *rows, found.precision)
            if not abs(float(worst) - 1.0) <= sum_tolerance(eps):
                half = min(worst, 2) / 2
                original("log_loss")(_ONE_HOT, np.full((2, 2), half, worst.dtype))
                return


def _worst_sum(p, start, stop, precision):
    """Of these rows, and one more, the sum that is furthest from 1 to scikit-learn."""
    # A single row would be added up in another order.
    rows = p[max(0, min(start, len(p) - 2)) : stop + 1]
    sums = rows.astype(precision, copy=False).sum(axis=1)
    return sums[np.abs(sums - 1).argmax()]


def log_loss_rows(y_true, y_proba, labels=None, eps=None):
    """Losses of rows that scikit-learn accepts and the kernels do not read.

    Slow and of the dtype of numpy's operations; the input has been validated by a call
    of `original`.
    """
    from sklearn.preprocessing import LabelBinarizer
    from sklearn.utils import check_array

    binarizer = LabelBinarizer().fit(y_true if labels is None else labels)
    is_class = binarizer.transform(y_true)
    if is_class.shape[1] == 1:
        is_class = np.hstack([1 - is_class, is_class])
    p = check_array(y_proba, ensure_2d=False, dtype=_FLOATS)
    low = np.finfo(p.dtype).eps if eps is None else eps
    p = p.astype(np.float64)
    p = p.reshape(len(p), -1)
    if p.shape[1] == 1:
        p = np.hstack([1 - p, p])
    with np.errstate(divide="ignore"):
        losses = -np.log(np.clip(p, low, 1 - low))
    return np.where(is_class, losses, 0.0).sum(axis=1)
