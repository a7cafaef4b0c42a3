"""Loss, gradient and hessian of a `Problem`."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastlogloss._arrays import overlap
from fastlogloss._engine import Sums, sum_of_weights
from fastlogloss._errors import Objection, check_out, raise_changed
from fastlogloss._losses import sums_of, weight_of
from fastlogloss._problem import Problem
from fastlogloss._targets import Targets
from fastlogloss._weights import weigh

# Hessians of softmax: exact, and as two libraries of boosted trees have them.
HESSIANS: dict[str, Callable[[int], float]] = {
    "exact": lambda n_classes: 1.0,
    "xgboost": lambda n_classes: 2.0,
    "lightgbm": lambda n_classes: n_classes / (n_classes - 1),
}
_BIG = 600  # exponent that takes any weight, and its inverse, far from the ends


def check_hessian(hessian: Any, from_logits: bool) -> None:
    if not isinstance(hessian, str) or hessian not in HESSIANS:
        raise ValueError(f"hessian must be one of {list(HESSIANS)}, got {hessian!r}")
    if hessian != "exact" and not from_logits:
        raise ValueError(f"hessian={hessian!r} is for from_logits=True")


def derivatives(
    problem: Problem,
    *,
    normalize: bool,
    order: int,
    hessian: str,
    out: Any,
    remark: Callable[[Problem, Sums], None],
) -> tuple[Any, ...]:
    """(loss, gradient) or, for `order` 2, (loss, gradient, hessian).

    `remark` is called with the problem and its sums once all is validated, before
    anything is written to `out`.
    """
    targets, p, shape = problem.targets, problem.p, problem.scores.shape
    if targets.weight_sum is None:
        try:
            targets.weight_sum = weigh(targets.row_weights, len(p), normalize)
        except Objection:
            sums_of(problem, check_only=True)  # of labels and scores it comes first
            raise
    names = ("gradient", "hessian")[:order]
    factor = HESSIANS[hessian](targets.n_classes) if p.ndim == 2 else 1.0
    scaling: dict[str, Any] = {"hessian_factor": factor}
    if normalize:
        scaling |= _scaling(targets)
    if out is None:
        dtype = np.float32 if p.dtype.type is np.float32 else np.float64
        outs: Any = [np.empty(shape, dtype) for _ in names]
    else:
        outs = _checked_outs(out, order, shape)
        for i, o in enumerate(outs):
            if overlap(o, p, targets.row_weights, targets.codes.y, *outs[:i]):
                raise ValueError("out overlaps with another argument")
        # All is validated before the first derivative is written.
        remark(problem, sums_of(problem, check_only=True))
    outputs: dict[str, Any] = {
        name: o.reshape(p.shape) for name, o in zip(names, outs, strict=True)
    }
    sums = sums_of(problem, **outputs, **scaling)
    if out is None:
        remark(problem, sums)
    if not normalize:
        return float(sums.loss), *outs
    if targets.times is None:
        return sums.mean, *outs
    weight = weight_of(problem, sums, normalize)
    factor = scaling.get("weight_factor", 1.0)
    return sums.loss.over(weight.times(factor)), *outs


def _scaling(targets: Targets) -> dict[str, float]:
    # Where 1 / weight_sum would overflow, or be no normal number; powers of 2 change no
    # bit of the mean.
    total, exponent = abs(targets.weight_sum), 0
    if total < 1e-290:
        exponent = -_BIG
    elif total > 2.0**1020:
        exponent = _BIG
    if not exponent:
        total = targets.weight_sum
    else:
        whole = sum_of_weights(targets.row_weights)
        total = math.ldexp(whole.value, whole.exponent - exponent)
    if total == 0 or math.isnan(total):  # it was neither when it was validated
        raise_changed()
    scaling = {"scale": 1.0 / total}
    if exponent:
        scaling["weight_factor"] = 2.0**-exponent
    return scaling


def _checked_outs(
    out: Any, order: int, shape: tuple[int, ...]
) -> tuple[Any, ...] | list[Any]:
    names = ("out",) if order == 1 else ("out[0]", "out[1]")
    outs = (out,) if order == 1 else out
    if not isinstance(outs, tuple | list) or len(outs) != order:
        raise TypeError(
            "out must be a pair of arrays: for the gradient and the hessian"
        )
    for name, array in zip(names, outs, strict=True):
        check_out(array, (np.float64, np.float32), name)
        if array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}, but y_score {shape}")
    return outs
