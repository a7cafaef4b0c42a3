"""Log loss and its relatives: docstring, validation, delegation.

Longer than a room should be: most of it is docstrings.
"""

from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from fastlogloss import _short, _sklearn
from fastlogloss._arrays import DOUBLE
from fastlogloss._errors import Names, check_out, check_rows
from fastlogloss._explained import explained
from fastlogloss._kernels import mean_loss
from fastlogloss._losses import (
    loss_of,
    rows_of,
    sums_of,
    weight_of,
    write_rows,
)
from fastlogloss._policy import check_normalize, remark, solve
from fastlogloss._problem import Call, Problem, is_plain, spec_of

_DEPRECATED = "deprecated"  # scikit-learn's marker of an argument not given
_AUTO: Final = "auto"
_NONE = 0.0
_LOW, _TOLERANCE = DOUBLE
_NAMES = Names("y_proba")


def log_loss(
    y_true: Any,
    y_proba: Any = None,
    *,
    normalize: bool = True,
    sample_weight: Any = None,
    labels: Any = None,
    y_pred: Any = _DEPRECATED,
    eps: float | Literal["auto"] = _AUTO,
    from_logits: bool = False,
    soft_targets: bool = False,
    label_smoothing: float = _NONE,
) -> float:
    r"""Log loss, also called logistic loss or cross-entropy loss, in nats.

    A drop-in for :func:`sklearn.metrics.log_loss`, computed and validated in one pass
    over the arrays, without temporaries:

    .. math::
        L = -\frac{\sum_i w_i \log q_i}{\sum_i w_i}

    where :math:`q_i` is the probability given to the true class of row i, clipped to
    ``[eps, 1 - eps]``.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_classes)
        True labels, numbers or strings; or an indicator matrix of them, of which a row
        costs the sum over its labels.
    y_proba : array-like of shape (n_samples,) or (n_samples, n_classes)
        Probabilities, as `predict_proba` returns them; of the greater label if
        one-dimensional or of one column. Columns are in the order of the sorted
        labels, whatever the names of those of a data frame are; but see Notes.
    normalize : bool, default=True
        Return the mean loss; otherwise the sum.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, finite; some may be negative.
    labels : array-like of shape (n_classes,), default=None
        All labels, sorted (else they are, with scikit-learn's warning); needed if some
        do not occur in `y_true`.
    y_pred : array-like
        Former name of `y_proba`, with scikit-learn's deprecation warning.
    eps : "auto" or float in [0, 0.5), default="auto"
        Where to clip. "auto" is what scikit-learn does: 1.2e-7 and 9.8e-4, the machine
        epsilons of float32 and float16, where `y_proba` is an array, a Series or a data
        frame whose dtype is NumPy's own (in this machine's byte order); 2.2e-16, that
        of float64, for all else, whatever it holds: lists, torch tensors, polars,
        pyarrow, nullable columns, bfloat16. With 0 an event of probability zero costs
        ``inf``.
    from_logits : bool, default=False
        `y_proba` holds logits: of the greater label, or a softmax of each row. Any
        number but NaN; exact in both tails, and not clipped. Infinite logits that tie
        for the greatest of a row share its probability evenly.
    soft_targets : bool, default=False
        `y_true` holds numbers in [0, 1], the probability of class 1, or rows of a
        distribution over the classes, whose sum is 1 within 1e-6 (float32
        targets: 3.5e-4, float16: 0.03, bfloat16: 0.09).
    label_smoothing : float in [0, 1), default=0.0
        Share of every target that is spread evenly over all classes.

    Returns
    -------
    loss : float
        In nats, within 2e-15 of the exact value, relative, for float64 input and
        weights that are 0 or normal numbers, however large or small. Where some are
        negative, the error is relative to the sum of ``abs(weight) * loss``.

    Raises
    ------
    ValueError, TypeError, ZeroDivisionError
        Those of scikit-learn, for input that it rejects, with a note (PEP 678) that
        names the argument, the first row that is wrong and what to do; ValueError or
        TypeError for an `eps` that is no number in [0, 0.5), a `label_smoothing` that
        is none in [0, 1), and `y_pred` with what scikit-learn has no word for. From
        logits, soft targets or smoothed labels, errors name argument and row
        themselves; they are of scikit-learn's class, and ValueErrors.

    Warns
    -----
    UserWarning
        Those of scikit-learn: rows that do not sum to one, unsorted `labels`.

    Notes
    -----
    From logits, soft targets and smoothed labels, columns of a data frame that are
    named for the classes (``3`` or ``"3"`` for the class 3) have to be in their order:
    another order, or only some of the classes, is a ValueError. Names that have nothing
    to do with the classes do not matter.

    An indicator matrix is read by the labels that hold alone, as scikit-learn does. For
    the mean of binary losses over all cells see :func:`multilabel_log_loss`.

    bfloat16 and its like (of torch and of `ml_dtypes`) are read wherever numbers are,
    though scikit-learn refuses tensors of them. Of a list of Enum members that are
    strings, NumPy makes other texts, which are the labels here as in scikit-learn: give
    their values (which :class:`LogLoss` takes by itself).

    The one intended difference: float32 and float16 probabilities are clipped by the
    epsilon of their dtype, as scikit-learn does, but all maths is float64. What the
    fast path does not read (indicator matrices, device arrays, input with errors) is
    handed over to scikit-learn's own function; with options that it does not have, the
    argument is read as scikit-learn reads it.

    References
    ----------
    C. M. Bishop (2006). Pattern Recognition and Machine Learning, p. 209. Springer.

    Examples
    --------
    >>> from fastlogloss import log_loss
    >>> round(log_loss([0, 0, 1], [0.1, 0.4, 0.8]), 6)
    0.279777
    >>> round(log_loss(["ham", "spam"], [[0.9, 0.1], [0.35, 0.65]]), 6)
    0.268072
    """
    if (
        normalize is True
        and labels is None
        and y_pred is _DEPRECATED
        and eps is _AUTO
        and (from_logits is False or from_logits is True)
        and soft_targets is False
        and label_smoothing is _NONE
    ):
        loss: float | None = mean_loss(
            y_true, y_proba, _LOW, _TOLERANCE, sample_weight, from_logits
        )
        if loss is not None:
            return loss
    if normalize is True and y_pred is _DEPRECATED:
        options = eps, from_logits, soft_targets, label_smoothing
        loss = _short.mean(y_true, y_proba, sample_weight, labels, *options)
        if loss is not None:
            return loss
    spec = spec_of(eps, from_logits, soft_targets, label_smoothing)
    call = Call(y_true, y_proba, sample_weight, labels, normalize, spec, _NAMES)
    call = call._replace(drop_in=is_plain(spec))
    is_answer = is_plain(spec) and spec.eps is None
    if not _is_default(y_pred):
        if not is_plain(spec):
            raise TypeError("logits, targets and smoothing go with y_proba, not y_pred")
        value, call = _renamed(call, y_pred)
        if is_answer:
            return value
    check_normalize(call)

    def run(problem: Problem) -> float:
        loss, sums = loss_of(problem, normalize)
        remark(problem, sums)
        return loss

    return solve(call, run, is_answer=is_answer)


def d2_log_loss_score(
    y_true: Any,
    y_proba: Any = None,
    *,
    sample_weight: Any = None,
    labels: Any = None,
    y_pred: Any = _DEPRECATED,
    eps: float | Literal["auto"] = _AUTO,
    from_logits: bool = False,
    soft_targets: bool = False,
    label_smoothing: float = _NONE,
) -> float:
    r"""Fraction of the log loss explained.

    A drop-in for :func:`sklearn.metrics.d2_log_loss_score`:

    .. math::
        D^2 = 1 - \frac{L(y, p)}{L(y, \bar p)}

    where :math:`\bar p` gives to each class its (weighted) share of `y_true`: the mean
    target, after smoothing, of targets. In click models :math:`1 - D^2` is called the
    normalized entropy (or cross-entropy).

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_classes)
        True labels, numbers or strings, or an indicator matrix of them; with
        `soft_targets` targets.
    y_proba : array-like of shape (n_samples,) or (n_samples, n_classes)
        Probabilities; as in :func:`log_loss`.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, finite; some may be negative.
    labels : array-like of shape (n_classes,), default=None
        All labels, sorted (else they are, with scikit-learn's warning); needed if some
        do not occur in `y_true`.
    y_pred : array-like
        Former name of `y_proba`, with scikit-learn's deprecation warning.
    eps : "auto" or float in [0, 0.5), default="auto"
        Where to clip, as in :func:`log_loss`, the shares too. "auto" clips these as
        float64, whatever `y_proba` is, as scikit-learn does.
    from_logits : bool, default=False
        `y_proba` holds logits; as in :func:`log_loss`.
    soft_targets : bool, default=False
        `y_true` holds targets; as in :func:`log_loss`.
    label_smoothing : float in [0, 1), default=0.0
        Share of every target that is spread evenly over all classes.

    Returns
    -------
    d2 : float
        1.0 is perfect, 0.0 as good as the shares, negative worse. NaN, with
        scikit-learn's warning, for fewer than two rows.

    Raises
    ------
    ValueError, TypeError, ZeroDivisionError
        Those of scikit-learn, for input that it rejects, with a note as of
        :func:`log_loss`.

    References
    ----------
    D. McFadden (1974). Conditional logit analysis of qualitative choice behavior. In
    P. Zarembka (ed.), Frontiers in Econometrics, pp. 105-142. Academic Press.

    X. He et al. (2014). Practical lessons from predicting clicks on ads at Facebook.
    ADKDD'14, section 2.2: normalized entropy.

    Examples
    --------
    >>> from fastlogloss import d2_log_loss_score
    >>> round(d2_log_loss_score([0, 0, 1, 1], [0.1, 0.4, 0.8, 0.6]), 6)
    0.513034
    """
    spec = spec_of(eps, from_logits, soft_targets, label_smoothing)
    call = Call(y_true, y_proba, sample_weight, labels, True, spec, _NAMES)
    call = call._replace(function="d2_log_loss_score", drop_in=is_plain(spec))
    is_answer = is_plain(spec) and spec.eps is None
    if not _is_default(y_pred):
        if not is_plain(spec):
            raise TypeError("logits, targets and smoothing go with y_proba, not y_pred")
        value, call = _renamed(call, y_pred)
        if is_answer:
            return value

    def run(problem: Problem) -> float:
        n = len(problem.p)
        if n < 2:  # a warning, and NaN
            value: float
            value = _sklearn.original("d2_log_loss_score")(np.zeros(n), np.zeros(n))
            return value
        sums = sums_of(problem)
        weight = weight_of(problem, sums, normalize=True)
        remark(problem, sums)
        return explained(problem, sums.loss, weight)

    return solve(call, run, is_answer=is_answer)


def sample_log_loss(
    y_true: Any,
    y_proba: Any,
    *,
    labels: Any = None,
    eps: float | Literal["auto"] = _AUTO,
    from_logits: bool = False,
    soft_targets: bool = False,
    label_smoothing: float = _NONE,
    out: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    r"""Log loss of each row, in nats.

    That is :math:`-\log q_i`, where :math:`q_i` is the probability given to the true
    class of row i, clipped to ``[eps, 1 - eps]``; of targets t the mean of it,
    :math:`-\sum_k t_{ik} \log p_{ik}`.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_classes)
        True labels, numbers or strings; with `soft_targets` targets.
    y_proba : array-like of shape (n_samples,) or (n_samples, n_classes)
        Probabilities; as in :func:`log_loss`.
    labels : array-like of shape (n_classes,), default=None
        All labels, sorted (else they are, with scikit-learn's warning); needed if some
        do not occur in `y_true`.
    eps : "auto" or float in [0, 0.5), default="auto"
        Where to clip; as in :func:`log_loss`.
    from_logits : bool, default=False
        `y_proba` holds logits; as in :func:`log_loss`.
    soft_targets : bool, default=False
        `y_true` holds targets; as in :func:`log_loss`.
    label_smoothing : float in [0, 1), default=0.0
        Share of every target that is spread evenly over all classes.
    out : ndarray of float64, shape (n_samples,), default=None
        Written to and returned, if given; any strides. It may overlap the other
        arguments (and is written to by way of a copy then). It is left as it was where
        an error is raised, for which all rows are validated before the first is
        written. But for that copy a call with it needs no more than a mebibyte, for
        numbers in arrays of whatever type and layout, for up to 1,000 classes on two
        threads: each takes up to 450 bytes a class. Lists, strings and columns of data
        frames may take memory for each row.

    Returns
    -------
    losses : ndarray of float64, shape (n_samples,)
        Unweighted, within 1.5 ULP of the exact values (from logits 1e-15, relative):
        their mean is ``log_loss(y_true, y_proba)``.

    Raises
    ------
    ValueError, TypeError
        Those of scikit-learn's `log_loss`, for input that it rejects, with a note as of
        :func:`log_loss`; TypeError for an `out` that is no ndarray of float64,
        ValueError for one that is read-only or of another shape.

    Warns
    -----
    UserWarning
        As of :func:`log_loss`.

    References
    ----------
    C. M. Bishop (2006). Pattern Recognition and Machine Learning, sections 4.3.2 and
    4.3.4. Springer.

    Examples
    --------
    >>> from fastlogloss import sample_log_loss
    >>> sample_log_loss([0, 0, 1], [0.1, 0.4, 0.8]).round(6)
    array([0.105361, 0.510826, 0.223144])
    """
    spec = spec_of(eps, from_logits, soft_targets, label_smoothing)
    call = Call(y_true, y_proba, None, labels, True, spec, _NAMES)
    call = call._replace(drop_in=is_plain(spec))

    def run(problem: Problem) -> NDArray[np.float64]:
        if out is None:
            rows, sums = rows_of(problem)
            remark(problem, sums)
            return rows
        check_out(out, (np.float64,))
        check_rows(out, len(problem.p))
        # All is validated before the first row is written.
        remark(problem, sums_of(problem, check_only=True))
        return write_rows(problem, out)

    return solve(call, run, is_answer=False)


def _is_default(y_pred: Any) -> bool:
    return type(y_pred) is str and y_pred == _DEPRECATED


def _renamed(call: Call, y_pred: Any) -> tuple[float, Call]:
    """scikit-learn's word on `y_pred`, or its refusal of both; and the call by it."""
    keywords = {"sample_weight": call.sample_weight, "labels": call.labels}
    if call.function == "log_loss":
        keywords["normalize"] = call.normalize
    if call.scores is not None:
        keywords["y_proba"] = call.scores
    value: float
    value = _sklearn.original(call.function)(call.y_true, y_pred=y_pred, **keywords)
    return value, call._replace(scores=y_pred, is_settled=True)
