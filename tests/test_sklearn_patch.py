"""patch_sklearn and its undo."""

import contextlib
import importlib
import pickle
import threading

import numpy as np
import pytest
import sklearn.metrics
from sklearn.datasets import load_wine
from sklearn.metrics import _scorer, get_scorer, get_scorer_names
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.naive_bayes import GaussianNB

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
