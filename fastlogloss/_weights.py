"""Weights of rows, and their sum, whatever their magnitude."""

import math
from typing import Any

import numpy as np

from fastlogloss._arrays import Array, as_weights, is_array_like
from fastlogloss._engine import sum_of_weights
from fastlogloss._errors import (
    Objection,
    ZeroSum,
    describe,
    find,
    place,
    raise_changed,
)
from fastlogloss._sums import Sum


def read_weights(sample_weight: Any, n: int, strict: bool = True) -> Array | None:
    """Weights of any real type, or None. With `strict` as scikit-learn reads them."""
    if sample_weight is None:
        return None
    weights = None
    if not strict or type(sample_weight) is np.ndarray or is_array_like(sample_weight):
        weights = as_weights(sample_weight, n)
    if weights is None:
        raise Objection(
            "sample_weight",
            lambda: (
                f"sample_weight must be {n} real numbers of up to 64 bits, got "
                f"{describe(sample_weight)}"
            ),
            unread=True,
        )
    return weights


def weigh(weights: Array | None, n: int, mean: bool = True) -> float:
    """The sum of weights that are finite; infinite where it is beyond floats.

    With `mean` it is not zero; without, at least one weight is not.
    """
    if weights is None:
        return float(n)
    total = float(sum_of_weights(weights))
    if total == 0 or not math.isfinite(total):
        total = float(exact_weight(weights, mean))
    return total


def exact_weight(weights: Array, mean: bool) -> Sum:
    """Likewise the `Sum`, rounded once."""
    at = find(lambda w: ~np.isfinite(w), weights)
    if at is not None:
        raise Objection(
            "sample_weight",
            f"sample_weight must be finite, got {weights[at]} in {place(at)}",
        )
    total = sum_of_weights(weights)
    if math.isnan(total.value):
        raise_changed()
    if total.value == 0 and mean:
        raise Objection("sample_weight", "sample_weight sums to zero", error=ZeroSum)
    if total.value == 0 and find(lambda w: w != 0, weights) is None:
        raise Objection("sample_weight", "sample_weight is zero in all rows")
    return total
