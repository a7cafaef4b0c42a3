"""The reader: arguments of the drop-ins, validated and summed, or None.

Everything returns None for input that is off the fast path; the caller then hands over
to scikit-learn, which accepts it, warns or raises.
"""

import math

import numpy as np

from fastlogloss import _kernels
from fastlogloss._arrays import (
    FLOAT64,
    as_columns,
    as_scores,
    as_weights,
    has_sparse_columns,
    is_array_like,
    is_real,
    limits,
)
from fastlogloss._engine import INVALID, Options, add
from fastlogloss._labels import (
    Codes,
    Factorized,
    encode,
    read,
    sorted_labels,
)
from fastlogloss._sums import sum_of_products

_BAD_LABEL = _kernels.loops.BAD_LABEL
_CHUNK = 16384
_PLAIN = frozenset([np.ndarray, list])  # containers that need no closer look
_USUAL = Options()


class Evaluation:
    """Validated sums over all rows, and what a second pass needs.

    Attributes
    ----------
    loss, weight : Sum
        Sums of ``w * -log(q)`` (nats) and of ``w``.
    bad_sum_from : int
        A row of the probabilities before which the sums of all are sure to be one; -1
        where they are of all rows.
    codes, proba, weights
        Codes of the labels (see `_labels`; None where some have no column),
        probabilities, weights or None.
    precision : dtype
        That in which scikit-learn would read the probabilities.
    rows : ndarray or None
        The loss of each row, where asked for; then there are no sums.
    """

    __slots__ = (
        *("bad_sum_from", "codes", "loss", "precision", "proba", "rows"),
        *("weight", "weights"),
    )

    def __init__(self, sums, codes, proba, precision, weights, rows):
        self.loss = sums.loss
        self.weight = sums.weight
        self.bad_sum_from = sums.bad_sum_from
        self.codes = codes
        self.proba = proba
        self.precision = precision
        self.weights = weights
        self.rows = rows

    @property
    def mean(self):
        return self.loss.over(self.weight)

    @property
    def n_classes(self):
        """Number of columns, counting that of class 0 where it is left out."""
        return 2 if self.proba.ndim == 1 else self.proba.shape[1]


def evaluate(
    y_true,
    y_proba,
    sample_weight=None,
    labels=None,
    eps=None,
    *,
    rows=False,
    classes=None,
    from_logits=False,
    smoothing=0.0,
):
    """Validate all rows and sum their losses, or with `rows` list them.

    `labels` and the arguments before it are those of the public functions; `eps` None
    means that of the dtype. With `from_logits`, `y_proba` holds logits. `classes` is
    the label of each column, in any order; a label that is none of them has
    probability zero. `smoothing` is spread over the columns, whatever the label.

    Returns
    -------
    Evaluation or None
        None where scikit-learn has to be asked.
    """
    if type(y_true) not in _PLAIN and not is_array_like(y_true):
        return None
    if type(y_proba) not in _PLAIN:
        if not is_array_like(y_proba) or has_sparse_columns(y_proba):
            return None
    p, dtype = as_scores(y_proba)
    if p is None:
        return None
    p, n_classes = as_columns(p)
    if n_classes < 2 or not len(p):
        return None
    weights = None
    if sample_weight is not None:
        if type(sample_weight) not in _PLAIN and not is_array_like(sample_weight):
            return None
        weights = as_weights(sample_weight, len(p))
        if weights is None:
            return None
    if labels is not None:
        classes = sorted_labels(labels) if is_array_like(labels) else None
        if classes is None:
            return None
    if classes is not None and len(classes) != n_classes:
        return None
    y = read(y_true)
    if y is None or len(y[0] if type(y) is Factorized else y) != len(p):
        return None
    options = _USUAL
    if eps is not None or from_logits or smoothing or dtype is not FLOAT64:
        options = Options(eps, from_logits, smoothing=smoothing, precision=dtype)
    out = np.empty(len(p)) if rows else None
    if classes is None or classes == list(range(n_classes)):
        # Most labels are 0 to n_classes - 1: let the kernel find out.
        if type(y) is np.ndarray and is_real(y):
            codes = Codes(y)
            state = add(codes, p, weights, options, out)
            if not state.status & INVALID:
                if classes is not None or state.n_classes_seen == n_classes:
                    return _finite(
                        Evaluation(state, codes, p, options.precision, weights, out)
                    )
            elif not state.status & _BAD_LABEL:
                return None
    strict = labels is not None or classes is None
    encoded = encode(y, classes, limit=n_classes if strict else len(p))
    if (
        encoded is None
        or (strict and encoded.unseen)
        or len(encoded.classes) != n_classes
    ):
        return None
    codes = encoded.codes
    if encoded.unseen:
        return _evaluate_unseen(codes, p, weights, options)
    state = add(codes, p, weights, options, out)
    if state.status & INVALID:
        return None
    return _finite(Evaluation(state, codes, p, options.precision, weights, out))


def _evaluate_unseen(codes, p, weights, options):
    """`evaluate` where some rows have a label, and so a code, without a column."""
    code = np.concatenate(
        [codes.chunk(i, i + _CHUNK) for i in range(0, len(codes), _CHUNK)]
    )
    unseen = code >= (2 if p.ndim == 1 else p.shape[1])
    w = np.ones(len(p)) if weights is None else weights.astype(np.float64)
    lost = sum_of_products(w[unseen])
    w_unseen = np.where(unseen, w, 0.0)
    w[unseen] = 0.0
    code[unseen] = 0
    state = add(Codes(code), p, w, options)
    if state.status & INVALID:
        return None
    found = Evaluation(state, None, p, options.precision, weights, None)
    low = 0.0  # no logit is that of an impossible class but an infinite one
    if not options.from_logits:
        low = limits(options.precision, 2)[0] if options.eps is None else options.eps
    found.weight += lost
    kept = 1.0 - options.smoothing
    if lost.value:
        found.loss += lost.times(-math.log(low) * kept if low else math.inf)
    if options.smoothing:  # its share is spread over the columns, as in all other rows
        even = np.broadcast_to(1 / found.n_classes, p.shape)
        spread = options._replace(soft=True, smoothing=0.0)
        sums = add(Codes(even, None, 1e-6), p, w_unseen, spread)
        found.loss += sums.loss.times(options.smoothing)
    return _finite(found)


def _finite(evaluation):
    # A NaN or infinite weight makes their sum such; scikit-learn says which it was.
    return evaluation if math.isfinite(evaluation.weight.value) else None
