"""Queries in SQL: engines that run them find what the kernels find."""

import datetime
import json
import math
import subprocess
import sys
import textwrap
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from fastlogloss import GroupedLogLoss, LogLossAccumulator, sql

DIALECTS = ("bigquery", "duckdb", "postgres", "snowflake", "spark")
N = 3000
RNG = np.random.default_rng(0)


def awkward(values, at):
    values[: len(at)] = at
    return values


Y = RNG.integers(2, size=N)
K = RNG.integers(3, size=N)
P = awkward(RNG.random(N) ** 4, [0, 0, 1, 1, 5e-324, 1 - 2**-53, 1e-300, 2**-52])
W = np.exp(RNG.normal(size=N))
W[::7] *= -1
W[3::11] = 0
W[8:12] = 2.0**300, -(2.0**-300), 2.0**-300, 1.5
Q = RNG.dirichlet([0.1] * 3, N)
Q[:4] = np.eye(3)[[0, 1, 2, 1]]
# A loss of 1e-300 is of a logit that is that of exp(-690).
TAILS = [800, -800, np.inf, -np.inf, 690.8, -690.8, 1e300, -1e300, 0, -0.0, 5e-324, 37]
Z = awkward(RNG.normal(0, 30, N), [*TAILS, *TAILS])
ZS = RNG.normal(0, 30, (N, 3))
ZS[:6] = [
    [np.inf, 1, np.inf],
    [-np.inf] * 3,
    [-np.inf, 2, 1],
    [800, -800, 0],
    [0, 0, 0],
    [1e300, -1e300, 5],
]
Y[: 2 * len(TAILS)] = np.repeat([0, 1], len(TAILS))
ROWS = pl.DataFrame(
    {
        "y": Y,
        "yes": Y == 1,
        "text": np.array(["it's \\ no", 'a "yes"\n'])[Y],
        "minus": np.array([-1, 7])[Y],
        "k": K,
        "p": P,
        "single": RNG.random(N).astype(np.float32),
        "w": W,
        "z": Z,
        "g": RNG.integers(20, size=N),
        "h": RNG.choice(np.array(["a", "it's", None]), N),
        "day": [datetime.date(2026, 1, 1 + i % 5) for i in range(N)],
        **{f"q{j}": Q[:, j] for j in range(3)},
        **{f"z{j}": ZS[:, j] for j in range(3)},
    }
)
KINDS = {
    "two": {"label": "y", "proba": "p"},
    "weights": {"label": "y", "proba": "p", "weight": "w"},
    "eps": {"label": "y", "proba": "p", "weight": "w", "eps": 1e-3},
    "no eps": {"label": "y", "proba": "p", "eps": 0},
    "no eps, weights": {"label": "y", "proba": "p", "weight": "w", "eps": 0.0},
    "booleans": {"label": "yes", "proba": "p", "classes": [False, True]},
    "strings": {"label": "text", "proba": "p", "classes": ["it's \\ no", 'a "yes"\n']},
    "negative": {"label": "minus", "proba": "p", "classes": [-1, 7]},
    "other order": {"label": "y", "proba": "p", "classes": [1, 0]},
    "single": {"label": "y", "proba": "single"},
    "wide": {"label": "k", "proba": ["q0", "q1", "q2"]},
    "wide, weights": {"label": "k", "proba": ["q0", "q1", "q2"], "weight": "w"},
    "wide, no eps": {"label": "k", "proba": ["q2", "q1", "q0"], "eps": 0},
    "logit": {"label": "y", "logit": "z"},
    "logit, weights": {"label": "y", "logit": "z", "weight": "w"},
    "logits": {"label": "k", "logit": ["z0", "z1", "z2"]},
    "logits, weights": {"label": "k", "logit": ["z0", "z1", "z2"], "weight": "w"},
}
KEYS = {"all": None, "number": "g", "day": "day", "two keys": ["h", "g"]}


def options_of(asked):
    """Arguments of an accumulator, and of its `update_from`."""
    asked = dict(asked)
    classes = asked.pop("classes", None)
    scores = asked.get("proba") or asked["logit"]
    if classes is None:
        classes = range(2 if isinstance(scores, str) else len(scores))
    made = {"eps": asked.pop("eps", "auto"), "from_logits": "logit" in asked}
    return (classes, made), asked


def exact(rows, by=None, **asked):
    (classes, made), asked = options_of(asked)
    if by is None:
        return LogLossAccumulator(classes, **made).update_from(rows, **asked)
    return GroupedLogLoss(classes, **made).update_from(rows, by=by, **asked)


def duck(rows, table="t"):
    engine = duckdb.connect()
    engine.register(table, rows.to_arrow() if hasattr(rows, "to_arrow") else rows)
    return engine


def found(rows, by=None, on_invalid="error", **asked):
    text = sql.log_loss("t", by=by, **asked)
    row = duck(rows).sql(text).pl()
    classes = asked.get("classes")
    return sql.from_sums(row, by=by, classes=classes, on_invalid=on_invalid)


def check_same(one, other, rtol=1e-12):
    assert one.classes == other.classes
    for name in ("n_samples", "weight_sum", "loss_sum", "loss", "standard_error"):
        a, b = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(a, b, rtol, 0, equal_nan=True, err_msg=name)
    for label, weight in other.class_weights.items():
        np.testing.assert_allclose(one.class_weights[label], weight, rtol)
    for a, b in zip(one.confidence_interval(), other.confidence_interval(), strict=True):
        np.testing.assert_allclose(a, b, 1e-9, equal_nan=True)
    np.testing.assert_allclose(one.d2, other.d2, 1e-9, equal_nan=True)


@pytest.mark.parametrize("by", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_duckdb(kind, by):
    asked, expected = found(ROWS, by, **kind), exact(ROWS, by, **kind)
    assert not asked.exact
    check_same(asked, expected)
    if by is not None:
        np.testing.assert_equal(asked.groups, expected.groups)
        one, other = asked.total(), expected.total()
        np.testing.assert_allclose(one.standard_error, other.standard_error, 1e-12)
        assert len(asked.merge(expected)) == len(expected)
