"""The short way: few rows that are plain and good, without a look at anything else.

The kernels say whether they are, or None; then everything is read at length, by
`_problem.read`, to the same answer. A call of a hundred rows is made of objects and
calls, so that these are counted here: nothing is validated twice, what depends on the
options alone is remembered, and no class of ours is instantiated.
"""

import functools

import numpy as np

from fastlogloss._arrays import FLOAT64, array_of_series
from fastlogloss._engine import new_spec
from fastlogloss._kernels import loops
from fastlogloss._problem import checked_spec

_SHORT = 8192  # scores
_TOLERANCE = 1e-6  # of the sum of a row of float64 targets


def mean(y, p, w, labels, *options):
    """Mean loss, or None.

    The arguments are those of the public functions; `options` are eps, from_logits,
    soft_targets and label_smoothing.
    """
    if type(p) is not np.ndarray or type(y) is not np.ndarray:
        if not _are_usual(*options):  # names of columns may matter
            return None
        y, p = array_of_series(y), array_of_series(p)
        if type(p) is not np.ndarray or type(y) is not np.ndarray:
            return None
    if p.size > _SHORT or (w is not None and type(w) is not np.ndarray):
        return None
    n_columns = 1 if p.ndim == 1 else p.shape[1] if p.ndim == 2 else 0
    if n_columns == 0:
        return None
    try:
        if labels is not None and not _are_codes(labels, n_columns):
            return None
        spec = spec_of_kernel(loops, n_columns, *options)
    except (TypeError, ValueError):  # the reader says of what
        return None
    return spec.mean(y, p, w, labels is None and not options[2])


def _are_usual(_, from_logits, soft_targets, smoothing):
    flags = from_logits is False and soft_targets is False
    return flags and type(smoothing) is float and smoothing == 0


def derivatives(y, p, labels, options, request):
    """`slopes` of the arguments of the public functions, without weights; or None."""
    if type(p) is not np.ndarray or type(y) is not np.ndarray:
        return None
    n_columns = 1 if p.ndim == 1 else p.shape[1] if p.ndim == 2 else 0
    if n_columns == 0:
        return None
    n_all = 0
    try:
        if labels is None:
            n_all = 0 if options[2] else max(n_columns, 2)  # not of targets
        elif not _are_codes(labels, n_columns):
            return None
        spec = spec_of_kernel(loops, n_columns, *options)
    except (TypeError, ValueError):  # the reader says of what
        return None
    return slopes(spec, y, p, None, len(p), n_all, request)


def slopes(spec, y, p, w, total, n_all, request):
    """(loss, gradient) or (loss, gradient, hessian), or None.

    Parameters
    ----------
    spec : Spec
        Of the kernels.
    y, p, w
        Labels that are codes, or targets; scores; weights or None.
    total : float
        Sum of the weights.
    n_all : int
        Different labels that have to occur.
    request : tuple
        normalize, order, factor of the hessian, out.
    """
    normalize, order, factor, out = request
    if p.dtype is not FLOAT64 or not 0 < p.size <= _SHORT or p.base is not None:
        return None
    outs = (out,) if order == 1 else out
    if out is not None:
        if type(outs) is not tuple or len(outs) != order:
            return None
        for o in outs:
            if not _is_free(o, p, y):
                return None
        if order == 2 and outs[0] is outs[1]:
            return None
    gradient, hessian = np.empty(p.shape), np.empty(p.shape) if order == 2 else None
    scale = 1.0
    if normalize:
        if not 1e-290 < abs(total) < 1e300:
            return None
        scale = 1.0 / total
    try:
        state = spec.run(
            y,
            p,
            w,
            gradient=gradient,
            hessian=hessian,
            scale=scale,
            hessian_factor=factor,
        )
    except TypeError:  # of labels that are no numbers, or too many
        return None
    if state.status or state.signed or not state.in_range:
        return None
    if n_all and state.n_classes_seen != n_all:
        return None
    loss = state.loss
    if normalize:
        loss = loss / state.weight
    found = (gradient,) if order == 1 else (gradient, hessian)
    if out is None:
        return loss, *found
    for o, values in zip(outs, found, strict=True):
        o[...] = values
    return loss, *outs


def _is_free(out, p, y):
    """Whether it can be written to and surely is no part of another argument."""
    return (
        type(out) is np.ndarray
        and out.dtype is FLOAT64
        and out.shape == p.shape
        and out.flags.writeable
        and out.base is None
        and y.base is None
        and out is not p
        and out is not y
    )


@functools.lru_cache(maxsize=64, typed=True)
def spec_of_kernel(_, n_columns, *options):
    """The kernels' `Spec` of these options, of the loops in use."""
    return new_spec(n_columns, checked_spec(*options), _TOLERANCE)


def _are_codes(labels, n_columns):
    """Whether labels are 0, 1, and so on: one for each column, or two."""
    if type(labels) is np.ndarray:
        labels = labels.tolist()
    return type(labels) is list and labels == list(range(max(n_columns, 2)))
