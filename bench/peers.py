"""The list of peers: log loss as a sensible user of each library writes it.

A function of a peer takes the data and returns the call to be timed. What is done once
in a program stays outside of the call: wrapping arrays in tensors or data frames,
compiling, logits for CatBoost, which reads nothing else. Labels stay of the type of the
case, and to convert them is part of the call, but for a peer named after its own.

Losses of probabilities are means. Those of logits, and those that come with
derivatives, are sums, as in scikit-learn's own losses; the call returns the loss or
(loss, gradient) or (loss, gradient, hessian). Whoever can writes derivatives into
arrays made beforehand. Labels of many classes are floats for those losses of
scikit-learn, which read nothing else: converted beforehand.

Groups have sums, and a peer's result says what the mean losses of these are: that is
compared, and not timed. Tables that a library reads from memory are made beforehand.

No peer but scikit-learn validates its input. For many classes that decides how much is
read, one number of a row or all of it, so that there are variants with checks as well.
"""

import importlib
import operator
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np

from fastlogloss import (
    LogLoss,
    LogLossAccumulator,
    compare_log_loss,
    d2_log_loss_score,
    log_loss,
    log_loss_by_group,
    log_loss_gradient,
    log_loss_gradient_hessian,
    neg_log_loss_scorer,
    sample_log_loss,
)

PEER_THREADS = min(2, os.cpu_count() or 1)
STREAMING_ROWS = 10**5  # above, polars is faster with its streaming engine


@dataclass(frozen=True)
class Peer:
    """`calls` is from the kind of a case to a function; other kinds do not apply.

    `validates`: it refuses rows that are no probabilities, as we do. `own_labels`: its
    labels or keys are of another type than ours, converted beforehand.
    """

    name: str
    module: str
    calls: dict[str, Callable]
    threads: int = 1
    validates: bool = False
    own_labels: bool = False


def our_loss(data, **options):
    if data.w is not None:
        options["sample_weight"] = data.w
    return partial(log_loss, data.y, data.p, **options)


def quiet(make, data):
    """A call without its warnings, of rows that do not sum to one."""
    function = make(data)

    def call():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function()

    return call


def our_gradient(data, from_logits):
    return partial(
        log_loss_gradient,
        data.y,
        data.p,
        sample_weight=data.w,
        normalize=False,
        from_logits=from_logits,
        out=data.outputs(1)[0],
    )


def our_prepared_gradient(data):
    return partial(LogLoss(data.y).loss_gradient, data.p, out=data.outputs(1)[0])


def our_rows(data):
    out = np.empty(len(data.p))
    return partial(sample_log_loss, data.y, data.p, out=out)


def scorer_call(scorer, data):
    """A call of the scorer for a model that has made its predictions before."""
    from sklearn.linear_model import LogisticRegression

    class Known(LogisticRegression):
        def predict_proba(self, X):
            return data.p

    model = Known()
    model.classes_ = np.unique(data.y)
    return partial(scorer, model, np.zeros((len(data.y), 30)), data.y)


def our_hessian(data):
    return partial(
        log_loss_gradient_hessian,
        data.y,
        data.p,
        normalize=False,
        from_logits=True,
        out=data.outputs(2),
    )


def our_update(data):
    return partial(LogLossAccumulator().update, data.y, data.p, data.w)


def our_merge(data):
    halves = []
    for rows in (slice(None, None, 2), slice(1, None, 2)):
        half = LogLossAccumulator()
        halves.append(half.update(data.y[rows], data.p[rows], data.w[rows]))
    return partial(operator.add, *halves)


def our_groups(data):
    return partial(log_loss_by_group, data.y, data.p, data.groups, sample_weight=data.w)


# Our function for each kind of case.
OUR_CALLS = {
    **dict.fromkeys(("binary", "weighted", "multiclass", "strings"), our_loss),
    "off": partial(quiet, our_loss),
    "logits": partial(our_loss, normalize=False, from_logits=True),
    "logits gradient": partial(our_gradient, from_logits=True),
    "logits hessian": our_hessian,
    "mean of logits": partial(our_loss, from_logits=True),
    "multiclass logits gradient": partial(our_gradient, from_logits=True),
    "gradient": partial(our_gradient, from_logits=False),
    "labels": partial(our_loss, labels=[0, 1]),
    "rows": our_rows,
    "d2": lambda data: partial(d2_log_loss_score, data.y, data.p),
    "scorer": partial(scorer_call, neg_log_loss_scorer),
    "prepared": lambda data: partial(LogLoss(data.y), data.p),
    "prepared gradient": our_prepared_gradient,
    "many": lambda data: partial(LogLoss(data.y).many, data.p),
    "update": our_update,
    "merge": our_merge,
    **dict.fromkeys(("groups", "weighted groups", "named groups"), our_groups),
    "compare": lambda data: partial(compare_log_loss, data.y, *data.p),
}


def of_every_order(function):
    """Of logits: the loss, with the gradient, and with the hessian."""
    kinds = ("logits", "logits gradient", "logits hessian")
    return {kind: partial(function, order=i) for i, kind in enumerate(kinds)}


def loop(function, data):
    """`function` for each model of a stack."""
    calls = [function(model) for model in data.models()]
    return lambda: [call() for call in calls]


def sklearn_call(data):
    from sklearn.metrics import log_loss

    return partial(log_loss, data.y, data.p, sample_weight=data.w)


def sklearn_scorer(data):
    from sklearn.metrics import get_scorer

    return scorer_call(get_scorer("neg_log_loss"), data)


def sklearn_logits(data, order):
    from sklearn._loss import HalfBinomialLoss

    y, z = data.y, data.p
    half = HalfBinomialLoss()
    (losses,), outputs = data.outputs(1), data.outputs(order)
    if order == 0:
        return lambda: half.loss(y, z, loss_out=losses).sum()
    if order == 1:
        return lambda: sklearn_sum(half.loss_gradient(y, z, None, losses, *outputs))

    def call():
        loss = half.loss(y, z, loss_out=losses).sum()
        return loss, *half.gradient_hessian(y, z, None, *outputs)

    return call


def sklearn_multiclass_logits(data):
    from sklearn._loss import HalfMultinomialLoss

    y, z = data.y.astype(data.p.dtype), data.p
    half = HalfMultinomialLoss(n_classes=z.shape[1])
    losses, outputs = np.empty(len(z)), data.outputs(1)
    return lambda: sklearn_sum(half.loss_gradient(y, z, None, losses, *outputs))


def sklearn_sum(result):
    losses, gradient = result
    return losses.sum(), gradient


def is_true(y):
    return y if y.dtype == bool else y > 0


def numpy_binary(data):
    y, p, w, eps = data.y, data.positive, data.w, data.eps

    def call():
        q = np.where(is_true(y), p, 1 - p)
        return -np.average(np.log(np.clip(q, eps, 1)), weights=w)

    return call


def numpy_strings(data):
    y, p, eps = data.y, data.p, data.eps
    word = data.words[1]

    def call():
        return -np.log(np.clip(np.where(y == word, p, 1 - p), eps, 1)).mean()

    return call


def numpy_multiclass(data, checked=False):
    y, p, eps = data.y, data.p, data.eps
    row = np.arange(len(y))

    def call():
        if checked and not (
            y.min() >= 0
            and y.max() == p.shape[1] - 1
            and p.min() >= 0
            and p.max() <= 1
            and np.allclose(p.sum(axis=1), 1, rtol=eps**0.5)
        ):
            raise ValueError
        return -np.log(np.clip(p[row, y], eps, 1)).mean()

    return call


def numpy_logits(data, order):
    y, z, outputs = data.y, data.p, data.outputs(order)

    def call():
        e = np.exp(-np.abs(z))
        loss = (np.maximum(z, 0) - y * z + np.log1p(e)).sum()
        if order == 0:
            return loss
        p = np.where(z >= 0, 1, e) / (1 + e)
        np.subtract(p, y, out=outputs[0])
        if order == 2:
            np.multiply(p, 1 - p, out=outputs[1])
        return loss, *outputs

    return call


def numpy_multiclass_logits(data):
    y, z, (g,) = data.y, data.p, data.outputs(1)
    row = np.arange(len(y))

    def call():
        np.subtract(z, z.max(axis=1, keepdims=True), out=g)
        loss = -g[row, y].sum()
        np.exp(g, out=g)
        total = g.sum(axis=1, keepdims=True)
        loss += np.log(total).sum()
        np.divide(g, total, out=g)
        g[row, y] -= 1
        return loss, g

    return call


def numpy_gradient(data):
    y, p, w, eps, (g,) = data.y, data.p, data.w, data.eps, data.outputs(1)

    def call():
        q = np.where(is_true(y), p, 1 - p)
        slope = np.where(is_true(y), -w, w)
        clipped = np.clip(q, eps, 1 - eps)
        np.divide(slope, clipped, out=g)
        g[q != clipped] = 0
        return -(w * np.log(clipped)).sum(), g

    return call


def numexpr_binary(data):
    import numexpr

    y, p, eps = data.y, data.positive, data.eps
    names = {"y": y, "p": p, "eps": eps, "one": p.dtype.type(1)}
    condition = "y" if y.dtype == bool else "y > 0"
    q = f"where({condition}, p, one - p)"
    loss = f"log(where({q} < eps, eps, {q}))"
    if data.w is None:
        # Its own sum() runs on one thread; elementwise, it uses all.
        return lambda: -numexpr.evaluate(loss, names).mean()
    names["w"] = data.w
    return lambda: -numexpr.evaluate(f"w * {loss}", names).sum() / data.w.sum()


@cache
def numba_kernels(parallel):
    import numba

    jit = numba.njit(fastmath=True, parallel=parallel)

    @jit
    def binary(y, p, eps):
        total = 0.0
        for i in numba.prange(len(p)):
            q = p[i] if y[i] > 0 else 1 - p[i]
            total -= np.log(max(q, eps))
        return total / len(p)

    @jit
    def weighted(y, p, w, eps):
        total, weight = 0.0, 0.0
        for i in numba.prange(len(p)):
            q = p[i] if y[i] > 0 else 1 - p[i]
            total -= w[i] * np.log(max(q, eps))
            weight += w[i]
        return total / weight

    @jit
    def multiclass(y, p, eps):
        total = 0.0
        for i in numba.prange(len(p)):
            total -= np.log(max(p[i, y[i]], eps))
        return total / len(p)

    @jit
    def multiclass_checked(y, p, eps):
        total, bad = 0.0, 0
        for i in numba.prange(len(p)):
            row, low, high = 0.0, 1.0, 0.0
            for k in range(p.shape[1]):
                row += p[i, k]
                low = min(low, p[i, k])
                high = max(high, p[i, k])
            bad += low < 0 or high > 1 or abs(row - 1) > eps**0.5
            if 0 <= y[i] < p.shape[1]:
                total -= np.log(max(p[i, y[i]], eps))
            else:
                bad += 1
        return np.nan if bad else total / len(p)

    @jit
    def logits(y, z):
        total = 0.0
        for i in numba.prange(len(z)):
            total += max(z[i], 0) - y[i] * z[i] + np.log1p(np.exp(-abs(z[i])))
        return total

    @jit
    def logits_gradient(y, z, g):
        total = 0.0
        for i in numba.prange(len(z)):
            e = np.exp(-abs(z[i]))
            total += max(z[i], 0) - y[i] * z[i] + np.log1p(e)
            g[i] = (1 if z[i] >= 0 else e) / (1 + e) - y[i]
        return total, g

    @jit
    def logits_hessian(y, z, g, h):
        total = 0.0
        for i in numba.prange(len(z)):
            e = np.exp(-abs(z[i]))
            total += max(z[i], 0) - y[i] * z[i] + np.log1p(e)
            p = (1 if z[i] >= 0 else e) / (1 + e)
            g[i] = p - y[i]
            h[i] = p * (1 - p)
        return total, g, h

    @jit
    def multiclass_logits_gradient(y, z, g):
        total = 0.0
        for i in numba.prange(len(z)):
            high = z[i, 0]
            for k in range(z.shape[1]):
                high = max(high, z[i, k])
            row = 0.0
            for k in range(z.shape[1]):
                g[i, k] = np.exp(z[i, k] - high)
                row += g[i, k]
            for k in range(z.shape[1]):
                g[i, k] /= row
            g[i, y[i]] -= 1
            total += np.log(row) + high - z[i, y[i]]
        return total, g

    @jit
    def gradient(y, p, g, w, eps):
        total = 0.0
        for i in numba.prange(len(p)):
            q = p[i] if y[i] > 0 else 1 - p[i]
            inside = eps < q < 1 - eps
            q = min(max(q, eps), 1 - eps)
            total -= w[i] * np.log(q)
            slope = w[i] / q if inside else 0.0
            g[i] = -slope if y[i] > 0 else slope
        return total, g

    return {
        "binary": binary,
        "weighted": weighted,
        "multiclass": multiclass,
        "multiclass, checked": multiclass_checked,
        "logits": logits,
        "logits gradient": logits_gradient,
        "logits hessian": logits_hessian,
        "multiclass logits gradient": multiclass_logits_gradient,
        "gradient": gradient,
    }


def numba_call(data, kernel, parallel):
    function = numba_kernels(parallel)[kernel]
    p = data.p if kernel.startswith("multiclass") else data.positive
    weights = () if data.w is None else (data.w,)
    return partial(function, data.y, p, *weights, data.eps)


def numba_derivatives(data, kernel, parallel, order):
    function = numba_kernels(parallel)[kernel]
    weights = () if data.w is None else (data.w, data.eps)
    return partial(function, data.y, data.p, *data.outputs(order), *weights)


def numba_calls(parallel):
    calls = {
        kind: partial(numba_call, kernel=kind, parallel=parallel)
        for kind in ("binary", "weighted", "multiclass")
    }
    calls["prepared"] = calls["binary"]
    calls["many"] = partial(loop, calls["binary"])
    orders = {
        "logits": 0,
        "logits gradient": 1,
        "logits hessian": 2,
        "multiclass logits gradient": 1,
        "gradient": 1,
    }
    for kind, order in orders.items():
        calls[kind] = partial(
            numba_derivatives, kernel=kind, parallel=parallel, order=order
        )
    return calls


def polars_mean(condition, eps, weighted=False):
    import polars as pl

    p, w = pl.col("p"), pl.col("w")
    loss = -pl.when(condition).then(p).otherwise(1 - p).clip(eps, 1).log()
    return (w * loss).sum() / w.sum() if weighted else loss.mean()


def polars_evaluate(frame, mean):
    engine = "streaming" if len(frame) >= STREAMING_ROWS else "in-memory"
    return frame.lazy().select(mean).collect(engine=engine).item()


def polars_binary(data):
    import polars as pl

    columns = {"y": data.y, "p": np.ascontiguousarray(data.positive)}
    if data.w is not None:
        columns["w"] = data.w
    y = pl.col("y")
    condition = y if data.y.dtype == bool else y > 0
    mean = polars_mean(condition, data.eps, data.w is not None)
    return partial(polars_evaluate, pl.DataFrame(columns), mean)


def polars_strings(data, own=False):
    import polars as pl

    words, frame = data.y, pl.DataFrame({"p": data.p})
    mean = polars_mean(pl.col("y") == data.words[1], data.eps)

    def column():
        if words.dtype == "category":
            return pl.Series("y", words)
        # By way of objects, the fastest way for fixed-width strings too.
        return pl.Series("y", words.astype(object, copy=False), dtype=pl.String)

    if own:
        return partial(polars_evaluate, frame.with_columns(column()), mean)
    return lambda: polars_evaluate(frame.with_columns(column()), mean)


def polars_ds_binary(data):
    import polars as pl
    import polars_ds

    frame = pl.DataFrame({"y": data.y, "p": np.ascontiguousarray(data.positive)})
    mean = polars_ds.query_log_loss("y", "p")
    return lambda: frame.select(mean).item()


def pandas_strings(data):
    import pandas as pd

    words, p = data.y, pd.Series(data.p)
    word, eps = data.words[1], data.eps
    if words.dtype == object:
        words = pd.Series(words, dtype=object)

    def call():
        # Fixed-width strings become a column of its own here; others are one already.
        q = p.where(pd.Series(words) == word, 1 - p)
        return -np.log(q.clip(eps, 1)).mean()

    return call


def torch_binary(data):
    import torch

    y, p = torch.from_numpy(data.y), torch.from_numpy(data.positive)
    entropy = torch.nn.functional.binary_cross_entropy
    if data.w is None:
        return lambda: entropy(p, y.to(p.dtype)).item()
    w = torch.from_numpy(data.w)
    return lambda: (entropy(p, y.to(p.dtype), w, reduction="sum") / w.sum()).item()


def torch_multiclass(data):
    import torch

    y, p = torch.from_numpy(data.y), torch.from_numpy(data.p)
    nll = torch.nn.functional.nll_loss
    return lambda: nll(p.clamp(min=data.eps).log(), y).item()


def torch_logits(data, order):
    import torch

    y, z = torch.from_numpy(data.y), torch.from_numpy(data.p)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    if order == 0:
        return lambda: entropy(z, y, reduction="sum").item()
    if order == 1:
        return torch_backward(z, lambda z: entropy(z, y, reduction="sum"))
    g, h = map(torch.from_numpy, data.outputs(2))

    def call():
        # Automatic differentiation has no diagonal hessian to offer.
        loss = entropy(z, y, reduction="sum").item()
        torch.sigmoid(z, out=h)
        torch.sub(h, y, out=g)
        torch.addcmul(h, h, h, value=-1, out=h)
        return loss, g, h

    return call


def torch_backward(scores, function):
    """Loss and gradient: the forward pass, and back."""
    import torch

    scores = scores.requires_grad_()

    def call():
        loss = function(scores)
        return (loss.item(), *torch.autograd.grad(loss, scores))

    return call


def torch_multiclass_logits(data):
    import torch

    y, z = torch.from_numpy(data.y), torch.from_numpy(data.p)
    entropy = torch.nn.functional.cross_entropy
    return torch_backward(z, lambda z: entropy(z, y, reduction="sum"))


def torch_gradient(data):
    import torch

    y, p, w = map(torch.from_numpy, (data.y, data.p, data.w))
    entropy = torch.nn.functional.binary_cross_entropy
    return torch_backward(p, lambda p: entropy(p, y, w, reduction="sum"))


TORCH_DERIVATIVES = {
    **of_every_order(torch_logits),
    "multiclass logits gradient": torch_multiclass_logits,
    "gradient": torch_gradient,
}


def torch_on_one_thread(function, data):
    """torch keeps its number of threads to itself, whatever OpenMP is told."""
    import torch

    call = function(data)

    def limited():
        torch.set_num_threads(1)
        try:
            return call()
        finally:
            torch.set_num_threads(PEER_THREADS)

    return limited


def jax_logits(data, order):
    import jax

    def loss(z, y):
        return (jax.nn.softplus(z) - y * z).sum()

    def loss_hessian(z, y):
        # Automatic differentiation has no diagonal hessian to offer.
        p = jax.nn.sigmoid(z)
        return loss(z, y), p - y, p * (1 - p)

    return jax_call(data, (loss, jax.value_and_grad(loss), loss_hessian)[order])


def jax_multiclass_logits(data):
    import jax

    def loss(z, y):
        rows = jax.nn.log_softmax(z)
        return -jax.numpy.take_along_axis(rows, y[:, None], axis=1).sum()

    return jax_call(data, jax.value_and_grad(loss))


def jax_call(data, function):
    import jax

    compiled = jax.jit(function)
    z, y = jax.numpy.asarray(data.p), jax.numpy.asarray(data.y)
    return lambda: jax.block_until_ready(compiled(z, y))


def catboost_call(data, metric):
    from catboost.utils import eval_metric

    if metric == "Logloss":
        logits = np.log(data.positive) - np.log1p(-data.positive)
    else:
        logits = np.log(data.p)
    arguments = {"weight": data.w, "thread_count": PEER_THREADS}
    return lambda: eval_metric(data.y, logits, metric, **arguments)[0]


# Sums of a group by powers of the weight and of the loss of a row.
POWERS = [(0, 1), (0, 2), (0, 3)]
WEIGHTED_POWERS = [(i, j) for i in (1, 2, 3) for j in range(i + 1)]


@dataclass
class GroupSums:
    """Keys, sums of losses and of weights as a peer has made them, in its order."""

    columns: Callable[[], tuple[np.ndarray, ...]]

    @property
    def loss(self):
        """Mean loss of each group, in the order of the keys."""
        keys, losses, weights = self.columns()
        return (losses / weights)[np.argsort(keys)]


def powers_of(data):
    return POWERS if data.w is None else WEIGHTED_POWERS


def power_name(i, j):
    return f"w{i}l{j}"


def mean_parts(data):
    """Names of the sum of losses and of the sum of weights."""
    return ("w0l1", "n") if data.w is None else ("w1l1", "w1l0")


def polars_groups(data, own=False):
    import polars as pl

    numbers = {"y": data.y, "p": data.p}
    if data.w is not None:
        numbers["w"] = data.w
    frame = pl.DataFrame(numbers)
    y, p, w, loss = map(pl.col, ("y", "p", "w", "l"))
    losses = -pl.when(y > 0).then(p).otherwise(1 - p).clip(data.eps, 1).log()
    sums = [pl.len().alias("n"), y.sum()]
    for i, j in powers_of(data):
        factors = [w] * i + [loss] * j
        product = factors[0]
        for factor in factors[1:]:
            product = product * factor
        sums.append(product.sum().alias(power_name(i, j)))

    def keyed():
        is_text = data.groups.dtype == object
        keys = pl.Series("g", data.groups, dtype=pl.String if is_text else None)
        return frame.with_columns(keys)

    def evaluate(frame):
        rows = frame.lazy().with_columns(losses.alias("l"))
        found = rows.group_by("g").agg(sums).collect(engine="streaming")
        names = "g", *mean_parts(data)
        return GroupSums(lambda: tuple(found[name].to_numpy() for name in names))

    if own or data.groups.dtype != object:
        return partial(evaluate, keyed())
    return lambda: evaluate(keyed())


def duckdb_groups(data, own=False):
    import duckdb
    import pyarrow as pa

    numbers = {"y": data.y, "p": data.p}
    if data.w is not None:
        numbers["w"] = data.w
    table = pa.table(numbers)
    connection = duckdb.connect()
    connection.execute(f"SET threads = {PEER_THREADS}")
    sums = ["count(*) AS n", "sum(y) AS y"]
    for i, j in powers_of(data):
        product = " * ".join(["w"] * i + ["l"] * j)
        sums.append(f"sum({product}) AS {power_name(i, j)}")
    query = (
        f"SELECT g, {', '.join(sums)} FROM (SELECT *, -ln(greatest(CASE WHEN y > 0 "
        f"THEN p ELSE 1 - p END, {data.eps!r})) AS l FROM rows) GROUP BY g"
    )

    def keyed():
        connection.register("rows", table.append_column("g", pa.array(data.groups)))

    def evaluate():
        found = connection.sql(query).to_arrow_table()
        names = "g", *mean_parts(data)
        return GroupSums(lambda: tuple(found[name].to_numpy() for name in names))

    def call():
        keyed()
        return evaluate()

    if own or data.groups.dtype != object:
        keyed()
        return evaluate
    return call


def pandas_groups(data):
    import pandas as pd

    groups, powers = data.groups, powers_of(data)

    def call():
        q = np.where(is_true(data.y), data.p, 1 - data.p)
        loss = -np.log(np.clip(q, data.eps, 1))
        columns = {"y": data.y}
        for i, j in powers:
            factors = [data.w] * i + [loss] * j
            product = factors[0]
            for factor in factors[1:]:
                product = product * factor
            columns[power_name(i, j)] = product
        rows = pd.DataFrame(columns, copy=False)
        by_key = rows.groupby(groups, sort=False)
        found = by_key.sum()
        found["n"] = by_key.size()
        return GroupSums(
            lambda: (found.index.to_numpy(), *found[[*mean_parts(data)]].to_numpy().T)
        )

    return call


@dataclass
class Difference:
    """What resamples say of a difference, and the difference."""

    difference: float
    standard_error: float


def scipy_bootstrap(data):
    """Of differences of row losses that are there."""
    from scipy.stats import bootstrap

    one, two = (
        -np.log(np.clip(np.where(is_true(data.y), p, 1 - p), data.eps, 1))
        for p in data.p
    )
    differences = one - two

    def call():
        found = bootstrap(
            (differences,),
            np.mean,
            n_resamples=1000,
            batch=10,  # what the caches hold
            vectorized=True,
            method="percentile",
            rng=np.random.default_rng(0),
        )
        return Difference(differences.mean(), found.standard_error)

    return call


def of_groups(function):
    return dict.fromkeys(("groups", "weighted groups", "named groups"), function)


SKLEARN = "scikit-learn"
PEERS = [
    Peer(
        SKLEARN,
        "sklearn",
        {
            **dict.fromkeys(
                ("binary", "weighted", "multiclass", "strings", "prepared"),
                sklearn_call,
            ),
            "off": partial(quiet, sklearn_call),
            "scorer": sklearn_scorer,
            **of_every_order(sklearn_logits),
            "multiclass logits gradient": sklearn_multiclass_logits,
            "many": partial(loop, sklearn_call),
        },
        validates=True,
    ),
    Peer(
        "NumPy",
        "numpy",
        {
            "binary": numpy_binary,
            "weighted": numpy_binary,
            "multiclass": numpy_multiclass,
            "strings": numpy_strings,
            **of_every_order(numpy_logits),
            "multiclass logits gradient": numpy_multiclass_logits,
            "gradient": numpy_gradient,
            "prepared": numpy_binary,
            "many": partial(loop, numpy_binary),
        },
    ),
    Peer(
        "NumPy, checked",
        "numpy",
        {"multiclass": partial(numpy_multiclass, checked=True)},
        validates=True,
    ),
    Peer(
        "pandas",
        "pandas",
        {"strings": pandas_strings, **of_groups(pandas_groups)},
    ),
    Peer(
        "numexpr",
        "numexpr",
        {
            "binary": numexpr_binary,
            "weighted": numexpr_binary,
            "many": partial(loop, numexpr_binary),
        },
        PEER_THREADS,
    ),
    Peer("numba", "numba", numba_calls(parallel=False)),
    Peer("numba, parallel", "numba", numba_calls(parallel=True), PEER_THREADS),
    Peer(
        "numba, parallel, checked",
        "numba",
        {
            "multiclass": partial(
                numba_call, kernel="multiclass, checked", parallel=True
            )
        },
        PEER_THREADS,
        validates=True,
    ),
    Peer(
        "polars",
        "polars",
        {
            "binary": polars_binary,
            "weighted": polars_binary,
            "strings": polars_strings,
            **of_groups(polars_groups),
        },
        PEER_THREADS,
    ),
    Peer(
        "polars, own strings",
        "polars",
        {
            "strings": partial(polars_strings, own=True),
            "named groups": partial(polars_groups, own=True),
        },
        PEER_THREADS,
        own_labels=True,
    ),
    Peer("DuckDB", "duckdb", of_groups(duckdb_groups), PEER_THREADS),
    Peer(
        "DuckDB, own strings",
        "duckdb",
        {"named groups": partial(duckdb_groups, own=True)},
        PEER_THREADS,
        own_labels=True,
    ),
    Peer("SciPy bootstrap", "scipy", {"compare": scipy_bootstrap}),
    Peer("polars_ds", "polars_ds", {"binary": polars_ds_binary}, PEER_THREADS),
    Peer(
        "torch",
        "torch",
        {
            "binary": torch_binary,
            "weighted": torch_binary,
            "multiclass": torch_multiclass,
            **TORCH_DERIVATIVES,
            "prepared": torch_binary,
            "many": partial(loop, torch_binary),
        },
        PEER_THREADS,
    ),
    Peer(
        "torch, 1 thread",
        "torch",
        {
            kind: partial(torch_on_one_thread, function)
            for kind, function in TORCH_DERIVATIVES.items()
        },
    ),
    Peer(
        "JAX",
        "jax",
        {
            **of_every_order(jax_logits),
            "multiclass logits gradient": jax_multiclass_logits,
        },
        PEER_THREADS,
    ),
    Peer(
        "CatBoost",
        "catboost",
        {
            "binary": partial(catboost_call, metric="Logloss"),
            "weighted": partial(catboost_call, metric="Logloss"),
            "multiclass": partial(catboost_call, metric="MultiClass"),
        },
        PEER_THREADS,
    ),
]


def load():
    """Import all peers and pin their threads.

    Returns
    -------
    versions : dict
        Version of each module that is there.
    missing : dict
        Name of each peer that is not, and why.
    """
    # Read when polars is imported, and by nothing later.
    os.environ["POLARS_MAX_THREADS"] = str(PEER_THREADS)
    modules, missing = {}, {}
    for peer in PEERS:
        try:
            modules[peer.module] = importlib.import_module(peer.module)
        except ImportError as error:
            missing[peer.name] = str(error)
    if "numba" in modules:
        modules["numba"].set_num_threads(PEER_THREADS)
    if "numexpr" in modules:
        modules["numexpr"].set_num_threads(PEER_THREADS)
    if "torch" in modules:
        modules["torch"].set_num_threads(PEER_THREADS)
    if "jax" in modules:
        modules["jax"].config.update("jax_enable_x64", True)
    versions = {name: module.__version__ for name, module in modules.items()}
    return versions, missing
