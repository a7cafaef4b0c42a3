"""Every example, run as its reader runs it, and the numbers that it is about."""

import importlib
import os
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import fastlogloss

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = {
    "blending",
    "is_the_difference_real",
    "temperature_scaling",
    "ten_points",
    "two_circles",
    "two_circles_keras",
}
SEED_ACCURACY = [0.840, 0.853]  # train, test: published for the two circles


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module


@pytest.fixture
def run(load, tmp_path):
    def run(name, *arguments):
        result = load(name).main([*arguments, "--out", str(tmp_path)])
        picture = (tmp_path / f"{name}.png").read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert len(picture) > 10_000
        return result

    return run


def test_none_is_left_out():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*NAMES, "demo"}
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for name in NAMES:
        assert f"({name}.py)" in text
        assert (EXAMPLES / "pictures" / f"{name}.png").exists()


class TestTwoCircles:
    def test_accuracy(self, run):
        history = run("two_circles")
        reached = [history["accuracy"][-1], history["val_accuracy"][-1]]
        np.testing.assert_allclose(reached, SEED_ACCURACY, rtol=0, atol=0.02)
        assert len(history["loss"]) == 200
        assert history["loss"][-1] < 0.4 < 0.6 < history["loss"][0]

    def test_backpropagation(self, load, rng):
        """A step without momentum goes down the gradient: central differences."""
        two_circles = load("two_circles")
        X, y, _, _ = two_circles.circles()
        network = two_circles.Network(2, 7, rng)
        loss = fastlogloss.LogLoss(y, from_logits=True)
        at_start = loss(network.logits(X))
        before = [p.copy() for p in network.parameters]
        numeric = [np.empty_like(p) for p in before]
        for p, slopes in zip(network.parameters, numeric, strict=True):
            for i in np.ndindex(p.shape):
                value, sides = p[i], []
                for p[i] in (value - 1e-6, value + 1e-6):
                    sides.append(loss(network.logits(X)))
                p[i] = value
                slopes[i] = (sides[1] - sides[0]) / 2e-6
        assert network.step(X, y, rate=1.0, momentum=0.0) == pytest.approx(at_start)
        for old, new, slopes in zip(before, network.parameters, numeric, strict=True):
            np.testing.assert_allclose(old - new, slopes, rtol=0, atol=1e-6)


@pytest.mark.heavy
# Keras 3.15 reads tensors of PyTorch through an __array__ that has no copy keyword.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_two_circles_keras(run, load, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    accuracies, history, ours = run("two_circles_keras")
    np.testing.assert_allclose(accuracies, SEED_ACCURACY, rtol=0, atol=0.02)
    assert len(ours) == 200
    tolerance = load("two_circles_keras").TOLERANCE
    np.testing.assert_allclose(history["val_loss"], ours, rtol=tolerance, atol=0)


def test_ten_points(run):
    losses, loss = run("ten_points")
    assert round(loss, 4) == 0.3329
    assert losses.mean() == pytest.approx(loss, rel=1e-15)
    p = np.exp(-losses).round(2).tolist()
    assert p == [0.81, 0.67, 0.47, 0.30, 0.74, 0.81, 0.86, 0.94, 0.97, 0.99]


class TestTemperatureScaling:
    def test_held_out_loss(self, run):
        for result in run("temperature_scaling"):
            before, after = result["losses"]
            assert result["T"] > 2
            assert after < 0.75 * before

    def test_both_methods_find_the_least_loss(self, load):
        example = load("temperature_scaling")
        y, z, _, _ = example.logits(odd_or_even=True)
        T = example.newton(y, z)
        assert example.l_bfgs(y, z) == pytest.approx(T, rel=1e-3)
        columns = np.column_stack([-z / 2, z / 2])
        assert example.l_bfgs(y, columns) == pytest.approx(T, rel=1e-3)
        loss = fastlogloss.LogLoss(y, from_logits=True)
        assert loss(z / T) < min(loss(z / (T * 0.99)), loss(z / (T * 1.01)))


class TestBlending:
    def test_same_result_as_sklearn(self, run):
        # One thread waits for no other where the machine has other work to do.
        with threadpool_limits(1):
            table = run("blending", "--models", "20")
        for way, rtol in (("greedy", 1e-12), ("L-BFGS", 1e-6)):
            ours = table[f"{way}, fastlogloss"]
            theirs = table[f"{way}, scikit-learn"]
            assert ours["loss"] == pytest.approx(theirs["loss"], rel=rtol)
            np.testing.assert_allclose(ours["weights"], theirs["weights"], atol=1e-3)
            assert ours["weights"].sum() == pytest.approx(1)
            assert ours["weights"].min() >= 0
            for simple in ("best model", "plain mean"):
                assert ours["loss"] < table[simple]["loss"]
                assert ours["new"] < table[simple]["new"]
        without = table["  without a gradient"]["loss"]
        assert without == pytest.approx(table["L-BFGS, fastlogloss"]["loss"], rel=1e-4)
        # Some forty times in fact.
        ours, theirs = table["greedy, fastlogloss"], table["greedy, scikit-learn"]
        assert ours["seconds"] < theirs["seconds"] / 3

    def test_same_gradient_as_numpy(self, load, rng):
        y = rng.integers(5, size=200)
        p = rng.dirichlet(np.ones(5), size=200)
        p[:2] = np.eye(5)[[y[0], (y[1] + 1) % 5]]  # sure and right, sure and wrong
        theirs = load("blending").SklearnLogLoss(y)
        loss, gradient = fastlogloss.LogLoss(y).loss_gradient(p)
        their_loss, their_gradient = theirs.loss_gradient(p)
        assert loss == pytest.approx(their_loss, rel=1e-14)
        np.testing.assert_allclose(gradient, their_gradient, rtol=1e-14)
        assert not gradient[:2].any()


class TestIsTheDifferenceReal:
    def test_intervals(self, run):
        result = run("is_the_difference_real")
        unpaired, paired, naive, robust = result["differences"]
        width = [x["high"] - x["low"] for x in (unpaired, paired, naive, robust)]
        # Pairing tells what two intervals do not; more splits are not more digits.
        assert unpaired["low"] < 0 < unpaired["high"]
        assert paired["high"] < 0
        assert width[0] > 4 * width[1]
        assert width[3] == pytest.approx(width[1], rel=0.1)
        assert width[2] < width[3] / 1.9

        y, (first, second) = result["labels"], result["scores"]
        losses = [fastlogloss.sample_log_loss(y, p[0]) for p in (first, second)]
        rows = losses[0] - losses[1]
        comparison = result["comparison"]
        assert comparison.difference == pytest.approx(rows.mean(), rel=1e-12)
        error = rows.std(ddof=1) / np.sqrt(len(y))
        assert comparison.standard_error == pytest.approx(error, rel=1e-9)
        assert comparison.pvalue < 1e-10

    def test_segments(self, run):
        result = run("is_the_difference_real", "--splits", "2")
        for found in result["segments"].values():
            assert found["segment"] == ["1 faint", "2 light", "3 dark", "4 bold"]
            assert (found["low"] < found["loss"]).all()
            assert (found["loss"] < found["high"]).all()
