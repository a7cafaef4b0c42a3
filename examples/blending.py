"""Blending: the weights of 50 models, by L-BFGS and by greedy selection.

Fifty different models predict the digits out of fold. Their blend is a weighted mean of
probabilities, its weights chosen for the least log loss in two ways: on the simplex by
L-BFGS, with weights softmax(u) and the gradient of the loss by probabilities; and by
greedy selection with replacement (Caruana et al., 2004), which adds to an unweighted
mean, again and again, the model that improves it most: 50 log losses a round.

Both take any object with the methods of ``fastlogloss.LogLoss``, so the same code runs
on scikit-learn's log_loss, completed in NumPy.

Run with ``python examples/blending.py``.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from fastlogloss import LogLoss

PICTURES = Path(__file__).parent / "pictures"


class SklearnLogLoss:
    """The methods of LogLoss that are used here, on scikit-learn's log_loss."""

    def __init__(self, y_true):
        self.y_true = y_true
        self.classes, codes = np.unique(y_true, return_inverse=True)
        self.true_class = np.arange(len(codes)), codes

    def __call__(self, p):
        return log_loss(self.y_true, p, labels=self.classes)

    def loss_gradient(self, p):
        q = p[self.true_class]
        eps = np.finfo(p.dtype).eps
        inside = (q > eps) & (q < 1 - eps)
        gradient = np.zeros_like(p)
        gradient[self.true_class] = -np.where(inside, 1 / np.maximum(q, eps), 0)
        gradient /= len(p)
        return self(p), gradient

    def many(self, models):
        return np.array([self(p) for p in models])


def random_model(rng):
    """A classifier drawn from five families."""
    strength = 10 ** rng.uniform(-4, 0)
    families = [
        DecisionTreeClassifier(max_depth=int(rng.integers(4, 12)), random_state=0),
        GaussianNB(var_smoothing=strength),
        KNeighborsClassifier(int(rng.integers(5, 60)), weights="distance"),
        LinearDiscriminantAnalysis(solver="lsqr", shrinkage=strength**0.5),
        LogisticRegression(C=strength, max_iter=1000),
    ]
    return families[rng.integers(len(families))]


def out_of_fold(n_models, random_state=0):
    """Labels, and probabilities of shape (n_models, n_samples, n_classes).

    Each model sees a random fifth of the pixels.
    """
    rng = np.random.default_rng(random_state)
    X, y = load_digits(return_X_y=True)
    order = rng.permutation(len(y))
    X, y = X[order] / 16, y[order]
    folds = list(StratifiedKFold(5).split(X, y))
    models = np.empty((n_models, len(y), 10))
    for p in models:
        model = random_model(rng)
        pixels = rng.choice(X.shape[1], X.shape[1] // 5, replace=False)
        for train, test in folds:
            fitted = clone(model).fit(X[np.ix_(train, pixels)], y[train])
            p[test] = fitted.predict_proba(X[np.ix_(test, pixels)])
        print(".", end="", flush=True)
    return y, models


def by_l_bfgs(loss, models, jac=True):
    """Weights of the blend; with ``jac=False`` from differences of the loss alone."""
    flat = models.reshape(len(models), -1)

    def blend(u):
        w = softmax(u)
        return w, (w @ flat).reshape(models.shape[1:])

    def derivatives(u):
        w, p = blend(u)
        value, by_p = loss.loss_gradient(p)
        by_w = flat @ by_p.ravel()
        return value, w * (by_w - w @ by_w)

    def alone(u):
        return loss(blend(u)[1])

    start = np.zeros(len(models))
    options = {"maxfun": 10**6}
    function = derivatives if jac else alone
    found = minimize(function, start, jac=jac, method="L-BFGS-B", options=options)
    return softmax(found.x)


def by_greedy_selection(loss, models, rounds=50):
    """Weights of the blend, and its loss after each round."""
    total = np.zeros(models.shape[1:])
    blends = np.empty_like(models)
    picked = np.zeros(len(models))
    path = []
    for size in range(1, rounds + 1):
        np.add(models, total, out=blends)
        blends /= size
        losses = loss.many(blends)
        best = int(np.argmin(losses))
        picked[best] += 1
        total += models[best]
        path.append(losses[best])
    return picked / rounds, path


def compare(y, models):
    """Every way to blend on two thirds of the rows: weights, losses, seconds.

    NumPy and SciPy multiply with one thread: the matrices are small, and the threads of
    two libraries would wait for each other.
    """
    n = 2 * len(y) // 3
    known = np.ascontiguousarray(models[:, :n])
    ours, theirs, test = LogLoss(y[:n]), SklearnLogLoss(y[:n]), LogLoss(y[n:])
    ways = [
        ("best model", lambda: np.eye(len(models))[np.argmin(ours.many(known))]),
        ("plain mean", lambda: np.full(len(models), 1 / len(models))),
        ("L-BFGS, fastlogloss", lambda: by_l_bfgs(ours, known)),
        ("L-BFGS, scikit-learn", lambda: by_l_bfgs(theirs, known)),
        ("  without a gradient", lambda: by_l_bfgs(theirs, known, jac=False)),
        ("greedy, fastlogloss", lambda: by_greedy_selection(ours, known)[0]),
        ("greedy, scikit-learn", lambda: by_greedy_selection(theirs, known)[0]),
    ]
    print(f"{'':4}{'':22}{'log loss':>10}{'new rows':>10}{'models':>8}{'seconds':>10}")
    table = {}
    for name, way in ways:
        print(f"    {name:22}", end="", flush=True)
        with threadpool_limits(1, user_api="blas"):
            start = time.perf_counter()
            w = way()
            seconds = time.perf_counter() - start
        loss, new = (
            of(np.tensordot(w, p, 1))
            for of, p in ((ours, known), (test, models[:, n:]))
        )
        used = np.count_nonzero(w > 1e-3)
        print(f"{loss:10.6f}{new:10.6f}{used:8}{seconds:10.4f}", flush=True)
        table[name] = {"weights": w, "loss": loss, "new": new, "seconds": seconds}
    return table


def draw(y, models, table, path):
    n = 2 * len(y) // 3
    figure = Figure(figsize=(12, 4), layout="constrained")
    weights, losses, seconds = figure.subplots(1, 3)
    alone = LogLoss(y[:n]).many(models[:, :n])
    order = np.argsort(alone)
    places = np.arange(len(models))
    for shift, name, colour in (
        (-0.25, "L-BFGS", "tab:blue"),
        (0.25, "greedy", "tab:orange"),
    ):
        w = table[f"{name}, fastlogloss"]["weights"][order]
        weights.bar(places + shift, w, 0.5, color=colour, label=name)
    weights.set(xlabel="models, the best first", title="weights of the blend")
    weights.legend(frameon=False)

    _, steps = by_greedy_selection(LogLoss(y[:n]), models[:, :n])
    rounds = np.arange(1, len(steps) + 1)
    losses.plot(rounds, steps, color="tab:orange", label="greedy")
    for name, colour in (
        ("best model", "tab:red"),
        ("plain mean", "grey"),
        ("L-BFGS, fastlogloss", "tab:blue"),
    ):
        label = name.split(",")[0]
        style = {"color": colour, "label": label, "linestyle": "--"}
        losses.axhline(table[name]["loss"], **style)
    losses.set(xlabel="rounds", title="log loss of the blend")
    losses.legend(frameon=False)

    names = list(table)[:1:-1]  # bars are drawn upwards
    times = [table[name]["seconds"] for name in names]
    colours = ["tab:green" if "fastlogloss" in name else "grey" for name in names]
    shown = seconds.barh([name.strip() for name in names], times, color=colours)
    seconds.bar_label(shown, [f" {t:.3g}" for t in times])
    seconds.set(xscale="log", title="seconds")
    seconds.margins(x=0.2)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    print(f"\n  picture: {path}")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--out", type=Path, default=PICTURES, metavar="DIR")
    options = parser.parse_args(argv)

    print(f"Blending {options.models} models of the digits\n")
    print("  out-of-fold predictions ", end="", flush=True)
    y, models = out_of_fold(options.models)
    print(f"\n  weights from {2 * len(y) // 3} rows of {models.shape[2]} classes\n")
    table = compare(y, models)
    print()
    for name, way in (("L-BFGS", "L-BFGS"), ("greedy selection", "greedy")):
        ours, theirs = (
            table[f"{way}, {engine}"]["seconds"]
            for engine in ("fastlogloss", "scikit-learn")
        )
        print(f"  {name}: {theirs / ours:.1f} x faster than on scikit-learn's log_loss")
    draw(y, models, table, options.out / "blending.png")
    return table


if __name__ == "__main__":
    main()
