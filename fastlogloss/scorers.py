"""Scorers for model selection, which place columns by the classes of the estimator.

scikit-learn's own scorers never pass the labels on. A test fold that lacks a class
scores NaN. A test fold that has other classes than the training fold, but as many,
scores a wrong number without a warning.

Each access to a scorer makes a new one (as `sklearn.metrics.get_scorer` does): what
`set_score_request` sets stays with the scorer that it was set for.
"""

import copy
import functools

import numpy as np
from sklearn.metrics import make_scorer

from fastlogloss._arrays import DOUBLE, precision
from fastlogloss._engine import Options, null_loss
from fastlogloss._errors import check_flag, shortened
from fastlogloss._kernels import mean_loss
from fastlogloss._labels import encode, read
from fastlogloss._problem import evaluate
from fastlogloss._responses import (
    objection,
    plain_classes,
    plain_method,
    plain_response,
)
from fastlogloss._scores import (
    check_columns,
    checked_options,
    column_names,
    read_weights,
)
from fastlogloss._sklearn import ask_about_sums, original
from fastlogloss.metrics import d2_log_loss_score, log_loss

_CHUNK = 16384
_USUAL = Options()

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
    def __name__(self):
        """As in `scoring=`, for displays: they make a label of it."""
        sign = "neg_" if self._sign < 0 else ""
        scale = "_logits" if self._kwargs.get("from_logits") else ""
        return f"{sign}{self._score_func.__name__}{scale}"

    def _score(self, method_caller, estimator, X, y_true, **kwargs):
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
            # `labels` says what the columns are. What else is not known here, scikit-
            # learn passes on to the metric.
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
        # What scikit-learn would do takes long, but for responses that it has cached
        # and its warnings of arguments that are given twice.
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
    *, eps="auto", label_smoothing=0.0, from_logits=False, d2=False
):
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
    options = checked_options(eps, from_logits, False, label_smoothing, "y_proba")
    check_flag("d2", d2)
    given = {
        "eps": options.eps,
        "from_logits": options.from_logits,
        "label_smoothing": options.smoothing,
    }
    default = {"eps": None, "from_logits": False, "label_smoothing": 0.0}
    kwargs = {name: v for name, v in given.items() if v != default[name]}
    method = "decision_function" if options.from_logits else "predict_proba"
    metric, sign = (d2_log_loss_score, 1) if d2 else (log_loss, -1)
    return _ClassScorer(metric, sign, kwargs, method)


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


def _evaluate_by_class(
    metric, y_true, y_proba, classes, sample_weight, options, **keywords
):
    """An `Evaluation`; or a float, what the metric returns.

    All that is asked of the reader is asked here.
    """
    known = classes
    if len(known) == 1:
        y_proba, classes = _with_other(y_proba, known[0], options.from_logits)
    is_mean = keywords.get("normalize") is True  # which the other metric does not have
    if is_mean and options is _USUAL and sample_weight is None:
        if classes == list(range(len(classes))):
            loss = mean_loss(y_true, y_proba, *DOUBLE)
            if loss is not None:
                return loss
    if options.from_logits or options.smoothing:
        read_weights(sample_weight, len(y_proba))  # or an error
        check_columns(column_names(y_proba), classes, "y_proba")
    ask = functools.partial(
        evaluate,
        y_proba=y_proba,
        sample_weight=sample_weight,
        eps=options.eps,
        classes=classes,
        from_logits=options.from_logits,
    )
    smoothing = options.smoothing if len(known) > 1 else 0.0
    found = ask(y_true, smoothing=smoothing)
    if found is not None and found.codes is None:  # some labels are no class
        label = np.ravel(y_true)[:1].tolist()[0]
        if isinstance(label, str) != isinstance(classes[0], str):
            raise ValueError(
                f"y_true holds {label!r}, but the classes of the estimator are "
                f"{shortened(classes)}"
            )
    if found is not None and found.weight.value != 0:
        if found.bad_sum_from >= 0:
            ask_about_sums(found)
        if options.smoothing and not smoothing:  # spread over the one class
            certain = ask([known[0]] * len(y_proba))
            found.loss = found.loss.times(1.0 - options.smoothing)
            found.loss += certain.loss.times(options.smoothing)
        return found
    order = sorted(range(len(classes)), key=classes.__getitem__)
    labels = [classes[i] for i in order]
    if labels != classes:
        y_proba = np.asarray(y_proba, precision(y_proba))
        if y_proba.ndim == 1:
            first = np.zeros_like(y_proba) if options.from_logits else 1 - y_proba
            y_proba = np.stack([first, y_proba], axis=1)
        y_proba = y_proba[:, order]
    given = {"sample_weight": sample_weight, "labels": labels, **keywords}
    if metric is d2_log_loss_score and keywords:
        log_loss(y_true, y_proba, **given)  # says what is wrong
    return metric(y_true, y_proba, **given)


def _with_other(response, only, from_logits):
    """Columns for the one class of an estimator and for all that is not it."""
    rest = np.full(len(response), -np.inf) if from_logits else 1 - response
    other = only + "_" if isinstance(only, str) else type(only)(not only)
    return np.stack([response, rest], axis=1), [only, other]


def _options(eps="auto", from_logits=False, label_smoothing=0.0):
    if eps == "auto" and from_logits is False and label_smoothing == 0:
        return _USUAL
    return checked_options(eps, from_logits, False, label_smoothing, "y_proba")


def _log_loss_by_class(
    y_true, y_proba, *, classes, sample_weight=None, normalize=True, **keywords
):
    found = _evaluate_by_class(
        log_loss,
        y_true,
        y_proba,
        classes,
        sample_weight,
        _options(**keywords),
        normalize=normalize,
        **keywords,
    )
    if isinstance(found, float):
        return found
    return found.mean if normalize else float(found.loss)


def _d2_log_loss_score_by_class(
    y_true, y_proba, *, classes, sample_weight=None, **keywords
):
    options = _options(**keywords)
    if np.shape(y_proba)[0] < 2:
        return original("d2_log_loss_score")(y_true, y_proba)  # a warning and NaN
    found = _evaluate_by_class(
        d2_log_loss_score, y_true, y_proba, classes, sample_weight, options, **keywords
    )
    if isinstance(found, float):
        return found
    return 1.0 - found.loss.over(_null_loss(found, y_true, classes, options))


def _null_loss(found, y_true, classes, options):
    """Sum of the losses if each class had its share of the targets as probability."""
    smoothing = options.smoothing
    is_usual = options.eps is None and not smoothing
    codes, n_labels = found.codes, found.n_classes
    if codes is None:  # labels without a column have a share of the rows all the same
        encoded = _encoded(y_true, None, len(found.proba))
        labels = encoded.classes
        if not is_usual:
            labels = classes + [label for label in labels if label not in set(classes)]
            encoded = _encoded(y_true, labels, len(found.proba))
        codes, n_labels = encoded.codes, len(labels)
    if is_usual:
        return null_loss(codes, n_labels, found.weights)
    share = _class_shares(codes, n_labels, found.weights) * (1.0 - smoothing)
    share[: len(classes)] += smoothing / len(classes)
    low = DOUBLE[0] if options.eps is None else options.eps
    with np.errstate(divide="ignore"):
        nats = -np.log(np.clip(share, low, 1.0 - low))
    return found.weight.times(float(share @ np.where(share == 0, 0.0, nats)))


def _encoded(y_true, classes, limit):
    encoded = encode(read(y_true), classes, limit=limit)
    if encoded is None:
        raise RuntimeError("y_true was changed by another thread during the call")
    return encoded


def _class_shares(codes, n_labels, weights):
    total = np.zeros(n_labels)
    largest = 1.0 if weights is None else float(np.abs(weights).max())
    for start in range(0, len(codes), _CHUNK):
        code, w = np.array(codes.chunk(start, start + _CHUNK), np.intp), None
        if weights is not None:  # their sum may be beyond the range of floats
            w = weights[start : start + _CHUNK] / largest
        total += np.bincount(code, w, n_labels)
    return total / total.sum()


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


def __getattr__(name):
    if name in _SCORERS:
        return make_log_loss_scorer(**_SCORERS[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_SCORERS})
