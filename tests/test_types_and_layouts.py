"""Numbers of every type in every layout: the same bits as of plain arrays.

Labels, scores, weights and outputs are varied together, every pair of their types,
layouts, functions and options (`pairwise`). What a call gives is compared, to the last
bit, with the same call of contiguous float64 scores and weights that hold the same
numbers, and of int64 codes; that with the NumPy twins, and where it has such a
function, with scikit-learn.
"""

import json
import math
import re
import warnings
from collections import Counter
from functools import cached_property, partial
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from arrays import LABEL_DTYPES, LAYOUTS, random_codes
from compare import assert_same, same_number
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

# --- Factors ------------------------------------------------------------------------

# name -> (codes, number of classes) -> labels in the order of the codes.
LABEL_VALUES = {
    "codes": lambda codes, k: codes,
    "from 1": lambda codes, k: codes + 1,
    "-1 and 1": lambda codes, k: 2 * codes - 1,
    "3 and 7": lambda codes, k: 4 * codes + 3,
    "with a gap": lambda codes, k: codes + 7 * (codes >= (k + 1) // 2),
    "negative": lambda codes, k: codes - k,
}
# Integers are such as float64 cannot tell apart; type -> as above.
HUGE_VALUES = {
    "int64": lambda codes, k: np.where(codes, 2**63 - k + codes, -(2**63)),
    "uint64": lambda codes, k: np.uint64(2**64 - k) + codes.astype(np.uint64),
    "float64": lambda codes, k: (codes + 1) * 2.0**55,
}
WEIGHTS = (None, *LABEL_DTYPES, "int64, huge", "uint64, huge")
COLUMNS = ("vector", 1, 2, 3, 10, 33, 100)


def _columns_reversed(a):
    return np.ascontiguousarray(a[..., ::-1])[..., ::-1]


def _repeated(a):
    """The first row again and again, without memory for it."""
    return np.broadcast_to(a[:1], a.shape)


def _columns_repeated(a):
    return np.broadcast_to(a[..., :1], a.shape)


# "columns strided" is what scikit-learn's scorers hand over: P[:, 1].
INPUT_LAYOUTS = {
    **{name: LAYOUTS[name] for name in LAYOUTS if name != "byte-swapped"},
    "columns reversed": _columns_reversed,
    "repeated": _repeated,
    "columns repeated": _columns_repeated,
}
NO_OUTPUTS = ("read-only", "memory-mapped", "repeated", "columns repeated")
OUTPUT_LAYOUTS = {
    name: INPUT_LAYOUTS[name] for name in INPUT_LAYOUTS if name not in NO_OUTPUTS
}


def _function(function, **fixed):
    def call(y, p, w, labels, options):
        if function is not sample_log_loss:
            options = {"sample_weight": w, **options}
        return partial(function, y, p, labels=labels, **options, **fixed)

    return call


def _method(method, **fixed):
    def call(y, p, w, labels, options):
        out = {"out": options.pop("out")} if "out" in options else {}
        loss = LogLoss(y, sample_weight=w, classes=labels, **options)
        return partial(getattr(loss, method), p, **out, **fixed)

    return call


# name -> (labels, scores, weights, labels=, options) -> the call
FUNCTIONS = {
    "mean": _function(log_loss),
    "sum": _function(log_loss, normalize=False),
    "d2": _function(d2_log_loss_score),
    "rows": _function(sample_log_loss),
    "gradient": _function(log_loss_gradient),
    "hessian": _function(log_loss_gradient_hessian, normalize=False),
    "prepared": _method("__call__"),
    "prepared rows": _method("samples"),
    "prepared gradient": _method("loss_gradient", normalize=False),
    "prepared hessian": _method("loss_gradient_hessian"),
    "many": _method("many"),
}
# What `out` may be.
OUTPUTS = {
    "rows": ("float64",),
    **dict.fromkeys(
        ("gradient", "hessian", "prepared gradient", "prepared hessian"),
        ("float64", "float32"),
    ),
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
    "label values": (*LABEL_VALUES, "huge"),
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
        or (values == "huge" and dtype not in HUGE_VALUES)
    ),
    # Soft targets have no labels.
    ("targets are", "label values"): lambda targets, values: (
        targets == "soft" and values != "codes"
    ),
    ("targets are", "labels="): lambda targets, given: targets == "soft" and given,
    # Rows that would not sum to one.
    ("score layout", "scores are"): lambda layout, scores: (
        layout == "columns repeated" and scores == "probabilities"
    ),
    ("label layout", "targets are"): lambda layout, targets: (
        layout == "columns repeated" and targets == "soft"
    ),
    ("score layout", "function"): lambda layout, f: (
        layout == "columns repeated" and f == "d2"
    ),
    # What functions do not take.
    ("function", "scores are"): lambda f, scores: f == "d2" and scores == "logits",
    ("function", "targets are"): lambda f, targets: f == "d2" and targets != "labels",
    ("function", "eps"): lambda f, eps: f == "d2" and eps != "auto",
    ("function", "rows"): lambda f, n: f == "d2" and n == 1,
    ("function", "weight type"): lambda f, w: f == "rows" and w is not None,
    ("function", "output type"): lambda f, out: (
        out is not None and out not in OUTPUTS.get(f, ())
    ),
    # Arrays of more than a few MB would take the time.
    ("rows", "columns"): lambda n, columns: n == 20_000 and columns in (33, 100),
}


# --- Arrays -------------------------------------------------------------------------


def arranged(array, dtype, order, layout, bad=None):
    """The same numbers (or, repeated, those of the first row) in another form.

    But for those of a row, where something else is to be in it.
    """
    array = array.astype(dtype)
    if bad is not None:
        array[0 if "repeated" in layout else len(array) // 2] = bad
    if order == "swapped":
        array = array.astype(array.dtype.newbyteorder("S"))
    found = INPUT_LAYOUTS[layout](array)
    assert found.dtype == array.dtype
    return found


def plain(array):
    return np.array(array, np.float64, order="C")


def some(rng, n, share=0.05):
    return rng.random(n) < share


def probabilities(rng, shape, dtype):
    """Some are 0 (of either sign) or 1, and those of integers are nothing else."""
    has_fractions = "float" in dtype
    if len(shape) == 1 or shape[1] == 1:
        p = rng.random(shape) ** rng.choice([1, 4, 20], size=shape)
        certain = p.round()
    else:
        p = _exact_rows(rng, shape, dtype)
        certain = np.eye(shape[1])[p.argmax(axis=1)]
    is_certain = some(rng, shape[0], 0.05 if has_fractions else 2)
    p[is_certain] = certain[is_certain]
    return p if dtype == "bool" else np.where((p == 0) & some(rng, shape, 0.5), -p, p)


def _exact_rows(rng, shape, dtype):
    """Their sums are 1 without any rounding, in the dtype too."""
    bits = {"float16": 11, "float32": 24}.get(dtype, 50)
    p = rng.random(shape)
    p = np.floor(np.ldexp(p / p.sum(axis=1, keepdims=True), bits)) * 2.0**-bits
    p[np.arange(shape[0]), p.argmax(axis=1)] += 1 - p.sum(axis=1)
    return p


def logits(rng, shape, dtype):
    """Differences of them are exact, as those of the twins have to be."""
    if "float" in dtype:
        z = np.round(4 * rng.normal(size=shape) * 2**8) / 2**8
        about = np.finfo(dtype)
        for value in (-0.0, about.smallest_subnormal, -about.smallest_normal):
            z[some(rng, shape)] = value
        # Rare, for the loss of a row that costs as much hides those of the others.
        for value in (np.inf, -np.inf, min(float(about.max), 1e280)):
            z[some(rng, shape, 1e-3)] = value
        return z
    if dtype == "bool":
        return some(rng, shape, 0.5)
    z = rng.integers(0 if dtype[0] == "u" else -20, 20, size=shape).astype(dtype)
    if "64" in dtype:
        z[some(rng, shape, 0.02)] = 2**53 + 1
    return z


def weights(rng, n, name):
    dtype, _, size = name.partition(", ")
    w = rng.integers(0, 7, size=n)
    if "float" in dtype:
        w = w + rng.random(n)
        if dtype != "float64":
            w[some(rng, n)] = np.finfo(dtype).smallest_subnormal
    if n > 2 and dtype != "bool" and dtype[0] != "u":
        w[some(rng, n)] = -1
    w[0] = 1
    w = w.astype(dtype)
    if size:
        w[some(rng, n, 0.3)] = 2**62 + 2**8 + 1
    return w


class Case:
    """The arguments of a call, and plain arrays that hold the same numbers.

    With `bad`, of a name `y`, `p` or `w` and a number, a row of that is this number.
    """

    def __init__(self, given, n=None, bad=(None, None)):
        self.given = given
        self.bad = dict([bad])
        self.n = given["rows"] if n is None else n
        self.function = given["function"]
        self.is_soft = given["targets are"] == "soft"
        self.from_logits = given["scores are"] == "logits"
        columns = given["columns"]
        self.shape = (self.n,) if columns == "vector" else (self.n, columns)
        self.n_classes = 2 if columns in ("vector", 1) else columns

    def __repr__(self):
        return f"Case({self.given}, {self.n}, {self.bad})"

    def _form(self, of):
        return [self.given[f"{of} {part}"] for part in ("type", "bytes", "layout")]

    def _rng(self, stream):
        return np.random.default_rng([stream, self.n])

    @cached_property
    def p(self):
        make = logits if self.from_logits else probabilities
        p = make(self._rng(0), self.shape, self.given["score type"])
        if self.function == "many":
            p = np.stack([p, p[::-1], np.roll(p, 1, axis=0)])
        return arranged(p, *self._form("score"), self.bad.get("p"))

    @cached_property
    def y(self):
        dtype = self.given["label type"]
        if self.is_soft:
            y = probabilities(self._rng(1), self.shape, dtype)
        else:
            y = self._labels(random_codes(self._rng(1), self.n, self.n_classes))
            if "float" in dtype:
                y[(y == 0) & some(self._rng(2), self.n, 0.5)] = -0.0
        return arranged(y, *self._form("label"), self.bad.get("y"))

    def _labels(self, codes):
        values, dtype = self.given["label values"], self.given["label type"]
        make = HUGE_VALUES[dtype] if values == "huge" else LABEL_VALUES[values]
        return make(codes, self.n_classes).astype(dtype)

    @cached_property
    def w(self):
        name = self.given["weight type"]
        if name is None:
            return None
        w = weights(self._rng(3), self.n, name)
        _, *form = self._form("weight")
        return arranged(w, w.dtype, *form, self.bad.get("w"))

    @cached_property
    def labels(self):
        """All of them, where that has to be said."""
        if self.is_soft:
            return None
        is_complete = len(np.unique(self.plain_y)) == self.n_classes
        if is_complete and not self.given["labels="]:
            return None
        return self._labels(np.arange(self.n_classes)).tolist()

    @cached_property
    def plain_y(self):
        """Codes of int64, or targets."""
        if self.is_soft:
            return plain(self.y)
        classes = self._labels(np.arange(self.n_classes))
        return np.searchsorted(classes, self.y.astype(classes.dtype))

    @cached_property
    def plain_p(self):
        return plain(self.p)

    @cached_property
    def plain_w(self):
        return None if self.w is None else plain(self.w)

    @property
    def precision(self):
        """The dtype whose machine epsilon is that of `eps="auto"`."""
        dtype, order, _ = self._form("score")
        is_narrow = dtype in ("float32", "float16") and order == "native"
        return np.dtype(dtype if is_narrow else float)

    @property
    def eps(self):
        eps = self.given["eps"]
        return float(np.finfo(self.precision).eps) if eps == "auto" else eps

    @property
    def options(self):
        if self.function == "d2":
            return {}
        options = {"eps": self.given["eps"]}
        if self.from_logits:
            options["from_logits"] = True
        if self.is_soft:
            options["soft_targets"] = True
        if self.given["targets are"] == "smoothed":
            options["label_smoothing"] = SMOOTHING
        return options

    def outputs(self):
        """What `out` is to be, as a list; empty where there is none to give."""
        dtype = self.given["output type"]
        if dtype is None:
            return []
        shape = self.shape[:1] if self.function == "rows" else self.shape
        lay_out = OUTPUT_LAYOUTS[self.given["output layout"]]
        # Nothing but zeros, between the numbers of the array too.
        n_outputs = 2 if "hessian" in self.function else 1
        return [lay_out(np.zeros(shape, dtype)) for _ in range(n_outputs)]

    def call(self, outputs=()):
        """The call, whose result is a tuple or alone."""
        options = self.options
        if outputs:
            options["out"] = outputs[0] if len(outputs) == 1 else tuple(outputs)
        arguments = self.y, self.p, self.w, self.labels, options
        return FUNCTIONS[self.function](*arguments)

    @cached_property
    def expected(self):
        """Of plain arrays, by the variant and the threads that come first."""
        p, options = self.plain_p, self.options
        if "eps" in options:
            options["eps"] = self.eps
        else:
            p = p.astype(self.precision)
        labels = None if self.labels is None else list(range(self.n_classes))
        call = FUNCTIONS[self.function](self.plain_y, p, self.plain_w, labels, options)
        return as_tuple(call())

    @cached_property
    def expected_objection(self):
        return objection(lambda: self.expected)


def as_tuple(result):
    return result if isinstance(result, tuple) else (result,)


def assert_same_bits(found, expected):
    for a, b in zip(found, expected, strict=True):
        if isinstance(a, np.ndarray):
            assert a.shape == b.shape
            with np.errstate(over="ignore"):
                b = b.astype(a.dtype)
        else:
            assert type(a) is float
        np.testing.assert_array_equal(a, b)


def assert_nothing_else_written(out):
    """The memory that an output is a part of is as it was: zero."""
    whole = out
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    out[...] = 0
    assert not whole.any()


# --- The NumPy twins ----------------------------------------------------------------


def twin(case):
    """(loss, gradient, hessian) of each row."""
    y, p = case.plain_y, case.plain_p
    if case.given["columns"] == 1:
        p = p[:, 0]
        y = y.reshape(len(y))
    t = y
    if not case.is_soft:
        t = _reference.targets(y, 1 if p.ndim == 1 else case.n_classes)
    if case.given["targets are"] == "smoothed":
        t = _reference.smooth(t, SMOOTHING)
    if case.from_logits:
        loss, *parts = _reference.logit_rows(t, p)
    else:
        loss, *parts = _reference.probability_rows(t, p, case.eps)
    return loss, *(part.reshape(case.shape) for part in parts)


def exact_sum(a):
    if np.isfinite(a).all():
        return math.fsum(a)
    with np.errstate(invalid="ignore"):  # infinite of both signs
        return a.sum()


def assert_twin(case):
    """Within the documented bounds."""
    if case.function in ("d2", "many"):
        return  # those of other functions, divided or repeated
    loss, gradient, hessian = twin(case)
    w = np.ones(case.n) if case.w is None else case.plain_w
    is_sum = case.function in ("sum", "hessian", "prepared gradient")
    divisor = 1.0 if is_sum else exact_sum(w)
    is_hard = case.given["targets are"] == "labels"
    # Targets add up a term for each class, half an ULP each at most.
    rtol = 2e-15 + (0 if is_hard else case.n_classes * EPS / 2)
    if "rows" in case.function:
        np.testing.assert_allclose(case.expected[0], loss, rtol, 1e-323)
        return
    terms = loss[w != 0] * w[w != 0]
    scale = exact_sum(np.abs(terms)) / divisor
    if not is_sum:
        scale *= exact_sum(np.abs(w)) / divisor
    mean = exact_sum(terms) / divisor
    assert same_number(case.expected[0], mean, rtol * scale)
    # p and t, or t / p and (1 - t) / (1 - p), of which the gradient is a difference.
    terms = 0.0 if is_hard else 2.0 if case.from_logits else 2 * np.sqrt(hessian)
    factor = (w if gradient.ndim == 1 else w[:, None]) / divisor
    parts = (gradient, terms), (hessian, 0.0)
    for found, (part, size) in zip(case.expected[1:], parts, strict=False):
        with np.errstate(invalid="ignore"):
            part = np.where(factor == 0, 0.0, part * factor)
            bound = 1e-14 * np.abs(part) + 1e-15 * size * np.abs(factor) + 1e-323
            close = (found == part) | (np.abs(found - part) <= bound)
        assert close.all()


# --- Tests --------------------------------------------------------------------------

# Each pair in two cases that differ in all the rest.
CASES = [Case(given) for seed in (0, 1) for given in pairwise(FACTORS, allowed, seed)]


def in_sklearn(case):
    """Whether scikit-learn has such a function, and does not fail or overflow."""
    if case.precision == np.float16:
        if case.n > 257 or "huge" in (case.given["weight type"] or ""):
            return False
    if case._form("label")[:2] == ["uint64", "swapped"]:  # NumPy's search fails
        if case.given["label values"] == "huge":
            return False
    return (
        case.function in ("mean", "sum", "d2")
        and not case.from_logits
        and case.given["targets are"] == "labels"
        and case.given["eps"] == "auto"
    )


SHARED = [case for case in CASES if in_sklearn(case)]


class TestPairwise:
    def test_all_pairs(self):
        for one, other in combinations(FACTORS, 2):
            found = {(case.given[one], case.given[other]) for case in CASES}
            for pair in product(FACTORS[one], FACTORS[other]):
                is_allowed = allowed(dict(zip((one, other), pair, strict=True)))
                assert (pair in found) == is_allowed

    @pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
    @pytest.mark.usefixtures("engine")
    def test_same_bits(self, case):
        outputs = case.outputs()
        found = as_tuple(case.call(outputs)())
        assert_same_bits(found, case.expected)
        for out in outputs:
            assert any(out is part for part in found)
            assert_nothing_else_written(out)

    @pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
    def test_twin(self, case):
        assert_twin(case)

    @pytest.mark.compares
    @pytest.mark.parametrize("case", SHARED, ids=map(CASES.index, SHARED))
    def test_scikit_learn(self, case):
        name, keywords, n_summed = "log_loss", {}, 1
        if case.function == "d2":
            name = "d2_log_loss_score"
        elif case.function == "sum":
            keywords["normalize"] = False
            n_summed = case.n if case.w is None else float(case.plain_w.sum())
        assert_same(
            name,
            case.y,
            case.p,
            sample_weight=case.w,
            labels=case.labels,
            dtype=case.precision.name,
            n_summed=n_summed,
            **keywords,
        )


def bad_numbers(case):
    """What cannot be in the arrays of a case, as far as their types can hold it."""
    given = case.given

    def outside(dtype):
        if "float" in dtype:
            return np.nan, 1.5, -0.25
        return {"b": (), "u": (2,), "i": (2, -1)}[dtype[0]]

    numbers = [("p", bad) for bad in outside(given["score type"])]
    if case.from_logits:
        numbers = numbers[:1] if "float" in given["score type"] else []
    if "float" in (given["weight type"] or ""):
        numbers += [("w", np.nan), ("w", np.inf)]
    if case.is_soft:
        numbers += [("y", bad) for bad in outside(given["label type"])]
    elif given["labels="]:
        if given["label type"] != "bool" and given["label values"] != "huge":
            numbers.append(("y", case.labels[-1] + 1))
        if "float" in given["label type"]:
            numbers += [("y", 0.5), ("y", np.nan)]
    return numbers


# Every third of those that could be.
BAD = [Case(case.given, None, bad) for case in CASES for bad in bad_numbers(case)][::3]


@pytest.mark.compares
class TestBad:
    """What is wrong is found in every type and layout, and no output is written to."""

    @pytest.mark.parametrize("case", BAD, ids=range(len(BAD)))
    @pytest.mark.usefixtures("engine")
    def test_error(self, case):
        outputs = case.outputs()
        found = objection(lambda: case.call(outputs)())
        for out in outputs:
            assert not out.any()
            assert_nothing_else_written(out)
        if "y" not in case.bad or case.is_soft:  # labels have other names
            assert found == case.expected_objection


def objection(function):
    """What an error says, but for types, and with whole numbers written in one way."""
    try:
        function()
    except ValueError as error:
        text = "\n".join([str(error), *getattr(error, "__notes__", [])])
    else:
        pytest.fail("there is no error")
    return re.sub(r"\.0\b|dtype\('.*?'\)", "", text)


# --- Memory -------------------------------------------------------------------------

NUMBERS = 5 * 2**18  # of an argument: a byte for each would be seen
MEBIBYTE = 2**20
# Else glibc keeps what is freed, and the next call of that size is not seen.
GLIBC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def cases_of_every_value(times=2):
    shown, chosen = Counter(), []
    for case in CASES:
        values = case.given.items()
        if min(shown[value] for value in values) < times:
            shown.update(values)
            chosen.append(case)
    return chosen


def memory_beyond(case):
    """Bytes that a call of many rows needs beside its arguments and results."""
    from bench.footprint import peak_resident, reset_peak

    n = NUMBERS // (case.n_classes if len(case.shape) == 2 else 1)
    large = Case(case.given, n // 3 if case.function == "many" else n)
    outputs = large.outputs()
    call = large.call(outputs)
    call()  # the first may start threads
    assert reset_peak()
    before = peak_resident()
    result = call()
    needed = peak_resident() - before
    for part in as_tuple(result):
        if isinstance(part, np.ndarray) and not any(part is out for out in outputs):
            needed -= part.nbytes
    return needed


def print_memory():
    warnings.simplefilter("ignore")
    for case in cases_of_every_value():
        print(json.dumps([CASES.index(case), memory_beyond(case)]))


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="of Linux alone")
def test_memory(run_python):
    """At most a mebibyte, as the operating system sees it."""
    tests = Path(__file__).parent
    program = f"import sys; sys.path[:0] = {[str(tests), str(tests.parent)]}\n"
    program += "import test_types_and_layouts as tests; tests.print_memory()"
    lines = run_python("-c", program, **GLIBC).stdout.splitlines()
    assert len(lines) == len(cases_of_every_value())
    for number, needed in map(json.loads, lines):
        assert needed <= MEBIBYTE, CASES[number]


@pytest.mark.parametrize("dtype", [np.float64, ">f8", np.float32, np.float16])
@pytest.mark.parametrize("k", [3, 15, 16, 31, 32, 33, 100])
def test_the_order_of_additions_is_that_of_rows(k, dtype):
    # Sums of rows have lanes from 16 columns on, and the last three rows their own.
    rng = np.random.default_rng(k)
    for n in (5, 257, 1003):
        p = rng.dirichlet(np.ones(k), n).astype(dtype)
        y = rng.integers(k, size=n)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # sums of narrow types
            expected = sample_log_loss(y, p, labels=np.arange(k))
            for q in (np.asfortranarray(p), np.asfortranarray(p[::-1])[::-1]):
                got = sample_log_loss(y, q, labels=np.arange(k))
                np.testing.assert_array_equal(got, expected)
