"""patch_sklearn and its undo."""

import contextlib
import importlib
import inspect
import pickle
import threading

import matplotlib.pyplot
import numpy as np
import pytest
import sklearn.metrics
from compare import outcome
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_wine
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_selection import RFECV, SequentialFeatureSelector
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import _scorer, get_scorer, get_scorer_names, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    ValidationCurveDisplay,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import StandardScaler

import fastlogloss
from fastlogloss import (
    patch_sklearn,
    patched_sklearn,
    sklearn_is_patched,
    unpatch_sklearn,
)

FUNCTIONS = {
    "log_loss": fastlogloss.log_loss,
    "d2_log_loss_score": fastlogloss.d2_log_loss_score,
}
SCORERS = {
    "neg_log_loss": fastlogloss.neg_log_loss_scorer,
    "d2_log_loss_score": fastlogloss.d2_log_loss_scorer,
}
ATTRIBUTES = {
    "neg_log_loss": "neg_log_loss_scorer",
    "d2_log_loss_score": "d2_log_loss_scorer",
}
MODULES = (
    "sklearn.metrics",
    "sklearn.metrics._classification",
    "sklearn.metrics._scorer",
)


def held():
    """Every reference to be replaced, by where it is held."""
    places = {}
    for module in MODULES:
        names = vars(importlib.import_module(module))
        for name in (*FUNCTIONS, "neg_log_loss_scorer", "d2_log_loss_scorer"):
            if name in names:
                places[module, name] = names[name]
    for name in SCORERS:
        if name in _scorer._SCORERS:
            places["registry", name] = _scorer._SCORERS[name]
    return places


BEFORE = held()
NAMES = [name for name in SCORERS if name in get_scorer_names()]


def is_restored():
    now = held()
    return now.keys() == BEFORE.keys() and all(
        now[place] is value for place, value in BEFORE.items()
    )


def is_replaced():
    return not any(value is BEFORE[place] for place, value in held().items())


@pytest.fixture(autouse=True)
def restored():
    yield
    unpatch_sklearn()
    assert is_restored()


class TestSwitch:
    def test_there_and_back(self):
        assert len(BEFORE) >= 7
        assert is_restored()
        assert not sklearn_is_patched()
        assert patch_sklearn() is None
        assert sklearn_is_patched()
        assert is_replaced()
        assert unpatch_sklearn() is None
        assert not sklearn_is_patched()
        assert is_restored()

    def test_same_places(self):
        """Nothing is added to scikit-learn that it does not have."""
        with patched_sklearn():
            assert held().keys() == BEFORE.keys()

    def test_whose_they_are(self):
        with patched_sklearn():
            for name, function in FUNCTIONS.items():
                assert getattr(sklearn.metrics, name) is function
            for name in NAMES:
                assert type(get_scorer(name)) is type(SCORERS[name])

    def test_twice(self):
        patch_sklearn()
        now = held()
        patch_sklearn()
        assert all(held()[place] is value for place, value in now.items())
        unpatch_sklearn()
        assert is_restored()
        unpatch_sklearn()
        assert is_restored()

    def test_again_and_again(self):
        for _ in range(20):
            patch_sklearn()
            unpatch_sklearn()
        assert is_restored()

    def test_own_objects_stay_their_own(self):
        """What is done to a scorer of scikit-learn's modules is done to it alone."""

        def request(scorer):
            requests = scorer.get_metadata_routing().score.requests
            return requests.get("sample_weight")

        def scorers():
            for name in NAMES:
                yield _scorer._SCORERS[name]
                yield getattr(_scorer, ATTRIBUTES[name])
                yield get_scorer(name)

        with sklearn.config_context(enable_metadata_routing=True):
            with patched_sklearn():
                found = list(scorers())
                for i, scorer in enumerate(found):
                    scorer.set_score_request(sample_weight=f"w{i}")
                expected = [f"w{i}" for i in range(len(found))]
                assert [*map(request, found)] == expected
            with patched_sklearn():
                assert not any(map(request, scorers()))
            for name in ATTRIBUTES.values():
                assert request(getattr(fastlogloss, name)) is None

    def test_names(self):
        names = get_scorer_names()
        with patched_sklearn():
            assert get_scorer_names() == names

    def test_nested(self):
        with patched_sklearn():
            with patched_sklearn():
                assert is_replaced()
            assert is_replaced()
        assert is_restored()

    def test_block_within_switch(self):
        patch_sklearn()
        with patched_sklearn():
            pass
        assert is_replaced()

    def test_unpatch_within_block(self):
        """It takes effect at the block's end."""
        patch_sklearn()
        with patched_sklearn():
            unpatch_sklearn()
            assert is_replaced()
            assert sklearn_is_patched()
        assert is_restored()

    def test_patch_within_block(self):
        with patched_sklearn():
            patch_sklearn()
        assert is_replaced()

    def test_error_in_block(self):
        with contextlib.suppress(KeyError), patched_sklearn():
            raise KeyError
        assert is_restored()

    def test_as_decorator(self):
        @patched_sklearn()
        def work():
            return is_replaced()

        assert work()
        assert work()
        assert is_restored()

    def test_generators_overlap(self):
        first, second = patched_sklearn(), patched_sklearn()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert is_replaced()
        second.__exit__(None, None, None)
        assert is_restored()

    def test_threads(self):
        broken = []
        barrier = threading.Barrier(8)

        def work(seed):
            rng = np.random.default_rng(seed)
            barrier.wait()
            for _ in range(200):
                with patched_sklearn():
                    if not (is_replaced() and sklearn_is_patched()):
                        broken.append("not replaced in a block")
                    if rng.random() < 0.3:
                        with patched_sklearn():
                            pass

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
        assert not broken
        assert is_restored()
        assert not sklearn_is_patched()

    def test_before_sklearn_is_imported(self, run_python):
        code = (
            "import sys, fastlogloss\n"
            "fastlogloss.unpatch_sklearn()\n"
            "assert not fastlogloss.sklearn_is_patched()\n"
            "assert 'sklearn' not in sys.modules\n"
            "fastlogloss.patch_sklearn()\n"
            "from sklearn.metrics import log_loss, get_scorer\n"
            "assert log_loss is fastlogloss.log_loss\n"
            "fastlogloss.unpatch_sklearn()\n"
            "from sklearn.metrics import log_loss\n"
            "assert log_loss is not fastlogloss.log_loss\n"
        )
        run_python("-c", code)


class TestInForce:
    @pytest.mark.parametrize("name", NAMES)
    def test_scores_of_sklearn(self, name):
        X, y = load_wine(return_X_y=True)
        theirs = cross_val_score(GaussianNB(), X, y, scoring=name)
        with patched_sklearn():
            ours = cross_val_score(GaussianNB(), X, y, scoring=name)
        assert ours == pytest.approx(theirs, rel=1e-12)

    def test_right_where_sklearn_is_not(self):
        X, y = load_wine(return_X_y=True)
        with patched_sklearn():
            scores = cross_val_score(
                GaussianNB(), X, y, scoring="neg_log_loss", cv=KFold(4)
            )
        direct = cross_val_score(
            GaussianNB(), X, y, scoring=fastlogloss.neg_log_loss_scorer, cv=KFold(4)
        )
        assert np.isfinite(scores).all()
        np.testing.assert_array_equal(scores, direct)

    def test_handing_over_does_not_come_back(self):
        """Off the fast path while patched: scikit-learn's own function, not ours."""
        y, p = np.eye(3)[[0, 1, 2]], np.full((3, 3), 1 / 3)
        expected = sklearn.metrics.log_loss(y, p)
        with patched_sklearn():
            assert sklearn.metrics.log_loss(y, p) == expected
            with pytest.raises(ValueError, match="inconsistent numbers of samples"):
                sklearn.metrics.log_loss([0, 1], [0.2])

    @pytest.mark.compares
    def test_handing_over_for_the_first_time(self, run_python):
        """The same where the patch came before the first use."""
        code = (
            "import fastlogloss, numpy as np; fastlogloss.patch_sklearn()\n"
            "print(fastlogloss.log_loss(np.eye(2), np.full((2, 2), 0.5)))\n"
            "print(fastlogloss.d2_log_loss_score(np.eye(2), np.full((2, 2), 0.5)))\n"
        )
        loss, d2 = map(float, run_python("-c", code).stdout.split())
        assert loss == pytest.approx(np.log(2))
        assert d2 == pytest.approx(0)

    @pytest.mark.parametrize("name", NAMES)
    def test_pickle(self, name):
        with patched_sklearn():
            sent = pickle.dumps([get_scorer(name), sklearn.metrics.log_loss])
        scorer, function = pickle.loads(sent)
        assert type(scorer) is type(SCORERS[name])
        assert function is fastlogloss.log_loss

    @pytest.mark.parametrize("function", ["check_scoring", "get_scorer", "log_loss"])
    def test_pickle_of_functions(self, function, run_python, tmp_path):
        """They are found again, patched or not."""
        with patched_sklearn():
            sent = pickle.dumps(getattr(sklearn.metrics, function))
            assert pickle.loads(sent) is getattr(sklearn.metrics, function)
        assert callable(pickle.loads(sent))
        (tmp_path / "sent").write_bytes(sent)
        run_python("-c", "import pickle; pickle.load(open('sent', 'rb'))")

    @pytest.mark.parametrize("function", FUNCTIONS)
    def test_metric_is_no_scorer(self, function):
        """scikit-learn says so of its own metrics, by the name of their module."""
        message = "looks like it is a metric function rather than a scorer"
        check_scoring = sklearn.metrics.check_scoring
        with patched_sklearn():
            metric = getattr(sklearn.metrics, function)
            for scoring in (metric, {"a": metric}):
                with pytest.raises(ValueError, match=message):
                    check_scoring(GaussianNB(), scoring=scoring)
                with pytest.raises(ValueError, match=message):
                    cross_validate(GaussianNB(), [[0.0]], [0], scoring=scoring)
            scorer = make_scorer(metric, response_method="predict_proba")
            assert check_scoring(GaussianNB(), scoring=scorer) is scorer

    def test_get_scorer_otherwise(self):
        theirs = sklearn.metrics.get_scorer
        with patched_sklearn():
            ours = sklearn.metrics.get_scorer
            assert ours.__doc__ == theirs.__doc__
            assert inspect.signature(ours) == inspect.signature(theirs)
            assert ours(None) is None
            assert ours(len) is len
            assert repr(ours("accuracy")) == repr(theirs("accuracy"))
            for wrong in (3, "log_loss"):
                assert outcome(ours, wrong) == outcome(theirs, wrong)

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("dtype", [int, str])
    def test_one_class_is_an_error(self, name, dtype):
        """That of scikit-learn, here and in workers; our own scorers score it."""
        X, y = np.zeros((4, 1)), np.ones(4, dtype)
        model = DummyClassifier(strategy="prior").fit(X, y)
        theirs = outcome(get_scorer(name), model, X, y)
        assert theirs.error
        with patched_sklearn():
            scorer = get_scorer(name)
            assert outcome(scorer, model, X, y) == theirs
        assert outcome(pickle.loads(pickle.dumps(scorer)), model, X, y) == theirs
        assert outcome(SCORERS[name], model, X, y).error is None

    def test_workers(self):
        """In processes that were never patched."""
        X, y = load_wine(return_X_y=True)
        keywords = {"scoring": "neg_log_loss", "cv": KFold(4)}
        with patched_sklearn():
            alone = cross_val_score(GaussianNB(), X, y, n_jobs=1, **keywords)
            workers = cross_val_score(GaussianNB(), X, y, n_jobs=2, **keywords)
            search = GridSearchCV(
                GaussianNB(), {"var_smoothing": [1e-9, 1e-3]}, n_jobs=2, **keywords
            ).fit(X, y)
        np.testing.assert_array_equal(alone, workers)
        assert np.isfinite(search.best_score_)

    def test_old_names_are_out_of_reach(self):
        """As documented."""
        from sklearn.metrics import log_loss

        with patched_sklearn():
            assert log_loss is not fastlogloss.log_loss


SEARCH = {"var_smoothing": [1e-9, 1e-1]}
# What takes the name of a scorer, and the scores that come of it.
HOLDERS = {
    "GridSearchCV": lambda X, y, name: (
        GridSearchCV(GaussianNB(), SEARCH, scoring=name)
        .fit(X, y)
        .cv_results_["mean_test_score"]
    ),
    "GridSearchCV of several": lambda X, y, name: (
        GridSearchCV(
            GaussianNB(), SEARCH, scoring={"a": name, "b": "accuracy"}, refit="a"
        )
        .fit(X, y)
        .cv_results_["mean_test_a"]
    ),
    "RandomizedSearchCV": lambda X, y, name: (
        RandomizedSearchCV(GaussianNB(), SEARCH, n_iter=2, scoring=name)
        .fit(X, y)
        .best_score_
    ),
    "cross_validate": lambda X, y, name: cross_validate(
        GaussianNB(), X, y, scoring=["accuracy", name, "roc_auc_ovr"]
    )[f"test_{name}"],
    "CalibratedClassifierCV": lambda X, y, name: cross_val_score(
        CalibratedClassifierCV(GaussianNB(), cv=2), X, y, scoring=name
    ),
    "LogisticRegressionCV": lambda X, y, name: (
        LogisticRegressionCV(Cs=[0.1, 1.0], cv=2, scoring=name).fit(X, y).score(X, y)
    ),
    "HistGradientBoostingClassifier": lambda X, y, name: (
        HistGradientBoostingClassifier(
            scoring=name, early_stopping=True, max_iter=5, random_state=0
        )
        .fit(X, y)
        .validation_score_
    ),
    "permutation_importance": lambda X, y, name: (
        permutation_importance(
            GaussianNB().fit(X, y), X, y, scoring=name, random_state=0
        ).importances
    ),
    "SequentialFeatureSelector": lambda X, y, name: (
        SequentialFeatureSelector(GaussianNB(), n_features_to_select=2, scoring=name)
        .fit(X, y)
        .get_support()
    ),
    "RFECV": lambda X, y, name: (
        RFECV(LogisticRegression(), scoring=name, cv=3, step=3)
        .fit(X, y)
        .cv_results_["mean_test_score"]
    ),
    "learning_curve": lambda X, y, name: learning_curve(
        GaussianNB(),
        X,
        y,
        scoring=name,
        train_sizes=[0.5, 1.0],
        shuffle=True,
        random_state=0,
    )[2],
    "validation_curve": lambda X, y, name: validation_curve(
        GaussianNB(),
        X,
        y,
        scoring=name,
        param_name="var_smoothing",
        param_range=[1e-9, 1e-1],
    )[1],
    "permutation_test_score": lambda X, y, name: permutation_test_score(
        GaussianNB(), X, y, scoring=name, n_permutations=3, random_state=0
    )[1],
    "TunedThresholdClassifierCV": lambda X, y, name: (
        TunedThresholdClassifierCV(GaussianNB(), scoring=name, store_cv_results=True)
        .fit(X, y > 0)
        .cv_results_["scores"]
    ),
    "check_scoring": lambda X, y, name: sklearn.metrics.check_scoring(
        scoring=[name, "accuracy"]
    )(GaussianNB().fit(X, y), X, y)[name],
}


# Attributes of LogisticRegressionCV are being renamed, which it says at every fit.
@pytest.mark.filterwarnings("ignore::FutureWarning:sklearn")
class TestHolders:
    """All that takes the name of a scorer gives the results of scikit-learn's."""

    @pytest.fixture
    def data(self):
        X, y = load_wine(return_X_y=True)
        return StandardScaler().fit_transform(X)[:, :5], y

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("holder", HOLDERS)
    def test_by_name(self, data, holder, name):
        theirs = HOLDERS[holder](*data, name)
        with patched_sklearn():
            ours = HOLDERS[holder](*data, name)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)

    @pytest.mark.compares
    @pytest.mark.parametrize("scoring", ["name", "names", "scorer"])
    def test_scoring_monitor(self, data, scoring):
        from sklearn.callback import ScoringMonitor

        def logged():
            scorer = {
                "name": "neg_log_loss",
                "names": ["neg_log_loss", "accuracy"],
                "scorer": get_scorer("neg_log_loss"),
            }[scoring]
            monitor = ScoringMonitor(scoring=scorer)
            LogisticRegression().set_callbacks(monitor).fit(*data)
            column = "score" if scoring == "scorer" else "neg_log_loss"
            return [row[column] for row in monitor.get_logs().data if column in row]

        theirs = logged()
        with patched_sklearn():
            ours = logged()
        assert len(ours) == len(theirs) > 1
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)

    @pytest.mark.parametrize("name", NAMES)
    def test_indicator_matrices(self, data, name):
        X, y = data
        Y = np.eye(3, dtype=int)[y]
        model = OneVsRestClassifier(GaussianNB()).fit(X, Y)
        theirs = outcome(get_scorer(name), model, X, Y)
        with patched_sklearn():
            ours = outcome(get_scorer(name), model, X, Y)
        assert ours == theirs
        assert ours.error is None

    @pytest.mark.parametrize("made", [False, True], ids=["name", "scorer"])
    def test_displays(self, data, made):
        with patched_sklearn():
            display = ValidationCurveDisplay.from_estimator(
                GaussianNB(),
                *data,
                param_name="var_smoothing",
                param_range=[1e-9, 1e-1],
                scoring=get_scorer("neg_log_loss") if made else "neg_log_loss",
            )
        assert display.ax_.get_ylabel() == "Negative log loss"
        matplotlib.pyplot.close("all")
