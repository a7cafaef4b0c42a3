"""The scorers: scikit-learn's numbers where they are right, right ones elsewhere."""

import contextlib
import copy
import functools
import itertools
import math
import pickle
import pydoc
import sys
import warnings

import matplotlib.pyplot
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import sklearn
from compare import outcome
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_wine,
    make_classification,
)
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFE, RFECV
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import permutation_importance
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Perceptron,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.metrics import get_scorer, get_scorer_names, make_scorer
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    LearningCurveDisplay,
    ValidationCurveDisplay,
    cross_val_score,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC, LinearSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

import fastlogloss
from fastlogloss import (
    d2_log_loss_scorer,
    make_log_loss_scorer,
    neg_log_loss_logits_scorer,
    neg_log_loss_scorer,
    scorers,
)

# Both add up float64; see _TOLERANCES of compare.py.
RTOL = 1e-12
EPS = 2.0**-52
CAP = -math.log(EPS)

SCORERS = {"neg_log_loss": neg_log_loss_scorer, "d2_log_loss_score": d2_log_loss_scorer}
# scikit-learn has had the second name since 1.7 or so.
NAMES = [name for name in SCORERS if name in get_scorer_names()]
# What is made anew at each access.
ACCESSED = [name for name in scorers.__all__ if not name.startswith("make_")]
DATA = {
    "breast cancer": load_breast_cancer,
    "digits": load_digits,
    "wine": load_wine,
}


class Fixed(ClassifierMixin, BaseEstimator):
    """Its features are the probabilities that it predicts, column by column."""

    def __init__(self, classes=(0, 1)):
        self.classes = classes

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.array(self.classes)
        return self

    def predict_proba(self, X):
        return X

    def predict(self, X):
        return self.classes_[np.argmax(X, axis=1)]


def fixed(*classes):
    return Fixed(classes).fit(None, None)


def close(a, b):
    return a == pytest.approx(b, rel=RTOL)


@pytest.fixture(scope="module", params=DATA)
def data(request):
    return DATA[request.param](return_X_y=True)


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 5))
    y = (X[:, 0] + rng.normal(size=240) > 0).astype(int) + (X[:, 1] > 1)
    return X, y


class TestColumnsByClass:
    """users.md: a class missing from the test fold, or from the training fold."""

    # Chosen such that scikit-learn's number is the one in users.md.
    P1 = (0.3973, 0.3973, 0.2850)

    def test_numbers(self):
        X = np.array([[1 - p, p] for p in self.P1])
        score = neg_log_loss_scorer(fixed(0, 1), X, [1, 1, 2])
        assert round(score, 2) == -12.63
        exact = -(CAP - 2 * math.log(self.P1[0])) / 3
        assert score == pytest.approx(exact, rel=2e-15)
        # Taken for the classes of the test fold, the columns give something else.
        wrong = fastlogloss.log_loss([1, 1, 2], np.array(self.P1))
        assert round(-wrong, 3) == -0.756

    def test_fold_lacks_a_class(self):
        X = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
        score = neg_log_loss_scorer(fixed(0, 1, 2), X, [0, 2])
        assert score == pytest.approx((math.log(0.7) + math.log(0.8)) / 2, rel=2e-15)

    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_two_other_classes(self, n_classes):
        """As many classes as in training, or two, but not all the same ones."""
        p = np.full((4, n_classes), 1 / n_classes)
        for y in ([1, 2], [-1, 0], [1, 7], [-1, 1], [0.0, 2.0], [5, 6]):
            for dtype in ("int64", "int8", "float64", "float32"):
                labels = np.array([*y, *y], dtype)
                n_unseen = sum(label not in range(n_classes) for label in labels)
                loss = (n_unseen * CAP + (4 - n_unseen) * math.log(n_classes)) / 4
                score = neg_log_loss_scorer(fixed(*range(n_classes)), p, labels)
                assert score == pytest.approx(-loss, rel=2e-15)

    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_fold_of_one_class(self, n_classes):
        p = np.full((4, n_classes), 1 / n_classes)
        estimator = fixed(*range(n_classes))
        for only in range(n_classes):
            score = neg_log_loss_scorer(estimator, p, [only] * 4)
            assert score == pytest.approx(-math.log(n_classes), rel=2e-15)

    @pytest.mark.parametrize("weights", [None, [1.0, 2.0, 3.0, 4.0]])
    @pytest.mark.parametrize(
        ("classes", "y"),
        [
            ((0, 1), [0, 1, 7, 1]),
            ((0, 1), [7, 7, 7, 7]),
            (("a", "b"), ["a", "b", "c", "a"]),
            (("a", "b", "c"), ["", "a", "zz", "c"]),
            ((0.0, 1.0, 2.0), [0.0, -1.0, 2.0, 5.0]),
        ],
    )
    def test_unseen_in_training(self, classes, y, weights):
        p = np.array(
            [[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.2, 0.2, 0.6]]
        )
        if len(classes) == 2:
            p = np.stack([p[:, 0], 1 - p[:, 0]], 1)
        column = {c: i for i, c in enumerate(classes)}
        q = [
            row[column[c]] if c in column else EPS for row, c in zip(p, y, strict=True)
        ]
        losses = -np.log(q)
        keywords = {} if weights is None else {"sample_weight": weights}
        score = neg_log_loss_scorer(fixed(*classes), p, y, **keywords)
        assert score == pytest.approx(-np.average(losses, weights=weights), rel=2e-15)
        w = np.ones(4) if weights is None else np.array(weights)
        share = pd.Series(w).groupby(y).sum() / w.sum()
        null = -np.log(share.loc[y].to_numpy()) @ w
        d2 = d2_log_loss_scorer(fixed(*classes), p, y, **keywords)
        if null:
            assert d2 == pytest.approx(1 - losses @ w / null, rel=RTOL)

    @pytest.mark.parametrize("scorer", SCORERS.values(), ids=SCORERS)
    @pytest.mark.parametrize(
        ("classes", "y", "word"),
        [
            (("a", "b"), [0, 1], "holds 0,"),
            ((0, 1), ["a", "b"], "holds 'a',"),
            (("a", "b"), np.array([True, False]), "holds True,"),
            ((0, 1), pd.Series(["b", "b"], dtype="category"), "holds 'b',"),
            (("a",), [0, 0], "holds 0,"),
        ],
    )
    def test_labels_of_another_kind(self, scorer, classes, y, word):
        # Encoded labels against raw ones: no class of the estimator could occur.
        p = np.full((2, len(classes)), 1 / len(classes))
        with pytest.raises(ValueError, match=f"y_true {word} but the classes of the"):
            scorer(fixed(*classes), p, y)

    @pytest.mark.compares
    def test_unseen_with_weights_of_no_finite_sum(self):
        p = np.full((3, 2), 0.5)
        weights = {"sample_weight": [1, np.inf, 1]}
        with pytest.raises(ValueError, match="sample_weight"):
            neg_log_loss_scorer(fixed(0, 1), p, [0, 7, 7], **weights)
        weights = {"sample_weight": [1e308, 1e308, 1e308]}
        score = neg_log_loss_scorer(fixed(0, 1), p, [0, 7, 7], **weights)
        cap = -math.log(2.0**-52)
        assert score == pytest.approx(-(math.log(2) + 2 * cap) / 3, rel=2e-15)

    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    def test_unseen_costs_the_cap_of_the_dtype(self, dtype):
        p = np.array([[0.5, 0.5], [0.25, 0.75]], dtype)
        score = neg_log_loss_scorer(fixed(0, 1), p, [0, 2])
        cap = -math.log(np.finfo(dtype).eps)
        assert score == pytest.approx(-(math.log(2) + cap) / 2, rel=2e-15)

    @pytest.mark.parametrize("scorer", SCORERS.values(), ids=SCORERS)
    @pytest.mark.parametrize(
        ("classes", "order"),
        [
            ((0, 1), [1, 0]),
            ((0, 1, 2), [2, 0, 1]),
            (("a", "b"), [1, 0]),
            (("a", "b", "c"), [1, 2, 0]),
            ((-1.0, 1.0), [1, 0]),
        ],
    )
    def test_unsorted_classes(self, scorer, classes, order, rng):
        p = rng.dirichlet(np.ones(len(classes)), 30)
        y = np.array(classes)[rng.integers(len(classes), size=30)]
        expected = scorer(fixed(*classes), p, y)
        shuffled = fixed(*[classes[i] for i in order])
        # Of two columns one is passed on: the other is 1 - p, rounded.
        assert scorer(shuffled, p[:, order], y) == pytest.approx(expected, rel=4e-15)

    @pytest.mark.parametrize("label", [0, 1, "a"])
    def test_trained_on_one_class(self, label):
        X = np.zeros((6, 2))
        estimator = DummyClassifier(strategy="prior").fit(X, [label] * 6)
        assert neg_log_loss_scorer(estimator, X, [label] * 6) == pytest.approx(0)
        other = "b" if label == "a" else 5
        mixed = [label] * 3 + [other] * 3
        score = neg_log_loss_scorer(estimator, X, mixed)
        assert score == pytest.approx(-CAP / 2, rel=2e-15)
        d2 = d2_log_loss_scorer(estimator, X, mixed)
        assert d2 == pytest.approx(1 - CAP / 2 / math.log(2), rel=RTOL)

    @pytest.mark.parametrize("label", [0, 1, "a", True])
    def test_one_class_of_logits(self, label):
        """The softmax of one class is 1."""
        model, z = logits(label), np.array([3.0, -2.0, 0.0])
        assert neg_log_loss_logits_scorer(model, z, [label] * 3) == 0
        other = "b" if label == "a" else 5
        assert neg_log_loss_logits_scorer(model, z, [label, other, label]) == -math.inf

    @pytest.mark.parametrize(
        "scorer", [neg_log_loss_scorer, d2_log_loss_scorer, neg_log_loss_logits_scorer]
    )
    # By older releases of scikit-learn, of the NaN.
    @pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
    def test_one_class_and_nonsense(self, scorer):
        model = fixed(1) if scorer is not neg_log_loss_logits_scorer else logits(1)
        for y in ([1, np.nan, 1], [1, 1]):
            with pytest.raises(ValueError, match=r"NaN|nan|samples|rows"):
                scorer(model, np.ones(3), y)

    @pytest.mark.parametrize("label", [0, 1, -7, 5.0, 2.0**53, 2**63 - 1, True, "a"])
    def test_one_class_of_any_label(self, label):
        for y, loss in (([label] * 3, 0.0), ([label, label, "b"], CAP / 3)):
            if loss and not isinstance(label, str):
                continue
            score = neg_log_loss_scorer(fixed(label), np.ones(3), y)
            assert score == pytest.approx(-loss, abs=1e-15)

    def test_cross_validation_without_shuffling(self):
        """Sorted labels: every fold has classes that the others lack."""
        X, y = load_wine(return_X_y=True)
        scores = cross_val_score(
            GaussianNB(), X, y, cv=KFold(3), scoring=neg_log_loss_scorer
        )
        # Most rows are impossible events.
        assert np.isfinite(scores).all()
        assert scores.mean() < -CAP / 2

    @pytest.mark.parametrize(
        "y",
        [
            np.array([0, 2, 1]),
            [0, 2, 1],
            pd.Series([0, 2, 1]),
            pd.Series([0, 2, 1], dtype="Int64"),
            pd.Categorical([0, 2, 1]),
            np.array([0.0, 2.0, 1.0]),
            np.array([0, 2, 1], np.uint8),
            np.array([[0], [2], [1]]),
        ],
        ids=lambda y: type(y).__name__,
    )
    def test_types_of_labels(self, y):
        p = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.2, 0.7, 0.1]])
        score = neg_log_loss_scorer(fixed(0, 1, 2), p, y)
        assert score == pytest.approx(np.log([0.7, 0.8, 0.7]).mean(), rel=2e-15)

    def test_frame_of_probabilities(self):
        p = pd.DataFrame([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]], columns=list("abc"))
        score = neg_log_loss_scorer(fixed(2, 1, 0), p, [2, 0])
        assert score == pytest.approx(np.log([0.7, 0.8]).mean(), rel=2e-15)


BROKEN = {
    "no sum": lambda p: p * 0.9,
    "above one": lambda p: p + 1,
    "negative": lambda p: p - 1,
    "nan": lambda p: p * np.nan,
    "short": lambda p: p[:-1],
    "inf": lambda p: np.where(p > 0.5, np.inf, p),
    "empty": lambda p: p[:0],
    "one row": lambda p: p[:1],
}


class TestParity:
    """The number of scikit-learn, wherever the fold has all classes."""

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
    def test_values(self, name, data, weighted):
        X, y = data
        model = GaussianNB().fit(X[::2], y[::2])
        w = {"sample_weight": np.linspace(0.1, 3, len(y))} if weighted else {}
        assert close(
            SCORERS[name](model, X, y, **w), get_scorer(name)(model, X, y, **w)
        )

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("mistake", BROKEN)
    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_bad_probabilities(self, name, mistake, n_classes, rng):
        p = BROKEN[mistake](rng.dirichlet(np.ones(n_classes), 12))
        y = np.arange(12) % n_classes
        arguments = fixed(*range(n_classes)), p, y[: max(len(p), 1)]
        ours = outcome(SCORERS[name], *arguments)
        theirs = outcome(get_scorer(name), *arguments)
        if theirs.error and len(p) == 1:
            # A fold that lacks a class: theirs is an error, ours a score or NaN.
            assert ours.error is None
        else:
            assert ours.error == theirs.error
            assert ours.warnings == theirs.warnings
            if theirs.error is None:
                np.testing.assert_allclose(ours.value, theirs.value, rtol=RTOL)

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize(
        "weights", [[0.0] * 4, [1.0, -1.0, 0, 0], [np.nan] * 4, [1.0] * 3, "abcd"]
    )
    def test_bad_weights(self, name, weights):
        p = np.array([[0.7, 0.3], [0.1, 0.9], [0.4, 0.6], [0.5, 0.5]])
        arguments = fixed(0, 1), p, [0, 1, 0, 1]
        ours = outcome(SCORERS[name], *arguments, sample_weight=weights)
        theirs = outcome(get_scorer(name), *arguments, sample_weight=weights)
        assert ours.error == theirs.error
        assert ours.error is not None

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize(
        "make",
        [
            lambda X, y: LinearRegression().fit(X, y),
            lambda X, y: LinearSVC().fit(X, y),
            lambda X, y: MultiOutputClassifier(GaussianNB()).fit(
                X, np.stack([y, y], 1)
            ),
            lambda X, y: GaussianNB(),
            lambda X, y: object(),
        ],
        ids=["regressor", "no probabilities", "two outputs", "not fitted", "object"],
    )
    def test_wrong_estimators(self, name, make, small):
        X, y = small
        model = make(X, y)
        ours = outcome(SCORERS[name], model, X, y)
        theirs = outcome(get_scorer(name), model, X, y)
        assert ours.error == theirs.error
        assert ours.error is not None

    @pytest.mark.parametrize("greater_is_better", [False, True])
    def test_make_scorer(self, small, greater_is_better):
        X, y = small
        keywords = {
            "response_method": "predict_proba",
            "greater_is_better": greater_is_better,
        }
        ours = make_scorer(fastlogloss.log_loss, **keywords)
        theirs = make_scorer(sklearn.metrics.log_loss, **keywords)
        model = GaussianNB().fit(X, y)
        assert close(ours(model, X, y), theirs(model, X, y))
        assert close(
            cross_val_score(GaussianNB(), X, y, scoring=ours),
            cross_val_score(GaussianNB(), X, y, scoring=theirs),
        )

    def test_make_scorer_with_eps(self, small):
        X, y = small
        scorer = make_scorer(
            fastlogloss.log_loss, response_method="predict_proba", eps=0.05
        )
        model = GaussianNB().fit(X, y)
        expected = fastlogloss.log_loss(y, model.predict_proba(X), eps=0.05)
        assert scorer(model, X, y) == expected


class TestSearches:
    """Same parameters and scores as with scikit-learn's scorer, on real data."""

    @pytest.mark.parametrize(
        ("estimator", "grid"),
        [
            (GaussianNB(), {"var_smoothing": np.logspace(-12, 0, 7)}),
            (
                make_pipeline(StandardScaler(), KNeighborsClassifier()),
                {"kneighborsclassifier__n_neighbors": [3, 10, 30]},
            ),
        ],
        ids=["naive Bayes", "neighbours"],
    )
    @pytest.mark.parametrize("name", NAMES)
    def test_grid_search(self, data, estimator, grid, name):
        X, y = data
        ours, theirs = (
            GridSearchCV(clone(estimator), grid, scoring=scoring, cv=3).fit(X, y)
            for scoring in (SCORERS[name], name)
        )
        assert ours.best_params_ == theirs.best_params_
        assert close(ours.best_score_, theirs.best_score_)
        scores = "mean_test_score"
        assert close(ours.cv_results_[scores], theirs.cv_results_[scores])

    def test_logistic_regression(self):
        X, y = load_breast_cancer(return_X_y=True)
        estimator = make_pipeline(StandardScaler(), LogisticRegression())
        grid = {"logisticregression__C": [0.01, 0.1, 1, 10]}
        ours, theirs = (
            GridSearchCV(estimator, grid, scoring=scoring).fit(X, y)
            for scoring in (neg_log_loss_scorer, "neg_log_loss")
        )
        assert ours.best_params_ == theirs.best_params_
        assert close(ours.best_score_, theirs.best_score_)

    def test_cross_validate_with_several(self, small):
        X, y = small
        scores = cross_validate(
            GaussianNB(),
            X,
            y,
            scoring={**SCORERS, **{f"sklearn {name}": name for name in NAMES}},
            return_train_score=True,
        )
        for name in NAMES:
            for part in ("test", "train"):
                assert close(scores[f"{part}_{name}"], scores[f"{part}_sklearn {name}"])

    @pytest.mark.parametrize("scoring", SCORERS.values(), ids=SCORERS)
    def test_rfecv(self, small, scoring):
        X, y = small
        found = RFECV(LogisticRegression(), scoring=scoring, cv=3).fit(X, y)
        assert np.isfinite(found.cv_results_["mean_test_score"]).all()
        assert found.support_[:2].all()

    def test_halving(self, small):
        X, y = small
        y = np.minimum(y, 1)  # a small fold may lack the third class
        ours, theirs = (
            HalvingGridSearchCV(
                GaussianNB(),
                {"var_smoothing": [1e-9, 1e-3, 1.0]},
                scoring=scoring,
                cv=3,
                random_state=0,
            ).fit(X, y)
            for scoring in (neg_log_loss_scorer, "neg_log_loss")
        )
        assert ours.best_params_ == theirs.best_params_
        assert close(ours.best_score_, theirs.best_score_)

    # Its attributes are being renamed, which it says at every fit.
    @pytest.mark.filterwarnings("ignore::FutureWarning:sklearn")
    @pytest.mark.parametrize("classes", [2, 3])
    def test_logistic_regression_cv(self, small, classes):
        X, y = small
        y = np.minimum(y, classes - 1)
        ours, theirs = (
            LogisticRegressionCV(Cs=[0.01, 1, 100], scoring=scoring, cv=3).fit(X, y)
            for scoring in (neg_log_loss_scorer, "neg_log_loss")
        )
        np.testing.assert_array_equal(ours.C_, theirs.C_)
        assert close(np.ravel(ours.coef_), np.ravel(theirs.coef_))
        expected = neg_log_loss_scorer(ours, X, y)
        assert close(ours.score(X, y), expected)

    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_permutation_importance(self, small, n_jobs):
        X, y = small
        model = GaussianNB().fit(X, y)
        ours, theirs = (
            permutation_importance(
                model, X, y, scoring=scoring, random_state=0, n_jobs=n_jobs
            )
            for scoring in (neg_log_loss_scorer, "neg_log_loss")
        )
        # A difference of two scores.
        np.testing.assert_allclose(ours.importances, theirs.importances, atol=RTOL)
        assert ours.importances_mean[:2].min() > ours.importances_mean[2:].max()

    def test_two_jobs(self, small):
        X, y = small
        alone, together = (
            cross_val_score(
                GaussianNB(), X, y, scoring=neg_log_loss_scorer, n_jobs=n_jobs
            )
            for n_jobs in (1, 2)
        )
        np.testing.assert_array_equal(alone, together)

    def test_early_stopping(self, small):
        X, y = small
        ours, theirs = (
            HistGradientBoostingClassifier(
                scoring=scoring, early_stopping=True, max_iter=20, random_state=0
            ).fit(X, y)
            for scoring in (neg_log_loss_scorer, "neg_log_loss")
        )
        assert ours.n_iter_ == theirs.n_iter_
        assert close(ours.validation_score_, theirs.validation_score_)

    def test_learning_curve(self, small):
        X, y = small
        _, _, scores = learning_curve(
            GaussianNB(), X, y, scoring=neg_log_loss_scorer, train_sizes=[0.3, 1.0]
        )
        assert np.isfinite(scores).all()


class TestWeights:
    def test_without_routing(self, small):
        X, y = small
        w = np.linspace(0.1, 2, len(y))
        ours, theirs = (
            GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1.0]}, scoring=scoring)
            .fit(X, y, sample_weight=w)
            .best_score_
            for scoring in (neg_log_loss_scorer, "neg_log_loss")
        )
        assert close(ours, theirs)

    @pytest.mark.parametrize("requested", [True, False])
    def test_routing(self, small, requested):
        X, y = small
        w = np.linspace(0.1, 2, len(y))
        with sklearn.config_context(enable_metadata_routing=True):
            ours, theirs = (
                cross_validate(
                    GaussianNB().set_fit_request(sample_weight=True),
                    X,
                    y,
                    scoring=copy.deepcopy(scorer).set_score_request(
                        sample_weight=requested
                    ),
                    params={"sample_weight": w},
                )["test_score"]
                for scorer in (neg_log_loss_scorer, get_scorer("neg_log_loss"))
            )
            plain = cross_val_score(
                GaussianNB().set_fit_request(sample_weight=True),
                X,
                y,
                scoring=neg_log_loss_scorer,
                params=None,
            )
        assert close(ours, theirs)
        assert not np.allclose(ours, plain)

    @pytest.mark.parametrize("name", ACCESSED)
    @pytest.mark.parametrize("module", [fastlogloss, scorers])
    def test_requests_stay_with_the_object(self, module, name):
        def request(scorer):
            requests = scorer.get_metadata_routing().score.requests
            return requests.get("sample_weight")

        with sklearn.config_context(enable_metadata_routing=True):
            changed = getattr(module, name)
            assert changed.set_score_request(sample_weight=True) is changed
            changed._kwargs["eps"] = 0.1
            sent = pickle.loads(pickle.dumps(changed))
            assert request(changed) is request(sent) is True
            assert request(copy.deepcopy(changed)) is True
            for other in (fastlogloss, scorers):
                assert request(getattr(other, name)) is None
                assert "eps" not in getattr(other, name)._kwargs


TARGETS = {
    "binary": lambda y, Y: np.minimum(y, 1),
    "multiclass": lambda y, Y: y,
    "strings": lambda y, Y: np.array(["a", "b", "c"])[y],
    "floats": lambda y, Y: y.astype(float),
    "column": lambda y, Y: y[:, None],
    "binary column": lambda y, Y: Y[:, :1],
    "column of a frame": lambda y, Y: pd.DataFrame(Y[:, :1]),
    "one class": lambda y, Y: np.ones_like(y),
    "column of one class": lambda y, Y: np.ones_like(y)[:, None],
    "one-hot": lambda y, Y: np.eye(3, dtype=int)[y],
    "one-hot of two": lambda y, Y: np.eye(2, dtype=int)[np.minimum(y, 1)],
    "multilabel": lambda y, Y: Y,
    "multilabel of two": lambda y, Y: Y[:, :2],
    "label that nobody has": lambda y, Y: np.c_[Y, np.zeros_like(y)],
    "float matrix": lambda y, Y: Y.astype(float),
    "bool matrix": lambda y, Y: Y.astype(bool),
    "object matrix": lambda y, Y: Y.astype(object),
    "list of lists": lambda y, Y: Y.tolist(),
    "frame": lambda y, Y: pd.DataFrame(Y, columns=["u", "v", "w"]),
    "polars": lambda y, Y: pl.DataFrame(Y),
    "sparse matrix": lambda y, Y: scipy.sparse.csr_matrix(Y),
    "sparse array": lambda y, Y: scipy.sparse.csc_array(Y),
    "sparse column": lambda y, Y: scipy.sparse.csr_matrix(Y[:, :1]),
    "two outputs of classes": lambda y, Y: np.stack([y, Y[:, 0]], axis=1),
    "matrix of strings": lambda y, Y: np.array(["a", "b"])[Y],
}
ESTIMATORS = {
    "naive Bayes": GaussianNB(),
    "logistic": LogisticRegression(),
    "versus rest": OneVsRestClassifier(LogisticRegression()),
    "trees versus rest": OneVsRestClassifier(DecisionTreeClassifier(max_depth=2)),
    "network": MLPClassifier((3,), max_iter=10, random_state=0),
    "neighbours": KNeighborsClassifier(20),
    "forest": RandomForestClassifier(3, max_depth=2, random_state=0),
    "tree": DecisionTreeClassifier(max_depth=2, random_state=0),
    "chain": ClassifierChain(LogisticRegression()),
    "outputs": MultiOutputClassifier(GaussianNB()),
    "shares": DummyClassifier(strategy="prior"),
    "uniform": DummyClassifier(strategy="uniform"),
    "pipeline": make_pipeline(
        StandardScaler(), OneVsRestClassifier(LogisticRegression())
    ),
    "search": GridSearchCV(
        OneVsRestClassifier(LogisticRegression()), {"estimator__C": [1.0]}, cv=2
    ),
    "regression": LinearRegression(),
}


@pytest.fixture(scope="module")
def few(small):
    X, y = small
    return X[:80], y[:80]


@pytest.fixture(scope="module")
def targets(few):
    X, y = few
    Y = (X[:, [0, 1, 2]] + X[:, [3, 4, 3]] > 0.5).astype(int)
    return {name: make(y, Y) for name, make in TARGETS.items()}


@pytest.fixture(scope="module", params=ESTIMATORS)
def fitted(request, few, targets):
    """The same estimator fitted on each target that it can be fitted on."""
    models = {}
    for name, y in targets.items():
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")
            models[name] = clone(ESTIMATORS[request.param]).fit(few[0], y)
    assert len(models) >= 5
    return models


class TestTargets:
    """scikit-learn's outcome for all kinds of targets, or a better one."""

    @pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
    @pytest.mark.parametrize("name", NAMES)
    def test_of_the_fit(self, fitted, targets, few, name, weighted):
        X, y = few
        w = {"sample_weight": np.linspace(0.1, 2, len(y))} if weighted else {}
        for target, model in fitted.items():
            ours = outcome(SCORERS[name], model, X, targets[target], **w)
            theirs = outcome(get_scorer(name), model, X, targets[target], **w)
            if theirs.error and "one class" in target and ours.error is None:
                assert np.isfinite(ours.value)
                continue
            self.assert_same(ours, theirs, target)

    @pytest.mark.parametrize("name", NAMES)
    def test_matrices(self, fitted, targets, few, name):
        """Also where the estimator was fitted on another kind of target."""
        others = {"binary", "strings", "one-hot", "multilabel"} & fitted.keys()
        for model in map(fitted.get, others):
            for target, y in targets.items():
                if np.shape(y)[1:] not in ((), (1,)):
                    ours = outcome(SCORERS[name], model, few[0], y)
                    theirs = outcome(get_scorer(name), model, few[0], y)
                    self.assert_same(ours, theirs, target)

    def assert_same(self, ours, theirs, target):
        assert ours.warnings == theirs.warnings, target
        if ours.error or theirs.error:
            assert ours.error, target
            assert theirs.error, target
            assert ours.error[0] is theirs.error[0], target
        else:
            np.testing.assert_allclose(
                ours.value, theirs.value, rtol=RTOL, atol=RTOL, err_msg=target
            )

    # One classifier for each column: nothing makes their probabilities sum to one.
    @pytest.mark.filterwarnings("ignore:The y_.* values do not sum to one")
    def test_in_a_search(self, small):
        X, y = small
        ours, theirs = (
            cross_validate(
                OneVsRestClassifier(LogisticRegression()),
                X,
                np.eye(3, dtype=int)[y],
                scoring=scoring,
            )["test_score"]
            for scoring in (neg_log_loss_scorer, "neg_log_loss")
        )
        assert np.isfinite(ours).all()
        assert close(ours, theirs)

    def test_logits(self, small):
        X, y = small
        model = LogisticRegression().fit(X, y)
        matrix = np.eye(3, dtype=int)[y]
        expected = neg_log_loss_logits_scorer(model, X, y)
        assert neg_log_loss_logits_scorer(model, X, matrix) == expected


class TestObject:
    @pytest.mark.parametrize("scorer", SCORERS.values(), ids=SCORERS)
    def test_pickle_and_copy(self, scorer, small):
        X, y = small
        model = GaussianNB().fit(X, y)
        for other in (pickle.loads(pickle.dumps(scorer)), copy.deepcopy(scorer)):
            assert type(other) is type(scorer)
            assert other(model, X, y) == scorer(model, X, y)
            # A fold without a class: the copies have kept what makes them ours.
            keep = y < 2
            assert other(model, X[keep], y[keep]) == scorer(model, X[keep], y[keep])

    def test_repr(self):
        assert "log_loss" in repr(neg_log_loss_scorer)
        assert "greater_is_better=False" in repr(neg_log_loss_scorer)
        assert "d2_log_loss_score" in repr(d2_log_loss_scorer)
        assert "predict_proba" in repr(d2_log_loss_scorer)

    @pytest.mark.parametrize("name", ACCESSED)
    def test_every_access_is_a_new_one(self, name):
        from_package = getattr(fastlogloss, name)
        assert from_package is not getattr(fastlogloss, name)
        assert from_package is not getattr(scorers, name)
        # As with scikit-learn's, equal is what is the same.
        assert from_package != getattr(scorers, name)
        assert from_package in {from_package}
        assert type(from_package) is type(getattr(scorers, name))
        assert isinstance(from_package, type(get_scorer("accuracy")))

    def test_import(self):
        namespace = {}
        exec("from fastlogloss.scorers import *", namespace)
        assert set(scorers.__all__) <= namespace.keys()
        assert set(scorers.__all__) <= {*dir(scorers)} & {*dir(fastlogloss)}
        with pytest.raises(AttributeError, match="no attribute 'log_scorer'"):
            _ = scorers.log_scorer

    @pytest.mark.parametrize(
        ("scorer", "name"),
        [
            (neg_log_loss_scorer, "neg_log_loss"),
            (d2_log_loss_scorer, "d2_log_loss_score"),
            (neg_log_loss_logits_scorer, "neg_log_loss_logits"),
        ],
    )
    def test_name(self, scorer, name):
        """That of `scoring=`: what makes a label of one makes it of the other."""
        assert scorer.__name__ == name
        assert copy.deepcopy(scorer).__name__ == name

    @pytest.mark.parametrize("negate", [False, True])
    def test_labels_of_displays(self, small, negate):
        X, y = small
        labels = []
        for scoring in (neg_log_loss_scorer, "neg_log_loss"):
            keywords = {"scoring": scoring, "negate_score": negate}
            displays = (
                LearningCurveDisplay.from_estimator(
                    GaussianNB(), X, y, train_sizes=[0.5, 1.0], **keywords
                ),
                ValidationCurveDisplay.from_estimator(
                    GaussianNB(),
                    X,
                    y,
                    param_name="var_smoothing",
                    param_range=[1e-9, 1e-3],
                    **keywords,
                ),
            )
            labels.append([display.ax_.get_ylabel() for display in displays])
            matplotlib.pyplot.close("all")
        assert labels[0] == labels[1]
        assert labels[0][0] == ("Log loss" if negate else "Negative log loss")

    @pytest.mark.parametrize("name", ACCESSED)
    def test_help(self, name):
        text = pydoc.plain(pydoc.render_doc(getattr(fastlogloss, name)))
        for word in (
            name,
            "SGDClassifier",
            "Parameters",
            "y_true",
            "set_score_request",
        ):
            assert word in text

    def test_unchanged_by_use(self, small):
        X, y = small
        before = pickle.dumps(neg_log_loss_scorer)
        neg_log_loss_scorer(GaussianNB().fit(X, y), X, y)
        assert pickle.dumps(neg_log_loss_scorer) == before

    def test_accepted_by_check_scoring(self):
        from sklearn.metrics import check_scoring

        assert check_scoring(GaussianNB(), scoring=neg_log_loss_scorer) is (
            neg_log_loss_scorer
        )

    def test_in_clone(self):
        search = GridSearchCV(GaussianNB(), {}, scoring=neg_log_loss_scorer)
        assert type(clone(search).scoring) is type(neg_log_loss_scorer)

    def test_signature_keeps_labels(self):
        """LogisticRegressionCV looks for it and passes the classes."""
        import inspect

        for scorer in SCORERS.values():
            assert "labels" in inspect.signature(scorer._score_func).parameters
            assert scorer._score_func.__module__ == "fastlogloss.metrics"


class Logits(ClassifierMixin, BaseEstimator):
    """Its features are the logits that it decides by."""

    def __init__(self, classes=(0, 1)):
        self.classes = classes

    def fit(self, X, y):
        self.classes_ = np.array(self.classes)
        return self

    def decision_function(self, X):
        return X


def logits(*classes):
    return Logits(classes).fit(None, None)


class TestLogits:
    """The route of decision_function."""

    def test_equals_the_probabilities(self, data):
        """The decision of a logistic regression is the logit of its probabilities."""
        X, y = data
        model = make_pipeline(StandardScaler(), LogisticRegression())
        of_logits, of_probabilities = (
            cross_validate(model, X, y, scoring=scorer)["test_score"]
            for scorer in (neg_log_loss_logits_scorer, neg_log_loss_scorer)
        )
        # A probability near 0 or 1 is clipped or rounded by EPS, a logit is not.
        np.testing.assert_allclose(of_logits, of_probabilities, rtol=1e-10)

    def test_grid_search(self, data):
        X, y = data
        found = [
            GridSearchCV(
                make_pipeline(StandardScaler(), LogisticRegression()),
                {"logisticregression__C": [1e-3, 1e-1, 10.0]},
                scoring=scorer,
                cv=3,
            ).fit(X, y)
            for scorer in (neg_log_loss_logits_scorer, neg_log_loss_scorer)
        ]
        assert found[0].best_params_ == found[1].best_params_
        assert found[0].best_score_ == pytest.approx(found[1].best_score_, rel=1e-10)

    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_make_scorer(self, n_classes):
        X, y = load_wine(return_X_y=True)
        X, y = X[y < n_classes], y[y < n_classes]
        scorer = make_scorer(
            fastlogloss.log_loss,
            response_method="decision_function",
            greater_is_better=False,
            from_logits=True,
        )
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
        expected = fastlogloss.log_loss(y, model.decision_function(X), from_logits=True)
        assert scorer(model, X, y) == -expected
        assert neg_log_loss_logits_scorer(model, X, y) == -expected

    def test_margins_do_not_saturate(self):
        score = neg_log_loss_logits_scorer(logits(0, 1), np.array([800.0, -3]), [0, 1])
        assert score == pytest.approx(-(803 + math.log1p(math.exp(-3))) / 2, rel=2e-15)

    def test_fold_lacks_a_class(self, rng):
        z = rng.normal(size=(20, 3))
        y = np.where(np.arange(20) % 2, "a", "c")
        expected = fastlogloss.log_loss(y, z, labels=["a", "b", "c"], from_logits=True)
        assert neg_log_loss_logits_scorer(logits("a", "b", "c"), z, y) == -expected
        binary = neg_log_loss_logits_scorer(logits("a", "c"), z[:, 0], ["c"] * 20)
        expected = np.logaddexp(0, -z[:, 0]).mean()
        assert binary == pytest.approx(-expected, rel=4e-15)

    @pytest.mark.parametrize("classes", [(2, 0, 1), ("b", "c", "a")])
    def test_unsorted_classes(self, classes, rng):
        z = rng.normal(size=(30, 3))
        y = np.array(classes)[rng.integers(3, size=30)]
        order = np.argsort(classes)
        expected = fastlogloss.log_loss(y, z[:, order], from_logits=True)
        score = neg_log_loss_logits_scorer(logits(*classes), z, y)
        assert score == pytest.approx(-expected, rel=4e-15)

    def test_unseen_in_training_is_impossible(self):
        z = np.zeros((3, 3))
        assert neg_log_loss_logits_scorer(logits(0, 1, 2), z, [0, 1, 7]) == -math.inf
        weights = {"sample_weight": [1, 1, 0]}
        score = neg_log_loss_logits_scorer(logits(0, 1, 2), z, [0, 1, 7], **weights)
        assert score == pytest.approx(-math.log(3), rel=2e-15)

    def test_weights(self, rng):
        z, w = rng.normal(size=20), rng.random(20)
        y = np.arange(20) % 2
        expected = fastlogloss.log_loss(y, z, sample_weight=w, from_logits=True)
        score = neg_log_loss_logits_scorer(logits(0, 1), z, y, sample_weight=w)
        assert score == -expected

    @pytest.mark.parametrize("y", [[0, 1, 0], [2, 1, 0], ["a", "b", "a"]])
    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"z": np.nan}, "y_(score|proba).* row 1"),
            ({"sample_weight": [1.0, 2.0, -3.0]}, "sample_weight.*zero"),
            ({"sample_weight": [1.0, 2.0, np.nan]}, "sample_weight.* row 2"),
            ({"sample_weight": [0.0, 0.0, 0.0]}, "sample_weight"),
        ],
        ids=["NaN", "weights that cancel", "NaN weight", "no weight"],
    )
    def test_errors(self, y, change, match):
        """Named, whether the fold has all classes or not."""
        z = np.arange(9.0).reshape(3, 3)
        z[1, 1] = change.get("z", 0)
        keywords = {k: v for k, v in change.items() if k != "z"}
        classes = (0, 1, 2) if isinstance(y[0], int) else ("a", "b", "c")
        with pytest.raises(ValueError, match=match):
            neg_log_loss_logits_scorer(logits(*classes), z, y, **keywords)

    def test_object(self, small):
        X, y = small
        model = LogisticRegression().fit(X, y)
        expected = neg_log_loss_logits_scorer(model, X, y)
        for other in (
            pickle.loads(pickle.dumps(neg_log_loss_logits_scorer)),
            copy.deepcopy(neg_log_loss_logits_scorer),
        ):
            assert type(other) is type(neg_log_loss_logits_scorer)
            assert other(model, X, y) == expected
        assert "from_logits=True" in repr(neg_log_loss_logits_scorer)
        assert "decision_function" in repr(neg_log_loss_logits_scorer)

    def test_needs_a_decision(self, small):
        X, y = small
        with pytest.raises(AttributeError, match="decision_function"):
            neg_log_loss_logits_scorer(GaussianNB().fit(X, y), X, y)


def instances(estimator_class):
    """With defaults, around a logistic regression if it has to be around something."""
    inner = LogisticRegression(max_iter=5)
    for arguments in (
        {},
        {"estimator": inner},
        {"estimator": inner, "param_grid": {"C": [1.0, 10.0]}},
        {"estimator": inner, "param_distributions": {"C": [1.0, 10.0]}, "n_iter": 2},
        {"estimators": [("inner", inner)]},
        {"steps": [("inner", inner)]},
    ):
        with contextlib.suppress(TypeError):
            yield estimator_class(**arguments)


VARIANTS = [
    SGDClassifier(loss="log_loss", random_state=0),
    SGDClassifier(loss="modified_huber", random_state=0),
    GradientBoostingClassifier(loss="exponential", n_estimators=5),
    LogisticRegression(solver="liblinear"),
    LogisticRegressionCV(Cs=[0.1, 1.0], cv=2, solver="liblinear", scoring="accuracy"),
    SVC(decision_function_shape="ovo"),
    OneVsRestClassifier(GradientBoostingClassifier(loss="exponential")),
    OneVsRestClassifier(LinearSVC()),
    Pipeline([("model", OneVsRestClassifier(LogisticRegression()))]),
    make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)),
    GridSearchCV(
        make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss")),
        {"sgdclassifier__alpha": [1e-2]},
    ),
    RFE(SGDClassifier(loss="log_loss", random_state=0)),
    SelfTrainingClassifier(AdaBoostClassifier(n_estimators=5)),
    StackingClassifier([("a", GaussianNB())], AdaBoostClassifier(n_estimators=5)),
    FixedThresholdClassifier(AdaBoostClassifier(n_estimators=5)),
    FrozenEstimator(AdaBoostClassifier(n_estimators=5)),
    AdaBoostClassifier(SVC(), n_estimators=5),
]


# Their parameters and attributes are being renamed, and some models are cut short.
@pytest.mark.filterwarnings("ignore")
class TestOnlyLogits:
    """A decision function scores what predict_proba does, or is refused."""

    @pytest.fixture(params=[2, 3])
    def data(self, request):
        X, y = make_classification(
            200,
            6,
            n_informative=4,
            n_classes=request.param,
            class_sep=0.5,
            random_state=0,
        )
        return np.abs(X), y

    def assert_equal_or_refused(self, model, X, y):
        """Returns whether it was scored; None if the model does not fit the data."""
        try:
            if isinstance(model, FrozenEstimator):
                model.estimator.fit(X, y)
            model.fit(X, y)
            model.decision_function(X[:1])
        except Exception:
            return None
        ours = outcome(neg_log_loss_logits_scorer, model, X, y)
        if ours.error:
            assert ours.error[0] is ValueError
            assert ours.error[1].startswith("decision_function of ")
            return False
        assert ours.value == pytest.approx(neg_log_loss_scorer(model, X, y), rel=1e-6)
        return True

    def test_all_of_sklearn(self, data):
        n_classes = len(set(data[1]))
        scored, refused = set(), set()
        for name, estimator_class in all_estimators():
            if not hasattr(estimator_class, "decision_function"):
                continue
            for model in instances(estimator_class):
                result = self.assert_equal_or_refused(model, *data)
                if result is not None:
                    (scored if result else refused).add(name)
        assert scored >= {
            "GradientBoostingClassifier",
            "GridSearchCV",
            "HistGradientBoostingClassifier",
            "LinearDiscriminantAnalysis",
            "LogisticRegression",
            "LogisticRegressionCV",
            "Pipeline",
            "QuadraticDiscriminantAnalysis",
            "RFE",
            "SelfTrainingClassifier",
            "StackingClassifier",
        }
        assert refused >= {"LinearSVC", "OneVsOneClassifier", "Perceptron", "SVC"}
        several = {"AdaBoostClassifier", "OneVsRestClassifier"}
        assert several <= (refused if n_classes > 2 else scored)

    @pytest.mark.parametrize("model", VARIANTS, ids=lambda model: str(model)[:40])
    def test_parameters_and_wrappers(self, data, model):
        self.assert_equal_or_refused(clone(model), *data)

    @pytest.mark.parametrize(
        ("model", "words"),
        [
            (SGDClassifier(loss="log_loss"), "SGDClassifier gives logits of each"),
            (LinearSVC(), "LinearSVC gives margins.* calibrate it"),
            (SVC(), "SVC gives margins.* calibrate it"),
            (OneVsRestClassifier(LogisticRegression()), "against the rest"),
            (make_pipeline(StandardScaler(), Perceptron()), "Perceptron gives margins"),
            (GridSearchCV(RidgeClassifier(), {}), "RidgeClassifier gives margins"),
            (BaggingClassifier(LogisticRegression()), "averages"),
        ],
    )
    def test_message(self, small, model, words):
        X, y = small
        with pytest.raises(ValueError, match=f"{words}.* use neg_log_loss_scorer"):
            neg_log_loss_logits_scorer(clone(model).fit(X, y), X, y)

    @pytest.mark.parametrize("model", [OneClassSVM(), IsolationForest(n_estimators=3)])
    def test_no_classifier(self, small, model):
        X, y = small
        with pytest.raises(ValueError, match=r"gives margins, not logits$"):
            neg_log_loss_logits_scorer(model.fit(X), X, y)

    def test_advice_works(self, small):
        X, y = small
        model = CalibratedClassifierCV(LinearSVC()).fit(X, y)
        assert np.isfinite(neg_log_loss_scorer(model, X, y))

    def test_own_decision_function(self, small):
        """What somebody has made of it is not known, and let through."""

        class Calibrated(LinearSVC):
            def decision_function(self, X):
                return 0.5 * super().decision_function(X)

        class Renamed(LinearSVC):
            pass

        X, y = small
        model = Calibrated().fit(X, y)
        expected = fastlogloss.log_loss(y, model.decision_function(X), from_logits=True)
        assert neg_log_loss_logits_scorer(model, X, y) == -expected
        with pytest.raises(ValueError, match="Renamed gives margins"):
            neg_log_loss_logits_scorer(Renamed().fit(X, y), X, y)

    def test_older_parameter(self, small):
        """`multi_class`, which LogisticRegression had before scikit-learn 1.8."""
        X, y = small
        for n_classes, scheme in ((2, "multinomial"), (3, "ovr")):
            model = LogisticRegression().fit(X, np.minimum(y, n_classes - 1))
            model.multi_class = scheme
            with pytest.raises(ValueError, match="LogisticRegression gives"):
                neg_log_loss_logits_scorer(model, X, np.minimum(y, n_classes - 1))

    def test_not_fitted(self, small):
        for model in (
            LogisticRegression(),
            GridSearchCV(LogisticRegression(), {}),
            OneVsRestClassifier(LogisticRegression()),
            make_pipeline(StandardScaler(), LogisticRegression()),
        ):
            with pytest.raises(AttributeError):  # NotFittedError is one
                neg_log_loss_logits_scorer(model, *small)


def exact_score(
    y,
    response,
    classes,
    w=None,
    *,
    eps="auto",
    label_smoothing=0.0,
    from_logits=False,
    d2=False,
):
    """What a scorer should return, from the definition, one row at a time."""
    eps = EPS if eps == "auto" else eps
    n, n_classes = len(y), len(classes)
    w = np.ones(n) if w is None else np.asarray(w, float)
    if n_classes == 1:
        q = np.ones((n, 1))
    elif response.ndim == 1:
        z = response
        q = np.stack([1 / (1 + np.exp(z)), 1 / (1 + np.exp(-z))], axis=1)
    elif from_logits:
        q = np.exp(response) / np.exp(response).sum(axis=1, keepdims=True)
    else:
        q = response
    labels = [*classes, *sorted(set(y) - set(classes))]
    # Of an unseen class the probability is zero, and no target is spread over it.
    q = np.hstack([q, np.zeros((n, len(labels) - n_classes))])
    targets = np.zeros((n, len(labels)))
    targets[np.arange(n), [labels.index(label) for label in y]] = 1 - label_smoothing
    targets[:, :n_classes] += label_smoothing / n_classes
    low = 0.0 if from_logits else eps
    with np.errstate(divide="ignore", invalid="ignore"):
        nats = -np.log(np.clip(q, low, 1 - low))
        losses = np.where(targets > 0, targets * nats, 0).sum(axis=1)
    losses = np.where(w > 0, losses, 0)
    if not d2:
        return -(w @ losses) / w.sum()
    share = w @ targets / w.sum()
    share = share[share > 0]
    null = -(share @ np.log(np.clip(share, eps, 1 - eps))) * w.sum()
    return 1 - w @ losses / null


class TestMakeLogLossScorer:
    """Its scorers do what the definition says, for all options at once."""

    CLASSES = ([0, 1], [1, 0], [3, 7], ["a", "b", "c"], [2, 0, 1], [0, 1, 2, 3], [5])
    OPTIONS = tuple(
        {"eps": eps, "label_smoothing": a, "from_logits": logits, "d2": d2}
        for eps, a, logits, d2 in itertools.product(
            ("auto", 0.2, 0), (0.0, 0.1, 0.9), (False, True), (False, True)
        )
    )

    @pytest.mark.parametrize("options", OPTIONS, ids=str)
    @pytest.mark.parametrize("unseen", [False, True], ids=["", "unseen"])
    def test_definition(self, options, unseen, rng):
        scorer = make_log_loss_scorer(**options)
        for classes, weighted in itertools.product(self.CLASSES, (False, True)):
            n, n_classes = 40, len(classes)
            labels = [*classes]
            if unseen:
                labels += ["", "zz"] if isinstance(classes[0], str) else [-4, 9]
            y = [labels[i] for i in rng.integers(len(labels), size=n)]
            w = rng.random(n) * (rng.random(n) < 0.8) if weighted else None
            if options["from_logits"]:
                model = logits(*classes)
                response = rng.normal(size=(n, n_classes) if n_classes > 2 else n)
            else:
                model = fixed(*classes)
                response = rng.dirichlet(np.ones(n_classes), size=n)
            if options["d2"] and len(set(y)) == n_classes == 1:
                continue  # nothing to explain
            expected = exact_score(y, response, classes, w, **options)
            keywords = {} if w is None else {"sample_weight": w}
            score = scorer(model, response, y, **keywords)
            assert type(score) is float
            assert score == pytest.approx(expected, rel=1e-12), (classes, weighted)

    def test_metric(self, data):
        """The metric's own number, where the fold has all classes."""
        X, y = data
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
        for options in self.OPTIONS:
            eps, a, is_logits, d2 = options.values()
            method = "decision_function" if is_logits else "predict_proba"
            response = getattr(model, method)(X)
            if method == "predict_proba" and response.shape[1] == 2:
                response = response[:, 1]
            keywords = {"eps": eps, "label_smoothing": a, "from_logits": is_logits}
            loss = fastlogloss.log_loss(y, response, **keywords)
            score = make_log_loss_scorer(**options)(model, X, y)
            if not d2:
                assert score == -loss
                continue
            share = (1 - a) * np.bincount(y) / len(y) + a / (y.max() + 1)
            low = EPS if eps == "auto" else eps
            null = -(share @ np.log(np.clip(share, low, 1 - low)))
            assert score == pytest.approx(1 - loss / null, rel=1e-12)

    @pytest.mark.compares
    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"scores": np.nan}, r"NaN|nan"),
            ({"sample_weight": [1.0, 2.0, np.nan]}, r"NaN|nan"),
            ({"sample_weight": [1.0, 2.0]}, r"sample_weight|inconsistent"),
            ({"sample_weight": [0.0, 0.0, 0.0]}, r"[Ss]ample.weight|normalized"),
            ({"y": ["a", "b", "a"]}, "the classes of the estimator are"),
            ({"y": [0, 1]}, r"rows|inconsistent"),
            ({"y": [0, np.nan, 1]}, r"NaN|nan"),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_errors(self, change, match):
        """Those of the metric, whatever the options."""
        keywords = {k: v for k, v in change.items() if k == "sample_weight"}
        p = np.array([[0.25, 0.25, 0.5], [0.5, 0.25, 0.25], [0.25, 0.5, 0.25]])
        p[1, 1] = change.get("scores", 0.25)
        for options in self.OPTIONS:
            model = (logits if options["from_logits"] else fixed)(0, 1, 2)
            with pytest.raises((ValueError, ZeroDivisionError), match=match):
                make_log_loss_scorer(**options)(
                    model, p, change.get("y", [0, 1, 2]), **keywords
                )

    def test_shares_explain_nothing(self, rng):
        """A model that predicts the shares of the targets has a score of zero."""
        y = rng.integers(3, size=50)
        for a in (0.0, 0.1):
            share = (1 - a) * np.bincount(y) / len(y) + a / 3
            scorer = make_log_loss_scorer(d2=True, label_smoothing=a)
            p = np.tile(share, (50, 1))
            assert scorer(fixed(0, 1, 2), p, y) == pytest.approx(0, abs=1e-14)

    def test_huge_weights(self):
        p, y = np.array([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]]), [0, 1, 7]
        for options in ({}, {"label_smoothing": 0.1}, {"d2": True, "eps": 0.1}):
            scorer, model = make_log_loss_scorer(**options), fixed(0, 1)
            expected = scorer(model, p, y, sample_weight=[1.0, 1.0, 2.0])
            for scale in (2.0**1021, 2.0**-1060):
                w = np.array([1.0, 1.0, 2.0]) * scale
                score = scorer(model, p, y, sample_weight=w)
                assert score == pytest.approx(expected, rel=1e-13), options

    @pytest.mark.parametrize(
        "wrong",
        [
            {"eps": -0.1},
            {"eps": 0.5},
            {"eps": "none"},
            {"eps": None},
            {"eps": True},
            {"label_smoothing": 1},
            {"label_smoothing": -1e-9},
            {"label_smoothing": np.nan},
            {"label_smoothing": "0.1"},
            {"label_smoothing": True},
            {"from_logits": 1},
            {"from_logits": None},
        ],
        ids=str,
    )
    def test_wrong_arguments(self, wrong):
        """Refused when the scorer is made, in the words of the metric."""
        metric = outcome(fastlogloss.log_loss, [0, 1], [0.5, 0.5], **wrong)
        assert metric.error is not None
        assert outcome(make_log_loss_scorer, **wrong).error == metric.error

    def test_wrong_use(self):
        with pytest.raises(TypeError, match="d2 must be"):
            make_log_loss_scorer(d2="yes")
        with pytest.raises(TypeError, match="positional"):
            make_log_loss_scorer(0.1)

    def test_numpy_arguments(self):
        scorer = make_log_loss_scorer(
            eps=np.float32(0.25), label_smoothing=np.float64(0.5), d2=np.True_
        )
        assert repr(scorer) == (
            "make_scorer(d2_log_loss_score, response_method='predict_proba', eps=0.25, "
            "label_smoothing=0.5)"
        )

    def test_repr(self):
        scorer = make_log_loss_scorer(from_logits=True, eps=0.125)
        assert repr(scorer) == (
            "make_scorer(log_loss, greater_is_better=False, "
            "response_method='decision_function', eps=0.125, from_logits=True)"
        )
        assert repr(make_log_loss_scorer()) == repr(neg_log_loss_scorer)
        logits = make_log_loss_scorer(from_logits=True)
        assert repr(logits) == repr(neg_log_loss_logits_scorer)
        assert repr(make_log_loss_scorer(d2=True)) == repr(d2_log_loss_scorer)

    def test_name(self):
        names = [
            make_log_loss_scorer(eps=0.1, d2=d2, from_logits=logits).__name__
            for d2 in (False, True)
            for logits in (False, True)
        ]
        assert names == [
            "neg_log_loss",
            "neg_log_loss_logits",
            "d2_log_loss_score",
            "d2_log_loss_score_logits",
        ]

    @pytest.mark.parametrize("options", OPTIONS[::5], ids=str)
    def test_copies(self, options, small):
        X, y = small
        scorer = make_log_loss_scorer(**options)
        model = LogisticRegression().fit(X, y)
        expected = scorer(model, X, y)
        search = GridSearchCV(LogisticRegression(), {}, scoring=scorer)
        for other in (
            pickle.loads(pickle.dumps(scorer)),
            copy.copy(scorer),
            copy.deepcopy(scorer),
            get_scorer(scorer),
            clone(search).scoring,
        ):
            assert type(other) is type(scorer)
            assert repr(other) == repr(scorer)
            assert other(model, X, y) == expected

    def test_requests(self, small):
        X, y = small
        w = np.linspace(0.1, 2, len(y))
        with sklearn.config_context(enable_metadata_routing=True):
            scorer = make_log_loss_scorer(label_smoothing=0.1)
            asking = copy.deepcopy(scorer).set_score_request(sample_weight=True)
            scorer.set_score_request(sample_weight=False)
            model = GaussianNB().fit(X, y)
            weighted = asking(model, X, y, sample_weight=w)
            found = cross_validate(
                GaussianNB().set_fit_request(sample_weight=False),
                X,
                y,
                scoring={"asks": asking, "does not": scorer},
                params={"sample_weight": w},
                cv=[(np.arange(len(y)), np.arange(len(y)))],
            )
            assert found["test_asks"] == weighted
            assert found["test_does not"] == scorer(model, X, y)
            assert found["test_asks"] != found["test_does not"]

    def test_options_as_metadata(self, small):
        """An option of the metric may be given with each call, as to all scorers."""
        X, y = small
        model = GaussianNB().fit(X, y)
        with sklearn.config_context(enable_metadata_routing=True):
            scorer = make_log_loss_scorer(eps=0.01)
            expected = make_log_loss_scorer(eps=0.2)(model, X, y)
            with pytest.warns(UserWarning, match="overlap"):
                assert scorer(model, X, y, eps=0.2) == expected
            total = scorer(model, X, y, normalize=False)
            assert total == pytest.approx(scorer(model, X, y) * len(y), rel=1e-14)
            every = scorer(model, X, y, labels=[0, 1, 2])
            assert every == pytest.approx(scorer(model, X, y), rel=1e-14)

    @pytest.mark.filterwarnings("ignore::FutureWarning:sklearn")
    def test_logistic_regression_cv(self, small):
        X, y = small
        scorer = make_log_loss_scorer(eps=0.05)
        found = LogisticRegressionCV(Cs=[0.01, 1, 100], scoring=scorer, cv=3).fit(X, y)
        assert found.score(X, y) == scorer(found, X, y)

    def test_grid_search(self, small):
        """Smoothing prefers a model that is less sure."""
        X, y = small
        best = [
            GridSearchCV(
                LogisticRegression(),
                {"C": [1e-3, 1e-1, 10.0]},
                scoring=make_log_loss_scorer(label_smoothing=a),
            )
            .fit(X, y)
            .best_params_["C"]
            for a in (0.0, 0.9)
        ]
        assert best[0] > best[1]


class Odd(ClassifierMixin, BaseEstimator):
    """What scikit-learn's scorers ask an estimator for, each to be chosen."""

    def __init__(self, classes, response, kind="classifier", method=None):
        self.classes_ = classes
        self.response = response
        self.kind = kind
        if method is not None:
            self.predict_proba = self.decision_function = method

    def __sklearn_tags__(self):
        if isinstance(self.kind, Exception):
            raise self.kind
        tags = super().__sklearn_tags__()
        tags.estimator_type = self.kind
        return tags

    def predict_proba(self, X):
        return self.response

    decision_function = predict_proba


def odd_estimators():
    two = np.array([[0.25, 0.75], [0.5, 0.5], [0.875, 0.125]])
    three = np.array([[0.25, 0.5, 0.25], [0.5, 0.25, 0.25], [0.125, 0.125, 0.75]])
    for classes in (
        [0, 1],
        (0, 1),
        [0, 1, 2],
        np.array([0, 1]),
        np.array([1, 0]),
        np.array([1, 1]),
        np.array([0, 0, 1]),
        np.array([False, True]),
        np.array([0, 1], np.uint8),
        np.array([0.0, 1.0]),
        np.array([0.0, 1.0], np.longdouble),
        np.array([0.5, 1.0]),
        np.array([1.0, np.nan]),
        np.array([1.0, np.inf]),
        np.array([0.0, 1e300]),
        np.array([0, 1], object),
        np.array(["a", "b"]),
        np.array(["a", "b"], object),
        np.array(["a", 1], object),
        np.array(["a", None], object),
        np.array([b"a", b"b"]),
        np.array(["", "b"]),
        np.array([0, 1], "datetime64[D]"),
        np.array([0, 1 + 1j]),
        np.array([[0, 1], [0, 1]]),
        np.array([[0], [1]]),
        np.array([]),
        np.array(1),
        np.ma.array([0, 1]),
        pd.Series([0, 1]),
        pd.Categorical(["a", "b"]),
        [np.array([0, 1]), np.array([0, 1])],
        None,
        "ab",
    ):
        yield Odd(classes, two)
        yield Odd(classes, three)
    for response in (
        two[:, 1],
        two[:, :1],
        two[:, :0],
        two[:2],
        two[:0],
        two.tolist(),
        two.astype(np.float32),
        np.asfortranarray(two),
        two.astype(object),
        two[None],
        [two, two],
        pd.DataFrame(two),
        pd.DataFrame(two, columns=["0", "1"]),
        pl.DataFrame(two),
        scipy.sparse.csr_array(two),
        np.ma.array(two),
        three,
        two * 2,
        two - 1,
        two * np.nan,
        None,
        0.5,
        "text",
    ):
        yield Odd(np.array([0, 1]), response)
        yield Odd(np.array([0, 1, 2]), response)
    for kind in (
        "regressor",
        "clusterer",
        "outlier_detector",
        None,
        AttributeError("no tags"),
        ValueError("no tags"),
    ):
        yield Odd(np.array([0, 1]), two, kind)
        yield Odd(np.array([0, 1, 2]), three, kind)
    for method in (
        0,
        "text",
        lambda X: two,
        functools.partial(np.asarray, two),
        np.asarray,
    ):
        yield Odd(np.array([0, 1]), two, method=method)
    for steps in ([], [("a", None)], [("a", "passthrough")], "text"):
        pipeline = Pipeline(steps)
        yield pipeline
    yield Pipeline([("a", Pipeline([("b", Odd(np.array([0, 1]), two))]))])
    yield Pipeline([("a", Odd(np.array([0, 1]), two, "regressor"))])
    yield Pipeline([("a", "passthrough"), ("b", Odd(np.array([0, 1]), two))])
    yield Odd
    yield fixed(0, 1)


class TestOneLook:
    """A response is looked at once, and all is as it was with scikit-learn's look."""

    @staticmethod
    def both_ways(scorer, model, X, y, **keywords):
        from sklearn.metrics._scorer import _cached_call

        return [
            outcome(
                scorer._score,
                functools.partial(_cached_call, cache),
                model,
                X,
                y,
                **keywords,
            )
            for cache in (None, {})  # with a cache it is scikit-learn's
        ]

    @staticmethod
    def assert_same(ours, theirs, what):
        assert ours.error == theirs.error, what
        assert ours.warnings == theirs.warnings, what
        assert repr(ours.value) == repr(theirs.value), what

    @pytest.mark.parametrize("name", ACCESSED)
    def test_estimators(self, fitted, targets, few, name):
        """The same bits."""
        for target, model in fitted.items():
            both = self.both_ways(
                getattr(fastlogloss, name), model, few[0], targets[target]
            )
            self.assert_same(*both, target)

    @pytest.mark.parametrize("name", ACCESSED)
    def test_odd_estimators(self, name):
        """Every error and warning stays what it was."""
        n_scored = 0
        for i, model in enumerate(odd_estimators()):
            for y in ([0, 1, 1], ["a", "b", "b"], np.array([0, 2, 1])):
                ours, theirs = self.both_ways(getattr(fastlogloss, name), model, 0, y)
                self.assert_same(ours, theirs, (i, getattr(model, "__dict__", model)))
                n_scored += ours.error is None
        assert n_scored > 30

    @pytest.mark.parametrize("name", ACCESSED)
    @pytest.mark.parametrize(
        "classes", [(0, 1), (3, 7), ("a", "b"), (False, True), (0.0, 2.0), "abc", (1,)]
    )
    def test_one_look(self, name, classes, monkeypatch, rng):
        def refuse(*args, **kwargs):
            raise AssertionError("a second look")

        for module in ("sklearn.utils._response", "sklearn.utils.multiclass"):
            monkeypatch.setattr(f"{module}.type_of_target", refuse)
        monkeypatch.setattr("sklearn.metrics._scorer._get_response_values", refuse)
        p = rng.dirichlet(np.ones(len(classes)), 20)
        y = [classes[i % len(classes)] for i in range(20)]
        if "logits" in name:
            model, p = logits(*classes), p if len(classes) > 2 else p[:, 0]
        else:
            model = fixed(*classes)
        pipeline = Pipeline([("model", model)])
        for weights in ({}, {"sample_weight": np.arange(20.0)}):
            score = getattr(fastlogloss, name)(model, p, y, **weights)
            again = getattr(fastlogloss, name)(pipeline, p, y, **weights)
            assert repr(again) == repr(score)

    def test_calls(self, small):
        """How many Python functions one call enters, predict_proba left out.

        scikit-learn's scorer enters about 1,000.
        """
        X, y = small
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
        response = model.predict_proba(X)
        model.predict_proba = functools.wraps(model.predict_proba)(lambda X: response)
        n_calls = 0

        def count(frame, event, arg):
            nonlocal n_calls
            n_calls += event == "call"

        scorer = neg_log_loss_scorer
        before = sys.getprofile()
        try:
            sys.setprofile(count)
            scorer(model, X, y)
        finally:
            sys.setprofile(before)
        assert n_calls <= 60

    def test_predictions_are_shared(self, small):
        """By all scorers of one search: one call for each fold."""
        calls = []

        class Counting(GaussianNB):
            def predict_proba(self, X):
                calls.append(len(X))
                return super().predict_proba(X)

        X, y = small
        scoring = {
            "ours": neg_log_loss_scorer,
            "smooth": make_log_loss_scorer(label_smoothing=0.1),
            "d2": d2_log_loss_scorer,
            "theirs": "neg_log_loss",
        }
        found = cross_validate(Counting(), X, y, scoring=scoring, cv=3)
        assert len(calls) == 3
        assert close(found["test_ours"], found["test_theirs"])
        calls.clear()
        cross_validate(Counting(), X, y, scoring=neg_log_loss_scorer, cv=3)
        assert len(calls) == 3
