"""The short way: few rows that are plain and good, without a look at anything else.

The kernels say whether they are, or None; then everything is read at length, by
`_problem.read`, to the same answer. A call of a hundred rows is made of objects and
calls, so that these are counted here: nothing is validated twice, what depends on the
options alone is remembered, and no class of ours is instantiated.
"""

import functools
import struct

import numpy as np

from fastlogloss._arrays import DOUBLE, FLOAT64, array_of_series, limits
from fastlogloss._kernels import loops
from fastlogloss._labels import RecordTable
from fastlogloss._problem import checked_spec

_PAIR = struct.Struct("qq"), struct.Struct("dd")
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
        like = state_of(loops, n_columns, *options)
        if not options[2]:  # no targets
            y = _codes(y, n_columns, labels)
        elif labels is not None:
            return None
    except (TypeError, ValueError):  # the reader says of what
        return None
    return None if y is None else loops.mean_like(like, y, p, w)


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
        new = maker_of(loops, n_columns, *options)
        if labels is not None:
            if type(labels) is not list or labels != _all_codes(n_columns):
                return None
        elif not options[2]:  # no targets
            n_all = max(n_columns, 2)
    except (TypeError, ValueError):  # the reader says of what
        return None
    return slopes(new, y, p, None, len(p), n_all, request)


def slopes(new, y, p, w, total, n_all, request):
    """(loss, gradient) or (loss, gradient, hessian), or None.

    Parameters
    ----------
    new : callable
        Makes an empty state; see `maker`.
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
    state, scale = new(), 1.0
    if normalize:
        if not 1e-290 < abs(total) < 1e300:
            return None
        scale = 1.0 / total
    if not state.add(
        y,
        p,
        w,
        gradient=gradient,
        hessian=hessian,
        scale=scale,
        hessian_factor=factor,
    ):
        return None
    if state.status or not state.in_range:
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
def maker_of(_, n_columns, *options):
    """Makes empty states of these options, of the loops in use."""
    return maker(n_columns, checked_spec(*options), _TOLERANCE)


def maker(n_columns, spec, tolerance):
    """Makes empty states, as the engine does."""
    low, sums = limits(FLOAT64, max(n_columns, 2))
    if spec.eps is not None:
        low = spec.eps
    return functools.partial(
        loops.LossState,
        n_columns,
        low,
        1.0 - low,
        sums,
        from_logits=spec.from_logits,
        soft=spec.soft,
        smoothing=spec.smoothing,
        target_tolerance=tolerance,
    )


@functools.lru_cache(maxsize=64, typed=True)
def state_of(*arguments):
    """A state for its parameters alone."""
    return maker_of(*arguments)()


def _codes(y, n_columns, labels):
    """Labels as codes: all of them occur, or they are named. Or None."""
    if y.ndim != 1 or len(y) > _SHORT:
        return None
    if labels is None:
        even = _even(len(y), n_columns)
        if loops.mean_loss(y, even, *DOUBLE) is not None:  # it sees them all
            return y
    elif type(labels) is not list:
        if type(labels) is not np.ndarray:
            return None
        labels = labels.tolist()
    if labels is not None and labels == _all_codes(n_columns):
        return y
    return _codes_of_two(y, labels) if n_columns <= 2 else None


@functools.lru_cache(maxsize=16)
def _even(n, n_columns):
    return np.full((n,) if n_columns == 1 else (n, n_columns), 1 / max(n_columns, 2))


@functools.lru_cache(maxsize=64)
def _all_codes(n_columns):
    return list(range(max(n_columns, 2)))


def _codes_of_two(y, labels):
    """Codes of two whole numbers, the greater being 1; or None."""
    kind = y.dtype.char
    if kind not in "lqd" or y.itemsize != 8:
        return None
    if not (y.flags.c_contiguous and y.flags.aligned and y.dtype.isnative):
        return None
    table, codes = RecordTable(8, 2), np.empty(len(y), np.uint8)
    if not table.encode(y, codes):
        return None
    found = table.tobytes()
    if len(found) != 16:
        return None
    first, second = _PAIR[kind == "d"].unpack(found)
    if first > second:
        first, second = second, first
        codes ^= 1
    if kind == "d" and not (first.is_integer() and second.is_integer()):
        return None
    is_right = labels is None or labels == [first, second]
    return codes if is_right and first < second else None
