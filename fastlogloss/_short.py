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
    if w is not None and type(w) is not np.ndarray:
        return None
    n_columns = 1 if p.ndim == 1 else p.shape[1] if p.ndim == 2 else 0
    if n_columns == 0:
        return None
    try:
        like = state_of(n_columns, *options)
    except (TypeError, ValueError):  # the reader says of what
        return None
    if options[2] is False:
        y = _codes(y, n_columns, labels)
    elif labels is not None:
        return None
    return None if y is None else loops.mean_like(like, y, p, w)


def _are_usual(_, from_logits, soft_targets, smoothing):
    flags = from_logits is False and soft_targets is False
    return flags and type(smoothing) is float and smoothing == 0


@functools.lru_cache(maxsize=64, typed=True)
def state_of(n_columns, *options):
    """A `LossState` of these options, for its parameters."""
    spec = checked_spec(*options)
    low, tolerance = limits(FLOAT64, max(n_columns, 2))
    if spec.eps is not None:
        low = spec.eps
    return loops.LossState(
        n_columns,
        low,
        1.0 - low,
        tolerance,
        from_logits=spec.from_logits,
        soft=spec.soft,
        smoothing=spec.smoothing,
        target_tolerance=_TOLERANCE,
    )


def _codes(y, n_columns, labels):
    """Labels as codes: all of them occur, or they are named. Or None."""
    if y.ndim != 1:
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
