"""Logits, soft targets and derivatives: every compiled variant, on one and two threads,
against the NumPy twins."""

import functools
import math
from itertools import product
from operator import add

import numpy as np
import pytest
from arrays import CONFIDENCES, SHORT_LENGTHS, confident_case, random_case

import fastlogloss._kernels
from fastlogloss import _reference

EPS = 2.0**-52
COLUMNS = (1, 2, 3, 10, 65)
# Eight roundings of a tree of positive terms, one of the logarithm, one of the weight
# (designs D and H); the twin adds up exactly.
RTOL = 2e-15
# The bound of the docstrings, and design I. The differences of these logits are exact,
# so that an exponential of the twin is off by 1 ULP.
DERIVATIVE_RTOL = 1e-14
KINDS = ("labels", "smoothed", "targets", "smoothed targets")
SMOOTHING = 0.1


def new_spec(loops, n_columns, kind="labels", from_logits=True, low=EPS):
    return loops.Spec(
        n_columns,
        low,
        1.0 - low,
        1e-3,  # rows of float32 sum to one in float32 alone
        from_logits=from_logits,
        soft="targets" in kind,
        smoothing=SMOOTHING if "smoothed" in kind else 0.0,
    )


def lengths(n_columns):
    """Short ones, and those around one and two blocks."""
    rows = new_spec(fastlogloss._kernels.loops, n_columns).block_rows
    return [*SHORT_LENGTHS[n_columns % 3 :: 3], rows - 1, rows, rows + 1, 2 * rows + 1]


@functools.lru_cache(maxsize=64)
def scores_case(n, n_columns, kind, from_logits, dtype="float64"):
    """(y, scores, weights, loss, gradient, hessian): the last three by the twins."""
    codes, p, w = random_case(n, n_columns, dtype=dtype)
    rng = np.random.default_rng([n, n_columns])
    if from_logits:
        # Multiples of 2^-16: their differences are exact, in float32 too.
        p = (np.round(4 * rng.normal(size=p.shape) * 2**16) / 2**16).astype(dtype)
    y = codes
    t = _reference.targets(codes, n_columns)
    if "targets" in kind:
        y = t = (
            rng.random(n) if n_columns == 1 else rng.dirichlet(np.ones(n_columns), n)
        )
        t[: n // 3] = _reference.targets(codes, n_columns)[: n // 3]
    if "smoothed" in kind:
        t = _reference.smooth(t, SMOOTHING)
    if from_logits:
        twins = _reference.logit_rows(t, p)
    else:
        twins = _reference.probability_rows(t, p, EPS)
    return y, p, w, *twins


def run(spec, y, p, w=None, n_threads=1, dtype="float64", **kwargs):
    """Totals, gradient and hessian; all in one pass."""
    gradient, hessian = np.full(p.shape, np.nan, dtype), np.full(p.shape, np.nan, dtype)
    kwargs = {"gradient": gradient, "hessian": hessian, **kwargs}
    return spec.run(y, p, w, n_threads=n_threads, **kwargs), gradient, hessian


def rows_of(spec, y, p, n_threads=1):
    rows = np.full(len(p), np.nan)
    spec.run(y, p, rows=rows, n_threads=n_threads)
    return rows


def assert_close(value, twin, scale=0.0, rtol=DERIVATIVE_RTOL):
    """Within `rtol`, and within 1e-15 of the terms that are subtracted."""
    np.testing.assert_array_less(
        np.abs(value - twin), rtol * np.abs(twin) + 1e-15 * scale + 1e-323
    )


def cancelled(kind, from_logits, hessian):
    """Size of the terms whose difference is the gradient, 0 where there is none."""
    if kind == "labels":
        return 0.0
    # p and t; for probabilities (1 - t) / (1 - p) and t / p, both below the root of
    # the sum of (1 - t) / (1 - p)^2 and t / p^2.
    return 2.0 if from_logits else 2 * np.sqrt(hessian)


@pytest.mark.parametrize("from_logits", [True, False], ids=["logits", "probabilities"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_columns", COLUMNS)
class TestTwins:
    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_equal_twin_and_base(
        self, loops, base, n_columns, kind, from_logits, dtype
    ):
        for n in lengths(n_columns):
            y, p, w, *twins = scores_case(n, n_columns, kind, from_logits, dtype)
            loss, gradient, hessian = twins
            on_base = new_spec(base, n_columns, kind, from_logits)
            expected = run(on_base, y, p, w)
            plain = run(on_base, y, p)
            rows = rows_of(on_base, y, p)
            # Targets add up a term for each class, half an ULP each at most.
            terms = 0 if kind == "labels" else n_columns
            assert_close(rows, loss, rtol=1e-15 + EPS + terms * EPS / 2)
            assert plain[0].loss == pytest.approx(math.fsum(loss), rel=RTOL, abs=0)
            assert expected[0].loss == pytest.approx(
                math.fsum(loss * w), rel=RTOL, abs=0
            )
            scale = cancelled(kind, from_logits, hessian)
            assert_close(plain[1], gradient, scale)
            assert_close(plain[2], hessian)
            wide = w if p.ndim == 1 else w[:, None]
            assert_close(expected[1], gradient * wide, scale * wide)
            assert_close(expected[2], hessian * wide)
            spec = new_spec(loops, n_columns, kind, from_logits)
            for n_threads in (1, 2):
                found = run(spec, y, p, w, n_threads)
                assert_same_bits(found, expected)
                totals = found[0]
                assert totals.status == 0
                assert totals.n_rows == n
                assert totals.weight == pytest.approx(math.fsum(w), rel=RTOL, abs=0)
                assert_same_bits(run(spec, y, p, None, n_threads), plain)
                alone = spec.run(y, p, n_threads=n_threads)
                if from_logits or "targets" in kind or "smoothed" in kind:
                    assert alone.loss == plain[0].loss
                found = rows_of(spec, y, p, n_threads)
                np.testing.assert_array_equal(found, rows)

    def test_classes_seen(self, loops, n_columns, kind, from_logits):
        if "targets" in kind:
            return  # there are no labels
        n = 300
        y, p = scores_case(n, n_columns, kind, from_logits)[:2]
        for labels in (y, np.zeros_like(y), y.astype(float), y % 2):
            for kwargs in ({}, {"check_only": True}, {"gradient": np.empty(p.shape)}):
                if kwargs.get("check_only") and not from_logits:
                    continue
                spec = new_spec(loops, n_columns, kind, from_logits)
                seen = spec.run(labels, p, **kwargs).n_classes_seen
                assert seen == len(np.unique(labels)), kwargs

    def test_blocks_one_at_a_time_give_the_same_bits(
        self, loops, n_columns, kind, from_logits
    ):
        spec = new_spec(loops, n_columns, kind, from_logits)
        rows = spec.block_rows
        n = 2 * rows + 77
        y, p, w = scores_case(n, n_columns, kind, from_logits)[:3]
        expected = run(spec, y, p, w, 2)
        for step in (rows, 2 * rows):
            parts = [
                run(spec, y[i : i + step], p[i : i + step], w[i : i + step])
                for i in range(0, n, step)
            ]
            totals, gradients, hessians = zip(*parts, strict=True)
            found = np.concatenate(gradients), np.concatenate(hessians)
            assert_same_bits((functools.reduce(add, totals), *found), expected)

    def test_float32_outputs_are_the_rounded_ones(
        self, loops, n_threads, n_columns, kind, from_logits
    ):
        y, p, w = scores_case(700, n_columns, kind, from_logits)[:3]
        spec = new_spec(loops, n_columns, kind, from_logits)
        totals, *exact = run(spec, y, p, w)
        narrow = run(spec, y, p, w, n_threads, "float32")
        assert_same_bits(narrow, (totals, *(a.astype("f4") for a in exact)))

    def test_scale_and_factor(self, loops, n_columns, kind, from_logits):
        y, p, w = scores_case(700, n_columns, kind, from_logits)[:3]
        spec = new_spec(loops, n_columns, kind, from_logits)
        totals, gradient, hessian = run(spec, y, p, w)
        scaled = run(spec, y, p, w, scale=0.25, hessian_factor=2.0)
        # Powers of two: nothing is rounded.
        assert_same_bits(scaled, (totals, gradient / 4, hessian / 2))


def assert_same_bits(found, expected):
    assert found[0].loss == expected[0].loss
    assert found[0].weight == expected[0].weight
    for a, b in zip(found[1:], expected[1:], strict=True):
        np.testing.assert_array_equal(a, b)


class TestLargeOutputs:
    """They are written past the caches, and are the same as small ones."""

    @pytest.mark.parametrize("n_columns", [1, 3])
    @pytest.mark.parametrize("kind", ["labels", "targets"])
    @pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
    @pytest.mark.parametrize(
        "from_logits", [True, False], ids=["logits", "probabilities"]
    )
    def test_same_bits(self, loops, n_threads, n_columns, kind, weighted, from_logits):
        spec = new_spec(loops, n_columns, kind, from_logits)
        rows = spec.block_rows
        n = (1 << 24) // 8 // n_columns + rows + 77
        y, p, w = (
            np.resize(a, (n, *a.shape[1:]))
            for a in scores_case(1000, n_columns, kind, from_logits)[:3]
        )
        w = w if weighted else None
        raw = np.empty(2 * p.size + 3)  # not aligned to more than a double
        gradient, hessian = (
            raw[i : i + p.size].reshape(p.shape) for i in (1, p.size + 2)
        )
        outputs = {"gradient": gradient, "hessian": hessian, "scale": 0.7}
        whole = spec.run(y, p, w, n_threads=n_threads, **outputs)
        pieces = []
        for i in range(0, n, 8 * rows):
            part = slice(i, i + 8 * rows)
            weights = None if w is None else w[part]
            totals, *small = run(spec, y[part], p[part], weights, scale=0.7)
            np.testing.assert_array_equal(gradient[part], small[0])
            np.testing.assert_array_equal(hessian[part], small[1])
            pieces.append(totals)
        assert whole.loss == functools.reduce(add, pieces).loss


class TestLabels:
    @pytest.mark.parametrize("n_columns", COLUMNS)
    @pytest.mark.parametrize("kind", ["labels", "smoothed"])
    @pytest.mark.parametrize(
        "from_logits", [True, False], ids=["logits", "probabilities"]
    )
    def test_dtypes_give_the_same_bits(self, loops, n_columns, kind, from_logits):
        y, p, w = scores_case(700, n_columns, kind, from_logits)[:3]
        y = np.minimum(y, 255)
        dtypes = ["int64", "uint8", "float64"] + ["bool"] * (n_columns < 3)
        first, *others = (
            run(new_spec(loops, n_columns, kind, from_logits), y.astype(d), p, w)
            for d in dtypes
        )
        for other in others:
            assert_same_bits(other, first)

    @pytest.mark.parametrize("n_columns", [1, 2, 5])
    def test_targets_of_zero_and_one_are_labels(self, loops, n_columns):
        y, z, w, *_ = scores_case(600, n_columns, "labels", True)
        hard = run(new_spec(loops, n_columns), y, z, w)
        t = _reference.targets(y, n_columns)
        soft = run(new_spec(loops, n_columns, "targets"), t, z, w)
        assert soft[0].loss == pytest.approx(hard[0].loss, rel=RTOL, abs=0)
        # p - 1 of a target is a difference, where that of a label need not be one.
        assert_close(soft[1], hard[1], np.broadcast_to(w.max(), z.shape))
        assert_close(soft[2], hard[2])


NOT_WRONG = (np.inf, -np.inf, 0.0, -0.0, 5e-324, -5e-324, 1.7e308, -1.7e308, 800.0)


class TestStatus:
    """What is wrong is found wherever it stands; what is not wrong is not found."""

    @pytest.mark.parametrize("n_columns", COLUMNS)
    @pytest.mark.parametrize("kind", ["labels", "smoothed"])
    @pytest.mark.parametrize("from_logits", [True, False])
    def test_a_check_sees_the_classes(self, loops, n_columns, kind, from_logits):
        y, p, *_ = scores_case(300, n_columns, kind, from_logits)
        spec = new_spec(loops, n_columns, kind, from_logits)
        assert spec.run(y, p, check_only=True).n_classes_seen == len(np.unique(y))

    @pytest.mark.parametrize("n_columns", [1, 2, 10])
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    @pytest.mark.parametrize("nan", [np.nan, np.copysign(np.nan, -1)], ids=["+", "-"])
    def test_nan(self, loops, n_columns, kind, dtype, nan):
        for n in (1, 300):
            y, z = scores_case(n, n_columns, kind, True, dtype)[:2]
            for at in {0, n // 2, n - 1}:
                bad = z.copy()
                bad.reshape(n, -1)[at, at % n_columns] = nan
                for check_only in (False, True):
                    spec = new_spec(loops, n_columns, kind)
                    assert (
                        spec.run(y, bad, n_threads=2, check_only=check_only).status
                        == loops.BAD_SCORE
                    )

    @pytest.mark.parametrize("n_columns", [1, 2, 3, 10])
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("value", NOT_WRONG)
    def test_nothing_wrong(self, loops, n_columns, kind, value):
        for n in (1, 33, 300):
            y, z = scores_case(n, n_columns, kind, True)[:2]
            z = z.copy()
            z.reshape(n, -1)[:: max(n // 3, 1), n_columns // 2] = value
            for check_only in (False, True):
                spec = new_spec(loops, n_columns, kind)
                assert spec.run(y, z, check_only=check_only).status == 0
            rows = rows_of(new_spec(loops, n_columns, kind), y, z)
            assert not np.isnan(rows).any()
            assert (rows >= 0).all()
            totals, gradient, hessian = run(new_spec(loops, n_columns, kind), y, z)
            assert np.isfinite(gradient).all()
            assert np.isfinite(hessian).all()
            assert not np.isnan(totals.loss)

    @pytest.mark.parametrize("n_columns", [1, 2, 3, 10, 65])
    @pytest.mark.parametrize(
        "bad", [np.nan, np.inf, -np.inf, -5e-324, -1.0, 1 + EPS, 2.0]
    )
    @pytest.mark.parametrize(
        "from_logits", [True, False], ids=["logits", "probabilities"]
    )
    def test_targets(self, loops, n_columns, bad, from_logits):
        for n in (1, 33, 300):
            y, p = scores_case(n, n_columns, "targets", from_logits)[:2]
            for at in {0, n // 2, n - 1}:
                t = y.copy()
                t.reshape(n, -1)[at, at % n_columns] = bad
                for check_only in (False, True):
                    spec = new_spec(loops, n_columns, "targets", from_logits)
                    assert (
                        spec.run(t, p, check_only=check_only).status == loops.BAD_TARGET
                    )

    @pytest.mark.parametrize("n_columns", [2, 3, 10])
    @pytest.mark.parametrize("off", [-1e-3, -2e-6, 2e-6, 1e-3])
    def test_sums_of_targets(self, loops, n_columns, off):
        y, z = scores_case(300, n_columns, "targets", True)[:2]
        for at in (0, 150, 299):
            t = y.copy()
            t[at] = (1 + off) / n_columns
            for check_only in (False, True):
                spec = new_spec(loops, n_columns, "targets")
                assert spec.run(t, z, check_only=check_only).status == loops.BAD_TARGET
        t[at] = np.float32(1) / np.float32(n_columns)  # of float32 is close enough
        spec = new_spec(loops, n_columns, "targets")
        assert spec.run(t, z).status == 0

    @pytest.mark.parametrize("n_columns", [1, 2, 3, 10, 65])
    @pytest.mark.parametrize("kind", ["labels", "smoothed"])
    @pytest.mark.parametrize(
        "bad", [-1, "k", 255, 2**62, 0.5, np.nan, np.inf, -5e-324, -1.0]
    )
    def test_labels(self, loops, n_columns, kind, bad):
        bad = max(n_columns, 2) if bad == "k" else bad
        for n in (1, 33, 300):
            codes, z = scores_case(n, n_columns, kind, True)[:2]
            for at in {0, n // 2, n - 1}:
                y = codes.astype("int64" if isinstance(bad, int) else "float64")
                y[at] = bad
                for check_only in (False, True):
                    spec = new_spec(loops, n_columns, kind)
                    assert (
                        spec.run(y, z, check_only=check_only).status == loops.BAD_LABEL
                    )


class TestRefused:
    """Arrays that do not fit together or cannot be written: nothing is done."""

    def test_outputs(self, loops):
        y, z = scores_case(20, 3, "labels", True)[:2]
        readonly, good = np.full((20, 3), np.nan), np.full((20, 3), np.nan)
        readonly.flags.writeable = False
        spec = new_spec(loops, 3)
        for bad, error in (
            (np.empty((20, 2)), ValueError),
            (np.empty((19, 3)), ValueError),
            (np.empty(60), ValueError),
            (np.empty((20, 3), "f2"), TypeError),
            (np.empty((20, 3), "i8"), TypeError),
            (np.empty((20, 3), ">f8"), ValueError),
            (readonly, ValueError),
        ):
            with pytest.raises(error, match="gradient"):
                spec.run(y, z, gradient=bad)
            with pytest.raises(error, match="hessian"):
                spec.run(y, z, gradient=good, hessian=bad)
        assert np.isnan(good).all()

    @pytest.mark.parametrize("n_columns", [1, 3])
    def test_targets(self, loops, n_columns):
        t, z = scores_case(20, n_columns, "targets", True)[:2]
        spec = new_spec(loops, n_columns, "targets")
        for bad in (t[:-1], t[..., None], t.astype(complex), t.astype(object)):
            with pytest.raises(
                (TypeError, ValueError), match="labels, scores and weights"
            ):
                spec.run(bad, z)

    def test_nothing(self, loops):
        totals = new_spec(loops, 1).run(np.empty(0), np.empty(0), gradient=np.empty(0))
        assert (totals.loss, totals.n_rows, totals.status) == (0.0, 0, 0)


class TestMean:
    @pytest.mark.parametrize("n_columns", [1, 2, 5])
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(
        "from_logits", [True, False], ids=["logits", "probabilities"]
    )
    def test_equals_run(self, loops, n_columns, kind, from_logits):
        spec = new_spec(loops, n_columns, kind, from_logits)
        for n in (1, 32, 257, 1000):
            y, p, w = scores_case(n, n_columns, kind, from_logits)[:3]
            for weights in (None, w):
                totals = spec.run(y, p, weights)
                assert spec.mean(y, p, weights) == totals.loss / totals.weight

    def test_leaves_the_rest_to_others(self, loops):
        y, z, w, *_ = scores_case(50, 1, "labels", True)
        spec = new_spec(loops, 1)
        nan = np.where(np.arange(50) == 7, np.nan, z)
        for labels, scores, weights in (
            (y, z.tolist(), None),
            (y.tolist(), z, None),
            (y[:-1], z, None),
            (y + 5, z, None),
            (y, nan, None),
            (y, z[:, None], None),
            (y, z, w[:-1]),
            (y, z, w.tolist()),
            (y, z, -w),
            (y, z, w * 0),
            (y, z, w + np.inf),
            (y[:0], z[:0], None),
            (y, np.stack([z, z], 1), None),
        ):
            assert spec.mean(labels, scores, weights) is None
        # Narrow probabilities are clipped by another epsilon, logits are not.
        plain = new_spec(loops, 1, from_logits=False)
        for dtype in ("f4", "f2"):
            narrow = random_case(50, 1, dtype=dtype).p
            assert plain.mean(y, narrow) is None
            assert spec.mean(y, narrow) == spec.mean(y, narrow.astype(float))


class TestMany:
    def many(self, spec, y, scores, w=None, n_threads=1):
        losses, statuses = np.empty(len(scores)), np.full(len(scores), -1)
        good = spec.run_many(y, scores, w, losses, statuses, n_threads)
        return good and not statuses.any(), losses

    def one_by_one(self, spec, y, scores, w=None):
        totals = [spec.run(y, score, w) for score in scores]
        return [one.loss / one.weight for one in totals]

    @pytest.mark.parametrize("n_columns", [1, 2, 5])
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize(
        "from_logits", [True, False], ids=["logits", "probabilities"]
    )
    def test_equals_runs(self, loops, n_threads, n_columns, kind, from_logits):
        spec = new_spec(loops, n_columns, kind, from_logits)
        rows = spec.block_rows
        for n in (1, 257, rows - 1, rows, rows + 1, 2 * rows + 255):
            y, p, w = scores_case(n, n_columns, kind, from_logits)[:3]
            scores = np.stack([p, p[::-1], p])
            for weights in (None, w):
                done, losses = self.many(spec, y, scores, weights, n_threads)
                assert done
                expected = self.one_by_one(spec, y, scores, weights)
                assert losses.tolist() == expected

    @pytest.mark.parametrize("kind", CONFIDENCES)
    @pytest.mark.parametrize("dtype", ["uint8", "int64", "float64"])
    @pytest.mark.parametrize("low", [EPS, 1e-300])
    def test_clip(self, loops, n_threads, kind, dtype, low):
        y, p = confident_case(kind, 9000)
        if low < EPS and kind == "saturated":  # a loss of 690 from every second row
            p = np.abs(p - EPS)
        scores = np.stack([p, 1 - p, np.full(9000, 0.5), p[::-1]])

        spec = new_spec(loops, 1, from_logits=False, low=low)
        done, losses = self.many(spec, y.astype(dtype), scores, None, n_threads)
        assert done
        assert losses.tolist() == self.one_by_one(spec, y, scores)

    @pytest.mark.parametrize("n", [5, 8, 300])
    @pytest.mark.parametrize("n_models", [1, 2, 3, 4, 5, 9, 3000])
    def test_any_number(self, loops, n_threads, n_models, n, rng):
        scores, y = rng.random((n_models, n)), np.resize([0, 1, 1, 0, 1], n)

        spec = new_spec(loops, 1, from_logits=False)
        done, losses = self.many(spec, y, scores, None, n_threads)
        assert done
        assert losses.tolist() == self.one_by_one(spec, y, scores)

    @pytest.mark.parametrize("n", [5, 9000])
    def test_leaves_the_rest_to_others(self, loops, n_threads, n):
        y, p, w = scores_case(n, 1, "labels", False)[:3]
        scores, spec = np.stack([p] * 10), new_spec(loops, 1, from_logits=False)
        for row in (0, n // 2, n - 1):
            for bad, model in product((np.nan, -0.5, 1.5, np.inf, -np.inf), range(10)):
                wrong = scores.copy()
                wrong[model, row] = bad
                assert not self.many(spec, y, wrong, None, n_threads)[0]
            for bad in (2, -1):
                labels = y.copy()
                labels[row] = bad
                assert not self.many(spec, labels, scores, None, n_threads)[0]
        assert not self.many(spec, y, scores, -w, n_threads)[0]
        assert not self.many(spec, y, scores, w * 0, n_threads)[0]

    def test_refuses(self, loops):
        y, p, w = scores_case(5, 1, "labels", False)[:3]
        scores, spec = np.stack([p] * 10), new_spec(loops, 1, from_logits=False)
        losses, statuses = np.full(10, np.nan), np.full(10, -1)
        for labels, stack, weights in (
            (y[:-1], scores, None),
            (y, scores[:, :, None], None),
            (y, p, None),
            (y[:0], scores[:, :0], None),
            (y, scores, w[:-1]),
            (y.astype(str), scores, None),
            (y, np.array(0.5), None),
        ):
            with pytest.raises(
                (TypeError, ValueError), match="labels, scores and weights"
            ):
                spec.run_many(labels, stack, weights, losses, statuses)
        fixed, fixed_statuses = losses.copy(), statuses.copy()
        fixed.flags.writeable = fixed_statuses.flags.writeable = False
        for out, found in (
            (losses.astype("f4"), statuses),
            (losses[:3], statuses),
            (fixed, statuses),
            (losses, statuses.astype("i4")),
            (losses, statuses[:3]),
            (losses, statuses[::-1]),
            (losses, fixed_statuses),
        ):
            with pytest.raises(TypeError, match="plain and writeable"):
                spec.run_many(y, scores, None, out, found)
        assert np.isnan(losses).all()
        assert (statuses == -1).all()
        assert spec.run_many(y, scores[:0], None, losses[:0], statuses[:0])
