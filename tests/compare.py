"""Ours against scikit-learn's: what a call does, as a value that can be compared."""

import math
import warnings
from collections import namedtuple

import numpy as np
import sklearn.metrics

import fastlogloss

Outcome = namedtuple("Outcome", "value error warnings")

METRICS = ("log_loss", "d2_log_loss_score")

# scikit-learn adds up in the dtype of the probabilities, ours in float64. Two digits
# are left to the logarithms and sums of float64. In float32 and float16 a row's 1 - p
# is rounded too, by half an epsilon: that is an absolute error of its loss.
_TOLERANCES = {
    "float64": (1e-12, 1e-15),
    "float32": (1e-5, 2.0**-22),
    "float16": (2e-2, 2.0**-9),
}


def outcome(function, *args, **kwargs):
    """Value, (class, text) of the exception, and (class, text) of every warning."""
    value = error = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = function(*args, **kwargs)
        except Exception as raised:
            error = type(raised), str(raised)
    return Outcome(value, error, [(w.category, str(w.message)) for w in caught])


def both(metric, *args, **kwargs):
    """Outcomes of our function and of scikit-learn's."""
    return (
        outcome(getattr(fastlogloss, metric), *args, **kwargs),
        outcome(getattr(sklearn.metrics, metric), *args, **kwargs),
    )


def assert_same(metric, *args, dtype="float64", n_summed=1, **kwargs):
    """Both raise or neither raises, both warn alike, and then the values agree.

    `dtype` is that in which scikit-learn computes; `n_summed` the rows whose absolute
    errors add up in a sum. Returns our value.
    """
    ours, theirs = both(metric, *args, **kwargs)
    assert ours.error == theirs.error
    assert ours.warnings == theirs.warnings
    if theirs.error is None:
        assert type(ours.value) is float
        rtol, atol = _TOLERANCES[dtype]
        scale = abs(1 - theirs.value if metric.startswith("d2") else theirs.value)
        atol = rtol if metric.startswith("d2") else atol * n_summed
        assert same_number(ours.value, theirs.value, rtol * scale + atol)
    return ours.value


def same_number(a, b, tolerance):
    if math.isfinite(a) and math.isfinite(b):
        return abs(a - b) <= tolerance
    return a == b or (math.isnan(a) and math.isnan(b))


def ulps(values, exact):
    """Distance of float64 values from exact ones (mpmath), in units in the last place.

    The unit is that of the exact value's binade.
    """
    import mpmath

    distances = []
    for value, truth in zip(np.asarray(values).tolist(), exact, strict=True):
        unit = math.ulp(float(truth))
        distances.append(float(abs(mpmath.mpf(value) - truth) / unit))
    return np.array(distances)
