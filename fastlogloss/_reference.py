"""The slow twins: what the kernels compute, in plain NumPy, for the tests alone.

Labels are codes, the number of the column of each row's class. Input is valid: nothing
is checked here. Every step up to the logarithm (selection, 1 - p, clip) is one exactly
rounded operation, so that a twin and a kernel take the logarithm of the same numbers.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]


def true_class_probabilities(y: Array, p: Array, low: float) -> Floats:
    """Clipped probability of each row's own class.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Codes of the classes, of any real dtype.
    p : ndarray of shape (n,) or (n, n_classes)
        Probabilities, of any real dtype; of class 1 if one-dimensional.
    low : float
        The result is clipped to ``[low, 1 - low]``.

    Returns
    -------
    q : ndarray of float64, shape (n,)
    """
    code = y.astype(np.intp)
    p = p.astype(np.float64)
    if p.ndim == 1:
        p = np.stack([1.0 - p, p], axis=1)
    q = p[np.arange(len(p)), code]
    return np.clip(q, low, 1.0 - low)


def sample_losses(y: Array, p: Array, low: float) -> Floats:
    """Loss of each row.

    Parameters
    ----------
    y, p, low
        As in `true_class_probabilities`.

    Returns
    -------
    losses : ndarray of float64, shape (n,)
        ``-log(q)``; infinite where q is zero.
    """
    with np.errstate(divide="ignore"):
        return 0.0 - np.log(true_class_probabilities(y, p, low))


def loss_sums(y: Array, p: Array, w: Array | None, low: float) -> tuple[float, float]:
    """Sums over all rows of the loss and of the weight.

    Parameters
    ----------
    y, p, low
        As in `true_class_probabilities`.
    w : ndarray of shape (n,) or None
        Weights; None stands for ones.

    Returns
    -------
    loss, weight : float
        Sums of ``-w log(q)`` and of ``w``, each added up without rounding. A row of
        weight zero adds nothing, even if its event was impossible.
    """
    losses = sample_losses(y, p, low)
    if w is None:
        return math.fsum(losses), float(len(losses))
    counted = w != 0
    return math.fsum(losses[counted] * w[counted]), math.fsum(w)


def worst_row(p: Array) -> tuple[int, float]:
    """The first row whose sum is furthest from 1, and that sum.

    Parameters
    ----------
    p : ndarray of shape (n, n_classes)

    Returns
    -------
    row : int
    total : float
        NaN is furthest.
    """
    totals = p.sum(axis=1, dtype=np.float64)
    row = int(np.abs(totals - 1).argmax())
    return row, float(totals[row])


def null_loss(y: Array, w: Array | None, low: float) -> float:
    """Sum of the losses if every row had the shares of the classes as probabilities.

    Parameters
    ----------
    y, w, low
        As in `loss_sums`.

    Returns
    -------
    loss : float
    """
    share = np.bincount(y.astype(np.intp), w)
    share = share / share.sum()
    return loss_sums(y, np.tile(share, (len(y), 1)), w, low)[0]


def targets(y: Array, n_columns: int) -> Floats:
    """Targets that stand for labels.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Codes of the classes, of any real dtype.
    n_columns : int
        Columns of the scores; 1 where they are those of class 1.

    Returns
    -------
    t : ndarray of float64, shape (n,) or (n, n_columns)
    """
    if n_columns == 1:
        return y.astype(np.float64)
    rows: Floats = np.eye(n_columns)[y.astype(np.intp)]
    return rows


def smooth(t: Floats, smoothing: float) -> Floats:
    """Targets, each with a share spread evenly over all classes.

    Parameters
    ----------
    t : ndarray of float64, shape (n,) or (n, n_classes)
        Of class 1 if one-dimensional.
    smoothing : float

    Returns
    -------
    t : ndarray of float64, shape (n, n_classes)
        The small share of one class is not what the other's leaves of 1, rounded.
    """
    t = _both(t)
    share: float = smoothing / t.shape[1]
    return t * (1.0 - smoothing) + share


def _both(t: Floats) -> Floats:
    return np.stack([1.0 - t, t], axis=1) if t.ndim == 1 else t


def logit_rows(t: Floats, z: Array) -> tuple[Floats, Floats, Floats]:
    """Loss of each row of logits, and its derivatives.

    Parameters
    ----------
    t : ndarray of float64, shape of `z` or (n, 2)
        Targets; a row of them sums to one.
    z : ndarray of shape (n,) or (n, n_classes)
        Logits, of any real dtype; of class 1 if one-dimensional. Infinite ones are
        limits: of several that are the largest of a row, each has the same share.

    Returns
    -------
    loss : ndarray of float64, shape (n,)
        ``log(sum(exp(z))) - sum(t z)``
    gradient, hessian : ndarray of float64, shape of `z`
        ``p - t`` and ``p (1 - p)`` for ``p = softmax(z)``.
    """
    z = z.astype(np.float64)
    if z.ndim == 1:
        pairs = np.stack([np.zeros_like(z), z], axis=1)
        t = _both(t)
        loss, gradient, hessian = logit_rows(t, pairs)
        p, other = _softmax(pairs)
        # The whole of a label, and both parts of what is between two labels.
        parts = t[:, 0] * p[:, 1] - t[:, 1] * other
        return loss, np.where(t[:, 0] == 0, gradient[:, 1], parts), hessian[:, 1]
    i = np.arange(len(z))
    likeliest = z.argmax(axis=1)
    below = _below(z)
    e = np.exp(-below)
    e[i, likeliest] = 0.0
    with np.errstate(invalid="ignore"):
        linear = np.where(t == 0, 0.0, t * below).sum(axis=1)
    loss = linear + np.log1p(e.sum(axis=1))
    p, _ = _softmax(z)
    # 1 - p of the likeliest class is what the others have, however little it is.
    complement = 1.0 - p
    e = p.copy()
    e[i, likeliest] = 0.0
    complement[i, likeliest] = e.sum(axis=1)
    return loss, np.where(t == 1, -complement, p - t), p * complement


def _below(z: Floats) -> Floats:
    """How far each logit is below the largest of its row."""
    top = z.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.where(z == top, 0.0, top - z)


def _softmax(z: Floats) -> tuple[Floats, Floats]:
    """Probabilities, and that of the first class."""
    e = np.exp(-_below(z))
    p = e / e.sum(axis=1, keepdims=True)
    return p, p[:, 0]


def probability_rows(t: Floats, p: Array, low: float) -> tuple[Floats, Floats, Floats]:
    """Loss of each row of probabilities, and its derivatives.

    Parameters
    ----------
    t : ndarray of float64, shape of `p` or (n, 2)
        Targets.
    p : ndarray of shape (n,) or (n, n_classes)
        Probabilities, of any real dtype; of class 1 if one-dimensional.
    low : float
        Probabilities are clipped to ``[low, 1 - low]``; there, and on the edges, the
        derivatives are zero. An end that nothing is clipped to is no edge.

    Returns
    -------
    loss : ndarray of float64, shape (n,)
        ``-sum(t log(p))``; a target of zero silences an impossible event.
    gradient, hessian : ndarray of float64, shape of `p`
        ``-t / p`` and ``t / p^2``; of both classes if one-dimensional.
    """
    p = p.astype(np.float64)
    if p.ndim == 1:
        pairs = np.stack([1.0 - p, p], axis=1)
        loss, gradient, hessian = probability_rows(_both(t), pairs, low)
        return loss, gradient[:, 1] - gradient[:, 0], hessian.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = -np.where(t == 0, 0.0, t * np.log(np.clip(p, low, 1.0 - low)))
        above, below = p > low, p < 1.0 - low
        active = (t != 0) & (above | (low == 0)) & (below | (1.0 - low == 1))
        gradient = np.where(active, -t / p, 0.0)
        hessian = np.where(active, t / p / p, 0.0)
    return loss.sum(axis=1), gradient, hessian
