"""Scorers for model selection, which place columns by the classes of the estimator.

scikit-learn's own scorers never pass the labels on: a test fold that lacks a class
scores NaN, and one whose classes differ from those of the training fold, but not in
number, scores a wrong number without a warning.

Each access makes a new scorer (so does `sklearn.metrics.get_scorer`): what
`set_score_request` sets stays with the scorer that it was set for.
"""

import copy
import functools

import numpy as np
from sklearn.metrics import make_scorer

from fastlogloss._engine import null_loss
from fastlogloss._errors import shortened
from fastlogloss._labels import encode, read
from fastlogloss._losses import explained, loss_of, sums_of, weight_of
from fastlogloss._policy import remark, solve
from fastlogloss._problem import Call, is_plain, spec_of
from fastlogloss._responses import objection
from fastlogloss._sklearn import original
from fastlogloss.metrics import d2_log_loss_score, log_loss

# make_scorer's own class brings metadata routing, caching of responses and the repr;
# it has no public name.
_Scorer = type(make_scorer(log_loss, response_method="predict_proba"))


class _ClassScorer(_Scorer):
    """Scorer that places columns by the classes of the estimator.

    For `scoring=` of whatever selects models, or to be called with an estimator, its X
    and y. `neg_log_loss_scorer` scores `predict_proba` by the negated log loss,
    `d2_log_loss_scorer` by the share of log loss that is explained, and
    `neg_log_loss_logits_scorer` scores `decision_function` as logits.

    A class unseen in training has probability zero: it costs what the clip allows, 36
    nats for float64, and from logits, where nothing is clipped, ``inf``. An indicator
    matrix of labels is scored as scikit-learn scores it, its columns in the order of
    those of the estimator.

    The decision function has to be the logit (of the second of two classes) or, for
    more classes, the logits of a softmax. It is for `LogisticRegression`,
    `LogisticRegressionCV`, discriminant analysis, `NearestCentroid`,
    `GradientBoostingClassifier` with its default loss, `HistGradientBoostingClassifier`
    and `LGBMClassifier`, also with an objective of fastlogloss; for two classes also
    for ``SGDClassifier(loss="log_loss")`` and `AdaBoostClassifier`. It is not for
    support vector machines, `Perceptron`, `RidgeClassifier` and other losses of
    `SGDClassifier` (margins), for more than two classes not for `SGDClassifier` and
    `OneVsRestClassifier` (each class against the rest), nor for `OneVsOneClassifier`
    and `BaggingClassifier`. All these are refused, within pipelines and searches too:
    use `neg_log_loss_scorer`. Estimators of other libraries are not checked.

    Parameters
    ----------
    estimator : fitted classifier
        With `classes_`; without it, all is as with scikit-learn's own scorers.
    X : array-like
        What `estimator` predicts from.
    y_true : array-like of shape (n_samples,) or (n_samples, n_classes)
        True labels, numbers or strings as `classes_` are, or an indicator matrix.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    score : float
        The greater the better.

    Raises
    ------
    ValueError
        Where labels are numbers and classes strings, or the other way round; for an
        estimator that is known to answer with what is no logit or no probability.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from fastlogloss import neg_log_loss_scorer
    >>> model = GaussianNB().fit([[0.0], [1.0], [2.0], [3.0]], ["a", "a", "b", "b"])
    >>> round(neg_log_loss_scorer(model, [[0.5], [2.0]], ["a", "b"]), 6)
    -0.009243
    """

    # `_score_func` stays the public metric: its signature is what metadata routing and
    # LogisticRegressionCV look at.

    # Whether an estimator that knows one class is scored. scikit-learn has an error for
    # it, which those that stand in for its own scorers keep.
    _takes_one_class = True

    @property
    def __name__(self):
        """As in `scoring=`, for displays: they make a label of it."""
        sign = "neg_" if self._sign < 0 else ""
        scale = "_logits" if self._kwargs.get("from_logits") else ""
        return f"{sign}{self._score_func.__name__}{scale}"

    def _score(self, method_caller, estimator, X, y_true, **kwargs):
        classes = getattr(estimator, "classes_", None)
        n_classes = _n_labels(classes)
        objected = objection(estimator, self._response_method, n_classes)
        if objected is not None:
            raise ValueError(objected)
        if (
            n_classes == 0  # several outputs, or no classifier at all
            or (n_classes == 1 and not self._takes_one_class)
            or _is_matrix(y_true)
            or "labels" in self._kwargs  # columns have their names already
        ):
            return super()._score(method_caller, estimator, X, y_true, **kwargs)
        metric = functools.partial(_BY_CLASS[self._score_func], classes=classes)
        if n_classes == 1:
            # scikit-learn has no response for this; all other labels are unseen. Of two
            # columns the second is for what is not the class.
            response = np.asarray(getattr(estimator, self._response_method)(X))
            response = response if response.ndim == 1 else response[:, 0]
            is_logit = self._response_method == "decision_function"
            rest = np.full(len(response), -np.inf) if is_logit else 1 - response
            (only,) = classes.tolist()
            other = only + "_" if isinstance(only, str) else type(only)(not only)
            metric = functools.partial(metric, classes=[only, other])
            scoring_kwargs = {**self._kwargs, **kwargs}
            return self._sign * metric(
                y_true, np.stack([response, rest], axis=1), **scoring_kwargs
            )
        scorer = copy.copy(self)
        scorer._score_func = metric
        return _Scorer._score(scorer, method_caller, estimator, X, y_true, **kwargs)


def _n_labels(classes):
    """Number of labels; 0 for what is no vector of them, or one for each output."""
    if isinstance(classes, list) or np.ndim(classes) != 1 or len(classes) == 0:
        return 0
    return len(classes) if np.ndim(classes[0]) == 0 else 0


def _is_matrix(y):
    """Whether labels are in several columns, or in none for they are no array."""
    try:
        shape = np.shape(y[:1] if isinstance(y, list | tuple) else y)
    except Exception:  # whatever a foreign object raises; scikit-learn raises it again
        return True
    return len(shape) != 1 and shape[1:] != (1,)


def _solve_by_class(metric, run, y_true, y_proba, classes, sample_weight, spec):
    """What `run` makes of the Problem of scores whose columns have these classes."""
    classes = np.asarray(classes).tolist()
    call = Call(y_true, y_proba, sample_weight, spec=spec, classes=classes)
    call = call._replace(names=call.names._replace(scores="y_proba"))
    call = call._replace(function=metric, drop_in=is_plain(spec))

    def checked(problem):
        found = run(problem)
        if problem.targets.has_unseen:
            label = np.ravel(y_true)[:1].tolist()[0]
            if isinstance(label, str) != isinstance(classes[0], str):
                raise ValueError(
                    f"y_true holds {label!r}, but the classes of the estimator are "
                    f"{shortened(classes)}"
                )
        return found

    return solve(call, checked, is_answer=spec.eps is None)


def _log_loss_by_class(
    y_true,
    y_proba,
    *,
    classes,
    normalize=True,
    sample_weight=None,
    eps="auto",
    from_logits=False,
):
    def run(problem):
        loss, sums = loss_of(problem, normalize)
        remark(problem, sums)
        return loss

    spec = spec_of(eps, from_logits, False, 0.0)
    return _solve_by_class(
        "log_loss", run, y_true, y_proba, classes, sample_weight, spec
    )


def _d2_log_loss_score_by_class(y_true, y_proba, *, classes, sample_weight=None):
    if np.shape(y_proba)[0] < 2:
        return original("d2_log_loss_score")(y_true, y_proba)  # a warning and NaN

    def run(problem):
        sums = sums_of(problem)
        weight = weight_of(problem, sums, normalize=True)
        remark(problem, sums)
        targets = problem.targets
        if not targets.has_unseen:
            return explained(problem, sums.loss, weight)
        # Labels without a column have a share of the rows all the same.
        encoded = encode(read(y_true), limit=len(problem.p))
        if encoded is None:
            raise RuntimeError("y_true was changed by another thread during the call")
        null = null_loss(encoded.codes, len(encoded.classes), targets.weights)
        return 1.0 - sums.loss.over(null)

    spec = spec_of("auto", False, False, 0.0)
    return _solve_by_class(
        "d2_log_loss_score", run, y_true, y_proba, classes, sample_weight, spec
    )


_BY_CLASS = {
    log_loss: _log_loss_by_class,
    d2_log_loss_score: _d2_log_loss_score_by_class,
}

_SCORERS = {
    "d2_log_loss_scorer": (d2_log_loss_score, 1, {}, "predict_proba"),
    "neg_log_loss_logits_scorer": (
        log_loss,
        -1,
        {"from_logits": True},
        "decision_function",
    ),
    "neg_log_loss_scorer": (log_loss, -1, {}, "predict_proba"),
}

__all__ = list(_SCORERS)


def __getattr__(name):
    if name in _SCORERS:
        function, sign, options, method = _SCORERS[name]
        return _ClassScorer(function, sign, dict(options), method)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_SCORERS})
