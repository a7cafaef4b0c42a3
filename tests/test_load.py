"""What kernels read and write: every type, order of bytes and layout of arrays."""

import numpy as np
import pytest
from arrays import random_codes
from numpy.lib.stride_tricks import as_strided

EPS = 2.0**-52
DTYPES = (
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float16", "float32", "float64"),
)
N = 601  # two tiles and a part of one
FEW = 200  # a block of any number of columns


def _swapped(a):
    return a.astype(a.dtype.newbyteorder("S"))


def _shifted(a):
    """Not aligned, where items are more than a byte."""
    raw = np.zeros(a.nbytes + 1, np.uint8)
    shifted = raw[1:].view(a.dtype).reshape(a.shape)
    shifted[...] = a
    return shifted


def _in_records(a):
    """Items that are an odd number of bytes apart."""
    records = np.zeros(a.shape, [("before", "u1"), ("x", a.dtype), ("after", "u2")])
    records["x"] = a
    return records["x"]


def _every_second(a):
    wide = np.ones((*(2 * n for n in a.shape),), a.dtype)
    part = wide[(slice(None, None, 2),) * a.ndim]
    part[...] = a
    return part


LAYOUTS = {
    "plain": np.ascontiguousarray,
    "fortran": np.asfortranarray,
    "reversed": lambda a: np.flip(np.flip(a).copy()),
    "rows reversed": lambda a: a[::-1].copy()[::-1],
    "every second": _every_second,
    "not aligned": _shifted,
    "in records": _in_records,
    "swapped": _swapped,
    "swapped, not aligned": lambda a: _shifted(_swapped(a)),
    "swapped, reversed": lambda a: np.flip(_swapped(np.flip(a))),
    "swapped, in records": lambda a: _in_records(_swapped(a)),
}


def new_spec(loops, n_columns, **kwargs):
    return loops.Spec(n_columns, EPS, 1.0 - EPS, 1e-8, **kwargs)


def bits(totals, *outputs):
    found = totals.loss, totals.weight, totals.status, totals.n_classes_seen
    return *found, *(out.tobytes() for out in outputs)


def run(spec, y, p, w=None, **kwargs):
    """Everything that one pass and a pass of rows give, to be compared."""
    gradient, hessian = np.empty(p.shape), np.empty(p.shape)
    rows = np.empty(len(p))
    totals = spec.run(y, p, w, gradient=gradient, hessian=hessian, **kwargs)
    spec.run(y, p, w, rows=rows, **kwargs)
    plain, checked = spec.run(y, p, w, **kwargs), spec.run(y, p, w, check_only=True)
    outputs = gradient, hessian, rows
    return bits(totals, *outputs), bits(plain), checked.n_rows, checked.weight


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
class TestInputs:
    @pytest.mark.parametrize("n_columns", [1, 2, 3, 10, 40])
    def test_labels(self, loops, rng, n_columns, dtype, layout):
        k = max(n_columns, 2) if dtype != "bool" else 2
        y = random_codes(rng, N, k).astype(dtype)
        shape = N if n_columns == 1 else (N, n_columns)
        z = rng.normal(size=shape)
        spec = new_spec(loops, n_columns, from_logits=True)
        expected = run(spec, y.astype(np.int64), z)
        laid = LAYOUTS[layout](y)
        assert run(spec, laid, z) == expected
        assert spec.mean(laid[:FEW], z[:FEW]) == spec.run(y[:FEW], z[:FEW]).loss / FEW
        codes = np.empty(N, np.int64)
        assert loops.encode(laid, np.array(k), codes)
        np.testing.assert_array_equal(codes, y.astype(int))

    @pytest.mark.parametrize("n_columns", [1, 2, 3, 40])
    @pytest.mark.parametrize("kind", ["labels", "targets"])
    def test_logits(self, loops, rng, n_columns, kind, dtype, layout):
        shape = N if n_columns == 1 else (N, n_columns)
        z = (4 * rng.normal(size=shape)).clip(0 if dtype[0] in "ub" else -np.inf)
        z = z.astype(dtype)
        y = random_codes(rng, N, max(n_columns, 2))
        if kind == "targets":
            y = np.ones(shape) / n_columns
        spec = new_spec(loops, n_columns, from_logits=True, soft=kind == "targets")
        expected = run(spec, y, z.astype(float))
        laid = LAYOUTS[layout](z)
        assert run(spec, y, laid) == expected
        few = spec.run(y[:FEW], z[:FEW].astype(float))
        assert spec.mean(y[:FEW], laid[:FEW]) == few.loss / FEW
        losses, statuses = np.empty(3), np.empty(3, np.int64)
        stack = LAYOUTS[layout](np.stack([z, z[::-1], z]))
        assert spec.run_many(y, stack, None, losses, statuses)
        flipped = spec.run(y, z[::-1].astype(float)).loss
        first = expected[1][0] / N
        assert losses.tolist() == [first, flipped / N, first]

    @pytest.mark.parametrize("n_columns", [1, 2, 3, 40])
    @pytest.mark.parametrize("soft", [False, True], ids=["labels", "targets"])
    def test_probabilities_and_targets(
        self, loops, rng, n_columns, soft, dtype, layout
    ):
        """Those of certainty, of which there are some in every type."""
        codes = random_codes(rng, N, max(n_columns, 2))
        p = codes if n_columns == 1 else np.eye(n_columns)[codes]
        p = p.astype(dtype)
        spec = new_spec(loops, n_columns, soft=soft)
        y = p if soft else codes
        expected = run(spec, y.astype(float), p.astype(float))
        laid = LAYOUTS[layout](p)
        assert run(spec, laid if soft else y, laid) == expected
        if n_columns > 1:
            sums = p.astype(float)
            sums[N // 2] = 1
            broken = LAYOUTS[layout](sums.astype(dtype))
            assert loops.worst_row(broken) == (N // 2, n_columns)

    @pytest.mark.parametrize("n_columns", [1, 3])
    def test_weights(self, loops, rng, n_columns, dtype, layout):
        w = (5 * rng.random(N)).astype(dtype)
        y = random_codes(rng, N, max(n_columns, 2))
        z = rng.normal(size=N if n_columns == 1 else (N, n_columns))
        spec = new_spec(loops, n_columns, from_logits=True)
        expected = run(spec, y, z, w.astype(float))
        laid = LAYOUTS[layout](w)
        assert run(spec, y, z, laid) == expected
        assert loops.sum_weights(laid) == loops.sum_weights(w.astype(float))
        losses, statuses = np.empty(1), np.empty(1, np.int64)
        assert spec.run_many(y, z[None], laid, losses, statuses)
        mean = expected[1][0] / expected[1][1]
        assert losses[0] == spec.mean(y, z, laid) == mean


class TestStrides:
    @pytest.mark.parametrize("n_columns", [1, 2, 3, 40])
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_zero(self, loops, n_columns, dtype):
        """One number for all rows, or one row."""
        y, w = (np.broadcast_to(np.ones((), dtype), N) for _ in range(2))
        shape = N if n_columns == 1 else (N, n_columns)
        scores = [np.broadcast_to(np.ones((), dtype), shape)]
        if n_columns > 1:
            scores.append(np.broadcast_to(np.ones(n_columns, dtype), shape))
        spec = new_spec(loops, n_columns, from_logits=True)
        expected = run(spec, np.ones(N), np.ones(shape), np.ones(N))
        for z in scores:
            assert run(spec, y, z, w) == expected


# --- Float16 ------------------------------------------------------------------------

HALVES = np.arange(2**16, dtype=np.uint16).view(np.float16)


class TestHalves:
    def test_all(self, loops):
        """As numpy converts them: the sum of one is the number."""
        sums = [loops.sum_weights(HALVES[i : i + 1])[0] for i in range(len(HALVES))]
        np.testing.assert_array_equal(sums, HALVES.astype(float))

    @pytest.mark.parametrize("swapped", [False, True], ids=["", "swapped"])
    def test_logits(self, loops, swapped):
        """Many at a time; NaNs are found."""
        spec = new_spec(loops, 1, from_logits=True)
        z = HALVES[~np.isnan(HALVES)]
        y = np.zeros(len(z), np.uint8)
        halves = _swapped(z) if swapped else z
        assert run(spec, y, halves) == run(spec, y, z.astype(float))
        for nan in HALVES[np.isnan(HALVES)]:
            assert spec.run(y[:1], np.array([nan])).status == loops.BAD_SCORE

    def test_sign_and_size(self, loops):
        """Rows of logits that are certain cost what the logit is."""
        spec = new_spec(loops, 1, from_logits=True)
        z = HALVES[np.isfinite(HALVES) & (HALVES >= 50)]
        rows = np.empty(len(z))
        spec.run(np.zeros(len(z)), z, rows=rows)
        np.testing.assert_array_equal(rows, z.astype(float))

    def test_codes(self, loops):
        """Whole numbers among them are found, the rest is none."""
        codes = np.empty(len(HALVES), np.int64)
        assert not loops.encode(HALVES, np.array(70000), codes)
        x = np.nan_to_num(HALVES.astype(float), nan=-1, posinf=-1)
        whole = (x >= 0) & (x == np.floor(x))
        expected = np.full(len(HALVES), -1)
        expected[whole] = x[whole]
        np.testing.assert_array_equal(codes, expected)


# --- Classes ------------------------------------------------------------------------

CLASSES = {
    "run": np.arange(-3, 7),
    "run of floats": np.arange(-3.0, 7),
    "run of halves": np.arange(10) + 0.5,
    "any": np.array([7, -1, 2**62, 0, -(2**63), 2**63 - 1, 5, 6, 8, 9]),
    "run at the end": 2**63 - 10 + np.arange(10, dtype=np.uint64).astype(np.int64),
    "any uint64": np.array([2**64 - 1, 2**63 + 5, 0, *range(2, 9)], np.uint64),
    "run over 2^63": np.uint64(2**63 - 4) + np.arange(10, dtype=np.uint64),
    "any floats": np.array([3, -1, 2**53, -(2**60), 1e300, 0, 4, 5, 6, 7], float),
    "fractions": np.array([0.25, -0.5, 1e-320, *range(7)]),
    "run beyond 2^53": 2.0**53 + 2 * np.arange(10),
    "zero is negative": np.array([-0.0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    "falling": np.arange(10.0)[::-1].copy(),
}


def neighbours(classes):
    """Labels that are nearly a class, and what never is one."""
    others = classes.tolist()
    if classes.dtype.kind == "f":
        for a in classes:
            others += [np.nextafter(a, np.inf), np.nextafter(a, -np.inf), a + 1, a - 1]
            others += [a + 0.5, -a]
        others += [np.nan, -np.nan, np.inf, -np.inf, 2.0**63, -(2.0**63), 1e308]
        others = np.array(others)
    else:
        low, high = np.iinfo(classes.dtype).min, np.iinfo(classes.dtype).max
        for a in classes.tolist():
            others += [a + d for d in (-1, 1, 2**32, 10, -10) if low <= a + d <= high]
        others = np.array([*others, low, high, 0, 1], classes.dtype)
    return others[~np.isin(others, classes)]


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("n_columns", [1, 2, 3, 10])
class TestClasses:
    @pytest.fixture
    def case(self, rng, name, n_columns):
        k = max(n_columns, 2)
        classes, codes = CLASSES[name][:k].copy(), random_codes(rng, N, k)
        z = rng.normal(size=N if n_columns == 1 else (N, n_columns))
        return classes, codes, z

    @pytest.mark.parametrize("layout", ["plain", "swapped, in records"])
    def test_equals_codes(self, loops, n_columns, case, layout):
        classes, codes, z = case
        y = classes[codes]
        for from_logits in (True, False):
            spec = new_spec(loops, n_columns, from_logits=from_logits)
            p = z
            if not from_logits:
                p = np.exp(z) / (1 + np.exp(z) if n_columns == 1 else 1)
                p = p if n_columns == 1 else p / p.sum(axis=1, keepdims=True)
            laid = LAYOUTS[layout](y)
            assert _run(spec, laid, p, classes) == _run(spec, codes, p, None)
        found = np.empty(N, np.int64)
        assert loops.encode(laid, classes, found)
        np.testing.assert_array_equal(found, codes)

    def test_narrow_labels(self, loops, case, n_columns):
        classes, codes, z = case
        y = classes[codes]
        spec = new_spec(loops, n_columns, from_logits=True)
        for dtype in DTYPES[1:]:
            if (np.dtype(dtype).kind == "f") != (classes.dtype.kind == "f"):
                continue
            with np.errstate(over="ignore", invalid="ignore"):
                narrow = y.astype(dtype)
            if (narrow.astype(y.dtype) == y).all() and narrow.tolist() == y.tolist():
                found = _run(spec, narrow, z, classes)
                assert found == _run(spec, codes, z, None)

    def test_others_are_found_everywhere(self, loops, case, n_columns):
        classes, codes, z = case
        spec = new_spec(loops, n_columns, from_logits=True)
        found = np.empty(N, np.int64)
        others = neighbours(classes)
        for i, other in enumerate(others):
            y = classes[codes]
            at = (0, 1, 255, 256, 300, 511, 512, N - 1)[i % 8]
            y[at] = other
            assert spec.run(y, z, classes=classes).status == loops.BAD_LABEL, other
            assert not loops.encode(y, classes, found)
            assert found[at] == -1
            assert (np.delete(found, at) == np.delete(codes, at)).all()
        # All of them in one tile.
        found = np.empty(len(others), np.int64)
        assert not loops.encode(others, classes, found)
        assert (found == -1).all()


def _run(spec, y, z, classes):
    gradient = np.empty(z.shape)
    totals = spec.run(y, z, classes=classes, gradient=gradient)
    return bits(totals, gradient), bits(spec.run(y, z, classes=classes))


def test_codes_that_are_none(loops, rng):
    """Of floats too the one before the first, by which memory would be written."""
    for k in (2, 3, 10):
        spec, codes = new_spec(loops, k, from_logits=True), np.empty(5, np.int64)
        for bad in (-1.0, -2.0, -0.5, 0.5, k, k + 0.5, np.nan, np.inf, -np.inf):
            for dtype in ("f2", "f4", "f8"):
                y = np.array([0, 1, bad, 0, -0.0], dtype)
                assert spec.run(y, np.zeros((5, k))).status == loops.BAD_LABEL
                assert not loops.encode(y, np.array(k), codes)
                assert codes.tolist() == [0, 1, -1, 0, 0]


# --- Outputs ------------------------------------------------------------------------


def _frame(shape, dtype, layout):
    """(memory, view of it that is written to), in which nothing else may change."""
    wide = np.full([3 * n + 2 for n in shape], 7.0, dtype)
    inner = wide[tuple(slice(1, 1 + n) for n in shape)]
    if layout == "every second":
        inner = wide[tuple(slice(1, 1 + 2 * n, 2) for n in shape)]
    elif layout == "reversed":
        inner = inner[(slice(None, None, -1),) * len(shape)]
    elif layout == "fortran":
        wide = np.full([n + 2 for n in shape[::-1]], 7.0, dtype)
        inner = wide[tuple(slice(1, 1 + n) for n in shape[::-1])].T
    elif layout == "not aligned":
        records = np.full(shape, 7, [("a", "u1"), ("x", dtype), ("b", "u1")])
        return records, records["x"]
    return wide, inner


OUTPUTS = ("inner", "every second", "reversed", "fortran", "not aligned")


@pytest.mark.parametrize("layout", OUTPUTS)
@pytest.mark.parametrize("n_columns", [1, 2, 3, 40])
@pytest.mark.parametrize("from_logits", [True, False], ids=["logits", "probabilities"])
@pytest.mark.parametrize("soft", [False, True], ids=["labels", "targets"])
class TestOutputs:
    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_derivatives(
        self, loops, rng, n_threads, layout, n_columns, from_logits, soft, dtype
    ):
        y, p, spec = self.case(loops, rng, n_columns, from_logits, soft)
        plain = [np.empty(p.shape, dtype) for _ in range(2)]
        framed = [_frame(p.shape, dtype, layout) for _ in range(2)]
        w = rng.random(len(p))
        names = "gradient", "hessian"
        expected = spec.run(y, p, w, **dict(zip(names, plain, strict=True)))
        views = [view for _, view in framed]
        outputs = dict(zip(names, views, strict=True))
        totals = spec.run(y, p, w, n_threads=n_threads, **outputs)
        assert bits(totals) == bits(expected)
        for (whole, view), out in zip(framed, plain, strict=True):
            np.testing.assert_array_equal(view, out)
            self.check_frame(whole, view, layout)

    def test_rows(self, loops, rng, n_threads, layout, n_columns, from_logits, soft):
        y, p, spec = self.case(loops, rng, n_columns, from_logits, soft)
        plain, (whole, view) = np.empty(len(p)), _frame((len(p),), float, layout)
        spec.run(y, p, rows=plain)
        spec.run(y, p, rows=view, n_threads=n_threads)
        np.testing.assert_array_equal(view, plain)
        self.check_frame(whole, view, layout)

    @staticmethod
    def case(loops, rng, n_columns, from_logits, soft):
        spec = new_spec(loops, n_columns, from_logits=from_logits, soft=soft)
        n = spec.block_rows + 77
        y = random_codes(rng, n, max(n_columns, 2))
        if n_columns == 1:
            return (rng.random(n) if soft else y), rng.random(n), spec
        p = rng.dirichlet(np.ones(n_columns), n)
        return (p[::-1].copy() if soft else y), p, spec

    @staticmethod
    def check_frame(whole, view, layout):
        if layout == "not aligned":
            assert (whole["a"] == 7).all()
            assert (whole["b"] == 7).all()
        else:
            view[...] = 7
            assert (whole == 7).all()


def test_one_row_of_any_stride(loops):
    """That of a single row, or column, means nothing."""
    spec = new_spec(loops, 3, from_logits=True)
    z = np.array([0.5, 1.0, 2.0])
    expected = spec.run(np.array([1]), z[None]).loss
    for stride in (0, 1, -8, 10**12):
        row = as_strided(z, (1, 3), (stride, 8))
        label = as_strided(np.array([1]), (1,), (stride,))
        assert spec.run(label, row).loss == expected
