"""LogLoss: the numbers of the functions, from targets that are looked at once."""

import copy
import math
import pickle
import re
import sys
import textwrap
import threading
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from arrays import LABEL_TYPES as TYPES
from arrays import LAYOUTS, PROBA_TYPES, label_types, random_case, words
from compare import outcome

from fastlogloss import (
    LogLoss,
    log_loss,
    log_loss_gradient,
    log_loss_gradient_hessian,
    prepared,
    sample_log_loss,
)

RTOL = 2e-15  # docstring of log_loss
CASES = [(1, 1), (2, 1), (3, 3), (100, 1), (100, 2), (300, 10), (20000, 3)]
LOGITS = {"from_logits": True}


@pytest.fixture(autouse=True)
def threads(request, monkeypatch):
    """The short ways too are those of as many threads as are tested."""
    if "engine" in request.fixturenames:
        n_threads = request.getfixturevalue("n_threads")
        monkeypatch.setattr(prepared, "threads_for", lambda nanoseconds: n_threads)


def all_classes(n_columns):
    return list(range(max(n_columns, 2)))


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("from_logits", [False, True], ids=["probabilities", "logits"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
class TestEqualsFunctions:
    """To the last bit."""

    @pytest.mark.parametrize(("n", "n_columns"), CASES)
    def test_labels(self, n, n_columns, weighted, from_logits):
        codes, p, w = random_case(n, n_columns)
        self.check(codes, p, w if weighted else None, from_logits)

    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    @pytest.mark.parametrize(("n", "n_columns"), CASES)
    def test_targets(self, n, n_columns, smoothing, weighted, from_logits):
        _, p, w = random_case(n, n_columns)
        t = random_case(n, n_columns, seed=1).p
        keywords = {"label_smoothing": smoothing, "soft_targets": True}
        self.check(t, p, w if weighted else None, from_logits, **keywords)

    @pytest.mark.parametrize(("n", "n_columns"), CASES)
    def test_smoothing(self, n, n_columns, weighted, from_logits):
        codes, p, w = random_case(n, n_columns)
        w = w if weighted else None
        self.check(codes, p, w, from_logits, label_smoothing=0.1)

    @pytest.mark.parametrize("eps", [0.0, 1e-3])
    def test_eps(self, eps, weighted, from_logits):
        codes, p, w = random_case(300, 1)
        p[:2] = codes[:2]
        self.check(codes, p, w if weighted else None, from_logits, eps=eps)

    def check(self, y, p, w, from_logits, **options):
        options["from_logits"] = from_logits
        keywords = {"sample_weight": w, **options}
        names = {}
        if not options.get("soft_targets"):
            names = {"classes": all_classes(p.ndim == 1 or p.shape[1])}
        loss = LogLoss(y, **names, **keywords)
        labels = {"labels": names["classes"]} if names else {}
        assert loss(p) == log_loss(y, p, **labels, **keywords)
        assert type(loss(p)) is float
        assert loss(p.tolist()) == loss(p)
        rows = sample_log_loss(y, p, **labels, **options)
        np.testing.assert_array_equal(loss.samples(p), rows)
        for normalize in (True, False):
            expected = log_loss_gradient_hessian(
                y, p, normalize=normalize, **labels, **keywords
            )
            found = loss.loss_gradient_hessian(p, normalize=normalize)
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_array_equal(a, b)
            found = loss.loss_gradient(p, normalize=normalize)
            for a, b in zip(found, expected[:2], strict=True):
                np.testing.assert_array_equal(a, b)
        stack = np.stack([p, p[::-1], p])
        expected = [loss(p), loss(p[::-1]), loss(p)]
        assert loss.many(stack).tolist() == expected
        assert loss.many(list(stack)).tolist() == expected


class TestScores:
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("n_columns", [1, 3])
    def test_layouts_give_the_same_bits(self, layout, n_columns):
        codes, p, w = random_case(3000, n_columns)
        loss = LogLoss(codes, sample_weight=w)
        expected = loss(p)
        make = LAYOUTS[layout]
        assert loss(make(p)) == expected
        assert LogLoss(make(codes), sample_weight=make(w))(p) == expected
        assert loss.many(make(np.stack([p, p]))).tolist() == [expected] * 2
        np.testing.assert_array_equal(loss.samples(make(p)), loss.samples(p))

    @pytest.mark.parametrize("kind", PROBA_TYPES)
    @pytest.mark.parametrize("n_columns", [1, 3])
    def test_types(self, kind, n_columns):
        codes, p, _ = random_case(40, n_columns)
        p = p if n_columns == 1 else np.eye(3)[codes] / 2 + [0, 0.25, 0.25]
        p = PROBA_TYPES[kind](p)
        assert LogLoss(codes)(p) == log_loss(codes, p)

    def test_columns(self):
        codes, p, _ = random_case(50, 1)
        loss = LogLoss(codes)
        assert loss(p[:, None]) == loss(p)
        pairs = np.stack([1 - p, p], 1)
        assert loss(pairs) == log_loss(codes, pairs)
        assert loss.loss_gradient(pairs)[1].shape == (50, 2)
        assert loss.loss_gradient(p[:, None])[1].shape == (50, 1)
        assert loss.many(np.stack([pairs] * 3)).tolist() == [loss(pairs)] * 3

    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    def test_clip_of_the_dtype(self, dtype):
        y, p = [0, 1], np.array([1, 0], dtype)
        loss = LogLoss(y)
        assert loss(p) == pytest.approx(-math.log(np.finfo(dtype).eps), rel=RTOL)
        assert loss.many(p[None]).tolist() == [loss(p)]

    @pytest.mark.parametrize("shape", [(0, 2), (0, 2, 1), (0, 2, 2)])
    def test_many_of_none(self, shape):
        assert LogLoss([0, 1]).many(np.empty(shape)).shape == (0,)

    def test_warning(self):
        p = np.full((3, 3), 0.3)
        with pytest.warns(UserWarning, match="do not sum to one"):
            LogLoss([0, 1, 2])(p)
        with pytest.warns(UserWarning, match="do not sum to one"):
            losses = LogLoss([0, 1, 2]).many(np.stack([p, p]))
        good = p + np.eye(3) * 0.1
        with pytest.warns(UserWarning, match=r"rows of scores .* row 1 of model 2"):
            LogLoss([0, 1, 2]).many([good, good, good * [[1], [0.9], [1]]])
        np.testing.assert_allclose(losses, -math.log(0.3), RTOL)

    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_many_warn_one_by_one(self, monkeypatch, dtype):
        """In their order, and of plain scores without a second sum."""
        codes, good, w = random_case(20_000, 3)
        off = good.copy()
        off[77] *= 0.9
        stack = np.stack([off, good, good * 0.8, good, off]).astype(dtype)
        loss = LogLoss(codes, sample_weight=w)
        singles = [outcome(loss, scores) for scores in stack]
        if dtype == "float64":
            monkeypatch.setattr(prepared, "loss_of", None)
        many = outcome(loss.many, stack)
        assert many.error is None
        assert many.value.tolist() == [single.value for single in singles]
        texts = [text for _, text in many.warnings]
        assert [re.findall(r"of model \d", text) for text in texts] == [
            [f"of model {i}"] for i in (0, 2, 4)
        ]
        assert "row 77 of model 0" in texts[0]
        for single, text in zip((singles[0], singles[2]), texts[:2], strict=True):
            alone = single.warnings[0][1].replace("y_score", "scores")
            assert re.sub(r" of model \d", "", text) == alone

    def test_infinite_logits(self):
        z = np.array([[np.inf, -np.inf], [-np.inf, np.inf], [3, -np.inf]])
        assert LogLoss([0, 1], **LOGITS).many(z).tolist() == [math.inf, 0, math.inf]

    @pytest.mark.parametrize("name", ["xgboost", "lightgbm"])
    def test_conventions(self, name):
        codes, z, _ = random_case(30, 4)
        found = LogLoss(codes, **LOGITS).loss_gradient_hessian(z, hessian=name)
        expected = log_loss_gradient_hessian(codes, z, hessian=name, **LOGITS)
        np.testing.assert_array_equal(found[2], expected[2])

    @pytest.mark.parametrize("n_columns", [1, 3])
    def test_out(self, n_columns):
        codes, p, _ = random_case(30, n_columns)
        loss = LogLoss(codes)
        expected = loss.loss_gradient_hessian(p)
        out = np.empty(p.shape), np.empty(p.shape, "f4")
        found = loss.loss_gradient_hessian(p, out=out)
        assert found[1] is out[0]
        assert found[2] is out[1]
        np.testing.assert_array_equal(out[0], expected[1])
        np.testing.assert_array_equal(out[1], expected[2].astype("f4"))
        assert loss.loss_gradient(p, out=out[0])[1] is out[0]

    def test_samples_and_weights(self):
        codes, p, w = random_case(500, 3)
        loss = LogLoss(codes, sample_weight=w)
        mean = math.fsum(loss.samples(p) * w) / math.fsum(w)
        assert loss(p) == pytest.approx(mean, rel=2 * RTOL)
        plain = LogLoss(codes)
        assert plain(p) == pytest.approx(
            math.fsum(plain.samples(p)) / 500, rel=2 * RTOL
        )


class TestClasses:
    @pytest.mark.parametrize("from_logits", [False, True])
    @pytest.mark.parametrize("n_classes", [2, 3, 5])
    @pytest.mark.parametrize("make", [words, lambda c: c * 3 - 4, lambda c: c * 1.0])
    def test_in_the_order_given(self, make, n_classes, from_logits, rng):
        codes, p, w = random_case(200, n_classes)
        order = rng.permutation(n_classes)
        order = order if n_classes > 2 else np.array([1, 0])
        labels = make(np.arange(n_classes))
        keywords = {"sample_weight": w, "from_logits": from_logits}
        loss = LogLoss(make(codes), classes=labels[order], **keywords)
        assert list(loss.classes) == labels[order].tolist()
        # Sums over columns are rounded in another order.
        expected = log_loss(make(codes), p, **keywords)
        assert loss(p[:, order]) == pytest.approx(expected, rel=2 * RTOL)
        expected = log_loss_gradient(make(codes), p, **keywords)[1][:, order]
        found = loss.loss_gradient(p[:, order])[1]
        np.testing.assert_allclose(found, expected, rtol=1e-14)

    def test_one_column_is_that_of_the_second(self):
        loss = LogLoss(["a", "b"], classes=["b", "a"])
        assert loss([0.9, 0.2]) == pytest.approx(
            -(math.log(0.9) + math.log(0.8)) / 2, rel=RTOL
        )

    @pytest.mark.parametrize("from_logits", [False, True])
    def test_absent(self, from_logits):
        codes, p, _ = random_case(100, 4)
        few = np.where(codes == 2, 1, codes)
        keywords = {"from_logits": from_logits}
        expected = log_loss(few, p, labels=[0, 1, 2, 3], **keywords)
        assert LogLoss(few, classes=[0, 1, 2, 3], **keywords)(p) == expected
        one = np.full(100, 3)
        expected = log_loss(one, p, labels=[0, 1, 2, 3], **keywords)
        assert LogLoss(one, classes=[0, 1, 2, 3], **keywords)(p) == expected

    def test_one_class(self):
        p = [0.25, 0.5]
        assert LogLoss([1, 1], classes=[0, 1])(p) == pytest.approx(
            math.log(8) / 2, rel=RTOL
        )
        assert LogLoss(["x", "x"], classes=["x", "a"])(p) == pytest.approx(
            -math.log(0.75 * 0.5) / 2, rel=RTOL
        )
        with pytest.raises(ValueError, match=r"y_true .*'x'.*classes="):
            LogLoss(["x", "x"])

    @pytest.mark.parametrize("name", label_types(3))
    def test_types_of_labels(self, name):
        codes, p, _ = random_case(60, 3)
        loss = LogLoss(TYPES[name](codes))
        assert loss(p) == log_loss(codes, p)

    @pytest.mark.parametrize("n_classes", [254, 255, 256, 300])
    def test_many_classes(self, n_classes):
        codes, p, _ = random_case(2 * n_classes, n_classes)
        assert LogLoss(codes)(p) == log_loss(codes, p)
        assert LogLoss(words(codes), **LOGITS)(p) == log_loss(codes, p, **LOGITS)

    @pytest.mark.parametrize("n_classes", [254, 255, 256, 257, 300])
    @pytest.mark.parametrize(
        "name", ["str", "object str", "pandas Categorical", "int64"]
    )
    def test_more_classes_than_rows(self, name, n_classes):
        codes = np.array([n_classes - 1, 0, n_classes - 2, 3])
        classes = TYPES[name](np.arange(n_classes))
        p = np.full((4, n_classes), 0.5 / (n_classes - 1))
        p[np.arange(4), codes] = 0.5
        loss = LogLoss(TYPES[name](codes), classes=np.asarray(classes))
        assert loss(p) == pytest.approx(math.log(2), rel=RTOL)
        kept = loss._targets.codes.y.dtype
        assert kept == (np.uint8 if n_classes <= 255 else np.int64)

    @pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is of Linux")
    @pytest.mark.parametrize("kind", ["uint8", "int64", "U3", "O"])
    def test_memory_by_classes(self, run_python, kind):
        """One byte a row is kept, and two more at most are asked for on the way.

        Of these the heap takes what it likes: 3 MB are a few of its steps.
        """
        code = """
        import re, resource, sys, numpy as np
        from fastlogloss import LogLoss
        LogLoss(["a", "b"])
        y = np.array([1, 2, 3]).astype("U3" if sys.argv[1] == "O" else sys.argv[1])
        y = np.tile(y.astype(sys.argv[1]), 1_000_000)
        status = open("/proc/self/status").read()
        size = int(re.search(r"VmSize:\\s+(\\d+)", status)[1]) * 1024
        resource.setrlimit(resource.RLIMIT_AS, (size + 3 * len(y), -1))
        print(LogLoss(y)._targets.codes.y.nbytes)
        """
        assert int(run_python("-c", textwrap.dedent(code), kind).stdout) == 3_000_000


class TestObject:
    def test_callers_arrays_stay_theirs(self):
        codes, p, w = random_case(200, 1)
        targets = random_case(200, 3).p
        for y, soft in ((codes, False), (codes.astype(np.uint8), False), (p, True)):
            self.check(y, p, w, soft)
        self.check(targets, targets[::-1], w, True)

    @staticmethod
    def check(y, p, w, soft):
        y, w = y.copy(), w.copy()
        loss = LogLoss(y, sample_weight=w, soft_targets=soft)
        expected = loss(p), loss.loss_gradient(p)[1]
        y[...] = y[::-1].copy()
        w[...] = 5.0
        assert loss(p) == expected[0]
        np.testing.assert_array_equal(loss.loss_gradient(p)[1], expected[1])
        assert y.flags.writeable
        assert w.flags.writeable

    def test_classes_are_a_copy(self):
        names = ["b", "a"]
        loss = LogLoss(["a", "b"], classes=names)
        names[0] = "z"
        assert loss.classes == ("b", "a")

    def test_immutable(self):
        loss = LogLoss([0, 1])
        for name in (*LogLoss.__slots__, "eps", "new"):
            with pytest.raises(AttributeError, match="does not change"):
                setattr(loss, name, None)
            with pytest.raises(AttributeError, match="does not change"):
                delattr(loss, name)
        assert not hasattr(loss, "__dict__")

    def test_not_begun_again(self):
        loss = LogLoss([0, 1])
        with pytest.raises(AttributeError, match="does not change"):
            loss.__init__([1, 0], from_logits=True)
        assert loss([0.25, 0.75]) == pytest.approx(-math.log(0.75), rel=RTOL)

    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    def test_pickle_and_copy(self, protocol):
        codes, p, w = random_case(300, 3)
        losses = (
            LogLoss(codes),
            LogLoss(words(codes), sample_weight=w, eps=0.01),
            LogLoss(codes, classes=[2, 0, 1], from_logits=True, label_smoothing=0.1),
            LogLoss(p[::-1], soft_targets=True),
        )
        for loss in losses:
            for other in (
                pickle.loads(pickle.dumps(loss, protocol)),
                copy.copy(loss),
                copy.deepcopy(loss),
            ):
                assert type(other) is LogLoss
                assert repr(other) == repr(loss)
                assert other.classes == loss.classes
                assert other(p) == loss(p)
                np.testing.assert_array_equal(
                    other.loss_gradient(p)[1], loss.loss_gradient(p)[1]
                )
                with pytest.raises(AttributeError, match="does not change"):
                    other.classes = ()

    def test_repr(self):
        assert repr(LogLoss([0, 1, 1])) == "LogLoss(n_samples=3, classes=[0, 1])"
        loss = LogLoss(
            ["b", "a"],
            sample_weight=[1, 2],
            classes=["b", "a", "c"],
            eps=0.01,
            from_logits=True,
            label_smoothing=0.1,
        )
        assert repr(loss) == (
            "LogLoss(n_samples=2, classes=['b', 'a', 'c'], weighted, eps=0.01, "
            "from_logits=True, label_smoothing=0.1)"
        )
        loss = LogLoss([0.5, 0.1], soft_targets=True)
        assert repr(loss) == "LogLoss(n_samples=2, soft_targets=True)"

    @pytest.mark.parametrize("classes", [range(1000), ["a" * 500, "b"]])
    def test_repr_is_short(self, classes):
        y = [classes[0]] * 10
        loss = LogLoss(y, classes=classes, eps=0.125, label_smoothing=0.25, **LOGITS)
        assert len(repr(loss)) < 120
        assert f"n_classes={len(classes)}" in repr(loss)

    def test_subclass(self):
        """Comes back as itself, with what it holds."""
        loss = Subclass([0, 1])
        loss.__dict__["name"] = "mine"
        for other in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss)):
            assert type(other) is Subclass
            assert other.name == "mine"
            assert repr(other) == "Subclass(n_samples=2, classes=[0, 1])"

    @pytest.mark.parametrize("n", [100, 50000])
    @pytest.mark.parametrize("from_logits", [False, True])
    def test_threads_share_it(self, n, from_logits):
        codes, p, w = random_case(n, 3)
        loss = LogLoss(codes, sample_weight=w, from_logits=from_logits)
        expected = loss(p), *loss.loss_gradient_hessian(p), *loss.samples(p)[:5]
        stack = np.stack([p, p])
        wrong = []

        def score():
            for _ in range(max(2, 1000 // n)):
                found = loss(p), *loss.loss_gradient_hessian(p), *loss.samples(p)[:5]
                same = map(np.array_equal, found, expected)
                if not all(same) or loss.many(stack).tolist() != [expected[0]] * 2:
                    wrong.append(found)

        threads = [threading.Thread(target=score) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong

    @pytest.mark.parametrize("from_logits", [False, True])
    @pytest.mark.parametrize("n_columns", [1, 4])
    def test_memory(self, n_columns, from_logits):
        n = 1_000_000 // n_columns
        p = np.full((n,) if n_columns == 1 else (n, n_columns), 0.25)
        y, out = np.arange(n) % max(n_columns, 2), np.empty_like(p)
        loss = LogLoss(y, sample_weight=np.ones(n), from_logits=from_logits)
        for call, allowed in (
            (lambda: loss(p), 1 << 15),
            (lambda: loss.many(p[None]), 1 << 15),
            (lambda: loss.loss_gradient(p, out=out), 1 << 20),
            (
                lambda: loss.loss_gradient_hessian(p, out=(out, out.copy())),
                out.nbytes * 1.2,
            ),
        ):
            call()
            tracemalloc.start()
            try:
                call()
                assert tracemalloc.get_traced_memory()[1] <= allowed
            finally:
                tracemalloc.stop()


class Subclass(LogLoss):
    """May be defined by anybody."""


BAD = {
    "label": (([0, 1, 7],), {"classes": [0, 1]}, "y_true.* 7.* row 2"),
    "label, str": ((["a", "z"],), {"classes": ["a", "b"]}, "y_true.*'z'.* row 1"),
    "label, category": (
        (pd.Categorical(["a", "z"]),),
        {"classes": ["a", "b"]},
        "y_true.*'z'.* row 1",
    ),
    "NaN label": (([0, np.nan, 1],), {"classes": [0, 1]}, "y_true.* row 1"),
    "fraction": (([0, 1, 0.5],), {}, "y_true.* row 2"),
    "empty": (([],), {}, "y_true"),
    "matrix": ((np.eye(3),), {}, "y_true"),
    "one class": (([1],), {"classes": [1]}, "classes.*two"),
    "equal classes": (([1],), {"classes": [1, 2, 1]}, "classes.*different"),
    "no classes": (([1],), {"classes": []}, "classes"),
    "classes of floats": (([1],), {"classes": [0.5, 1]}, "classes"),
    "classes of None": (([1],), {"classes": [None, 1]}, "classes"),
    "classes a number": (([1],), {"classes": 3}, "classes"),
    "classes of targets": (
        ([0.1, 0.2],),
        {"soft_targets": True, "classes": [1, 2, 3]},
        "classes has 3.*y_true",
    ),
    "target": (([0.1, 1.2],), {"soft_targets": True}, "y_true.*1.2.* row 1"),
    "NaN target": (([np.nan, 1.2],), {"soft_targets": True}, "y_true.* row 0"),
    "target sum": (
        ([[0.5, 0.5], [0.4, 0.5]],),
        {"soft_targets": True},
        "y_true.*row 1",
    ),
    "no targets": (([],), {"soft_targets": True}, "y_true"),
    "weight": (([0, 1],), {"sample_weight": [1, -1]}, "sample_weight.*zero"),
    "NaN weight": (([0, 1],), {"sample_weight": [np.nan, 1]}, "sample_weight.* row 0"),
    "infinite": (([0, 1],), {"sample_weight": [1, np.inf]}, "sample_weight.* row 1"),
    "no weight": (([0, 1],), {"sample_weight": [0, 0]}, "sample_weight.*zero"),
    "weights": (([0, 1],), {"sample_weight": [1, 1, 1]}, "sample_weight.*2"),
    "smoothing": (([0, 1],), {"label_smoothing": 1}, "label_smoothing"),
    "text smoothing": (([0, 1],), {"label_smoothing": "a"}, "label_smoothing"),
    "eps": (([0, 1],), {"eps": -1}, "eps"),
}


class TestErrors:
    @pytest.mark.parametrize("name", BAD)
    def test_targets(self, name):
        args, kwargs, match = BAD[name]
        with pytest.raises((ValueError, TypeError), match=match):
            LogLoss(*args, **kwargs)

    @pytest.mark.parametrize("from_logits", [False, True])
    @pytest.mark.parametrize("n_columns", [1, 3])
    def test_scores(self, n_columns, from_logits):
        codes, p, _ = random_case(10, n_columns)
        loss = LogLoss(codes, from_logits=from_logits)
        bad = p.copy()
        bad[7] = np.nan
        wrong = [
            (bad, "y_score.* row 7"),
            (p[:-1], "y_score.* 9 rows"),
            (p[:0], "y_score"),
            (np.full((10, 7), 1 / 7), "y_score.* 7 classes"),
            (p[None, None], "y_score"),
            (0.5, "y_score"),
            (None, "y_score"),
            (p.astype(str), "y_score"),
            (p * 1j, "y_score"),
        ]
        if not from_logits:
            wrong.append((p + 1, "y_score.* row 0"))
        out = np.full(p.shape, 7.0)
        for scores, match in wrong:
            for method in (
                loss,
                loss.loss_gradient,
                loss.loss_gradient_hessian,
                loss.samples,
            ):
                with pytest.raises((ValueError, TypeError), match=match):
                    method(scores)
            with pytest.raises((ValueError, TypeError), match=match):
                loss.loss_gradient(scores, out=out)
            np.testing.assert_array_equal(out, 7.0)

    @pytest.mark.parametrize("n_columns", [1, 3])
    def test_many(self, n_columns):
        codes, p, _ = random_case(10, n_columns)
        loss = LogLoss(codes)
        bad = np.stack([p, p, p])
        bad[1, 4] = np.nan
        zero_by_zero = np.where(np.isnan(bad), np.copysign(np.nan, -1), bad)
        ragged = [p.tolist(), p[:-1].tolist()]
        for scores, match in (
            (bad, r"^scores .*nan in row 4.* of model 1$"),
            (bad.astype("f4"), r"^scores .*nan in row 4.* of model 1$"),
            (zero_by_zero, r"^scores .*nan in row 4.* of model 1$"),
            (bad[:, :-1], "^scores .* 9 rows"),
            (np.empty((0, 7)), "^scores .* 7 rows"),
            (np.empty((0, 10, 7)), "^scores .* 7 classes"),
            (p[None, None], "^scores .*(shape|classes)"),
            (0.5, "^scores .*shape"),
            (p.ravel(), "^scores .*shape|^scores .*rows"),
            (bad.astype(str), "^scores .*real numbers"),
            (bad * 1j, "^scores .*real numbers"),
            (ragged, "^scores .*list, of which numpy makes no array"),
            (np.ma.array(bad), "^scores .*MaskedArray, a subclass"),
        ):
            with pytest.raises((ValueError, TypeError), match=match):
                loss.many(scores)
        logits = LogLoss(codes, from_logits=True)
        with pytest.raises(ValueError, match=r"^scores is NaN in row 4.* of model 1$"):
            logits.many(bad)

    @pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f2", "f4", ">f4", ">f8", "g"])
    def test_many_types(self, dtype):
        loss = LogLoss([0, 1, 1])
        stack = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
        assert loss.many(stack).tolist() == [loss(score) for score in stack]

    def test_shape_of_targets(self):
        loss = LogLoss(np.full((4, 2), 0.5), soft_targets=True)
        with pytest.raises(ValueError, match="y_score"):
            loss([0.5] * 4)
        loss = LogLoss([0.5] * 4, soft_targets=True)
        with pytest.raises(ValueError, match="y_score"):
            loss(np.full((4, 2), 0.5))

    def test_out_overlaps_scores(self):
        p = np.array([0.25, 0.75])
        with pytest.raises(ValueError, match=r"^out overlaps"):
            LogLoss([0, 1]).loss_gradient(p, out=p)
        assert p.tolist() == [0.25, 0.75]


@pytest.mark.parametrize("n_rows", [1, 2, 4])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_many_for_another_number_of_rows_is_a_value_error(n_rows, n_classes):
    shape = (2, n_rows) if n_classes == 2 else (2, n_rows, n_classes)
    loss = LogLoss([0, 1, n_classes - 1])
    with pytest.raises(ValueError, match=rf"for {n_rows} rows of .* there are 3 of"):
        loss.many(np.full(shape, 1 / n_classes))
