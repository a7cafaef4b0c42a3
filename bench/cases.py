"""The list of cases: data, what they are measured against, and the target.

Scores are calibrated (labels are drawn from them), so that no branch on a label is
predictable, and none is near 0 or 1: every contestant computes the same numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import cycle

import numpy as np
import pandas as pd

from fastlogloss import log_loss

PROBABILITIES = "Log loss of probabilities"
DERIVATIVES = "Logits, derivatives and losses prepared once"
MEMORY = 1 << 29  # bytes: some times what caches hold


@dataclass(frozen=True)
class Data:
    """Arguments of one call: labels, scores, weights.

    `p` holds probabilities, logits or, for several models, a row for each of them;
    `words` are the two labels where those are strings.
    """

    y: object
    p: np.ndarray
    w: np.ndarray | None = None
    words: tuple[str, str] | None = None

    @property
    def eps(self):
        eps = np.finfo(self.p.dtype).eps
        # A Python float makes the quicker call; a float32 would be lost by it.
        return float(eps) if self.p.dtype == np.float64 else eps

    @property
    def positive(self):
        """Probability of the greater of two labels."""
        return self.p if self.p.ndim == 1 else self.p[:, 1]

    def outputs(self, order):
        """Arrays for the derivatives up to `order`, made before the call."""
        return tuple(np.empty_like(self.p) for _ in range(order))

    def models(self):
        """The data of each model of a stack."""
        return [Data(self.y, p) for p in self.p]


@dataclass(frozen=True)
class Target:
    """Our time is at most `factor` times that of `reference`.

    `reference` is one of REFERENCES or a peer; None stands for one second. Without a
    factor, the ratio is stated, and that is all.
    """

    reference: str | None
    factor: float | None = None


@dataclass(frozen=True)
class Case:
    """One row of the picture.

    `kind` says which function of a peer applies; `threads` are ours, references and
    peers have their own. `panel` is the title in the picture, if it is in there, and
    `section` the table.
    """

    name: str
    title: str
    kind: str
    make: Callable[[np.random.Generator], Data]
    targets: tuple[Target, ...]
    threads: int = 1
    rounds: int = 30
    seed: int = 0
    panel: str | None = None
    section: str = PROBABILITIES

    def data(self):
        return self.make(np.random.default_rng(self.seed))


def read_both(data):
    """The memory limit: labels and probabilities as float64, each read once."""
    y, p = data.y.astype(np.float64), data.positive.astype(np.float64)
    return partial(np.dot, y, p)


def read_matrix(data):
    return data.p.sum


def write_derivatives(data):
    """Reads what a hessian is made of and writes as much, by the fastest of NumPy."""
    y, z = data.y, data.p
    g, h = data.outputs(2)

    def call():
        np.add(y, z, out=g)
        np.copyto(h, z)

    return call


def read_stack(data):
    """y @ p of all models: the labels stay in the cache, the stack is read once."""
    return partial(np.dot, data.p, data.y.astype(np.float64))


def read_memory(data):
    """As many bytes as the scores, of arrays that no cache holds.

    A call goes on where the last has ended, and it takes MEMORY bytes to come back.
    """
    y, p = np.ones((2, MEMORY // 16))  # zeros might be one page of memory
    n = min(data.p.nbytes // 16, len(y))
    starts = cycle(range(0, len(y) - n + 1, n))

    def call():
        start = next(starts)
        np.dot(y[start : start + n], p[start : start + n])

    return call


def clean_rows(data):
    """Our own call, of rows that do sum to one."""
    p = data.p.astype(np.float64)
    return partial(log_loss, data.y, p / p.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Reference:
    """What the memory allows; `threads` are those of the libraries it calls."""

    make: Callable[[Data], Callable]
    threads: int = 1


REFERENCES = {
    "y @ p": Reference(read_both),
    "P.sum()": Reference(read_matrix),
    "g = y + z, h = z": Reference(write_derivatives),
    "P @ y": Reference(read_stack, threads=2),
    "y @ p from memory": Reference(read_memory, threads=2),
    "clean rows": Reference(clean_rows),
}


def binary(rng, n=10**7, labels=np.int64, proba=np.float64, weights=False):
    p = rng.random(n)
    y = (rng.random(n) < p).astype(labels)
    return Data(y, p.astype(proba), rng.random(n) if weights else None)


def matrix(rng):
    data = binary(rng)
    return Data(data.y, np.column_stack([1 - data.p, data.p]))


def multiclass(rng, n, n_classes):
    p = rng.random((n, n_classes))
    p /= p.sum(axis=1, keepdims=True)
    return Data(rng.integers(n_classes, size=n), p)


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


CASES = [
    Case(
        "float64",
        "n=1e7, float64 labels",
        "binary",
        partial(binary, labels=np.float64),
        (Target("y @ p", 1.4),),
        panel="10 million rows, float64 labels",
    ),
    Case(
        "int64",
        "n=1e7, int64 labels",
        "binary",
        binary,
        (Target("y @ p", 1.7),),
        panel="10 million rows, int64 labels",
    ),
    Case(
        "bool",
        "n=1e7, bool labels",
        "binary",
        partial(binary, labels=np.bool_),
        (Target("y @ p", 1.7),),
    ),
    Case(
        "float32",
        "n=1e7, int64 labels, float32 probabilities",
        "binary",
        partial(binary, proba=np.float32),
        (Target("y @ p", 1.7),),
    ),
    Case(
        "matrix",
        "n=1e7, int64 labels, (n, 2) matrix",
        "binary",
        matrix,
        (Target("y @ p", 3.4),),
    ),
    Case(
        "weighted",
        "n=1e7, float64 labels and weights",
        "weighted",
        partial(binary, labels=np.float64, weights=True),
        (Target("y @ p", 3.0),),
        panel="10 million rows, float64 labels and weights",
    ),
    Case(
        "weighted-2-threads",
        "n=1e7, float64 labels and weights",
        "weighted",
        partial(binary, labels=np.float64, weights=True),
        (Target("y @ p", 1.8),),
        threads=2,
    ),
    Case(
        "classes-10",
        "n=1e6, 10 classes",
        "multiclass",
        partial(multiclass, n=10**6, n_classes=10),
        (Target("P.sum()", 1.5), Target("scikit-learn", 1 / 50)),
        panel="1 million rows, 10 classes",
    ),
    Case(
        "classes-1000",
        "n=1e5, 1000 classes",
        "multiclass",
        partial(multiclass, n=10**5, n_classes=1000),
        (Target("P.sum()", 1.3),),
    ),
    Case(
        "off-2",
        "n=1e6, 2 classes, float32 kept as float64",
        "off",
        partial(narrow, n=10**6),
        (Target("clean rows", 2.5), Target("scikit-learn", 1 / 20)),
    ),
    Case(
        "off-3",
        "n=1e6, 3 classes, rounded to 4 decimals",
        "off",
        partial(rounded, n=10**6, n_classes=3),
        (Target("clean rows", 2.5), Target("scikit-learn", 1 / 20)),
    ),
    Case(
        "small",
        "n=100, int64 labels",
        "binary",
        partial(binary, n=100),
        (Target(None, 3e-6), Target("scikit-learn", 1 / 500)),
        panel="100 rows",
    ),
    Case(
        "fixed-strings",
        "n=1e6, '<U3' strings",
        "strings",
        partial(strings, convert=np.asarray),
        (Target("scikit-learn", 1 / 25),),
    ),
    Case(
        "object-strings",
        "n=1e6, object strings",
        "strings",
        partial(strings, convert=partial(np.asarray, dtype=object)),
        (Target("scikit-learn", 1 / 100),),
        panel="1 million rows, strings (object)",
    ),
    Case(
        "categorical",
        "n=1e6, pandas Categorical",
        "strings",
        partial(strings, convert=partial(pd.Series, dtype="category")),
        (Target("scikit-learn", 1 / 100),),
    ),
    Case(
        "logits-1e6",
        "n=1e6, logits: loss",
        "logits",
        partial(logits, n=10**6),
        (Target("scikit-learn", 1 / 6),),
        section=DERIVATIVES,
    ),
    Case(
        "logits-1e7",
        "n=1e7, logits: loss",
        "logits",
        partial(logits, n=10**7),
        (Target("scikit-learn", 1 / 6),),
        section=DERIVATIVES,
    ),
    Case(
        "logits-gradient-1e6",
        "n=1e6, logits: loss+gradient",
        "logits gradient",
        partial(logits, n=10**6),
        (Target("scikit-learn", 1 / 5),),
        section=DERIVATIVES,
    ),
    Case(
        "logits-gradient-1e7",
        "n=1e7, logits: loss+gradient",
        "logits gradient",
        partial(logits, n=10**7),
        (Target("scikit-learn", 1 / 5),),
        section=DERIVATIVES,
    ),
    Case(
        "logits-hessian-1e6",
        "n=1e6, logits: loss+gradient+hessian",
        "logits hessian",
        partial(logits, n=10**6),
        (Target("scikit-learn", 1 / 4),),
        section=DERIVATIVES,
    ),
    Case(
        "logits-hessian-1e7",
        "n=1e7, logits: loss+gradient+hessian",
        "logits hessian",
        partial(logits, n=10**7),
        (Target("scikit-learn", 1 / 4), Target("g = y + z, h = z", 3.5)),
        panel="10 million logits: gradient, hessian",
        section=DERIVATIVES,
    ),
    Case(
        "classes-10-gradient",
        "n=1e6, logits of 10 classes: loss+gradient",
        "multiclass logits gradient",
        partial(multiclass_logits, n=10**6, n_classes=10),
        (Target("scikit-learn", 1 / 3),),
        panel="1 million logits, 10 classes: gradient",
        section=DERIVATIVES,
    ),
    Case(
        "gradient",
        "n=1e7, probabilities and weights: loss+gradient",
        "gradient",
        partial(binary, labels=np.float64, weights=True),
        (Target("y @ p"),),
        panel="10 million rows, weights: gradient",
        section=DERIVATIVES,
    ),
    Case(
        "gradient-2-threads",
        "n=1e7, probabilities and weights: loss+gradient",
        "gradient",
        partial(binary, labels=np.float64, weights=True),
        (Target("y @ p"),),
        threads=2,
        section=DERIVATIVES,
    ),
    Case(
        "prepared",
        "n=100, `LogLoss(y)(p)`",
        "prepared",
        partial(binary, n=100),
        (Target(None, 1.5e-6),),
        section=DERIVATIVES,
    ),
    Case(
        "many",
        "50 models, n=1e5, `LogLoss(y).many(P)`",
        "many",
        partial(stack, n_models=50, n=10**5),
        (
            Target("scikit-learn", 1 / 200),
            Target("y @ p from memory", 1 / 0.7),
            Target("P @ y"),
        ),
        threads=2,
        panel="50 models of 100 thousand rows, 2 threads",
        section=DERIVATIVES,
    ),
    Case(  # the 40 MB before may lie in a cache for the most part, these do not
        "many-from-memory",
        "500 models, n=1e5, `LogLoss(y).many(P)`",
        "many",
        partial(stack, n_models=500, n=10**5),
        (
            Target("scikit-learn", 1 / 200),
            Target("y @ p from memory", 1 / 0.7),
            Target("P @ y", 1 / 0.7),
        ),
        threads=2,
        section=DERIVATIVES,
    ),
]
