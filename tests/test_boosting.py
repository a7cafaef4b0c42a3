"""Log loss in XGBoost, LightGBM and CatBoost: the models of their own objectives.

What is compared: trees (the features and thresholds of all splits) and predictions. The
tolerances say where float32 enters.

- XGBoost computes margins, derivatives and leaves in float32; ours are float64, rounded
  once. One step of float32 at a margin of 8 is 1e-6, and each tree adds some.
- LightGBM computes derivatives in float64 and rounds them to float32, as it does with
  ours. The last bits of the float64 may differ, so that one in 10^8 is rounded to the
  other neighbour (1e-7, relative); nothing else is float32.
- CatBoost has float64 throughout, but for the average to boost from, which it computes
  in float32, as it stores a baseline: 1e-7.
"""

import copy
import doctest
import functools
import inspect
import pickle
import re
import sys
import types
import typing
import warnings

import catboost
import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_wine,
    make_classification,
)
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_sample_weight

from fastlogloss import (
    d2_log_loss_scorer,
    log_loss,
    neg_log_loss_logits_scorer,
    neg_log_loss_scorer,
)
from fastlogloss.derivatives import log_loss_gradient_hessian
from fastlogloss.integrations import boosting
from fastlogloss.integrations.boosting import (
    CatBoostMetric,
    CatBoostObjective,
    initial_score,
    lightgbm_metric,
    lightgbm_objective,
    lightgbm_sklearn_metric,
    lightgbm_sklearn_objective,
    lightgbm_sklearn_proba_metric,
    xgboost_metric,
    xgboost_objective,
    xgboost_sklearn_metric,
    xgboost_sklearn_objective,
    xgboost_sklearn_proba_metric,
)

pytestmark = pytest.mark.heavy

XGBOOST_MARGIN = 1e-5
LIGHTGBM_SCORE = 1e-6
CATBOOST_SCORE = 1e-13
CATBOOST_FROM_AVERAGE = 1e-6
ROUNDS = 25
MANY_ROUNDS = 150  # never reached: early stopping comes before
PATIENCE = 5


class Data:
    """Half of a data set to train with and half to stop by, with weights or None."""

    def __init__(self, load, weighted):
        X, y = load(return_X_y=True)
        # float32, as the libraries hold them: their sums are sums of these numbers.
        w = np.random.default_rng(0).uniform(0.25, 4.0, len(y)).astype(np.float32)
        parts = train_test_split(X, y, w, test_size=0.5, random_state=0, stratify=y)
        self.X, self.X_stop, self.y, self.y_stop, self.w, self.w_stop = parts
        if not weighted:
            self.w = self.w_stop = None
        self.n_classes = len(np.unique(y))
        self.binary = self.n_classes == 2
        self.start = initial_score(self.y, self.w)

    def starts(self, n):
        """The initial score of each of n rows."""
        return np.full(n, self.start) if self.binary else np.tile(self.start, (n, 1))

    def loss_at_stop(self, scores):
        labels = range(self.n_classes)
        return log_loss(
            self.y_stop,
            scores,
            sample_weight=self.w_stop,
            labels=labels,
            from_logits=True,
        )


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "weighted"])
def weighted(request):
    return request.param


@pytest.fixture(scope="module", params=[load_breast_cancer, load_digits])
def data(request, weighted):
    return Data(request.param, weighted)


@pytest.fixture(scope="module", params=[load_breast_cancer, load_wine])
def small_data(request, weighted):
    """For CatBoost, which calls Python for every row."""
    return Data(request.param, weighted)


def sigmoid(s):
    return 1 / (1 + np.exp(-s))


def proba(scores):
    if scores.ndim == 1:
        return sigmoid(scores)
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


PARTS = ("catboost", "lightgbm", "shared", "start", "xgboost")


class TestModule:
    def test_libraries_are_not_imported(self, run_python):
        code = (
            "import sys, fastlogloss.integrations.boosting as b\n"
            "b.initial_score([0, 1]); b.xgboost_sklearn_objective([0, 1], [0., 1.])\n"
            "tops = {name.split('.')[0] for name in sys.modules}\n"
            "assert not tops & {'xgboost', 'lightgbm', 'catboost', 'sklearn'}, tops\n"
        )
        run_python("-W", "error", "-c", code)

    def test_all(self):
        assert boosting.__all__ == sorted(boosting.__all__)
        assert {name for name in dir(boosting) if name[0] != "_"} == set(
            boosting.__all__
        ) | set(PARTS)
        for name in boosting.__all__:
            value = getattr(boosting, name)
            assert getattr(sys.modules[value.__module__], name) is value

    @pytest.mark.parametrize("name", boosting.__all__)
    def test_documented(self, name):
        doc = inspect.getdoc(getattr(boosting, name))
        assert ">>> " in doc
        assert name in boosting.__doc__

    def test_examples_run(self):
        parts = [getattr(boosting, part) for part in PARTS]
        results = [doctest.testmod(part) for part in parts]
        assert sum(result.failed for result in results) == 0
        assert sum(result.attempted for result in results) >= 60

    def test_names_of_libraries(self):
        """Parts of the package are named as the libraries, and do not hide them."""
        for library in (xgboost, lightgbm, catboost):
            assert library.__version__
            part = getattr(boosting, library.__name__)
            assert part.__name__ == f"{boosting.__name__}.{library.__name__}"

    @pytest.mark.parametrize("name", boosting.__all__)
    def test_annotations_can_be_read(self, name):
        """By tools that do so while a program runs."""
        value = getattr(boosting, name)
        functions = [value]
        if inspect.isclass(value):
            members = vars(value).values()
            functions = [member for member in members if inspect.isfunction(member)]
        for function in functions:
            hints = typing.get_type_hints(function)
            parameters = inspect.signature(function).parameters
            assert {"self", *hints} >= {"return", *parameters}

    @pytest.mark.parametrize("name", boosting.__all__)
    def test_pickle_and_copy(self, name):
        value = getattr(boosting, name)
        assert pickle.loads(pickle.dumps(value)) is value
        if inspect.isclass(value):
            assert type(pickle.loads(pickle.dumps(value()))) is value
            assert type(copy.deepcopy(value())) is value


class TestInitialScore:
    @pytest.mark.parametrize("w", [None, np.array([1.0, 2.0, 0.5, 4.0])])
    def test_two_classes(self, w):
        y = np.array([0, 1, 1, 0])
        share = np.average(y, weights=w)
        score = initial_score(y, w)
        assert type(score) is float
        assert score == pytest.approx(np.log(share / (1 - share)), rel=1e-14)
        assert initial_score(y == 1, w) == score
        assert initial_score(np.array(["no", "yes"])[y].tolist(), w) == score
        soft = initial_score(y.astype(float), w, soft_targets=True)
        assert soft == pytest.approx(score, abs=1e-15)

    def test_more_classes(self, rng):
        y = rng.integers(4, size=100)
        w = rng.random(100)
        scores = initial_score(y, w)
        shares = np.bincount(y, w) / w.sum()
        np.testing.assert_allclose(scores, np.log(shares), rtol=1e-14)
        rows = initial_score(np.eye(4)[y], w, soft_targets=True)
        np.testing.assert_allclose(rows, scores, rtol=1e-14)
        turned = initial_score(y, w, classes=[3, 2, 1, 0])
        np.testing.assert_allclose(turned, scores[::-1], rtol=1e-14)

    def test_is_the_best_constant(self, rng):
        for n_classes in (2, 3):
            y = rng.integers(n_classes, size=50)
            w = rng.random(50)
            scores = initial_score(y, w) * np.ones((50, 1))
            scores = scores[:, 0] if n_classes == 2 else scores
            _, gradient, _ = log_loss_gradient_hessian(
                y, scores, sample_weight=w, from_logits=True
            )
            np.testing.assert_allclose(gradient.sum(axis=0), 0, atol=1e-15)

    def test_class_that_does_not_occur(self):
        scores = initial_score([0, 2, 2, 0], classes=[0, 1, 2])
        np.testing.assert_allclose(np.exp(scores), [0.5, 1e-15, 0.5])
        limit = np.log(1e15)
        assert initial_score([1, 1], classes=[0, 1]) == pytest.approx(limit)
        assert initial_score([0, 0], classes=[0, 1]) == pytest.approx(-limit)

    @pytest.mark.parametrize(
        ("args", "keywords", "message"),
        [
            (([1, 1],), {}, "^y holds only the label 1.*classes="),
            (([],), {}, "^y holds no labels"),
            (([],), {"classes": [0, 1]}, "^y holds no labels"),
            (([[0, 1], [1, 0]],), {}, "^y must be a vector of labels"),
            (([0.0, 0.5],), {}, "^y must.*0.5 in row 1.*soft_targets=True"),
            (([0.0, np.nan],), {}, "^y must.*nan in row 1"),
            (([0.0, 1.0, np.inf],), {}, "^y must.*inf in row 2"),
            ((["a", None],), {}, "^y must.*None in row 1"),
            (([0.0, 1.5],), {"soft_targets": True}, r"^y must.*1.5 in row 1"),
            (([0.0, np.nan],), {"soft_targets": True}, r"^y must.*nan in row 1"),
            (
                ([[0.5, 0.5], [0.5, 0.4]],),
                {"soft_targets": True},
                "targets y of row 1 sum to 0.9",
            ),
            (
                ([0.5, 0.1],),
                {"soft_targets": True, "classes": [0, 1, 2]},
                "classes has 3 labels, y 2 columns",
            ),
            (([0, 7],), {"classes": [0, 1]}, "^y holds the label 7 in row 1"),
            (([0, 1],), {"classes": [0, 1, 1]}, "classes.*different"),
            (([0, 1], [1.0]), {}, "^sample_weight.* 2 real"),
            (([0, 1], [0.0, 0.0]), {}, "^sample_weight sums to zero"),
            (([0, 1], [1.0, -1.0]), {}, "^sample_weight sums to zero"),
            (([0, 1], [-1.0, 2.0]), {}, "^sample_weight.*class 0 of y a share of -1.0"),
            ((["a", "b"], [3.0, -1.0]), {}, "^sample_weight.*class 'b' of y.* -0.5"),
            (([0, 1], [1e308, -1e307]), {}, "^sample_weight.*class 1 of y.* -0.1"),
            (([0, 1], [1.0, np.inf]), {}, "^sample_weight.*finite.*row 1"),
        ],
    )
    def test_bad_input(self, args, keywords, message):
        with pytest.raises(ValueError, match=message):
            initial_score(*args, **keywords)

    def test_column_of_targets(self):
        soft = {"soft_targets": True}
        assert initial_score([[0.1], [0.4]], **soft) == initial_score(
            [0.1, 0.4], **soft
        )


class TestXGBoost:
    @staticmethod
    def params(data, **others):
        own = {"objective": "binary:logistic"}
        if not data.binary:
            own = {"objective": "multi:softprob", "num_class": data.n_classes}
        return {**own, "eta": 0.3, "max_depth": 4, "nthread": 1, **others}

    @staticmethod
    def matrices(data):
        train = xgboost.DMatrix(data.X, data.y, weight=data.w)
        stop = xgboost.DMatrix(data.X_stop, data.y_stop, weight=data.w_stop)
        return train, stop

    @staticmethod
    def base_score(data):
        return sigmoid(data.start) if data.binary else data.start.tolist()

    @staticmethod
    def trees(booster):
        """Feature and threshold of each node, as text; leaves without their value."""
        found = booster.trees_to_dataframe()[["Tree", "Node", "Feature", "Split"]]
        return found.to_csv()

    @staticmethod
    def margins(booster, matrix):
        found = booster.predict(matrix, output_margin=True)
        # Only differences count; XGBoost starts from logarithms less their mean.
        return found if found.ndim == 1 else found - found.mean(axis=1, keepdims=True)

    def assert_same(self, ours, builtin, data):
        train, stop = self.matrices(data)
        assert self.trees(ours) == self.trees(builtin)
        for matrix in (train, stop):
            a, b = self.margins(ours, matrix), self.margins(builtin, matrix)
            np.testing.assert_allclose(a, b, rtol=0, atol=XGBOOST_MARGIN)
            # Unlike margins, these are what the user sees: of our objective, too.
            a, b = ours.predict(matrix), builtin.predict(matrix)
            np.testing.assert_allclose(a, b, rtol=0, atol=XGBOOST_MARGIN)

    def test_native(self, data):
        train, _ = self.matrices(data)
        builtin = xgboost.train(self.params(data), train, ROUNDS)
        params = self.params(data, base_score=self.base_score(data))
        ours = xgboost.train(params, train, ROUNDS, obj=xgboost_objective)
        self.assert_same(ours, builtin, data)

    def test_without_the_start_it_is_another_model(self):
        data = Data(load_breast_cancer, False)
        train, _ = self.matrices(data)
        builtin = xgboost.train(self.params(data), train, ROUNDS)
        ours = xgboost.train(self.params(data), train, ROUNDS, obj=xgboost_objective)
        apart = self.margins(ours, train) - self.margins(builtin, train)
        assert np.abs(apart).max() > 0.1

    def test_base_margin(self, data):
        train, stop = self.matrices(data)
        builtin = xgboost.train(self.params(data), train, ROUNDS)
        for matrix in (train, stop):
            matrix.set_base_margin(data.starts(matrix.num_row()))
        ours = xgboost.train(self.params(data), train, ROUNDS, obj=xgboost_objective)
        assert self.trees(ours) == self.trees(builtin)
        a = self.margins(ours, stop)
        b = self.margins(builtin, self.matrices(data)[1])
        np.testing.assert_allclose(a, b, rtol=0, atol=XGBOOST_MARGIN)

    def test_sklearn(self, data):
        common = {"n_estimators": ROUNDS, "learning_rate": 0.3, "max_depth": 4}
        common |= {"n_jobs": 1}
        builtin = xgboost.XGBClassifier(**common)
        builtin.fit(data.X, data.y, sample_weight=data.w)
        ours = xgboost.XGBClassifier(
            **common,
            objective=xgboost_sklearn_objective,
            base_score=self.base_score(data),
        )
        ours.fit(data.X, data.y, sample_weight=data.w)
        self.assert_same(ours.get_booster(), builtin.get_booster(), data)
        np.testing.assert_array_equal(
            ours.predict(data.X_stop), builtin.predict(data.X_stop)
        )

    def test_early_stopping(self, data):
        train, stop = self.matrices(data)
        common = {
            "evals": [(stop, "stop")],
            "early_stopping_rounds": PATIENCE,
            "verbose_eval": False,
        }
        own = "logloss" if data.binary else "mlogloss"
        params = self.params(data, eval_metric=own)
        builtin = xgboost.train(params, train, MANY_ROUNDS, **common)
        beside = xgboost.train(
            self.params(data, disable_default_eval_metric=True),
            train,
            MANY_ROUNDS,
            custom_metric=functools.partial(xgboost_metric, from_logits=False),
            **common,
        )
        ours = xgboost.train(
            self.params(
                data,
                base_score=self.base_score(data),
                disable_default_eval_metric=True,
            ),
            train,
            MANY_ROUNDS,
            obj=xgboost_objective,
            custom_metric=xgboost_metric,
            **common,
        )
        assert PATIENCE < builtin.best_iteration < MANY_ROUNDS - PATIENCE - 1
        for model in (beside, ours):
            assert model.best_iteration == builtin.best_iteration
            assert model.num_boosted_rounds() == builtin.num_boosted_rounds()
            assert model.best_score == pytest.approx(builtin.best_score, rel=1e-5)
        margins = ours.predict(
            stop, output_margin=True, iteration_range=(0, ours.best_iteration + 1)
        )
        expected = data.loss_at_stop(margins)
        assert ours.best_score == pytest.approx(expected, abs=1e-6)  # six decimals

    def test_early_stopping_sklearn(self, data):
        common = {
            "n_estimators": MANY_ROUNDS,
            "max_depth": 4,
            "n_jobs": 1,
            "early_stopping_rounds": PATIENCE,
        }
        fit = {"sample_weight": data.w, "eval_set": [(data.X_stop, data.y_stop)]}
        if data.w is not None:
            fit["sample_weight_eval_set"] = [data.w_stop]
        builtin = xgboost.XGBClassifier(**common)
        builtin.fit(data.X, data.y, verbose=False, **fit)
        beside = xgboost.XGBClassifier(
            **common, eval_metric=xgboost_sklearn_proba_metric
        )
        beside.fit(data.X, data.y, verbose=False, **fit)
        ours = xgboost.XGBClassifier(
            **common,
            objective=xgboost_sklearn_objective,
            eval_metric=xgboost_sklearn_metric,
            base_score=self.base_score(data),
        )
        ours.fit(data.X, data.y, verbose=False, **fit)
        for model in (beside, ours):
            assert model.best_iteration == builtin.best_iteration
            assert model.best_score == pytest.approx(builtin.best_score, rel=1e-5)
            assert "log_loss" in model.evals_result()["validation_0"]
        own = "logloss" if data.binary else "mlogloss"
        both = beside.evals_result()["validation_0"]
        # XGBoost keeps six decimals of ours.
        np.testing.assert_allclose(both["log_loss"], both[own], rtol=1e-6, atol=1e-6)

    def test_soft_labels(self, rng):
        data = Data(load_breast_cancer, True)
        y = np.clip(data.y + rng.normal(0, 0.2, len(data.y)), 0, 1)
        train = xgboost.DMatrix(data.X, y, weight=data.w)
        builtin = xgboost.train(self.params(data), train, ROUNDS)
        start = initial_score(train.get_label(), data.w, soft_targets=True)
        params = self.params(data, base_score=sigmoid(start))
        ours = xgboost.train(params, train, ROUNDS, obj=xgboost_objective)
        self.assert_same(ours, builtin, data)

    def test_hessian_is_not_zero(self):
        scores = np.array([[90.0, -90.0], [0.0, 0.0]], dtype=np.float32)
        _, hessian = xgboost_sklearn_objective([0, 1], scores)
        assert hessian.dtype == np.float32
        np.testing.assert_array_equal(hessian[0], np.float32(1e-16))
        np.testing.assert_array_equal(hessian[1], 0.5)

    def test_metric_is_not_limited(self):
        # XGBoost says 36.84 of a certain error from a margin of 20, or of 800.
        assert xgboost_sklearn_metric([0], np.float32([800.0])) == 800.0


class TestLightGBM:
    @staticmethod
    def params(data, **others):
        own = {"objective": "binary"}
        if not data.binary:
            own = {"objective": "multiclass", "num_class": data.n_classes}
        fixed = {"num_threads": 1, "deterministic": True, "force_row_wise": True}
        return {**own, "num_leaves": 7, "verbosity": -1, **fixed, **others}

    @staticmethod
    def datasets(data, start=False):
        init = [data.starts(len(y)) if start else None for y in (data.y, data.y_stop)]
        train = lightgbm.Dataset(data.X, data.y, weight=data.w, init_score=init[0])
        stop = train.create_valid(
            data.X_stop, data.y_stop, weight=data.w_stop, init_score=init[1]
        )
        return train, stop

    @staticmethod
    def trees(booster):
        found = booster.trees_to_dataframe()
        return found[["node_index", "split_feature", "threshold"]].to_csv()

    def assert_same(self, ours, builtin, data):
        assert self.trees(ours) == self.trees(builtin)
        for X in (data.X, data.X_stop):
            a = data.starts(len(X)) + ours.predict(X, raw_score=True)
            b = builtin.predict(X, raw_score=True)
            np.testing.assert_allclose(a, b, rtol=0, atol=LIGHTGBM_SCORE)
            b = builtin.predict(X)
            np.testing.assert_allclose(proba(a), b, rtol=0, atol=LIGHTGBM_SCORE)

    def test_native(self, data):
        builtin = lightgbm.train(self.params(data), self.datasets(data)[0], ROUNDS)
        params = self.params(data, objective=lightgbm_objective)
        ours = lightgbm.train(params, self.datasets(data, True)[0], ROUNDS)
        self.assert_same(ours, builtin, data)

    def test_start_is_theirs(self, data):
        # Trees that must not split: what is left is the start.
        params = self.params(data, min_data_in_leaf=10**6)
        builtin = lightgbm.train(params, self.datasets(data)[0], 1)
        raw = builtin.predict(data.X, raw_score=True)
        np.testing.assert_allclose(raw, data.starts(len(data.X)), rtol=1e-14)

    def test_sklearn(self, data):
        common = {"n_estimators": ROUNDS, "num_leaves": 7, "n_jobs": 1, "verbosity": -1}
        common |= {"deterministic": True, "force_row_wise": True}
        builtin = lightgbm.LGBMClassifier(**common)
        builtin.fit(data.X, data.y, sample_weight=data.w)
        ours = lightgbm.LGBMClassifier(**common, objective=lightgbm_sklearn_objective)
        init_score = data.starts(len(data.y))
        ours.fit(data.X, data.y, sample_weight=data.w, init_score=init_score)
        self.assert_same(ours.booster_, builtin.booster_, data)

    def test_early_stopping(self, data):
        def train(params, start=False, **keywords):
            train, stop = self.datasets(data, start)
            return lightgbm.train(
                {**params, "learning_rate": 0.3},
                train,
                MANY_ROUNDS,
                valid_sets=[stop],
                valid_names=["stop"],
                callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
                **keywords,
            )

        own = "binary_logloss" if data.binary else "multi_logloss"
        builtin = train(self.params(data, metric=own))
        beside = train(
            self.params(data, metric="None"),
            feval=functools.partial(lightgbm_metric, from_logits=False),
        )
        ours = train(
            self.params(data, metric="None", objective=lightgbm_objective),
            start=True,
            feval=lightgbm_metric,
        )
        assert PATIENCE < builtin.best_iteration < MANY_ROUNDS - PATIENCE - 1
        best = builtin.best_score["stop"][own]
        for model in (beside, ours):
            assert model.best_iteration == builtin.best_iteration
            assert model.current_iteration() == builtin.current_iteration()
            found = model.best_score["stop"]["log_loss"]
            assert found == pytest.approx(best, rel=LIGHTGBM_SCORE)
        scores = data.starts(len(data.y_stop)) + ours.predict(data.X_stop)
        expected = data.loss_at_stop(scores)
        assert ours.best_score["stop"]["log_loss"] == pytest.approx(expected, rel=1e-12)

    def test_early_stopping_sklearn(self, data):
        common = {
            "n_estimators": MANY_ROUNDS,
            "num_leaves": 7,
            "learning_rate": 0.3,
            "n_jobs": 1,
            "verbosity": -1,
            "deterministic": True,
            "force_row_wise": True,
        }

        def fit(model, start=False, **keywords):
            if start:
                keywords["init_score"] = data.starts(len(data.y))
                keywords["eval_init_score"] = [data.starts(len(data.y_stop))]
            if data.w is not None:
                keywords["eval_sample_weight"] = [data.w_stop]
            return model.fit(
                data.X,
                data.y,
                sample_weight=data.w,
                eval_X=data.X_stop,
                eval_y=data.y_stop,
                callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
                **keywords,
            )

        builtin = fit(lightgbm.LGBMClassifier(**common))
        beside = fit(
            lightgbm.LGBMClassifier(**common), eval_metric=lightgbm_sklearn_proba_metric
        )
        assert beside.best_iteration_ == builtin.best_iteration_
        both = beside.evals_result_["valid_0"]
        own = "binary_logloss" if data.binary else "multi_logloss"
        np.testing.assert_allclose(both["log_loss"], both[own], rtol=1e-13)
        ours = fit(
            lightgbm.LGBMClassifier(
                **common, objective=lightgbm_sklearn_objective, metric="None"
            ),
            start=True,
            eval_metric=lightgbm_sklearn_metric,
        )
        assert ours.best_iteration_ == builtin.best_iteration_
        (best,) = builtin.best_score_["valid_0"].values()
        assert ours.best_score_["valid_0"] == {
            "log_loss": pytest.approx(best, rel=LIGHTGBM_SCORE)
        }


class TestCatBoost:
    @staticmethod
    def params(data, **others):
        return {
            "loss_function": "Logloss" if data.binary else "MultiClass",
            "eval_metric": "Logloss" if data.binary else "MultiClass",
            "iterations": ROUNDS,
            "learning_rate": 0.1,
            "depth": 4,
            "random_seed": 0,
            "thread_count": 1,
            "bootstrap_type": "MVS",
            "boosting_type": "Plain",
            # What the built-in objectives set by themselves, or else ours cannot have.
            "leaf_estimation_method": "Newton",
            "leaf_estimation_iterations": 10 if data.binary else 1,
            "leaf_estimation_backtracking": "No",
            "allow_writing_files": False,
            "verbose": False,
            **others,
        }

    @staticmethod
    def pools(data, start=False):
        def pool(X, y, w):
            baseline = data.starts(len(y)).reshape(len(y), -1) if start else None
            return catboost.Pool(X, y, weight=w, baseline=baseline)

        train = pool(data.X, data.y, data.w)
        return train, pool(data.X_stop, data.y_stop, data.w_stop)

    @staticmethod
    def trees(model):
        borders = model.get_borders()
        splits = [model._get_tree_splits(i, None) for i in range(model.tree_count_)]
        return borders, splits

    def assert_same(self, ours, builtin, data, start=0.0, atol=CATBOOST_SCORE):
        assert self.trees(ours) == self.trees(builtin)
        for X in (data.X, data.X_stop):
            a = start + ours.predict(X, prediction_type="RawFormulaVal")
            b = builtin.predict(X, prediction_type="RawFormulaVal")
            np.testing.assert_allclose(a, b, rtol=0, atol=atol)

    @pytest.mark.parametrize("model", [catboost.CatBoost, catboost.CatBoostClassifier])
    def test_from_zero(self, small_data, model):
        data = small_data
        train, stop = self.pools(data)

        def fit(**others):
            params = self.params(data, **others)
            made = model(params) if model is catboost.CatBoost else model(**params)
            return made.fit(train)

        builtin = fit()
        ours = fit(loss_function=CatBoostObjective())
        self.assert_same(ours, builtin, data)
        if model is catboost.CatBoostClassifier:
            np.testing.assert_allclose(
                ours.predict_proba(stop), builtin.predict_proba(stop), atol=1e-13
            )

    def test_from_average(self, weighted):
        data = Data(load_breast_cancer, weighted)
        params = self.params(data, boost_from_average=True)
        builtin = catboost.CatBoost(params).fit(self.pools(data)[0])
        params = self.params(data, loss_function=CatBoostObjective())
        ours = catboost.CatBoost(params).fit(self.pools(data, True)[0])
        self.assert_same(ours, builtin, data, data.start, CATBOOST_FROM_AVERAGE)

    def test_from_baseline(self, small_data):
        data = small_data
        train, _ = self.pools(data, start=True)
        builtin = catboost.CatBoost(self.params(data)).fit(train)
        params = self.params(data, loss_function=CatBoostObjective())
        self.assert_same(catboost.CatBoost(params).fit(train), builtin, data)

    def test_default_backtracking_changes_nothing_here(self, small_data):
        data = small_data
        train, _ = self.pools(data)
        params = self.params(data, leaf_estimation_backtracking="AnyImprovement")
        builtin = catboost.CatBoost(params).fit(train)
        params = self.params(data, loss_function=CatBoostObjective())
        self.assert_same(catboost.CatBoost(params).fit(train), builtin, data)

    def test_early_stopping(self, small_data):
        data = small_data
        train, stop = self.pools(data)

        def fit(**others):
            params = self.params(data, iterations=400, learning_rate=0.5, **others)
            return catboost.CatBoost(params).fit(
                train, eval_set=stop, early_stopping_rounds=PATIENCE
            )

        builtin = fit()
        beside = fit(eval_metric=CatBoostMetric())
        count = {} if data.binary else {"classes_count": data.n_classes}
        ours = fit(
            loss_function=CatBoostObjective(), eval_metric=CatBoostMetric(), **count
        )
        own = "Logloss" if data.binary else "MultiClass"
        losses = builtin.get_evals_result()["validation"][own]
        assert PATIENCE < len(losses) < 400
        for model in (beside, ours):
            assert model.get_best_iteration() == builtin.get_best_iteration()
            found = model.get_evals_result()["validation"]["CatBoostMetric"]
            np.testing.assert_allclose(found, losses, rtol=1e-12)
        scores = ours.predict(stop, prediction_type="RawFormulaVal")
        expected = data.loss_at_stop(scores)
        assert min(found) == pytest.approx(expected, rel=1e-12)

    def test_several_threads(self, small_data):
        # Rows come in several ranges; sums of them are added up.
        data = small_data
        train, stop = self.pools(data)
        count = {} if data.binary else {"classes_count": data.n_classes}

        def fit(threads):
            params = self.params(
                data,
                loss_function=CatBoostObjective(),
                eval_metric=CatBoostMetric(),
                thread_count=threads,
                **count,
            )
            return catboost.CatBoost(params).fit(train, eval_set=stop)

        one, two = fit(1), fit(2)
        self.assert_same(two, one, data)
        np.testing.assert_allclose(
            one.get_evals_result()["validation"]["CatBoostMetric"],
            two.get_evals_result()["validation"]["CatBoostMetric"],
            rtol=1e-13,
        )

    @pytest.mark.parametrize("n_classes", [2, 3, 10])
    def test_derivatives_of_a_row(self, n_classes, rng):
        objective = CatBoostObjective()
        scores = rng.normal(0, 5, (20, n_classes))
        scores[0] = np.linspace(800, -800, n_classes)
        y = rng.integers(n_classes, size=20)
        _, gradient, hessian = log_loss_gradient_hessian(
            y, scores, normalize=False, from_logits=True, labels=range(n_classes)
        )
        p = proba(scores)
        for i in range(20):
            first, second = objective.calc_ders_multi(scores[i], float(y[i]), 2.5)
            np.testing.assert_allclose(first, -2.5 * gradient[i], rtol=1e-13)
            expected = np.outer(p[i], p[i]) - np.diag(p[i])
            np.testing.assert_allclose(second, 2.5 * expected, rtol=1e-9, atol=1e-15)
            diagonal = np.diag(np.array(second))
            np.testing.assert_allclose(diagonal, -2.5 * hessian[i], atol=1e-15)

    def test_ranges(self):
        objective = CatBoostObjective()
        scores, y = np.array([0.5, -3.0]), np.array([1.0, 1.0], dtype=np.float32)
        plain = objective.calc_ders_range(scores, y, None)
        p = sigmoid(scores)
        np.testing.assert_allclose(plain[:, 0], 1 - p, rtol=1e-15)
        np.testing.assert_allclose(plain[:, 1], -p * (1 - p), rtol=1e-15)
        zero = objective.calc_ders_range(scores, y, np.zeros(2, np.float32))
        np.testing.assert_array_equal(zero, 0)
        empty = np.empty(0)
        assert objective.calc_ders_range(empty, empty, None).shape == (0, 2)
        metric = CatBoostMetric()
        assert metric.evaluate((scores,), y, np.zeros(2, np.float32)) == (0.0, 0.0)
        assert metric.get_final_error(0.0, 0.0) == 0.0


class TestSoftLabelsOfCatBoost:
    """Beside a metric of classification CatBoost makes classes of two such labels."""

    @pytest.fixture
    def problem(self):
        X, y = make_classification(300, 5, random_state=0)
        return X, y * 0.75 + 0.125

    @staticmethod
    def fit(X, y, weight=None, **others):
        params = {
            "loss_function": CatBoostObjective(),
            "iterations": 3,
            "learning_rate": 0.1,
            "thread_count": 1,
            "leaf_estimation_method": "Newton",
            "leaf_estimation_iterations": 1,
            "leaf_estimation_backtracking": "No",
            "bootstrap_type": "No",
            "boosting_type": "Plain",
            "boost_from_average": False,
            "allow_writing_files": False,
            "verbose": False,
            **others,
        }
        model = catboost.CatBoost(params)
        return model.fit(catboost.Pool(X, y, weight=weight)).predict(X)

    @pytest.mark.parametrize("metric", [CatBoostMetric(), "RMSE", "MAE", "AUC"])
    @pytest.mark.parametrize("n_values", [2, 3, 300])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_right(self, problem, metric, n_values, weighted, rng):
        X, y = problem
        if n_values == 3:
            y[::2] = np.round(y[::2])  # labels of 0 and 1 among them
        elif n_values == 300:
            y = rng.random(300)
        weight = rng.random(300) if weighted else None
        builtin = self.fit(X, y, weight, loss_function="CrossEntropy")
        ours = self.fit(X, y, weight, eval_metric=metric)
        np.testing.assert_allclose(ours, builtin, rtol=0, atol=CATBOOST_SCORE)

    @pytest.mark.parametrize(
        "options",
        [
            {"eval_metric": "Logloss"},
            {"eval_metric": "CrossEntropy"},
            {"eval_metric": "Accuracy", "thread_count": 2},
            {"eval_metric": "BrierScore"},
            {"eval_metric": CatBoostMetric(), "custom_metric": ["Logloss"]},
            {"eval_metric": "RMSE", "class_weights": [1, 2]},
        ],
    )
    def test_refused(self, problem, options):
        X, y = problem
        with pytest.raises(catboost.CatBoostError, match=r"0\.125 and 0\.875"):
            self.fit(X, y, **options)
        with pytest.raises(catboost.CatBoostError, match="eval_metric=CatBoostMetric"):
            self.fit(X, (y > 0.5) / 2, **options)

    @pytest.mark.parametrize("threads", [1, 2, 8])
    def test_refused_in_large_pools_that_were_in_order(self, threads):
        # Ranges of thousands of zeros, which are labels and probabilities alike; and
        # the thread of the caller may have none of the others.
        X = np.arange(30_000.0)[:, np.newaxis]
        y = (X[:, 0] > 20_000) / 2
        pool = catboost.Pool(X, y)
        params = {
            "loss_function": CatBoostObjective(),
            "iterations": 2,
            "thread_count": threads,
            "has_time": True,
            "allow_writing_files": False,
            "verbose": False,
        }
        catboost.CatBoost({**params, "eval_metric": CatBoostMetric()}).fit(pool)
        with pytest.raises(catboost.CatBoostError, match=r"0 and 0\.5,"):
            catboost.CatBoost({**params, "eval_metric": "Logloss"}).fit(pool)

    def test_refused_in_cross_validation(self, problem):
        X, y = problem
        params = {
            "loss_function": CatBoostObjective(),
            "eval_metric": "Logloss",
            "iterations": 2,
            "allow_writing_files": False,
            "logging_level": "Silent",
        }
        with pytest.raises(catboost.CatBoostError, match="labels are probabilities"):
            catboost.cv(catboost.Pool(X, y), params, fold_count=2)

    @pytest.mark.parametrize("as_pool", [False, True])
    def test_refused_in_a_search(self, problem, as_pool):
        model = catboost.CatBoost(
            {
                "loss_function": CatBoostObjective(),
                "eval_metric": "Logloss",
                "iterations": 2,
                "allow_writing_files": False,
            }
        )
        data = [catboost.Pool(*problem)] if as_pool else problem
        with pytest.raises(catboost.CatBoostError, match="labels are probabilities"):
            model.grid_search({"depth": [2]}, *data, verbose=False, refit=False)

    def test_refused_by_an_objective_derived_from_ours(self, problem):
        class Derived(CatBoostObjective):
            def calc_ders_range(self, approxes, targets, weights):
                return super().calc_ders_range(approxes, targets, weights)

        with pytest.raises(catboost.CatBoostError, match="labels are probabilities"):
            self.fit(*problem, loss_function=Derived(), eval_metric="Logloss")

    @pytest.mark.parametrize(
        "recode",
        [
            lambda y: y.astype(float),
            lambda y: y + 1,
            lambda y: 2 * y - 1,
            lambda y: y == 1,
            lambda y: np.where(y == 1, "yes", "no"),
        ],
    )
    def test_classes_are_classes(self, problem, recode):
        X, y = problem
        y = (y > 0.5).astype(int)
        expected = self.fit(X, y, loss_function="Logloss")
        found = self.fit(X, recode(y), eval_metric="Logloss")
        np.testing.assert_allclose(found, expected, rtol=0, atol=CATBOOST_SCORE)

    def test_what_is_asked_for(self, problem):
        X, y = problem
        expected = self.fit(X, y > 0.5, loss_function="Logloss")
        for asked in ({"target_border": 0.5}, {"class_names": [0.125, 0.875]}):
            found = self.fit(X, y, eval_metric="Logloss", **asked)
            np.testing.assert_allclose(found, expected, rtol=0, atol=CATBOOST_SCORE)


class TestClassWeights:
    """Class weights as weights of the rows, from the start of the built-in objective.

    Columns have few values: bins of XGBoost depend on weights if they have many.
    """

    @pytest.fixture(params=[False, True], ids=["plain", "weighted"])
    def problem(self, request):
        X, y = make_classification(400, 5, weights=[0.7], random_state=0)
        w = np.random.default_rng(0).uniform(0.5, 2, 400) if request.param else None
        return np.round(X, 1), y, w

    @staticmethod
    def multiply(w, c):
        return c if w is None else w * c

    def test_xgboost(self, problem):
        X, y, w = problem
        params = {"objective": "binary:logistic", "nthread": 1, "max_depth": 3}
        data = xgboost.DMatrix(X, y, weight=w)
        builtin = xgboost.train({**params, "scale_pos_weight": 5}, data, 10)
        w = self.multiply(w, np.where(y, 5.0, 1.0))
        start = 4 * np.average(y, weights=w) - 2
        data = xgboost.DMatrix(X, y, weight=w)
        params["base_score"] = sigmoid(start)
        ours = xgboost.train(params, data, 10, obj=xgboost_objective)
        a = ours.predict(data, output_margin=True)
        b = builtin.predict(data, output_margin=True)
        np.testing.assert_allclose(a, b, rtol=0, atol=XGBOOST_MARGIN)

    @pytest.mark.parametrize("option", ["scale_pos_weight", "is_unbalance"])
    def test_lightgbm(self, problem, option):
        X, y, w = problem
        value, c = 5, np.where(y, 5.0, 1.0)
        if option == "is_unbalance":
            value, c = True, np.where(y, (y == 0).sum() / y.sum(), 1.0)
        params = {"num_threads": 1, "deterministic": True, "verbosity": -1}
        params |= {"num_leaves": 7, "force_row_wise": True}
        data = lightgbm.Dataset(X, y, weight=w)
        builtin = lightgbm.train(
            {**params, "objective": "binary", option: value}, data, 10
        )
        start = initial_score(y, w)
        data = lightgbm.Dataset(
            X, y, weight=self.multiply(w, c), init_score=np.full(len(y), start)
        )
        ours = lightgbm.train({**params, "objective": lightgbm_objective}, data, 10)
        a, b = start + ours.predict(X), builtin.predict(X, raw_score=True)
        np.testing.assert_allclose(a, b, rtol=0, atol=LIGHTGBM_SCORE)

    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_lightgbm_sklearn(self, problem, n_classes):
        X, y, w = problem
        y = y if n_classes == 2 else y + (X[:, 0] > 0)
        common = {"class_weight": "balanced", "n_estimators": 10, "num_leaves": 7}
        common |= {"n_jobs": 1, "verbosity": -1}
        builtin = lightgbm.LGBMClassifier(**common).fit(X, y, sample_weight=w)
        c = compute_sample_weight("balanced", y)
        start = initial_score(y, self.multiply(w, c)) * np.ones((len(y), 1))
        start = start[:, 0] if n_classes == 2 else start
        ours = lightgbm.LGBMClassifier(**common, objective=lightgbm_sklearn_objective)
        ours.fit(X, y, sample_weight=w, init_score=start)
        a = start + ours.predict(X, raw_score=True)
        b = builtin.predict(X, raw_score=True)
        np.testing.assert_allclose(a, b, rtol=0, atol=LIGHTGBM_SCORE)

    @pytest.mark.parametrize(
        "option", [{"class_weights": [1, 5]}, {"auto_class_weights": "Balanced"}]
    )
    def test_catboost(self, problem, option):
        X, y, w = problem
        params = TestCatBoost.params(Data(load_breast_cancer, False), **option)
        data = catboost.Pool(X, y, weight=w)
        builtin = catboost.CatBoost({**params, "boost_from_average": True}).fit(data)
        c = np.array(builtin.get_all_params()["class_weights"])[y]
        start = initial_score(y, self.multiply(w, c))
        data.set_baseline(np.full((len(y), 1), start))
        params["loss_function"] = CatBoostObjective()
        ours = catboost.CatBoost(params).fit(data)  # class weights reach it
        a, b = start + ours.predict(X), builtin.predict(X)
        np.testing.assert_allclose(a, b, rtol=0, atol=CATBOOST_FROM_AVERAGE)


def evaluated(library, data, stop, weight=None, *, n_classes, flag=False, **others):
    """Losses of three rounds: those of the library and ours."""
    result = {}
    (X, y), (X_stop, y_stop) = data, stop
    if library == "xgboost":
        params = {"objective": "binary:logistic", "nthread": 1, **others}
        if n_classes > 2:
            params |= {"objective": "multi:softprob", "num_class": n_classes}
        xgboost.train(
            params,
            xgboost.DMatrix(X, y),
            3,
            evals=[(xgboost.DMatrix(X_stop, y_stop, weight=weight), "stop")],
            custom_metric=functools.partial(xgboost_metric, from_logits=flag),
            evals_result=result,
            verbose_eval=False,
        )
    else:
        params = {"objective": "binary", "num_threads": 1, "verbosity": -1, **others}
        if n_classes > 2:
            params |= {"objective": "multiclass", "num_class": n_classes}
        train = lightgbm.Dataset(X, y)
        lightgbm.train(
            params,
            train,
            3,
            valid_sets=[train.create_valid(X_stop, y_stop, weight=weight)],
            valid_names=["stop"],
            feval=functools.partial(lightgbm_metric, from_logits=flag),
            callbacks=[lightgbm.record_evaluation(result)],
        )
    ours = result["stop"].pop("log_loss")
    (theirs,) = result["stop"].values()
    return theirs, ours


class TestValidationSets:
    """Beside built-in objectives, whatever the validation set holds."""

    @pytest.fixture(params=[2, 3], ids=["binary", "three"])
    def problem(self, request):
        K = request.param
        X, y = make_classification(
            200, 5, n_informative=4, n_redundant=0, n_classes=K, random_state=0
        )
        return X, y, K

    @pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
    @pytest.mark.parametrize("rows", ["one class", "one row", "two classes"])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_some_class_is_missing(self, problem, library, rows, weighted, rng):
        X, y, K = problem
        kept = {"one class": y == K - 1, "two classes": y < 2, "one row": np.arange(1)}
        stop = X[kept[rows]], y[kept[rows]]
        weight = rng.integers(3, size=len(stop[1])) + (rows == "one row")
        theirs, ours = evaluated(
            library, (X, y), stop, weight if weighted else None, n_classes=K
        )
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)

    def test_nothing_to_take_the_mean_of(self, problem):
        X, y, K = problem
        zero = np.zeros(len(y))
        _, ours = evaluated("xgboost", (X, y), (X, y), zero, n_classes=K)
        assert ours == [0.0] * 3
        theirs, ours = evaluated("lightgbm", (X, y), (X, y), zero, n_classes=K)
        assert np.isnan(ours).all()
        assert np.isnan(theirs).all()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*Empty dataset")
            _, ours = evaluated("xgboost", (X, y), (X[:0], y[:0]), n_classes=K)
        assert ours == [0.0] * 3

    @pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
    def test_clipped_as_theirs(self, problem, library):
        # All that is learned is wrong of the rows to stop by, after a step too far.
        X, y, K = problem
        X = np.repeat(y, 2).reshape(-1, 2).astype(float)
        stop = X, (y + 1) % K
        rate = {"learning_rate": 100.0}
        theirs, ours = evaluated(library, (X, y), stop, n_classes=K, **rate)
        assert theirs[0] > 30
        # 1 - 1e-16 is 1 - 1.1e-16 in float64.
        np.testing.assert_allclose(ours, theirs, rtol=3e-3)

    def test_sklearn(self, problem):
        X, y, K = problem
        X_stop, y_stop = X[y < K - 1], y[y < K - 1]
        w = np.linspace(0, 2, len(y_stop))
        model = xgboost.XGBClassifier(
            n_estimators=3, eval_metric=xgboost_sklearn_proba_metric, n_jobs=1
        )
        model.fit(
            X,
            y,
            eval_set=[(X_stop, y_stop)],
            sample_weight_eval_set=[w],
            verbose=False,
        )
        found = model.evals_result()["validation_0"]
        own = "logloss" if K == 2 else "mlogloss"
        np.testing.assert_allclose(found["log_loss"], found[own], atol=1e-6)
        model = lightgbm.LGBMClassifier(n_estimators=3, n_jobs=1, verbosity=-1)
        model.fit(
            X,
            y,
            eval_X=X_stop,
            eval_y=y_stop,
            eval_sample_weight=[w],
            eval_metric=lightgbm_sklearn_proba_metric,
        )
        found = model.evals_result_["valid_0"]
        own = "binary_logloss" if K == 2 else "multi_logloss"
        np.testing.assert_allclose(found["log_loss"], found[own], rtol=1e-13)

    def test_early_stopping_by_name(self, problem):
        X, y, _ = problem
        stopping = xgboost.callback.EarlyStopping(rounds=2, metric_name="log_loss")
        model = xgboost.XGBClassifier(
            n_estimators=60,
            eval_metric=xgboost_sklearn_proba_metric,
            callbacks=[stopping],
        )
        model.fit(X[::2], y[::2], eval_set=[(X[1::2], y[1::2])], verbose=False)
        losses = model.evals_result()["validation_0"]["log_loss"]
        assert len(losses) < 60
        assert model.best_score == min(losses)

    def test_rows_that_count_for_nothing(self):
        scores, y = np.zeros((2, 3), np.float32), np.zeros(2)
        gradient, hessian = xgboost_sklearn_objective(y, scores, np.zeros(2))
        np.testing.assert_array_equal(gradient, 0)
        np.testing.assert_array_equal(hessian, np.float32(1e-16))
        for derivative in lightgbm_sklearn_objective(y, scores, np.zeros(2)):
            np.testing.assert_array_equal(derivative, 0)


class TestProbabilitiesForRawScores:
    MESSAGE = "The scores are probabilities.*from_logits=False.*sklearn_proba_metric"

    @pytest.mark.parametrize("library", ["xgboost", "lightgbm"])
    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_warns(self, library, n_classes):
        X, y = make_classification(
            600, 5, n_informative=4, n_redundant=0, n_classes=n_classes, random_state=0
        )
        problem = (X, y), (X, y)
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter("default")
            evaluated(library, *problem, n_classes=n_classes, flag=True, eta=0.3)
        (found,) = record  # of three rounds
        assert re.match(self.MESSAGE, str(found.message))
        assert library in found.filename
        assert "fastlogloss" not in found.filename

    @pytest.mark.parametrize(
        "metric", [xgboost_sklearn_metric, lightgbm_sklearn_metric]
    )
    @pytest.mark.parametrize("share", [0.02, 0.5, 0.63, 0.9])
    @pytest.mark.parametrize("column", [False, True])
    def test_sklearn_warns(self, metric, share, column, rng):
        start = np.log(share / (1 - share))
        p = sigmoid(start + rng.normal(0, 3, 3000)).astype(np.float32)
        y = (rng.random(3000) < p).astype(np.float32)
        with pytest.warns(UserWarning, match=self.MESSAGE):
            metric(y, p[:, np.newaxis] if column else p, None)

    def test_first_rounds_do_not_warn(self):
        # Raw scores in [0, 1]: pytest makes errors of warnings.
        for share in (0.1, 0.4, 0.6, 0.9):
            X, y = make_classification(
                600, 5, weights=[1 - share], class_sep=2, random_state=0
            )
            data = xgboost.DMatrix(X, y)
            sets = [(data, "a"), (xgboost.DMatrix(X[y == 0], y[y == 0]), "b")]
            own = {"objective": "binary:logistic", "eta": 0.05, "nthread": 1}
            two = {**own, "objective": "multi:softprob", "num_class": 2}
            base = {**own, "base_score": sigmoid(initial_score(y))}
            # A start of weighted rows, and sets to evaluate without weights.
            w = np.where(y == 1, 5.0, 1.0)
            weighted = {**own, "base_score": sigmoid(initial_score(y, w))}
            for params in (own, two, base, weighted):
                xgboost.train(
                    params,
                    data,
                    15,
                    obj=xgboost_objective,
                    custom_metric=xgboost_metric,
                    evals=sets,
                    verbose_eval=False,
                )

    @pytest.mark.parametrize(
        "metric", [xgboost_sklearn_metric, lightgbm_sklearn_metric]
    )
    def test_what_may_be_raw_does_not_warn(self, metric, rng):
        y = rng.integers(2, size=1000)
        metric(y, np.zeros(1000), None)
        metric(y, np.full(1000, 0.7), None)
        metric(y, rng.random(1000), None)  # says nothing of the labels
        metric(y[:5], np.where(y[:5], 0.9, 0.1), None)  # few
        metric(np.zeros(1000), rng.random(1000) / 2, None)  # one class
        p = 0.5 + rng.normal(0, 0.1, 1000)
        metric(y, np.stack([p, 1 - p], axis=1), None)  # from 0.5, which is XGBoost's
        metric(y, np.full((1000, 4), 0.25), None)
        metric(y, rng.random((1000, 3)), None)
        # Logits that are right: rows are drawn with the probabilities that they say.
        for _ in range(100):
            scores = rng.random(1000)
            metric((rng.random(1000) < sigmoid(scores)).astype(float), scores, None)


class TestHessianOfXGBoost:
    @pytest.mark.parametrize("residuals", [False, True])
    def test_is_found(self, monkeypatch, residuals, rng):
        def own(y, scores):
            p = proba(scores)
            gradient = p - np.eye(scores.shape[1])[y.astype(int)]
            return gradient, np.abs(gradient) if residuals else 2 * p * (1 - p)

        def train(params, data, rounds):
            def objective(scores, data):
                return own(data.get_label(), scores)

            return xgboost.train(params, data, rounds, obj=objective)

        release = types.SimpleNamespace(DMatrix=xgboost.DMatrix, train=train)
        release = type("release", (), vars(release))  # cached by its identity
        monkeypatch.setitem(sys.modules, "xgboost", release)
        y, scores = rng.integers(3, size=20), rng.normal(size=(20, 3))
        gradient, hessian = xgboost_sklearn_objective(y, scores)
        expected = own(y, scores)
        np.testing.assert_allclose(gradient, expected[0], rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(hessian, expected[1], rtol=1e-12)

    def test_without_xgboost(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "xgboost")
        _, hessian = xgboost_sklearn_objective([0], np.zeros((1, 4)))
        np.testing.assert_allclose(hessian, 2 * 0.25 * 0.75)

    def test_two_classes(self):
        _, hessian = xgboost_sklearn_objective([0, 1], np.array([-1.0, 3.0]))
        p = sigmoid(np.array([-1.0, 3.0]))
        np.testing.assert_allclose(hessian, p * (1 - p))


class TestBadInput:
    @pytest.mark.parametrize("target", [3.0, -1.0, 0.5, float("nan")])
    def test_label_of_a_row(self, target):
        with pytest.raises(ValueError, match=r"labels must be 0 to 2|NaN"):
            CatBoostObjective().calc_ders_multi(np.zeros(3), target, 1.0)

    @pytest.mark.parametrize(
        "function", [xgboost_sklearn_objective, lightgbm_sklearn_objective]
    )
    @pytest.mark.parametrize(
        ("y", "shape", "message"),
        [
            ([0.0, 2.0], (2,), "must be 0 or 1 .*got 2.0 in row 1.*give num_class$"),
            ([0.0, -1.0], (2,), "must be 0 or 1 .*got -1.0 in row 1"),
            ([0.0, np.nan], (2,), "must be 0 or 1 .*got nan in row 1"),
            ([0.0, 2.0], (2, 1), "must be 0 or 1 .*got 2.0 in row 1"),
            ([0.0, 3.0], (2, 3), "must be 0 to 2, got 3.0 in row 1; is num_class=3 "),
            ([0.0, -1.0], (2, 3), "must be 0 to 2, got -1.0 in row 1"),
            ([0.0, 0.5], (2, 3), "must be 0 to 2, got 0.5 in row 1"),
            ([0.0, np.nan], (2, 3), "must be 0 to 2, got nan in row 1"),
            ([0.0, 1.0, 1.0], (2,), "3 rows"),
            ([0.0, 1.0, 1.0], (2, 3), "3 rows"),
        ],
    )
    def test_labels(self, function, y, shape, message):
        with pytest.raises(ValueError, match=message):
            function(np.array(y), np.zeros(shape), None)

    @pytest.mark.parametrize(
        ("metric", "value"),
        [
            (xgboost_sklearn_metric, 0.0),
            (xgboost_sklearn_proba_metric, 0.5),
            (lightgbm_sklearn_metric, 0.0),
            (lightgbm_sklearn_proba_metric, 0.5),
        ],
    )
    def test_labels_of_metrics(self, metric, value):
        with pytest.raises(ValueError, match=r"got 2\.0 in row 1.*give num_class$"):
            metric(np.array([0.0, 2.0]), np.full(2, value), None)
        with pytest.raises(ValueError, match=r"got 2\.0 in row 1; is num_class=2"):
            metric(np.array([0.0, 2.0]), np.full((2, 2), value), None)

    @pytest.mark.parametrize(
        "metric", [xgboost_sklearn_proba_metric, lightgbm_sklearn_proba_metric]
    )
    def test_no_probabilities(self, metric):
        message = "must be probabilities, got 1.5 in row 1; .*from_logits=True"
        with pytest.raises(ValueError, match=message):
            metric(np.array([0.0, 1.0]), np.array([0.5, 1.5]), None)
        rows = np.array([[0.5, 0.5], [1.5, -0.5]])
        with pytest.raises(ValueError, match=message):
            metric(np.array([0.0, 1.0]), rows, None)

    @pytest.mark.parametrize("metric", [xgboost_metric, lightgbm_metric])
    def test_flag(self, metric):
        with pytest.raises(TypeError, match="from_logits"):
            metric(np.zeros(2), None, from_logits="no")

    def test_libraries_without_the_number_of_classes(self):
        X, y = load_wine(return_X_y=True)
        message = "got 2.0 in row .*num_class"
        with pytest.raises(ValueError, match=message):
            xgboost.train({}, xgboost.DMatrix(X, y), 1, obj=xgboost_objective)
        params = {"objective": lightgbm_objective, "verbosity": -1}
        with pytest.raises(ValueError, match=message):
            lightgbm.train(params, lightgbm.Dataset(X, y), 1)
        params = TestCatBoost.params(Data(load_wine, False))
        for metric in (CatBoostMetric(), "RMSE"):
            params |= {"loss_function": CatBoostObjective(), "eval_metric": metric}
            with pytest.raises(catboost.CatBoostError, match="give classes_count"):
                catboost.CatBoost(params).fit(X, y)

    def test_libraries_with_labels_from_one(self):
        X, y = load_wine(return_X_y=True)
        message = "must be 0 to 2, got 3.0 in row .*num_class=3"
        data = xgboost.DMatrix(X, y + 1)
        with pytest.raises(ValueError, match=message):
            xgboost.train({"num_class": 3}, data, 1, obj=xgboost_objective)
        params = {"objective": lightgbm_objective, "verbosity": -1, "num_class": 3}
        with pytest.raises(ValueError, match=message):
            lightgbm.train(params, lightgbm.Dataset(X, y + 1), 1)

    def test_softmax_hands_over_classes(self):
        X, y = load_wine(return_X_y=True)
        model = xgboost.XGBClassifier(
            n_estimators=1,
            objective="multi:softmax",
            eval_metric=xgboost_sklearn_proba_metric,
        )
        with pytest.raises(ValueError, match=r"take .multi:softprob"):
            model.fit(X, y, eval_set=[(X, y)], verbose=False)

    def test_score_is_nan(self):
        with pytest.raises(ValueError, match="NaN in row 1"):
            xgboost_sklearn_objective(np.array([0, 1]), np.array([0.0, np.nan]))

    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_some_class_does_not_occur(self, n_classes):
        y = np.zeros(4)
        scores = np.zeros(4) if n_classes == 2 else np.zeros((4, n_classes))
        expected = pytest.approx(np.log(n_classes))
        assert xgboost_sklearn_metric(y, scores) == expected
        assert lightgbm_sklearn_metric(y, scores, None)[1] == expected
        gradient, _ = lightgbm_sklearn_objective(y, scores, None)
        assert gradient.sum() == pytest.approx(0.0 if n_classes > 2 else 2.0)


FOREST = {"boosting_type": "rf", "subsample_freq": 1, "subsample": 0.5}


class TestScorers:
    """LightGBM's classifier in the scorers, which know what it answers."""

    @staticmethod
    def fitted(n_classes, **parameters):
        X, y = load_digits(return_X_y=True)
        X, y = X[y < n_classes], y[y < n_classes]
        model = lightgbm.LGBMClassifier(
            n_estimators=3, verbosity=-1, n_jobs=1, **parameters
        )
        return model.fit(X, y), X, y

    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_raw_scores_are_no_probabilities(self, n_classes):
        """What predict_proba gives where the objective is ours."""
        arguments = self.fitted(n_classes, objective=lightgbm_sklearn_objective)
        for scorer in (neg_log_loss_scorer, d2_log_loss_scorer):
            with pytest.raises(ValueError, match="use neg_log_loss_logits_scorer"):
                scorer(*arguments)
        model, X, y = arguments
        expected = log_loss(y, model.predict(X, raw_score=True), from_logits=True)
        assert neg_log_loss_logits_scorer(*arguments) == -expected

    @pytest.mark.parametrize(
        ("n_classes", "parameters"),
        [(2, {}), (3, {}), (2, {"objective": "cross_entropy"}), (3, {"sigmoid": 2.0})],
    )
    def test_logits(self, n_classes, parameters):
        arguments = self.fitted(n_classes, **parameters)
        expected = neg_log_loss_scorer(*arguments)
        score = neg_log_loss_logits_scorer(*arguments)
        assert score == pytest.approx(expected, rel=1e-9)

    @pytest.mark.parametrize(
        ("n_classes", "parameters", "words"),
        [
            (3, {"objective": "multiclassova"}, "each class against the rest"),
            (3, {"objective": "ova"}, "each class against the rest"),
            (2, {"sigmoid": 2.0}, "a multiple of the logits"),
            (2, FOREST, "averages over models"),
            (3, FOREST, "averages over models"),
        ],
    )
    def test_no_logits(self, n_classes, parameters, words):
        arguments = self.fitted(n_classes, **parameters)
        with pytest.raises(ValueError, match=f"LGBM.* gives .*{words}.*: use neg_log"):
            neg_log_loss_logits_scorer(*arguments)
