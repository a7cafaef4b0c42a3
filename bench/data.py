"""Labels, scores and weights, how they are made, and other forms of the same numbers.

Scores are calibrated (labels are drawn from them), so that no branch on a label is
predictable, and none is near 0 or 1: every contestant computes the same numbers.
"""

from dataclasses import dataclass, replace
from operator import methodcaller

import numpy as np
from numpy.lib.array_utils import byte_bounds


@dataclass(frozen=True)
class Data:
    """Arguments of one call: labels, scores, weights.

    `p` holds probabilities, logits or, for several models, a row for each of them;
    `words` are the two labels where those are strings, `groups` the keys of the rows.
    """

    y: object
    p: np.ndarray
    w: np.ndarray | None = None
    words: tuple[str, str] | None = None
    groups: np.ndarray | None = None

    @property
    def eps(self):
        eps = np.finfo(self.p.dtype).eps
        # A Python float makes the quicker call; a float32 would be lost by it.
        return float(eps) if self.p.dtype == np.float64 else eps

    @property
    def positive(self):
        """Probability of the greater of two labels."""
        return self.p if self.p.ndim == 1 else self.p[:, 1]

    @property
    def n_bytes(self):
        """Bytes of memory from the first to the last number of each array."""
        arrays = [a for a in (self.y, self.p, self.w) if a is not None]
        return sum(high - low for low, high in map(byte_bounds, arrays))

    def outputs(self, order):
        """Arrays for the derivatives up to `order`, made before the call."""
        return tuple(np.empty_like(self.p) for _ in range(order))

    def models(self):
        """The data of each model of a stack."""
        return [Data(self.y, p) for p in self.p]


def binary(rng, n=10**7, labels=np.int64, proba=np.float64, weights=False):
    p = rng.random(n)
    y = (rng.random(n) < p).astype(labels)
    return Data(y, p.astype(proba), rng.random(n) if weights else None)


def counted(rng):
    """Weights that are whole numbers."""
    return replace(binary(rng), w=rng.integers(1, 10, size=10**7).astype(float))


def matrix(rng, n=10**7):
    data = binary(rng, n)
    return Data(data.y, np.column_stack([1 - data.p, data.p]))


def multiclass(rng, n, n_classes, weights=False):
    p = rng.random((n, n_classes))
    p /= p.sum(axis=1, keepdims=True)
    y = rng.integers(n_classes, size=n)
    return Data(y, p, rng.random(n) if weights else None)


def rounded(rng, n, n_classes):
    """As in a file of four decimals: the sums of many rows are off by one of them."""
    data = multiclass(rng, n, n_classes)
    return Data(data.y, np.maximum(data.p.round(4), 1e-4))


def narrow(rng, n):
    """As of XGBoost: float32 in an array of float64, whose tolerance is another."""
    p = rng.random(n).astype(np.float32)
    y = (rng.random(n) < p).astype(np.int64)
    return Data(y, np.column_stack([1 - p, p]).astype(np.float64))


def logits(rng, n):
    z = rng.normal(scale=2, size=n)
    y = (rng.random(n) * (1 + np.exp(-z)) < 1).astype(np.float64)
    return Data(y, z)


def multiclass_logits(rng, n, n_classes):
    z = rng.normal(scale=2, size=(n, n_classes))
    # The greatest after adding Gumbel noise is drawn from the softmax.
    return Data((z + rng.gumbel(size=z.shape)).argmax(axis=1), z)


def stack(rng, n_models, n):
    p = rng.random((n_models, n))
    return Data((rng.random(n) < p.mean(axis=0)).astype(np.int64), p)


def strings(rng, convert):
    data = binary(rng, 10**6)
    words = np.array(["no", "yes"])
    return Data(convert(words[data.y]), data.p, words=tuple(words.tolist()))


def grouped(rng, n_groups, weights=False):
    """Rows of groups in no order, numbered from 0."""
    data = binary(rng, labels=np.float64, weights=weights)
    return replace(data, groups=rng.integers(n_groups, size=len(data.y)))


def named_groups(rng, n_groups):
    """The same groups by names, a Python object in each row."""
    data = grouped(rng, n_groups)
    names = np.array([f"segment {i}" for i in range(n_groups)], object)
    return replace(data, groups=names[data.groups])


def formed(data, **functions):
    """The same data in another form: by functions of `y`, `p` and `w`."""
    return replace(data, **{k: f(getattr(data, k)) for k, f in functions.items()})


def cast(dtype):
    return methodcaller("astype", dtype)


def second_column(p):
    """What scorers hand over: a column of what predict_proba has returned."""
    return np.column_stack([1 - p, p])[:, 1]


def backwards(p):
    """From the end of its memory to the beginning."""
    return p[::-1].copy()[::-1]


def two_labels(low, high, dtype):
    """Any two numbers instead of 0 and 1."""
    return lambda y: np.array([low, high], dtype)[y]
