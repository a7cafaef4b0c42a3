"""Scorers for model selection, which place columns by the classes of the estimator.

scikit-learn's own scorers never pass the labels on. A test fold that lacks a class
scores NaN. A test fold that has other classes than the training fold, but as many,
scores a wrong number without a warning.

Each access to a scorer makes a new one (as `sklearn.metrics.get_scorer` does): what
`set_score_request` sets stays with the scorer that it was set for.

Longer than 300 lines: a third of them are docstrings.
"""

import copy
import functools
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from sklearn.metrics import make_scorer

from fastlogloss._arrays import DOUBLE, Array
from fastlogloss._engine import null_loss
from fastlogloss._errors import Names, check_flag, shortened
from fastlogloss._explained import explained, mean_target, null_of
from fastlogloss._kernels import mean_loss
from fastlogloss._labels import Encoded, encode, read
from fastlogloss._losses import (
    loss_of_share,
    sums_of,
    weight_of,
)
from fastlogloss._policy import remark, solve
from fastlogloss._problem import Call, Problem, checked_spec, is_plain, spec_of
from fastlogloss._responses import (
    objection,
    plain_classes,
    plain_method,
    plain_response,
)
from fastlogloss._sklearn import original
from fastlogloss._sums import Sum
from fastlogloss._targets import Targets
from fastlogloss.metrics import d2_log_loss_score, log_loss

# make_scorer's own class brings metadata routing, caching of responses and the repr;
# it has no public name.
_Scorer = type(make_scorer(log_loss, response_method="predict_proba"))


class _ClassScorer(_Scorer):
    """Scorer that places columns by the classes of the estimator.

    Pass it as `scoring=` to whatever selects models, or call it with an estimator, X
    and y. `neg_log_loss_scorer` gives the negated log loss of `predict_proba`,
    `d2_log_loss_scorer` the fraction of the log loss explained, and
    `neg_log_loss_logits_scorer` the negated log loss of `decision_function`, whose
    values it takes as logits. `make_log_loss_scorer` makes others.

    A class unseen in training has probability zero. Each of its rows costs
    ``-log(eps)``, by default 36 nats for float64; from logits, which are not clipped,
    it costs ``inf``. An indicator matrix of labels is scored as scikit-learn scores it:
    its columns must be in the order of the estimator's.

    From logits, the decision function must be the logit of the second of two classes
    or, for more classes, the logits of a softmax. That holds for `LogisticRegression`,
    `LogisticRegressionCV`, discriminant analysis, `NearestCentroid`,
    `GradientBoostingClassifier` with its default loss, `HistGradientBoostingClassifier`
    and `LGBMClassifier`, also with an objective of fastlogloss; for two classes also
    for ``SGDClassifier(loss="log_loss")`` and `AdaBoostClassifier`. It does not hold
    for support vector machines, `Perceptron`, `RidgeClassifier` and other losses of
    `SGDClassifier` (margins); for more than two classes, not for `SGDClassifier` and
    `OneVsRestClassifier` (each class against the rest); and not for
    `OneVsOneClassifier` and `BaggingClassifier`. These estimators are refused, within
    pipelines and searches too: use `neg_log_loss_scorer` for them. Estimators of other
    libraries are not checked.

    Parameters
    ----------
    estimator : fitted classifier
        With `classes_`. An estimator without them is scored as by scikit-learn's own
        scorers.
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
        If labels are numbers and classes are strings, or the other way round; if the
        estimator is known to give something else than logits or probabilities.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from fastlogloss import neg_log_loss_scorer
    >>> model = GaussianNB().fit([[0.0], [1.0], [2.0], [3.0]], ["a", "a", "b", "b"])
    >>> round(neg_log_loss_scorer(model, [[0.5], [2.0]], ["a", "b"]), 6)
    -0.009243
    """

    # `_score_func` stays the public metric: metadata routing and LogisticRegressionCV
    # look at its signature.

    # Whether to score an estimator that knows one class. scikit-learn's scorers raise
    # an error for it, and so do scorers that take their place.
    _takes_one_class = True

    @property
    def __name__(self) -> str:
        """As in `scoring=`, for displays: they make a label of it."""
        sign = "neg_" if self._sign < 0 else ""
        scale = "_logits" if self._kwargs.get("from_logits") else ""
        return f"{sign}{self._score_func.__name__}{scale}"

    def _score(
        self, method_caller: Any, estimator: Any, X: Any, y_true: Any, **kwargs: Any
    ) -> Any:
        classes = getattr(estimator, "classes_", None)
        labels = plain_classes(classes)
        n_classes = _n_labels(classes) if labels is None else len(labels)
        objected = objection(estimator, self._response_method, n_classes)
        if objected is not None:
            raise ValueError(objected)
        options = {**self._kwargs, **kwargs}
        if (
            n_classes == 0  # several outputs, or no classifier at all
            or (n_classes == 1 and not self._takes_one_class)
            or _is_matrix(y_true)
            # `labels` says what the columns are. scikit-learn passes it on to the
            # metric, and whatever else is not known here.
            or not options.keys() <= _OPTIONS[self._score_func]
        ):
            return super()._score(method_caller, estimator, X, y_true, **kwargs)
        metric = functools.partial(
            _BY_CLASS[self._score_func], classes=labels or np.asarray(classes).tolist()
        )
        if n_classes == 1:  # scikit-learn has no response for this
            response = np.asarray(getattr(estimator, self._response_method)(X))
            response = response if response.ndim == 1 else response[:, 0]
            return self._sign * metric(y_true, response, **options)
        # scikit-learn's own way takes long. It is needed where responses are cached,
        # and for the warning of arguments that are given twice.
        has_cache = getattr(method_caller, "args", None) != (None,)
        if labels is not None and not has_cache and not self._kwargs.keys() & kwargs:
            method = plain_method(estimator, self._response_method)
            if method is not None:
                response = plain_response(method, X, n_classes)
                if response is not None:
                    return self._sign * metric(y_true, response, **options)
        scorer = copy.copy(self)
        scorer._score_func = metric
        return _Scorer._score(scorer, method_caller, estimator, X, y_true, **kwargs)


def make_log_loss_scorer(
    *,
    eps: float | Literal["auto"] = "auto",
    label_smoothing: float = 0.0,
    from_logits: bool = False,
    d2: bool = False,
) -> _ClassScorer:
    """Make a scorer that places columns by the classes of the estimator.

    `neg_log_loss_scorer`, `neg_log_loss_logits_scorer` and `d2_log_loss_scorer` are
    made by it. The scorer is for `scoring=` of scikit-learn, or to be called with an
    estimator, X, y and, if there are any, `sample_weight`.

    Parameters
    ----------
    eps : "auto" or float in [0, 0.5), default="auto"
        Where to clip probabilities; as in :func:`log_loss`.
    label_smoothing : float in [0, 1), default=0.0
        Share of every target that is spread evenly over the classes of the estimator.
    from_logits : bool, default=False
        Score `decision_function`, taken as logits, instead of `predict_proba`.
    d2 : bool, default=False
        Score by the fraction of the log loss explained instead of by the negated log
        loss: 1 minus the loss, divided by that of a model that gives to each class its
        share of the (smoothed) targets.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y_true, *, sample_weight=None)`` returns a float, the
        greater the better. It is one of scikit-learn's scorers: it can be copied and
        pickled, and has `set_score_request`.

    Raises
    ------
    TypeError, ValueError
        For an argument that :func:`log_loss` refuses too.

    Notes
    -----
    A class unseen in training has probability zero: each of its rows costs
    ``-log(eps)``, or ``inf`` from logits and where `eps` is 0. With `label_smoothing`,
    its target keeps 1 - `label_smoothing`, and the rest is spread over the classes of
    the estimator, as in all other rows: an unseen class is none of those over which
    targets are spread.

    See Also
    --------
    log_loss : The loss, and its arguments.
    d2_log_loss_score : The fraction of it explained.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from fastlogloss import make_log_loss_scorer
    >>> model = GaussianNB().fit([[0.0], [1.0], [2.0], [3.0]], ["a", "a", "b", "b"])
    >>> scorer = make_log_loss_scorer(label_smoothing=0.1)
    >>> round(scorer(model, [[0.5], [2.0]], ["a", "b"]), 4)
    -0.3092
    """
    spec = checked_spec(eps, from_logits, False, label_smoothing)
    check_flag("d2", d2)
    given = {
        "eps": spec.eps,
        "from_logits": spec.from_logits,
        "label_smoothing": spec.smoothing,
    }
    default = {"eps": None, "from_logits": False, "label_smoothing": 0.0}
    kwargs = {name: v for name, v in given.items() if v != default[name]}
    method = "decision_function" if spec.from_logits else "predict_proba"
    metric, sign = (d2_log_loss_score, 1) if d2 else (log_loss, -1)
    return _ClassScorer(metric, sign, kwargs, method)


def _n_labels(classes: Any) -> int:
    """Number of labels; 0 for what is no vector of them, or one for each output."""
    if isinstance(classes, list) or np.ndim(classes) != 1 or len(classes) == 0:
        return 0
    return len(classes) if np.ndim(classes[0]) == 0 else 0


def _is_matrix(y: Any) -> bool:
    """Whether labels are in several columns, or in none for they are no array."""
    try:
        shape = np.shape(y[:1] if isinstance(y, list | tuple) else y)
    except Exception:  # whatever a foreign object raises; scikit-learn raises it again
        return True
    return len(shape) != 1 and shape[1:] != (1,)


def _solve_by_class(
    metric: str,
    run: Callable[[Problem, Sum, Sum], float],
    y_true: Any,
    y_proba: Any,
    classes: list[Any],
    *,
    normalize: bool = True,
    **options: Any,
) -> float:
    """What `run` makes of the `Problem`, the `Sum` of losses and that of weights.

    Columns of the scores have these classes.
    """
    smoothing = options.pop("label_smoothing", 0.0)
    sample_weight = options.pop("sample_weight", None)
    spec = spec_of(
        options.get("eps", "auto"), options.get("from_logits", False), False, smoothing
    )
    known = classes
    if len(known) == 1:  # labels are smoothed over this one
        y_proba, classes = _with_other(y_proba, known[0], spec.from_logits)
        spec = spec._replace(smoothing=0.0)
    call = Call(
        y_true,
        y_proba,
        sample_weight,
        normalize=normalize,
        spec=spec,
        names=Names(scores="y_proba"),
        function=metric,
        drop_in=is_plain(spec),
        classes=classes,
    )

    def run_known(problem: Problem) -> float:
        sums = sums_of(problem)
        if problem.targets.has_unseen:
            label = np.ravel(y_true)[:1].tolist()[0]
            if isinstance(label, str) != isinstance(classes[0], str):
                raise ValueError(
                    f"y_true holds {label!r}, but the classes of the estimator are "
                    f"{shortened(classes)}"
                )
        weight = weight_of(problem, sums, normalize)
        remark(problem, sums)
        loss = sums.loss
        if smoothing and len(known) == 1:
            even = loss_of_share(problem, [1.0, 0.0], problem.targets.weights)
            loss = loss.times(1.0 - smoothing) + even.times(smoothing)
        return run(problem, loss, weight)

    return solve(call, run_known, is_answer=spec.eps is None and not smoothing)


def _are_all(classes: list[Any], y: Any) -> bool:
    """Whether the classes are all labels that `mean_loss` has found, in its order.

    These are two numbers, the lesser first, or for more columns codes.
    """
    if len(classes) == 2:
        return classes == [y.min(), y.max()]
    return classes == list(range(len(classes)))


def _with_other(response: Any, only: Any, from_logits: bool) -> tuple[Array, list[Any]]:
    """Columns for the one class of an estimator and for all that is not it."""
    rest = np.full(len(response), -np.inf) if from_logits else 1 - response
    other = only + "_" if isinstance(only, str) else type(only)(not only)
    return np.stack([response, rest], axis=1), [only, other]


def _log_loss_by_class(
    y_true: Any,
    y_proba: Any,
    *,
    classes: list[Any],
    normalize: bool = True,
    **options: Any,
) -> float:
    if not options and normalize is True and len(classes) > 1:
        loss = mean_loss(y_true, y_proba, *DOUBLE)
        if loss is not None and _are_all(classes, y_true):
            return loss

    def run(problem: Problem, loss: Sum, weight: Sum) -> float:
        return loss.over(weight) if normalize else float(loss)

    return _solve_by_class(
        "log_loss", run, y_true, y_proba, classes, normalize=normalize, **options
    )


def _d2_log_loss_score_by_class(
    y_true: Any, y_proba: Any, *, classes: list[Any], **options: Any
) -> float:
    if np.shape(y_proba)[0] < 2:
        return original("d2_log_loss_score")(y_true, y_proba)  # a warning and NaN
    smoothing, eps = options.get("label_smoothing", 0.0), options.get("eps", "auto")

    def run(problem: Problem, loss: Sum, weight: Sum) -> float:
        is_usual = eps == "auto" and not smoothing
        has_all = not problem.targets.has_unseen
        if has_all and (is_usual or len(classes) > 1):
            return explained(problem, loss, weight)
        # Labels without a column have a share of the rows all the same.
        weights, n = problem.targets.weights, len(problem.p)
        encoded = _encoded(y_true, None, n)
        if is_usual:
            null = null_loss(encoded.codes, len(encoded.classes), weights)
            return 1.0 - loss.over(null)
        known = set(classes)
        labels = classes + [label for label in encoded.classes if label not in known]
        targets = Targets(
            _encoded(y_true, labels, n).codes, labels, len(labels), weights
        )
        share = mean_target(targets, weight) * (1.0 - smoothing)
        share[: len(classes)] += smoothing / len(classes)
        null = null_of(share, problem.spec)
        return 1.0 - Sum(loss.over(weight)).over(Sum(null))

    return _solve_by_class(
        "d2_log_loss_score", run, y_true, y_proba, classes, **options
    )


def _encoded(y_true: Any, classes: list[Any] | None, limit: int) -> Encoded:
    encoded = encode(read(y_true), classes, limit=limit)
    if encoded is None:
        raise RuntimeError("y_true was changed by another thread during the call")
    return encoded


_BY_CLASS = {
    log_loss: _log_loss_by_class,
    d2_log_loss_score: _d2_log_loss_score_by_class,
}
_OPTIONS = {
    log_loss: {"eps", "from_logits", "label_smoothing", "normalize", "sample_weight"},
    d2_log_loss_score: {"eps", "from_logits", "label_smoothing", "sample_weight"},
}

_SCORERS = {
    "d2_log_loss_scorer": {"d2": True},
    "neg_log_loss_logits_scorer": {"from_logits": True},
    "neg_log_loss_scorer": {},
}

__all__ = sorted([*_SCORERS, "make_log_loss_scorer"])


def __getattr__(name: str) -> _ClassScorer:
    if name in _SCORERS:
        return make_log_loss_scorer(**_SCORERS[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SCORERS})
