"""What a case is, and what cases are measured against."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import cycle

import numpy as np

from bench.data import Data, formed
from fastlogloss import LogLossAccumulator, log_loss, log_loss_by_group

PROBABILITIES = "Log loss of probabilities"
DERIVATIVES = "Logits, derivatives and losses prepared once"
ORDINARY = "Every type and layout"
EXACT = "Batches, groups and comparisons"
PLAIN = "the same call of plain arrays"
FROM_MEMORY = "y @ p from memory"
UPDATE = "update"
NUMBERED = "2 x numbered groups + pandas.factorize"
MEMORY = 1 << 29  # bytes: some times what caches hold


@dataclass(frozen=True)
class Target:
    """Our time is at most `factor` times that of `reference`.

    `reference` is one of REFERENCES, PLAIN or a peer; None stands for one second.
    Without a factor, the ratio is stated, and that is all.
    """

    reference: str | None
    factor: float | None = None


@dataclass(frozen=True)
class Case:
    """One row of the picture.

    `kind` says which function of a peer applies; `threads` are ours, references and
    peers have their own. `panel` is the title in the picture, if it is in there, and
    `section` the table.

    `form` makes what we and peers are given from the data; references, and our own call
    that is PLAIN, are given the data as they are. With `speedup`, we are measured on
    two threads too, which are to be faster than one by this factor, or near memory.
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
    form: Callable[[Data], Data] = formed
    speedup: float | None = None

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
    """As many bytes as all arguments span, of arrays that no cache holds.

    A call goes on where the last has ended, and it takes MEMORY bytes to come back.
    """
    y, p = np.ones((2, MEMORY // 16))  # zeros might be one page of memory
    n = min(data.n_bytes // 16, len(y))
    starts = cycle(range(0, len(y) - n + 1, n))

    def call():
        start = next(starts)
        np.dot(y[start : start + n], p[start : start + n])

    return call


def loss_alone(data):
    return partial(log_loss, data.y, data.p)


def clean_rows(data):
    """Our own call, of rows that do sum to one."""
    p = data.p.astype(np.float64)
    return partial(log_loss, data.y, p / p.sum(axis=1, keepdims=True))


def update(data):
    """All rows as one group."""
    return partial(LogLossAccumulator().update, data.y, data.p, data.w)


def numbered_groups(data):
    """Twice the call of groups numbered beforehand, and once what numbers them."""
    import pandas as pd

    numbers, _ = pd.factorize(data.groups)
    by_group = partial(log_loss_by_group, data.y, data.p, numbers, sample_weight=data.w)

    def call():
        by_group()
        by_group()
        pd.factorize(data.groups)

    return call


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
    FROM_MEMORY: Reference(read_memory, threads=2),
    "clean rows": Reference(clean_rows),
    "log_loss(y, P)": Reference(loss_alone),
    UPDATE: Reference(update),
    NUMBERED: Reference(numbered_groups),
}
