"""The main job: a grid search on real data, scored by scikit-learn and by fastlogloss.

Run with ``make demo``.
"""

import os
import tempfile
import time
import warnings

import numpy as np
import pyarrow
import pyarrow.parquet
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer, log_loss
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastlogloss
from fastlogloss.cli import main

SEARCHES = [
    (
        "breast cancer, naive Bayes",
        load_breast_cancer,
        GaussianNB(),
        {"var_smoothing": np.logspace(-12, 0, 40)},
    ),
    (
        "wine, logistic regression",
        load_wine,
        make_pipeline(StandardScaler(), LogisticRegression()),
        {"logisticregression__C": np.logspace(-3, 3, 13)},
    ),
    (
        "digits, nearest neighbours",
        load_digits,
        KNeighborsClassifier(weights="distance"),
        {"n_neighbors": [5, 10, 20, 40]},
    ),
]
SCORERS = {
    "scikit-learn": get_scorer("neg_log_loss"),
    "fastlogloss": fastlogloss.neg_log_loss_scorer,
}


def search(estimator, grid, X, y, scorer):
    """Fit a grid search; return it, its seconds, and those spent on scoring alone."""
    spent = [0.0]

    def timed(estimator, X, y):
        probabilities = estimator.predict_proba(X)
        ready = _Ready(estimator.classes_, probabilities)
        start = time.perf_counter()
        score = scorer(ready, X, y)
        spent[0] += time.perf_counter() - start
        return score

    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    start = time.perf_counter()
    fitted = GridSearchCV(estimator, grid, scoring=timed, cv=folds).fit(X, y)
    return fitted, time.perf_counter() - start, spent[0]


class _Ready:
    """A classifier that has predicted already: only the scoring is timed."""

    _estimator_type = "classifier"

    def __init__(self, classes, probabilities):
        self.classes_ = classes
        self.probabilities = probabilities

    def predict_proba(self, X):
        return self.probabilities

    def __sklearn_tags__(self):
        return LogisticRegression().__sklearn_tags__()

    def __sklearn_is_fitted__(self):
        return True


def grid_searches():
    print("Grid searches, five folds, scored with the negative log loss\n")
    header = f"{'':28}{'scorer':14}{'best score':>12}{'search':>10}{'scoring':>10}"
    print(header + "   best parameter")
    for title, load, estimator, grid in SEARCHES:
        X, y = load(return_X_y=True)
        found = {}
        for name, scorer in SCORERS.items():
            print(f"{title:28}{name:14}", end="", flush=True)
            fitted, total, scoring = search(estimator, grid, X, y, scorer)
            found[name] = fitted.best_params_
            value = next(iter(fitted.best_params_.values()))
            print(
                f"{fitted.best_score_:12.6f}{total:8.2f} s{scoring * 1e3:7.1f} ms"
                f"   {value:.4g}"
            )
            title = ""
        assert found["scikit-learn"] == found["fastlogloss"]


def missing_class():
    print("\nA test fold without one of the three classes of the training data")
    X, y = load_wine(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    fold = y != 2
    for name, scorer in SCORERS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                score = f"{scorer(model, X[fold], y[fold]):.6f}"
        except ValueError as error:
            score = f"{type(error).__name__}: {str(error).split('.')[0]}"
        print(f"  {name:14}{score}")


def ten_points():
    print("\nTen points: log loss row by row, and their mean")
    x = np.array([-2.2, -1.4, -0.8, 0.2, 0.4, 0.8, 1.2, 2.2, 2.9, 4.6])
    y = np.array([0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    model = LogisticRegression(solver="lbfgs").fit(x.reshape(-1, 1), y)
    p = model.predict_proba(x.reshape(-1, 1))[:, 1]
    with np.printoptions(precision=2, suppress=True):
        print(f"  x         {x}")
        print(f"  y         {y}")
        print(f"  p(y = 1)  {p}")
        print(f"  loss      {fastlogloss.sample_log_loss(y, p)}")
    ours, theirs = fastlogloss.log_loss(y, p), log_loss(y, p)
    print(f"  log loss  {ours:.4f} (fastlogloss), {theirs:.4f} (scikit-learn)")


def one_call():
    print("\nOne call, a million rows of two classes (seconds)")
    rng = np.random.default_rng(0)
    p = rng.random(1_000_000)
    y = rng.random(1_000_000) < p
    for title, labels in (
        ("bool labels", y),
        ("string labels", np.where(y, "yes", "no")),
    ):
        print(f"  {title:16}", end="", flush=True)
        seconds = {}
        for name, function in (
            ("scikit-learn", log_loss),
            ("fastlogloss", fastlogloss.log_loss),
        ):
            best = np.inf
            for _ in range(3):
                start = time.perf_counter()
                function(labels, p)
                best = min(best, time.perf_counter() - start)
            seconds[name] = best
            print(f"{name} {best:.5f}   ", end="", flush=True)
        print(f"{seconds['scikit-learn'] / seconds['fastlogloss']:.0f} x")


def segments():
    print("\nA log of clicks in a file, two models, by country")
    rng = np.random.default_rng(0)
    n = 200_000
    country = np.array(["br", "de", "fr", "in", "us"])[rng.integers(5, size=n)]
    logit = rng.normal(-2 + (country == "us"), 1.5)
    click = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(int)
    old = 1 / (1 + np.exp(-logit + (country == "in")))
    new = 1 / (1 + np.exp(-logit + rng.normal(0, 0.3, n)))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "clicks.parquet")
        table = {"country": country, "click": click, "old": old, "new": new}
        pyarrow.parquet.write_table(pyarrow.table(table), path, compression="zstd")
        arguments = ["--label", "click", "--model", "old=old", "--model", "new=new"]
        print("$ fastlogloss score clicks.parquet", *arguments, "--by country\n")
        main(["score", path, *arguments, "--by", "country"])


if __name__ == "__main__":
    grid_searches()
    missing_class()
    ten_points()
    one_call()
    segments()
