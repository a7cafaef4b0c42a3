"""The short way: few rows that are plain and good, without a look at anything else.

The kernels say whether they are, or None; then everything is read at length, by
`_problem.read`, to the same answer. A call of a hundred rows is made of objects and
calls, so that these are counted here: nothing is validated twice, what depends on the
options alone is remembered, and no class of ours is instantiated.
"""

import functools
from types import ModuleType
from typing import Any

import numpy as np

from fastlogloss._arrays import array_of_series
from fastlogloss._engine import new_spec
from fastlogloss._kernels import loops
from fastlogloss._problem import checked_spec

_SHORT = 8192  # scores
_TOLERANCE = 1e-6  # of the sum of a row of float64 targets


def mean(y: Any, p: Any, w: Any, labels: Any, *options: Any) -> float | None:
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
    spec = _spec_for(p, labels, options)
    if spec is None:
        return None
    loss: float | None = spec.mean(y, p, w, labels is None and not options[2])
    return loss


def _spec_for(p: Any, labels: Any, options: tuple[Any, ...]) -> Any:
    """The kernels' `Spec` for scores like `p`, whose labels are codes; or None."""
    n_columns = 1 if p.ndim == 1 else p.shape[1] if p.ndim == 2 else 0
    if n_columns == 0:
        return None
    try:
        if labels is not None and not _are_codes(labels, n_columns):
            return None
        return spec_of_kernel(loops, n_columns, *options)
    except (TypeError, ValueError):  # the reader says of what
        return None


def _are_usual(_: Any, from_logits: Any, soft_targets: Any, smoothing: Any) -> bool:
    flags = from_logits is False and soft_targets is False
    return flags and type(smoothing) is float and smoothing == 0


def derivatives(
    y: Any,
    p: Any,
    labels: Any,
    options: tuple[Any, ...],
    order: int,
    normalize: bool,
    out: Any,
) -> tuple[Any, ...] | None:
    """(loss, gradient) or (loss, gradient, hessian), without weights; or None."""
    if type(p) is not np.ndarray or type(y) is not np.ndarray:
        return None
    spec = _spec_for(p, labels, options)
    if spec is None:
        return None
    complete = labels is None and not options[2]
    found: tuple[Any, ...] | None
    found = spec.slopes(y, p, None, len(p), order, normalize, out, complete)
    return found


@functools.lru_cache(maxsize=64, typed=True)
def spec_of_kernel(_: ModuleType, n_columns: int, *options: Any) -> Any:
    """The kernels' `Spec` of these options, of the loops in use."""
    return new_spec(n_columns, checked_spec(*options), _TOLERANCE)


def _are_codes(labels: Any, n_columns: int) -> bool:
    """Whether labels are 0, 1, and so on: one for each column, or two."""
    if type(labels) is np.ndarray:
        labels = labels.tolist()
    return type(labels) is list and labels == list(range(max(n_columns, 2)))
