"""Numbers of every type in every layout: the same bits as of plain arrays.

Labels, scores, weights and outputs are varied together, every pair of their types,
layouts, functions and options (`pairwise`). What a call gives is compared, to the last
bit, with the same call of contiguous float64 scores and weights that hold the same
numbers, and of int64 codes; that with the NumPy twins, and where it has such a
function, with scikit-learn.
"""

import functools
import json
import math
import sys
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from arrays import LABEL_DTYPES, LAYOUTS, random_codes
from compare import assert_same
from pairwise import pairwise

from fastlogloss import (
    LogLoss,
    _reference,
    d2_log_loss_score,
    log_loss,
    log_loss_gradient,
    log_loss_gradient_hessian,
    sample_log_loss,
)

EPS = 2.0**-52
SMOOTHING = 0.1
MODELS = 3  # of a stack

# --- Factors ------------------------------------------------------------------------

# Values that the types below hold, of codes: name -> (codes, number of classes) ->
# labels of int64, in the order of the codes.
LABEL_VALUES = {
    "codes": lambda codes, k: codes,
    "from 1": lambda codes, k: codes + 1,
    "-1 and 1": lambda codes, k: 2 * codes - 1,
    "3 and 7": lambda codes, k: 4 * codes + 3,
    "with a gap": lambda codes, k: codes + 7 * (codes >= (k + 1) // 2),
    "negative": lambda codes, k: codes - k,
    "huge": lambda codes, k: (codes << 12) + 2**62 + 2**12,
}
# Floats of 64 bits hold the huge ones too; integers may differ by less than those do.
HUGE_STEPS = {"int64": 2**11 - 1, "uint64": 2**11 - 1, "float64": 0}
WEIGHTS = (None, *LABEL_DTYPES, "int64, huge", "uint64, huge")
COLUMNS = ("vector", 1, 2, 3, 10, 33, 100)


def _columns_reversed(a):
    return np.ascontiguousarray(a[..., ::-1])[..., ::-1]


def _repeated(a):
    """The first row again and again, without memory for it."""
    return np.broadcast_to(a[:1], a.shape)


# "columns strided" is what scikit-learn's scorers hand over: P[:, 1].
INPUT_LAYOUTS = {
    **{name: LAYOUTS[name] for name in LAYOUTS if name != "byte-swapped"},
    "columns reversed": _columns_reversed,
    "repeated": _repeated,
}
OUTPUT_LAYOUTS = {
    name: INPUT_LAYOUTS[name]
    for name in INPUT_LAYOUTS
    if name not in ("read-only", "repeated", "memory-mapped")
}


def _of_function(function, **fixed):
    def call(y, p, w, labels, options):
        if function is not sample_log_loss:
            options = {"sample_weight": w, **options}
        return function(y, p, labels=labels, **options, **fixed)

    return call


def _of_method(method, **fixed):
    def call(y, p, w, labels, options):
        out = {"out": options.pop("out")} if "out" in options else {}
        loss = LogLoss(y, sample_weight=w, classes=labels, **options)
        return getattr(loss, method)(p, **out, **fixed)

    return call


# name -> (labels, scores, weights, labels=, options) -> what is returned
FUNCTIONS = {
    "mean": _of_function(log_loss),
    "sum": _of_function(log_loss, normalize=False),
    "d2": _of_function(d2_log_loss_score),
    "rows": _of_function(sample_log_loss),
    "gradient": _of_function(log_loss_gradient),
    "hessian": _of_function(log_loss_gradient_hessian, normalize=False),
    "prepared": _of_method("__call__"),
    "prepared rows": _of_method("samples"),
    "prepared gradient": _of_method("gradient", normalize=False),
    "prepared hessian": _of_method("gradient_hessian"),
    "many": _of_method("many"),
}
FACTORS = {
    "function": (*FUNCTIONS,),
    "scores are": ("probabilities", "logits"),
    "targets are": ("labels", "soft", "smoothed"),
    "eps": ("auto", 0.0, 1e-3),
    "rows": (1, 2, 255, 256, 257, 1000, 20_000),
    "columns": COLUMNS,
    "labels=": (False, True),
    "label type": LABEL_DTYPES,
    "label bytes": ("native", "swapped"),
    "label values": (*LABEL_VALUES,),
    "label layout": (*INPUT_LAYOUTS,),
    "score type": LABEL_DTYPES,
    "score bytes": ("native", "swapped"),
    "score layout": (*INPUT_LAYOUTS,),
    "weight type": WEIGHTS,
    "weight bytes": ("native", "swapped"),
    "weight layout": (*INPUT_LAYOUTS,),
    "output type": (None, "float64", "float32"),
    "output layout": (*OUTPUT_LAYOUTS,),
}


def allowed(case):
    """Whether the values of some factors go together."""
    return not any(
        set(names) <= case.keys() and excluded(*(case[name] for name in names))
        for names, excluded in EXCLUDED.items()
    )


def _has_two_classes(columns):
    return columns in ("vector", 1, 2)


EXCLUDED = {
    # Labels that a type does not hold, or that are not of so many classes.
    ("label values", "columns"): lambda values, columns: (
        values in ("-1 and 1", "3 and 7") and not _has_two_classes(columns)
    ),
    ("label type", "columns"): lambda dtype, columns: (
        dtype == "bool" and not _has_two_classes(columns)
    ),
    ("label type", "label values"): lambda dtype, values: (
        (dtype == "bool" and values != "codes")
        or (dtype[0] == "u" and values in ("-1 and 1", "negative"))
        or (values == "huge" and dtype not in HUGE_STEPS)
    ),
    # Soft targets have no labels.
    ("targets are", "label values"): lambda targets, values: (
        targets == "soft" and values != "codes"
    ),
    ("targets are", "labels="): lambda targets, given: targets == "soft" and given,
    # What functions do not take.
    ("function", "scores are"): lambda f, scores: f == "d2" and scores == "logits",
    ("function", "targets are"): lambda f, targets: f == "d2" and targets != "labels",
    ("function", "eps"): lambda f, eps: f == "d2" and eps != "auto",
    ("function", "rows"): lambda f, n: f == "d2" and n == 1,
    ("function", "weight type"): lambda f, w: f == "rows" and w is not None,
    ("function", "output type"): lambda f, out: (
        (out is not None and "ent" not in f and "hess" not in f and f != "rows")
        or (out == "float32" and f == "rows")
    ),
    # Arrays of more than a few MB would take the time.
    ("rows", "columns"): lambda n, columns: n == 20_000 and columns in (33, 100),
}


# --- Arrays -------------------------------------------------------------------------


def arranged(array, dtype, order, layout):
    """The same numbers (or, repeated, those of the first row) in another form."""
    array = array.astype(dtype)
    if order == "swapped":
        array = array.astype(array.dtype.newbyteorder("S"))
    return INPUT_LAYOUTS[layout](array)


def canonical(array):
    return np.array(array, np.float64, order="C")


def whole_parts(rng, shape, dtype):
    """Probabilities whose rows sum to one without rounding; some are 0 or 1.

    Integers are nothing else.
    """
    bits = {"float64": 50, "float32": 24, "float16": 11}.get(dtype, 0)
    share = rng.random(shape)
    if len(shape) == 2 and shape[1] > 1:
        share /= share.sum(axis=1, keepdims=True)
        certain = np.eye(shape[1])[share.argmax(axis=1)]
    else:
        certain = share.round()
    p = np.floor(np.ldexp(share, bits)) * 2.0**-bits
    is_certain = rng.random(shape[0]) < (0.05 if bits else 2)
    p[is_certain] = certain[is_certain]
    if len(shape) == 2 and shape[1] > 1:
        rows = np.arange(shape[0])
        p[rows, certain.argmax(axis=1)] += 1 - p.sum(axis=1)
    return p


def logits(rng, shape, dtype):
    """Differences of them are exact, as those of the twins have to be."""
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if "float" in dtype:
        return np.round(4 * rng.normal(size=shape) * 2**8) / 2**8
    z = rng.integers(0 if dtype[0] == "u" else -20, 20, size=shape).astype(dtype)
    if "64" in dtype:  # float64 does not hold these
        z[rng.random(shape) < 0.02] = 2**53 + 1
    return z


def weights(rng, n, name):
    dtype, _, size = name.partition(", ")
    w = rng.integers(0, 7, size=n)
    if "float" in dtype:
        w = w + rng.random(n)
    w[0] = 1
    w = w.astype(dtype)
    if size:
        w[rng.random(n) < 0.3] = 2**62 + 2**8 + 1
    return w


class Arrays:
    """The arguments of a case, as they are and as plain arrays that hold the same."""

    def __init__(self, case, n):
        rng = np.random.default_rng([FACTORS["rows"].index(case["rows"]), 7])
        columns = case["columns"]
        shape = (n,) if columns == "vector" else (n, columns)
        self.n_classes = k = 2 if columns in ("vector", 1) else columns
        form = [case[f"score {x}"] for x in ("type", "bytes", "layout")]
        make = logits if case["scores are"] == "logits" else whole_parts
        p = make(rng, shape, form[0])
        if case["function"] == "many":
            p = np.stack([p, p[::-1], np.roll(p, 1, axis=0)][:MODELS])
        self.p = arranged(p, *form)
        self.plain_p = canonical(self.p)

        form = [case[f"label {x}"] for x in ("type", "bytes", "layout")]
        self.labels = None
        if case["targets are"] == "soft":
            self.y = arranged(whole_parts(rng, shape, form[0]), *form)
            self.plain_y = canonical(self.y)
        else:
            self._set_labels(case, random_codes(rng, n, k), form)

        self.w = self.plain_w = None
        if case["weight type"] is not None:
            w = weights(rng, n, case["weight type"])
            form = w.dtype, case["weight bytes"], case["weight layout"]
            self.w = arranged(w, *form)
            self.plain_w = canonical(self.w)

    def _set_labels(self, case, codes, form):
        k, dtype = self.n_classes, form[0]

        def values(codes):
            found = LABEL_VALUES[case["label values"]](codes, k)
            if case["label values"] == "huge":
                found = found + HUGE_STEPS[dtype] * codes
            return found.astype(dtype)

        self.y = arranged(values(codes), *form)
        classes = values(np.arange(k))
        self.plain_y = np.searchsorted(classes, self.y.astype(dtype))
        seen = np.unique(self.plain_y)
        if case["labels="] or len(seen) < k:
            self.labels = classes.tolist()

    @property
    def plain_labels(self):
        return None if self.labels is None else list(range(self.n_classes))


def precision(p):
    """The dtype whose machine epsilon is that of `eps="auto"`."""
    is_narrow = p.dtype in (np.float32, np.float16)  # in native order alone
    return p.dtype if is_narrow else np.dtype(float)


def options_of(case, p):
    """Keywords, and those that say the same for plain scores."""
    if case["function"] == "d2":
        return {}, {}
    keywords = {"eps": case["eps"]}
    if case["scores are"] == "logits":
        keywords["from_logits"] = True
    if case["targets are"] == "soft":
        keywords["soft_targets"] = True
    if case["targets are"] == "smoothed":
        keywords["label_smoothing"] = SMOOTHING
    eps = keywords["eps"]
    if eps == "auto":
        eps = float(np.finfo(precision(p)).eps)
    return keywords, {**keywords, "eps": eps}


def outputs(case, p):
    """What `out` is to be, as a list; empty where there is none to give."""
    if case["output type"] is None:
        return []
    shape = p.shape[:1] if case["function"] == "rows" else p.shape
    lay_out = OUTPUT_LAYOUTS[case["output layout"]]
    # Nothing but zeros, between the numbers of the array too.
    return [
        lay_out(np.zeros(shape, case["output type"]))
        for _ in range(2 if "hessian" in case["function"] else 1)
    ]


def assert_same_bits(found, expected):
    found = found if isinstance(found, tuple) else (found,)
    for a, b in zip(found, expected, strict=True):
        if isinstance(a, np.ndarray):
            assert a.shape == b.shape
            with np.errstate(over="ignore"):
                b = b.astype(a.dtype)
        else:
            assert type(a) is float
        np.testing.assert_array_equal(a, b)


def assert_only_written_in(out):
    """Nothing of the memory around an output has changed."""
    base = out
    while base.base is not None and isinstance(base.base, np.ndarray):
        base = base.base
    out[...] = 0
    assert not base.any()


# --- Against the twins and scikit-learn ---------------------------------------------


def twin(case, arrays, eps):
    """(loss, gradient, hessian) of each row, by the NumPy twins."""
    y, p, k = arrays.plain_y, arrays.plain_p, arrays.n_classes
    column = p.ndim == 2 and p.shape[1] == 1
    if column:
        p = p[:, 0]
        y = y[:, 0] if y.ndim == 2 else y
    t = y
    if case["targets are"] != "soft":
        t = _reference.targets(y, 1 if p.ndim == 1 else k)
    if case["targets are"] == "smoothed":
        t = _reference.smooth(t, SMOOTHING)
    if case["scores are"] == "logits":
        loss, *parts = _reference.logit_rows(t, p)
    else:
        loss, *parts = _reference.probability_rows(t, p, eps)
    if column:
        parts = [part[:, None] for part in parts]
    return loss, *parts


def assert_twin(case, arrays, values, eps):
    """Values of the plain call are those of the twin, within the bounds documented."""
    function = case["function"]
    if function in ("many", "d2"):
        return  # one model after the other, in TestPrepared; and scikit-learn
    loss, gradient, hessian = twin(case, arrays, eps)
    w = arrays.plain_w
    if w is None:
        w = np.ones(len(loss))
    is_sum = function in ("sum", "hessian", "prepared gradient")
    divisor = 1.0 if is_sum else math.fsum(w)
    # Targets add up a term for each class, half an ULP each at most.
    rtol = 2e-15
    if case["targets are"] != "labels":
        rtol += arrays.n_classes * EPS / 2
    if "rows" in function:
        np.testing.assert_allclose(values[0], loss, rtol, 1e-323)
        return
    counted = w != 0
    expected = math.fsum(loss[counted] * w[counted]) / divisor
    assert values[0] == pytest.approx(expected, rel=rtol, abs=0)
    # p and t, or t / p and (1 - t) / (1 - p), of which the gradient is a difference.
    terms = 0.0
    if case["targets are"] != "labels":
        terms = 2.0 if case["scores are"] == "logits" else 2 * np.sqrt(hessian)
    factor = (w if loss.shape == gradient.shape else w[:, None]) / divisor
    parts = (gradient, hessian)
    for found, part, size in zip(values[1:], parts, (terms, 0.0), strict=False):
        with np.errstate(invalid="ignore"):
            part = np.where(factor == 0, 0.0, part * factor)
            bound = 1e-14 * np.abs(part) + 1e-15 * size * factor + 1e-323
            close = (found == part) | (np.abs(found - part) <= bound)
        assert close.all()


def assert_sklearn(case, arrays):
    """scikit-learn says the same, where it has the function."""
    if case["function"] not in ("mean", "sum", "d2"):
        return
    if "from" in case["scores are"] or case["scores are"] == "logits":
        return
    if case["targets are"] != "labels" or case["eps"] != "auto":
        return
    dtype = precision(arrays.p).name
    n = len(arrays.p)
    if dtype == "float16" and (n > 257 or "huge" in (case["weight type"] or "")):
        return  # its sums overflow
    keywords = {"labels": arrays.labels, "sample_weight": arrays.w}
    metric = "log_loss"
    if case["function"] == "d2":
        metric = "d2_log_loss_score"
    else:
        keywords["normalize"] = case["function"] == "mean"
    n_summed = 1
    if case["function"] == "sum":
        n_summed = n if arrays.w is None else float(arrays.plain_w.sum())
    assert_same(
        metric, arrays.y, arrays.p, dtype=dtype, n_summed=n_summed, **keywords
    )


# --- Tests --------------------------------------------------------------------------

CASES = pairwise(FACTORS, allowed)


@functools.cache
def arrays_of(number):
    return Arrays(CASES[number], CASES[number]["rows"])


@functools.cache
def plain_result(number):
    """By the variant and the threads that come first, for all the others too."""
    case, arrays = CASES[number], arrays_of(number)
    p = arrays.plain_p
    if case["function"] == "d2":  # which has no eps to give
        p = p.astype(precision(arrays.p))
    options = options_of(case, arrays.p)[1]
    found = FUNCTIONS[case["function"]](
        arrays.plain_y, p, arrays.plain_w, arrays.plain_labels, options
    )
    values = found if isinstance(found, tuple) else (found,)
    assert_twin(case, arrays, values, options.get("eps"))
    return values


class TestPairwise:
    def test_all_pairs_are_covered(self):
        from itertools import combinations, product

        for one, other in combinations(FACTORS, 2):
            found = {(case[one], case[other]) for case in CASES}
            expected = {
                (a, b)
                for a, b in product(FACTORS[one], FACTORS[other])
                if allowed({one: a, other: b})
            }
            assert found == expected

    @pytest.mark.parametrize("number", range(len(CASES)))
    @pytest.mark.usefixtures("engine")
    def test_same_bits(self, number):
        case, arrays = CASES[number], arrays_of(number)
        expected = plain_result(number)
        options = options_of(case, arrays.p)[0]
        outs = outputs(case, arrays.p)
        if outs:
            options["out"] = outs[0] if len(outs) == 1 else tuple(outs)
        found = FUNCTIONS[case["function"]](
            arrays.y, arrays.p, arrays.w, arrays.labels, options
        )
        assert_same_bits(found, expected)
        for out in outs:
            assert any(out is part for part in (found, *found[-2:]))
            assert_only_written_in(out)

    @pytest.mark.compares
    @pytest.mark.parametrize("number", range(len(CASES)))
    def test_scikit_learn(self, number):
        assert_sklearn(CASES[number], arrays_of(number))
