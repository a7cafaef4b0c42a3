"""Scorers for model selection, which place columns by the classes of the estimator.

scikit-learn's own scorers never pass the labels on: a test fold that lacks a class
scores NaN, and one whose classes differ from those of the training fold, but not in
number, scores a wrong number without a warning.

`neg_log_loss_logits_scorer` takes the decision function for logits. That it is for
linear models and boosted trees that are trained on log loss. Margins of support vector
machines are none, on whatever scale, nor are sums of votes, and scores one class versus
one (``decision_function_shape="ovo"``) are not even one for each class.
"""

import copy
import functools

import numpy as np
from sklearn.metrics import make_scorer

from fastlogloss._errors import shortened
from fastlogloss._handover import original
from fastlogloss._inputs import evaluate, null_loss
from fastlogloss._scores import checked_eps, read_weights
from fastlogloss._targets import encode, read
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
    nats for float64, and from logits, where nothing is clipped, ``inf``.

    Parameters
    ----------
    estimator : fitted classifier
        With `classes_`; without it, all is as with scikit-learn's own scorers.
    X : array-like
        What `estimator` predicts from.
    y_true : array-like of shape (n_samples,)
        True labels, numbers or strings as `classes_` are.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    score : float
        The greater the better.

    Raises
    ------
    ValueError
        Where labels are numbers and classes strings, or the other way round.

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

    def _score(self, method_caller, estimator, X, y_true, **kwargs):
        classes = getattr(estimator, "classes_", None)
        if (
            isinstance(classes, list)
            or np.ndim(classes) != 1
            or "labels" in self._kwargs
        ):
            # Several outputs or no classifier at all, or columns already named.
            return super()._score(method_caller, estimator, X, y_true, **kwargs)
        metric = functools.partial(_BY_CLASS[self._score_func], classes=classes)
        if len(classes) == 1:
            # scikit-learn has no response for this; all other labels are unseen.
            response = np.ravel(getattr(estimator, self._response_method)(X))
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


def _evaluate_by_class(
    metric, y_true, y_proba, classes, sample_weight, eps=None, from_logits=False
):
    """An `Evaluation`, or what scikit-learn makes of the input once it is in order."""
    classes = np.asarray(classes).tolist()
    if from_logits:
        read_weights(sample_weight, len(y_proba))  # or an error
    found = evaluate(
        y_true,
        y_proba,
        sample_weight,
        eps=eps,
        classes=classes,
        from_logits=from_logits,
    )
    if found is not None and found.codes is None:  # some labels are no class
        label = np.ravel(y_true)[:1].tolist()[0]
        if isinstance(label, str) != isinstance(classes[0], str):
            raise ValueError(
                f"y_true holds {label!r}, but the classes of the estimator are "
                f"{shortened(classes)}"
            )
    mean_defined = found is not None and found.weight.value != 0
    if mean_defined and found.sums_to_one:
        return found
    if from_logits:
        # scikit-learn has no such loss; ours says what is wrong.
        return log_loss(
            y_true,
            y_proba,
            sample_weight=sample_weight,
            labels=sorted(classes),
            from_logits=True,
        )
    order = sorted(range(len(classes)), key=classes.__getitem__)
    labels = [classes[i] for i in order]
    if labels != classes:
        y_proba = np.asarray(y_proba)
        if y_proba.ndim == 1:
            y_proba = np.stack([1 - y_proba, y_proba], axis=1)
        y_proba = y_proba[:, order]
    if mean_defined:
        # For the warning about the rows; the labels have been looked at already.
        original("log_loss")(np.resize(labels, len(y_proba)), y_proba, labels=labels)
        return found
    return original(metric)(y_true, y_proba, sample_weight=sample_weight, labels=labels)


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
    low = checked_eps(eps)
    found = _evaluate_by_class(
        "log_loss", y_true, y_proba, classes, sample_weight, low, from_logits
    )
    if isinstance(found, float):
        return found
    return found.mean if normalize else float(found.loss)


def _d2_log_loss_score_by_class(y_true, y_proba, *, classes, sample_weight=None):
    found = None
    if np.shape(y_proba)[0] >= 2:
        found = _evaluate_by_class(
            "d2_log_loss_score", y_true, y_proba, classes, sample_weight
        )
    if found is None:
        return original("d2_log_loss_score")(y_true, y_proba)  # a warning and NaN
    if isinstance(found, float):
        return found
    codes, n_classes = found.codes, found.n_classes
    if codes is None:  # labels without a column have a share of the rows all the same
        encoded = encode(read(y_true), limit=len(found.proba))
        if encoded is None:
            raise RuntimeError("y_true was changed by another thread during the call")
        codes, n_classes = encoded.codes, len(encoded.classes)
    return 1.0 - found.loss.over(null_loss(codes, n_classes, found.weights))


_BY_CLASS = {
    log_loss: _log_loss_by_class,
    d2_log_loss_score: _d2_log_loss_score_by_class,
}

# For estimators whose decision function is the logit, or one for each class. A class
# unseen in training costs inf: there is no probability to clip.
neg_log_loss_logits_scorer = _ClassScorer(
    log_loss, -1, {"from_logits": True}, "decision_function"
)
neg_log_loss_scorer = _ClassScorer(log_loss, -1, {}, "predict_proba")
d2_log_loss_scorer = _ClassScorer(d2_log_loss_score, 1, {}, "predict_proba")
