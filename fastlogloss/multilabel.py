"""Log loss of many labels for each row: docstring, validation, delegation.

Longer than a room should be: half of it is docstrings.

Design
------
(a) A cell, which is a row and a label, is a row of a binary log loss, so that the
    kernels need nothing new. Over all cells they run through blocks of rows as if these
    were vectors; for the loss of each label through columns, by their strides.
    Rejected: columns for all, which takes ten times as long where rows are contiguous.
(b) Blocks depend on the shape alone: so do the bits of the result, and not on the
    layout. Blocks that are not contiguous are copied, one after the other.
"""

import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from fastlogloss import _kernels
from fastlogloss._arrays import Array, as_array, as_numbers, as_scores, is_real
from fastlogloss._columns import check_columns, column_names
from fastlogloss._engine import INVALID, Spec, Sums, add
from fastlogloss._errors import (
    Names,
    Objection,
    ZeroSum,
    describe,
    find,
    in_our_words,
    place,
    raise_changed,
)
from fastlogloss._labels import Codes
from fastlogloss._losses import warn_of_sums
from fastlogloss._problem import Scores, read_scores, spec_of
from fastlogloss._sums import Sum, sum_of_chunks, sum_of_products

_BLOCK = 2**19  # cells
_AVERAGES = ("micro", "macro", None)
_SCORES = _kernels.loops.BAD_SCORE | _kernels.loops.BAD_PROBA


class _Cells(NamedTuple):
    """What was given, of the right shapes; numbers are not yet validated."""

    y: Array  # (n, L)
    p: Any  # (n, L), or of each label Scores of (n, 2)
    weights: Array | None  # (n,) or (n, L)
    spec: Spec

    @property
    def is_matrix(self) -> bool:
        return isinstance(self.p, np.ndarray)


@overload
def multilabel_log_loss(
    y_true: Any,
    y_proba: Any,
    *,
    average: Literal["micro", "macro"] = ...,
    sample_weight: Any = ...,
    eps: float | Literal["auto"] = ...,
    from_logits: bool = ...,
    soft_targets: bool = ...,
    label_smoothing: float = ...,
) -> float: ...
@overload
def multilabel_log_loss(
    y_true: Any,
    y_proba: Any,
    *,
    average: None,
    sample_weight: Any = ...,
    eps: float | Literal["auto"] = ...,
    from_logits: bool = ...,
    soft_targets: bool = ...,
    label_smoothing: float = ...,
) -> NDArray[np.float64]: ...
def multilabel_log_loss(
    y_true: Any,
    y_proba: Any,
    *,
    average: Literal["micro", "macro"] | None = "micro",
    sample_weight: Any = None,
    eps: float | Literal["auto"] = "auto",
    from_logits: bool = False,
    soft_targets: bool = False,
    label_smoothing: float = 0.0,
) -> Any:
    r"""Log loss of many labels for each row: binary cross-entropy, in nats.

    The mean over all cells, which are a row i and a label j:

    .. math::
        L = -\frac{\sum_{ij} w_{ij} \big(y_{ij} \log p_{ij}
            + (1 - y_{ij}) \log (1 - p_{ij})\big)}{\sum_{ij} w_{ij}}

    where p is clipped to ``[eps, 1 - eps]``. That is the loss of classifiers that say
    of each label whether it holds. :func:`log_loss` reads an indicator matrix as
    scikit-learn does, by the labels that hold alone.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_labels)
        1 where a label holds, 0 where it does not, of any type of numbers, or bool;
        with `soft_targets` numbers in [0, 1].
    y_proba : array-like of shape (n_samples, n_labels), or list of n_labels array-likes
        Probabilities that each label holds. Of a list or a tuple of matrices, each of
        shape (n_samples, 2), as `predict_proba` of scikit-learn's classifiers of
        several outputs returns it, each is read as by :func:`log_loss`.
    average : {"micro", "macro"} or None, default="micro"
        "micro" is the mean over all cells, "macro" the mean of the losses of the
        labels, None these losses. "macro" differs from "micro" only where weights
        differ between labels: without weights, and with one for each row, all labels
        have the same weight.
    sample_weight : array-like of shape (n_samples[, n_labels]), default=None
        Weights of the rows, or of the cells: a weight of 0 leaves a cell out, whose
        label is not known, say (it is 0 or 1 nonetheless). Finite; some may be
        negative.
    eps : "auto" or float in [0, 0.5), default="auto"
        Where to clip; as in :func:`log_loss`.
    from_logits : bool, default=False
        `y_proba` holds logits of each label: any number but NaN.
    soft_targets : bool, default=False
        `y_true` holds the probability that each label holds.
    label_smoothing : float in [0, 1), default=0.0
        Share of every target that is spread evenly over 0 and 1.

    Returns
    -------
    loss : float, or ndarray of float64 of shape (n_labels,)
        As precise as :func:`log_loss`.

    Raises
    ------
    ValueError, TypeError
        For arguments that are not as above; the message names the argument and the
        first row and column. Sparse matrices are refused, and data frames whose columns
        have the same names in another order.
    ZeroDivisionError
        Where the weights sum to zero: of all cells, or, unless `average` is "micro", of
        a label. It is a ValueError, too.

    Warns
    -----
    UserWarning
        Of matrices in a list whose rows do not sum to one.

    References
    ----------
    C. M. Bishop (2006). Pattern Recognition and Machine Learning, section 5.2, equation
    5.22. Springer.

    Examples
    --------
    >>> from fastlogloss import multilabel_log_loss
    >>> y_true = [[1, 0, 0], [1, 1, 0]]
    >>> y_proba = [[0.8, 0.1, 0.4], [0.6, 0.7, 0.2]]
    >>> round(multilabel_log_loss(y_true, y_proba), 6)
    0.321662
    >>> multilabel_log_loss(y_true, y_proba, average=None).round(6)
    array([0.366985, 0.231018, 0.366985])
    """
    spec = spec_of(eps, from_logits, soft_targets, label_smoothing)
    if not (average is None or (isinstance(average, str) and average in _AVERAGES)):
        raise ValueError(f"average must be 'micro', 'macro' or None, got {average!r}")
    return _loss(y_true, y_proba, sample_weight, spec, average)


@in_our_words
def _loss(
    y_true: Any, y_proba: Any, sample_weight: Any, spec: Spec, average: str | None
) -> Any:
    cells = _read(y_true, y_proba, sample_weight, spec)
    if average == "micro":
        parts = [*(_blocks(cells) if cells.is_matrix else _labels(cells))]
        return _over(_total([part.loss for part in parts]), _weight(cells, parts))
    losses = [
        _over(part.loss, part.weight, f" in column {j}")
        for j, part in enumerate(_labels(cells))
    ]
    if average is None:
        return np.array(losses)
    mean = _total([Sum(loss) for loss in losses])
    return mean.over(Sum(float(len(losses))))


def _read(y_true: Any, y_proba: Any, sample_weight: Any, spec: Spec) -> _Cells:
    for name, values in (("y_true", y_true), ("scores", y_proba)):
        if hasattr(type(values), "tocsr"):
            what = "y_proba" if name == "scores" else name
            raise Objection(
                name,
                f"{what} is sparse: give a dense array ({what}.toarray())",
                error=TypeError,
            )
    y = as_numbers(y_true)
    if y is None or y.dtype.kind not in "biuf" or y.ndim != 2:
        raise Objection(
            "y_true",
            "y_true must hold 0 and 1, or soft targets, of shape (n_samples, n_labels),"
            f" got {describe(y_true)}",
        )
    if y.size == 0:
        raise Objection("y_true", f"y_true holds no labels, but has shape {y.shape}")
    if _is_list_of_matrices(y_proba):
        p: Any = _read_list(y_proba, y, spec)
    else:
        p, precision = as_scores(y_proba)
        if p is None or p.dtype.kind not in "biuf" or p.ndim != 2:
            raise Objection(
                "scores",
                "y_proba must hold real numbers, of shape (n_samples, n_labels), or be "
                "a list with a matrix of shape (n_samples, 2) for each label, got "
                f"{describe(y_proba)}",
            )
        if p.shape != y.shape:
            raise Objection(
                "scores", f"y_proba has shape {p.shape}, but y_true {y.shape}"
            )
        _check_names(y_true, y_proba)
        spec = spec.of_precision(precision)
    weights = None if sample_weight is None else as_numbers(sample_weight)
    if sample_weight is not None and (
        weights is None
        or not is_real(weights)
        or weights.shape not in (y.shape, y.shape[:1])
    ):
        raise Objection(
            "sample_weight",
            f"sample_weight must be real numbers of up to 64 bits, of shape {y.shape} "
            f"or {y.shape[:1]}, got {describe(sample_weight)}",
        )
    return _Cells(y, p, weights, spec)


def _is_list_of_matrices(y_proba: Any) -> bool:
    if type(y_proba) not in (list, tuple) or not len(y_proba):
        return False
    first = as_array(y_proba[0])
    return first is not None and first.ndim == 2


def _read_list(y_proba: Any, y: Array, spec: Spec) -> list[Scores]:
    if len(y_proba) != y.shape[1]:
        raise Objection(
            "scores",
            f"y_proba is a list of {len(y_proba)} matrices, but y_true has "
            f"{y.shape[1]} labels",
        )
    read = []
    for j, item in enumerate(y_proba):
        name = f"y_proba[{j}]"
        scores = read_scores(item, spec, Names(name))
        if scores.shape != (len(y), 2):
            hint = ""
            if scores.shape == (len(y), 1):
                hint = ": did the label never change in training?"
            raise Objection(
                "scores",
                f"{name} has shape {scores.shape}, but must have "
                f"{(len(y), 2)}, a column for 0 and one for 1{hint}",
            )
        check_columns(scores.columns, [0, 1], name)
        read.append(scores)
    return read


def _check_names(y_true: Any, y_proba: Any) -> None:
    """Object to columns of the same names in another order."""
    wanted, found = column_names(y_true), column_names(y_proba)
    try:
        check_columns(found, wanted, "y_proba")
    except Objection:
        raise Objection(
            "scores",
            f"the columns of y_proba are {found}, but those of y_true {wanted}: select "
            "or rename the columns, in this order",
        ) from None


def _blocks(cells: _Cells) -> Iterator[Sums]:
    """`Sums` of blocks of rows, of all labels."""
    y, p, w, spec = cells
    n, n_labels = y.shape
    step = max(1, _BLOCK // n_labels)
    for start in range(0, n, step):
        rows = slice(start, start + step)
        weights = None
        if w is not None:
            part = w[rows]
            weights = np.repeat(part, n_labels) if w.ndim == 1 else part.reshape(-1)
        codes = Codes(y[rows].reshape(-1))
        yield _checked(cells, add(codes, p[rows].reshape(-1), weights, spec))


def _labels(cells: _Cells) -> Iterator[Sums]:
    """`Sums` of each label."""
    y, p, w, spec = cells
    for j in range(y.shape[1]):
        weights = w if w is None or w.ndim == 1 else w[:, j]
        codes = Codes(y[:, j])
        if cells.is_matrix:
            yield _checked(cells, add(codes, p[:, j], weights, spec))
            continue
        scores = p[j]
        if spec.soft:  # a distribution for each row, as the scores have it
            t = y[:, j].astype(np.float64)
            codes = Codes(np.stack([1.0 - t, t], axis=1), None, 1e-6)
        sums = _checked(cells, add(codes, scores.p, weights, scores.spec))
        if sums.bad_sum_from >= 0:
            warn_of_sums(scores.p, Names(f"y_proba[{j}]"), sums.bad_sum_from)
        yield sums


def _checked(cells: _Cells, sums: Sums) -> Sums:
    """The `Sums` of valid cells, or an Objection to the first that is not."""
    status = sums.status & INVALID
    if status:
        argument = "scores" if status & _SCORES else "y_true"
        raise Objection(argument, lambda: _explain(cells, argument))
    if not math.isfinite(sums.weight.value):
        assert cells.weights is not None  # a number of rows is finite
        at = find(lambda w: ~np.isfinite(w), cells.weights)
        if at is None:
            raise_changed()
        raise Objection(
            "sample_weight",
            f"sample_weight must be finite, got {cells.weights[at]} in {place(at)}",
        )
    return sums


def _explain(cells: _Cells, argument: str) -> str:
    y, p, _, spec = cells
    if argument == "y_true":
        is_wrong = _outside if spec.soft else _no_code
        at = find(is_wrong, y)
        if at is None:
            raise_changed()
        if spec.soft:
            return f"y_true must be in [0, 1], got {y[at]} in {place(at)}"
        hint = ""
        if 0 < y[at] < 1:
            hint = "; are these soft targets (soft_targets=True)?"
        return f"y_true must be 0 or 1, got {y[at]} in {place(at)}{hint}"
    named = [("y_proba", p)]
    if not cells.is_matrix:
        named = [(f"y_proba[{j}]", scores.p) for j, scores in enumerate(p)]
    for name, scores in named:
        at = find(np.isnan if spec.from_logits else _outside, scores)
        if at is None:
            continue
        if np.isnan(scores[at]):
            return f"{name} is NaN in {place(at)}"
        return (
            f"{name} must be probabilities in [0, 1], got {scores[at]} in "
            f"{place(at)}; are these logits (from_logits=True)?"
        )
    raise_changed()


def _outside(values: Array) -> Array:
    return ~((values >= 0) & (values <= 1))


def _no_code(labels: Array) -> Array:
    wrong: Array = (labels != 0) & (labels != 1)
    return wrong


def _total(sums: list[Sum]) -> Sum:
    """The sum of all, rounded once."""
    values, exponents = (np.array(column) for column in zip(*sums, strict=True))
    return sum_of_products(values, shift=exponents)


def _weight(cells: _Cells, parts: list[Sums]) -> Sum:
    """The sum of the weights of all cells, also where those of parts cancel."""
    w, shape = cells.weights, cells.y.shape
    if w is None or all(part.weight.value > 0 for part in parts):
        return _total([part.weight for part in parts])
    step = max(1, _BLOCK // shape[1])

    def chunks() -> Iterator[Array]:
        for start in range(0, len(w), step):
            yield w[start : start + step].astype(np.float64).reshape(-1)

    times = 1.0 if w.ndim == 2 else float(shape[1])
    return sum_of_chunks(chunks, w.size).times(times)


def _over(loss: Sum, weight: Sum, where: str = "") -> float:
    if weight.value == 0:
        words = f"sample_weight sums to zero{where}"
        raise Objection("sample_weight", words, error=ZeroSum)
    return loss.over(weight)
