"""Log loss with its gradient and hessian, in one pass."""

import functools
from typing import Any, Final, Literal

from fastlogloss import _short
from fastlogloss._derivatives import check_hessian, derivatives
from fastlogloss._policy import check_normalize, remark, solve
from fastlogloss._problem import Call, spec_of
from fastlogloss._sums import Floats

_EXACT: Final = "exact"


def log_loss_gradient(
    y_true: Any,
    y_score: Any,
    *,
    normalize: bool = True,
    sample_weight: Any = None,
    labels: Any = None,
    eps: float | Literal["auto"] = "auto",
    from_logits: bool = False,
    soft_targets: bool = False,
    label_smoothing: float = 0.0,
    out: Floats | None = None,
) -> tuple[float, Floats]:
    r"""Log loss and its gradient with respect to the scores, in one pass.

    From logits z the gradient of a row is :math:`p - t`, with p = sigmoid(z) or
    softmax(z) and t the target; from probabilities it is :math:`-t / p` for each class
    (for a vector of probabilities of class 1: :math:`(1 - t) / (1 - p) - t / p`).

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_classes)
        Labels, or an indicator matrix of them; with `soft_targets` numbers in [0, 1]:
        the probability of class 1, or rows of a distribution, whose sum is 1 within
        1e-6 (float32 targets: 3.5e-4, float16: 0.03, bfloat16: 0.09).
    y_score : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities, or logits with `from_logits`. One column is that of the greater
        label. Columns of a data frame that are named for the classes have to be in
        their order.
    normalize : bool, default=True
        Return the mean loss, and the derivatives of the mean: those of the sum,
        divided by the sum of the weights.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, finite; some may be negative. With `normalize` their sum
        must not be zero.
    labels : array-like of shape (n_classes,), default=None
        All labels, sorted (else they are, with scikit-learn's warning); needed if some
        do not occur in `y_true`, as in small batches.
    eps : "auto" or float in [0, 0.5), default="auto"
        Where to clip probabilities, as in :func:`log_loss`; logits are not clipped.
    from_logits : bool, default=False
        `y_score` holds logits, any number but NaN.
    soft_targets : bool, default=False
        `y_true` holds targets instead of labels.
    label_smoothing : float in [0, 1), default=0.0
        Share of every target that is spread evenly over all classes.
    out : ndarray of float64 or float32, shape of `y_score`, default=None
        Receives the gradient, in any strides. It is left as it was where an error is
        raised, for which all rows are looked at before the first is written; it must
        not overlap the other arguments, but may interleave with them. With it, a call
        needs no more than a mebibyte, for numbers in arrays of whatever type and layout
        (up to 1,000 classes on up to three threads, which need 256 bytes a class);
        lists, strings and columns of data frames may take memory for each row.

    Returns
    -------
    loss : float
        In nats; for logits within 2e-15 of the exact value, relative.
    gradient : ndarray, shape of `y_score`
        Derivatives of `loss`, within 1e-14, relative (for targets between 0 and 1,
        relative to p and t, whose difference they are), where both their factors are
        normal numbers: the derivative of the row, and its share of the weights. They
        are those of the function that is computed, so zero where a probability is
        clipped (or on the edge). float32 if `y_score` is, else float64; or `out`.

    Raises
    ------
    ValueError, TypeError, ZeroDivisionError
        For arguments that are not as above; the message names the argument and the
        first row. What :func:`log_loss` refuses is refused by an error of the same
        class, which is a ValueError as well.

    Warns
    -----
    UserWarning
        If rows of probabilities do not sum to one; of unsorted `labels`.

    References
    ----------
    C. M. Bishop (2006). Pattern Recognition and Machine Learning, sections 4.3.2 (two
    classes) and 4.3.4 (several), and equation 5.18. Springer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlogloss import log_loss_gradient
    >>> loss, gradient = log_loss_gradient([0, 1], [-20.0, 0.0], from_logits=True)
    >>> round(loss, 6)
    0.346574
    >>> gradient
    array([ 1.03057681e-09, -2.50000000e-01])
    """
    options = eps, from_logits, soft_targets, label_smoothing
    if sample_weight is None and type(normalize) is bool:
        found = _short.derivatives(y_true, y_score, labels, options, 1, normalize, out)
        if found is not None:
            return found
    call = Call(y_true, y_score, sample_weight, labels, normalize, spec_of(*options))
    result: tuple[float, Floats] = _derivatives(call, 1, "exact", out)
    return result


def log_loss_gradient_hessian(
    y_true: Any,
    y_score: Any,
    *,
    normalize: bool = True,
    sample_weight: Any = None,
    labels: Any = None,
    eps: float | Literal["auto"] = "auto",
    from_logits: bool = False,
    soft_targets: bool = False,
    label_smoothing: float = 0.0,
    hessian: Literal["exact", "xgboost", "lightgbm"] = _EXACT,
    out: tuple[Floats, Floats] | None = None,
) -> tuple[float, Floats, Floats]:
    r"""Log loss, its gradient and the diagonal of its hessian, in one pass.

    The hessian is diagonal in the rows; within a row of several classes only the
    diagonal is returned, :math:`p (1 - p)` from logits and :math:`t / p^2` from
    probabilities.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_classes)
        Labels or, with `soft_targets`, targets; as in :func:`log_loss_gradient`.
    y_score : array-like of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Probabilities, or logits with `from_logits`.
    normalize : bool, default=True
        The mean and its derivatives; otherwise those of the sum.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, finite; some may be negative. With `normalize` their sum
        must not be zero.
    labels : array-like of shape (n_classes,), default=None
        All labels, sorted (else they are, with scikit-learn's warning); needed if some
        do not occur in `y_true`.
    eps : "auto" or float in [0, 0.5), default="auto"
        Where to clip probabilities.
    from_logits : bool, default=False
        `y_score` holds logits, any number but NaN.
    soft_targets : bool, default=False
        `y_true` holds targets instead of labels.
    label_smoothing : float in [0, 1), default=0.0
        Share of every target that is spread evenly over all classes.
    hessian : {"exact", "xgboost", "lightgbm"}, default="exact"
        For logits of several columns, the convention in use: :math:`p (1 - p)`,
        :math:`2 p (1 - p)` or :math:`K / (K - 1) p (1 - p)` for K classes.
    out : (ndarray, ndarray), default=None
        Receive gradient and hessian; as in :func:`log_loss_gradient`.

    Returns
    -------
    loss : float
        In nats.
    gradient, hessian : ndarray, shape of `y_score`
        As in :func:`log_loss_gradient`.

    Raises
    ------
    ValueError, TypeError, ZeroDivisionError
        For arguments that are not as above; the message names the argument and the
        first row. What :func:`log_loss` refuses is refused by an error of the same
        class, which is a ValueError as well.

    Warns
    -----
    UserWarning
        If rows of probabilities do not sum to one; of unsorted `labels`.

    Notes
    -----
    From logits :math:`\partial p_k / \partial z_k = p_k (1 - p_k)`, which is the
    derivative of the gradient p - t. XGBoost doubles it for several classes;
    LightGBM's factor K / (K - 1) is that of a softmax in which one class is redundant
    (Friedman, Hastie and Tibshirani).

    References
    ----------
    C. M. Bishop (2006). Pattern Recognition and Machine Learning, equations 4.88 and
    4.106. Springer.

    J. Friedman, T. Hastie, R. Tibshirani (2000). Additive logistic regression: a
    statistical view of boosting. Annals of Statistics 28(2), pp. 337-407.

    Examples
    --------
    >>> from fastlogloss import log_loss_gradient_hessian
    >>> loss, gradient, hessian = log_loss_gradient_hessian(
    ...     [0, 1], [0.0, 0.0], from_logits=True, normalize=False
    ... )
    >>> gradient, hessian
    (array([ 0.5, -0.5]), array([0.25, 0.25]))
    """
    options = eps, from_logits, soft_targets, label_smoothing
    if sample_weight is None and type(normalize) is bool and hessian is _EXACT:
        found = _short.derivatives(y_true, y_score, labels, options, 2, normalize, out)
        if found is not None:
            return found
    call = Call(y_true, y_score, sample_weight, labels, normalize, spec_of(*options))
    result: tuple[float, Floats, Floats] = _derivatives(call, 2, hessian, out)
    return result


def _derivatives(call: Call, order: int, hessian: str, out: Any) -> Any:
    check_normalize(call)
    check_hessian(hessian, call.spec.from_logits)
    run = functools.partial(
        derivatives,
        normalize=call.normalize,
        order=order,
        hessian=hessian,
        out=out,
        remark=remark,
    )
    return solve(call, run)
