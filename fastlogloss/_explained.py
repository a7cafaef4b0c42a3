"""What share of the loss of a `Problem` is explained: D2."""

import math
from collections.abc import Iterable

import numpy as np

from fastlogloss._arrays import DOUBLE, Array
from fastlogloss._engine import Spec, add, null_loss, sums_by_class
from fastlogloss._errors import ZeroSum
from fastlogloss._labels import Codes
from fastlogloss._problem import Problem
from fastlogloss._sums import Sum
from fastlogloss._targets import Targets

_CHUNK = 16384
_USUAL = Spec()


def explained(problem: Problem, loss: Sum, weight: Sum) -> float:
    """The share of the loss that is explained, of sums over the rows."""
    targets, spec = problem.targets, problem.spec
    is_usual = not (spec.soft or spec.smoothing) and spec.eps is None
    if is_usual:
        null = null_loss(targets.codes, targets.n_classes, targets.weights)
        return 1.0 - loss.over(null)
    mean = mean_target(targets, weight, spec.soft)
    if targets.minus is not None:
        mean += mean_target(targets.minus, weight, spec.soft)
    if spec.smoothing:
        rest = math.fsum(mean) / targets.n_classes
        mean = (1.0 - spec.smoothing) * mean + spec.smoothing * rest
    return 1.0 - Sum(loss.over(weight)).over(Sum(null_of(mean, spec)))


def null_of(share: Array, spec: Spec) -> float:
    """Mean loss of a model that gives to each class its share of the targets."""
    low = DOUBLE[0] if spec.eps is None else spec.eps
    clipped = np.clip(share, low, 1.0 - low)
    losses = np.empty(len(share))
    ones = Codes(np.ones(len(share), np.uint8))
    add(ones, clipped, None, _USUAL._replace(eps=low), losses)
    null = math.fsum(m * loss for m, loss in zip(share, losses, strict=True) if m)
    if null == 0:
        raise ZeroSum("D2 is not defined where the shares of the classes cost nothing")
    return null


def mean_target(targets: Targets, weight: Sum, soft: bool = False) -> Array:
    """The weighted mean of the targets, for each class."""
    codes, weights = targets.codes, targets.weights
    if not soft:
        totals, exponent = sums_by_class(codes, targets.n_classes, weights)
        return _over(totals, Sum(weight.value, weight.exponent - exponent))
    chunks = range(0, len(codes), _CHUNK)
    power = 0
    if weights is not None:
        top = max(float(np.abs(weights[i : i + _CHUNK]).max()) for i in chunks)
        power = -math.frexp(top)[1]
    parts = []
    for start in chunks:
        chunk = slice(start, start + _CHUNK)
        y = codes.chunk(start, start + _CHUNK)
        w = np.ones(len(y))
        if weights is not None:
            w = np.ldexp(weights[chunk].astype(np.float64), power)
        if y.ndim == 2:
            parts.append((y * w[:, None]).sum(axis=0))
        else:
            parts.append(np.array([math.fsum((1 - y) * w), math.fsum(y * w)]))
    return _over(parts, Sum(weight.value, weight.exponent + power))


def _over(totals: Iterable[Array], whole: Sum) -> Array:
    columns = zip(*totals, strict=True)
    return np.array([Sum(math.fsum(column)).over(whole) for column in columns])
