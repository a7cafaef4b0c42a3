"""Exact sums of the kernels: integers, whatever the order and instruction set."""

from fractions import Fraction

import numpy as np
import pytest
from arrays import random_codes

N = 700  # more than two tiles
UNIT = 1 << 1080
# Quad and lane of each sum in a cell.
PLACES = ((1, 0), (0, 0), (1, 1), (2, 0), (0, 1), (1, 2), (2, 1), (2, 2), (0, 2))


def powers(w, loss):
    """The doubles that a row adds, in the order of the sums."""
    t = w * loss
    return w, t, w * w, w * t, t * t, w * w * w, w * w * t, t * t * w, t * t * t


def reference(rows, w):
    sums = [Fraction(0)] * 9
    for loss, weight in zip(rows.tolist(), w.tolist(), strict=True):
        for i, term in enumerate(powers(weight, loss)):
            sums[i] += Fraction(term)
    return [int(s * UNIT) for s in sums]


def scores_of(rng, n, k, kind):
    """(y, p, Spec's keywords) of some kind."""
    codes = random_codes(rng, n, max(k, 2))
    shape = n if k == 1 else (n, k)
    keywords = {"from_logits": "logits" in kind, "soft": "targets" in kind}
    if "smoothed" in kind:
        keywords["smoothing"] = 0.1
    if "logits" in kind:
        p = rng.normal(0, 10.0 ** rng.integers(-3, 3, n if k == 1 else (n, 1)), shape)
    else:
        p = rng.random(shape) ** 8
        p = p / p.sum(axis=1, keepdims=True) if k > 1 else p
    y = codes
    if "targets" in kind:
        y = rng.random(shape)
        y = y / y.sum(axis=1, keepdims=True) if k > 1 else y
    return y, p, keywords


def weights_of(rng, n, kind):
    if kind is None:
        return None
    if kind == "counts":
        return rng.integers(0, 4, n).astype(np.float64)
    w = rng.random(n) * 10.0 ** rng.integers(-12, 12, n)
    w[::50] = 0.0
    if kind == "of both signs":
        w[::3] *= -1
    return w


KINDS = ("labels", "logits", "targets", "logits of targets", "smoothed labels")
WEIGHTS = (None, "counts", "wide", "of both signs")


def new_spec(loops, k, keywords, eps=2.0**-52):
    return loops.Spec(k, eps, 1.0 - eps, 1e-6, **keywords)


@pytest.mark.parametrize("k", [1, 2, 3, 10])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weights", WEIGHTS)
class TestSums:
    def case(self, k, kind, weights):
        rng = np.random.default_rng([k, KINDS.index(kind), WEIGHTS.index(weights)])
        return *scores_of(rng, N, k, kind), weights_of(rng, N, weights)

    def test_they_are_those_of_the_rows(self, loops, k, kind, weights):
        y, p, keywords, w = self.case(k, kind, weights)
        spec = new_spec(loops, k, keywords)
        rows = np.empty(N)
        spec.run(y, p, rows=rows)
        ones = np.ones(N) if w is None else w
        sums, counts, classes = spec.run(y, p, w, exact=True).exact
        assert list(sums) == reference(rows, ones)
        assert counts == (N, int((ones == 0).sum()), 0, 0, 0)
        assert loops.sum_exactly(rows, w) == (sums, counts)
        for j in range(1, max(k, 2)):
            share = (y == j) * 1.0
            if "targets" in kind:
                share = y if k == 1 else y[:, j]
            found = sum(map(Fraction, (share * ones).tolist()))
            assert classes[j] == found * UNIT
        if k <= 2:
            assert classes[0] + classes[1] == sums[0]

    def test_no_order_changes_them(self, loops, n_threads, k, kind, weights):
        y, p, keywords, w = self.case(k, kind, weights)
        y, p = np.concatenate([y] * 40), np.concatenate([p] * 40)
        w = w if w is None else np.concatenate([w] * 40)
        spec = new_spec(loops, k, keywords)
        whole = spec.run(y, p, w, exact=True, n_threads=n_threads).exact
        order = np.random.default_rng(0).permutation(len(y))
        mixed = spec.run(
            y[order], p[order], w if w is None else w[order], exact=True
        ).exact
        assert whole == mixed
        one = spec.run(y[:N], p[:N], w if w is None else w[:N], exact=True).exact
        for many, single in zip(whole, one, strict=True):
            assert [*many] == [40 * number for number in single]

    def test_groups(self, loops, k, kind, weights):
        """Each group has the sums of its rows; what is taken away is gone."""
        y, p, keywords, w = self.case(k, kind, weights)
        spec = new_spec(loops, k, keywords)
        numbers = np.random.default_rng(1).integers(0, 5, N)
        layout = np.zeros((4, 2), np.int64)
        layout[:3] = 0, 54
        layout[3] = (0, 54) if k > 2 else (0, 0)
        if w is None:
            layout[1:3] = 0
        classes = layout[3, 1] * k
        cells = np.zeros((5, 4 + 4 * layout[:3, 1].sum() + classes), np.int64)
        assert spec.add_to_groups(y, p, w, numbers, cells, layout)[:3] == (0, -1, N)
        starts = 4 + 4 * np.concatenate([[0], np.cumsum(layout[:3, 1])])

        def sum_of(group, quad, lane):
            digits = cells[group, starts[quad] + lane : starts[quad] + 216 : 4]
            return sum(d << 40 * i for i, d in enumerate(digits[::-1].tolist()))

        for group in range(5):
            mine = numbers == group
            weights = w if w is None else w[mine]
            sums, _, of_classes = spec.run(y[mine], p[mine], weights, exact=True).exact
            assert cells[group, 0] == mine.sum()
            for expected, (quad, lane) in zip(sums, PLACES, strict=True):
                if layout[quad, 1]:
                    assert sum_of(group, quad, lane) == expected
                    at = starts[quad] + 4 * 53 + lane
                    rounded = loops.round_cells(cells.copy(), at, 54, -4, 0)[group]
                    assert rounded == expected / UNIT
            if k <= 2:
                assert sum_of(group, 0, 3) == of_classes[1]
        spec.add_to_groups(y, p, w, numbers, cells, layout, take_away=True)
        for quad in range(3):
            for lane in range(4 if layout[quad, 1] else 0):
                loops.settle_cells(cells, starts[quad] + 4 * 53 + lane, 54, -4)
        for j in range(k if classes else 0):
            loops.settle_cells(cells, starts[3] + 54 * j, 54, 1)
        assert not cells.any()


class TestExtremes:
    """Numbers at the ends of the range of doubles."""

    @pytest.mark.parametrize(
        "numbers",
        [
            [5e-324] * 3 + [1.0],
            [1.7e308] * 5 + [5e-324, -1.7e308],
            [2.0**1021, 2.0**-1074, -(2.0**1021)],
            [1.7e308, -1.7e308, 2.0**-1074],
            [2.2e-308, 4.4e-308, 2.0**-1023],
            [0.0, -0.0, 0.0],
            [1e200, 1.0, 1e-200, -1e200],
            [1.0 + 2.0**-52] * 1000,
        ],
    )
    def test_sums(self, loops, numbers):
        x = np.array(numbers)
        with np.errstate(over="ignore"):
            squares = x * x
        sums, counts = loops.sum_exactly(x)
        assert sums[1] == sum(map(Fraction, numbers)) * UNIT
        finite = [Fraction(s) for s in squares.tolist() if np.isfinite(s)]
        assert sums[4] == sum(finite) * UNIT
        assert (counts[4] > 0) == (len(finite) < len(x))

    def test_infinite_losses_are_counted(self, loops):
        spec = new_spec(loops, 1, {}, eps=0.0)
        y, p = np.array([1, 1, 0, 1]), np.array([0.0, 0.5, 1.0, 0.0])
        w = np.array([2.0, 1.0, -1.0, 0.0])
        sums, counts, _ = spec.run(y, p, exact=True).exact
        assert counts == (4, 0, 3, 0, 0)
        assert sums[1] == Fraction(-np.log(0.5)) * UNIT
        sums, counts, _ = spec.run(y, p, w, exact=True).exact
        assert counts == (4, 1, 1, 1, 0)
        assert sums[0] == 2 * UNIT

    @pytest.mark.parametrize("bad", [1e91, -1e91, 1e-91, np.nan, np.inf, 5e-324, 1e308])
    def test_weights_that_are_refused(self, loops, bad):
        spec, w = new_spec(loops, 1, {}), np.ones(600)
        w[450] = bad
        y, p, numbers = np.zeros(600), np.full(600, 0.5), np.zeros(600, np.int64)
        assert spec.run(y, p, w, exact=True).status == loops.BAD_WEIGHT
        assert loops.sum_exactly(p, w) is None
        layout = np.array([[0, 54], [0, 54], [0, 54], [0, 0]])
        cells = np.zeros((1, 4 + 12 * 54), np.int64)
        status, _, n_done, _ = spec.add_to_groups(y, p, w, numbers, cells, layout)
        assert (status, n_done, cells[0, 0]) == (loops.BAD_WEIGHT, 256, 256)

    def test_a_product_beyond_the_range(self, loops):
        spec = new_spec(loops, 1, {"from_logits": True})
        z, w = np.array([1e300, 1.0]), np.array([1e80, 1.0])
        assert spec.run(np.zeros(2), z, w, exact=True).status == loops.BAD_WEIGHT
        assert (
            spec.run(np.zeros(2), z, exact=True).exact[1][4] == 3
        )  # l l, w l l, l l l


class TestRoom:
    def test_a_tile_that_needs_more_digits_is_not_added(self, loops):
        spec = new_spec(loops, 1, {})
        y, p, numbers = np.ones(300), np.full(300, 0.5), np.zeros(300, np.int64)
        p[280] = 1 - 2.0**-53  # the second tile has a small loss
        layout = np.array([[24, 5], [0, 0], [0, 0], [0, 0]])
        cells = np.zeros((1, 4 + 20), np.int64)
        status, _, n_done, needs = spec.add_to_groups(
            y, p, None, numbers, cells, layout
        )
        assert (status, n_done, cells[0, 0]) == (loops.NEEDS_ROOM, 256, 256)
        assert needs[0][0] < 24
        assert needs[1:] == [(0, 0)] * 3

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            ({"numbers": np.zeros(3, np.int64)}, ValueError),
            ({"numbers": np.zeros(4, np.int32)}, TypeError),
            ({"numbers": np.zeros(8, np.int64)[::2]}, TypeError),
            ({"cells": np.zeros((1, 23), np.int64)}, ValueError),
            ({"cells": np.zeros((1, 24))}, TypeError),
            ({"layout": np.array([[50, 5], [0, 0], [0, 0], [0, 0]])}, ValueError),
            ({"layout": np.array([[-1, 5], [0, 0], [0, 0], [0, 0]])}, ValueError),
            ({"layout": np.zeros((3, 2), np.int64)}, ValueError),
        ],
    )
    def test_arrays_that_do_not_fit(self, loops, change, error):
        arguments = {
            "numbers": np.zeros(4, np.int64),
            "cells": np.zeros((1, 24), np.int64),
            "layout": np.array([[24, 5], [0, 0], [0, 0], [0, 0]]),
        } | change
        with pytest.raises(error):
            new_spec(loops, 1, {}).add_to_groups(
                np.zeros(4), np.full(4, 0.5), None, *arguments.values()
            )

    def test_numbers_of_no_group(self, loops):
        spec, cells = new_spec(loops, 1, {}), np.zeros((2, 24), np.int64)
        layout = np.array([[24, 5], [0, 0], [0, 0], [0, 0]])
        for bad in (-1, 2, 2**62, -(2**63)):
            numbers = np.array([0, bad, 1, 0])
            status = spec.add_to_groups(
                np.zeros(4), np.full(4, 0.5), None, numbers, cells, layout
            )[0]
            assert status
            assert not cells.any()
