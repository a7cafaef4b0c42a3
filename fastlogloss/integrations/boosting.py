"""Log loss as the objective and the metric of XGBoost, LightGBM and CatBoost.

Give one of these to the library, start it from `initial_score`, and it grows the trees
of its own objective, up to rounding, for two classes or more:

==============================  ===========================  ===========================
library, interface              objective                    metric
==============================  ===========================  ===========================
XGBoost, ``train``              `xgboost_objective`          `xgboost_metric`
XGBoost, ``XGBClassifier``      `xgboost_sklearn_objective`  `xgboost_sklearn_metric`
LightGBM, ``train``             `lightgbm_objective`         `lightgbm_metric`
LightGBM, ``LGBMClassifier``    `lightgbm_sklearn_objective` `lightgbm_sklearn_metric`
CatBoost                        `CatBoostObjective`          `CatBoostMetric`
==============================  ===========================  ===========================

Labels are the codes 0 to n_classes - 1, as these libraries hold them; of two classes a
label may also be the probability of class 1. Weights multiply gradient and hessian.
Options that change a built-in objective (``scale_pos_weight``, ``is_unbalance``,
``class_weights``, LightGBM's ``sigmoid``) do not reach one that is given: put class
weights into the weights of the rows.

XGBoost and LightGBM hand raw scores to a metric only if the objective is given too.
Beside a built-in objective they hand over probabilities: say ``from_logits=False`` to
`xgboost_metric` and `lightgbm_metric`, by `functools.partial`; the metric of
``XGBClassifier`` is then :func:`fastlogloss.log_loss` itself. CatBoost's are always raw
scores.

"Up to rounding" has a limit. Libraries grow trees from derivatives in float32, and
XGBoost computes its own in float32: ours and theirs differ by a rounding. Where two
splits gain the same but for that, another one may be taken, and the trees after it are
others, no worse. That is rare, but runs of many hundreds of rounds may come to it, most
of all with columns that are alike and once hardly anything is left to learn; the tests
compare tens of rounds.

Labels are read anew in every round: a prepared `LogLoss` would have to notice that they
were set again, to save 1 of 4 ms with 10^6 rows, where one tree takes 130.
"""

# No library is imported here, not even lazily: they bring their own arrays along. The
# file is long for its docstrings; code is a fifth of it.

import math

import numpy as np

from fastlogloss._scores import checked_options, read_targets_alone
from fastlogloss.derivatives import log_loss_gradient_hessian
from fastlogloss.metrics import log_loss

__all__ = [
    "CatBoostMetric",
    "CatBoostObjective",
    "initial_score",
    "lightgbm_metric",
    "lightgbm_objective",
    "lightgbm_sklearn_metric",
    "lightgbm_sklearn_objective",
    "xgboost_metric",
    "xgboost_objective",
    "xgboost_sklearn_metric",
    "xgboost_sklearn_objective",
]

_NAME = "log_loss"  # of the metrics; none of the libraries has one of this name
_LEAST_SHARE = 1e-15  # of a class that does not occur, as in LightGBM
_LEAST_HESSIAN = 1e-16  # as in XGBoost, which divides by sums of them


def initial_score(y, sample_weight=None, *, classes=None, soft_targets=False):
    """The raw score from which boosting starts: the best constant.

    Built-in objectives start there by themselves (LightGBM; XGBoost, whose scores of
    several classes are shifted by a constant; CatBoost with ``boost_from_average``),
    objectives that are given start from zero unless told.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_classes)
        Labels; with `soft_targets` numbers in [0, 1]: the probability of class 1, or
        rows of a distribution, whose sum is 1 within 1e-6.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, finite and not negative.
    classes : array-like of shape (n_classes,), default=None
        All labels in the order of the scores, if not the sorted labels of `y`. A class
        that does not occur counts as a share of 1e-15.
    soft_targets : bool, default=False
        `y` holds targets instead of labels.

    Returns
    -------
    score : float or ndarray of shape (n_classes,)
        Of two classes the log odds of the second; of more the logarithm of each share.

    Raises
    ------
    ValueError, TypeError
        If there are fewer than two classes, `classes` are not all different or not as
        many as columns of `y`; for the first row of `y` that is no label, none of
        `classes`, or no distribution; and for weights that are negative, not finite or
        sum to zero.

    Notes
    -----
    How to start from ``s = initial_score(y, w)``:

    - XGBoost: ``base_margin=np.full(n, s)`` or ``np.tile(s, (n, 1))``, for prediction
      as well. Or once, with the parameter ``base_score``: beside
      ``objective="binary:logistic"`` it is a probability, ``1 / (1 + exp(-s))``; beside
      ``"multi:softprob"`` it is ``s.tolist()`` (XGBoost >= 3.1).
    - LightGBM: ``init_score``, of training and validation data, in the same shapes. It
      is no part of the model: add it to raw predictions.
    - CatBoost: ``baseline``, likewise.

    Examples
    --------
    >>> from fastlogloss.integrations.boosting import initial_score
    >>> round(initial_score([0, 1, 1, 1]), 6)
    1.098612
    >>> initial_score(["a", "b", "c", "c"]).round(6)
    array([-1.386294, -1.386294, -0.693147])
    """
    options = checked_options("auto", True, soft_targets, 0.0)._replace(y_name="y")
    targets = read_targets_alone(y, sample_weight, classes, options)
    codes, weights = targets.codes.whole, targets.weights
    if not soft_targets:
        totals = np.bincount(codes, weights, targets.n_classes)
    else:
        if codes.ndim == 1:
            codes = np.stack([1 - codes, codes], axis=1)
        totals = codes.sum(axis=0) if weights is None else weights @ codes
    shares = np.clip(totals / totals.sum(), _LEAST_SHARE, 1 - _LEAST_SHARE)
    scores = np.log(shares)
    return float(scores[1] - scores[0]) if len(scores) == 2 else scores


def xgboost_objective(preds, dtrain):
    """Objective for ``xgboost.train(params, dtrain, obj=xgboost_objective)``.

    Parameters
    ----------
    preds : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Raw scores.
    dtrain : xgboost.DMatrix
        Has the labels and weights.

    Returns
    -------
    gradient, hessian : ndarray, shape of `preds`
        The hessian is p (1 - p) of two classes, 2 p (1 - p) of more, at least 1e-16:
        XGBoost's own.

    Raises
    ------
    ValueError
        If labels, weights or scores are not as above.

    Notes
    -----
    Keep ``objective`` in the parameters, too: predictions are probabilities then. Our
    derivatives are exact to float32, those of XGBoost are computed in float32: leaves
    differ by about 1e-6, and trees only from the first split on that two gain alike.

    Examples
    --------
    >>> import numpy as np, xgboost
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastlogloss.integrations.boosting import initial_score, xgboost_objective
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> data = xgboost.DMatrix(X, y)
    >>> params = {"objective": "binary:logistic", "nthread": 1}
    >>> builtin = xgboost.train(params, data, 10)
    >>> params["base_score"] = 1 / (1 + np.exp(-initial_score(y)))
    >>> ours = xgboost.train(params, data, 10, obj=xgboost_objective)
    >>> bool(abs(ours.predict(data) - builtin.predict(data)).max() < 1e-5)
    True
    """
    return xgboost_sklearn_objective(dtrain.get_label(), preds, _xgboost_weight(dtrain))


def xgboost_metric(preds, dtrain, *, from_logits=True):
    """Metric for ``xgboost.train(..., custom_metric=xgboost_metric)``.

    Parameters
    ----------
    preds : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Raw scores, or probabilities if not `from_logits`.
    dtrain : xgboost.DMatrix
        Has the labels and weights.
    from_logits : bool, default=True
        True beside an objective that is given, False beside a built-in one.

    Returns
    -------
    name : str
        ``"log_loss"``.
    loss : float
        In nats.

    Raises
    ------
    ValueError
        If labels, weights or scores are not as above.

    Notes
    -----
    XGBoost keeps six decimals of a metric that is given: for early stopping, a gain of
    less is none. Its own ``logloss`` has more, but limits what a row can cost.

    Examples
    --------
    >>> import functools, xgboost
    >>> from sklearn.datasets import load_wine
    >>> from fastlogloss.integrations.boosting import xgboost_metric
    >>> X, y = load_wine(return_X_y=True)
    >>> data, result = xgboost.DMatrix(X, y), {}
    >>> model = xgboost.train(
    ...     {"objective": "multi:softprob", "num_class": 3, "nthread": 1},
    ...     data,
    ...     10,
    ...     evals=[(data, "train")],
    ...     custom_metric=functools.partial(xgboost_metric, from_logits=False),
    ...     evals_result=result,
    ...     verbose_eval=False,
    ... )
    >>> sorted(result["train"])
    ['log_loss', 'mlogloss']
    """
    weight = _xgboost_weight(dtrain)
    return _NAME, _loss(dtrain.get_label(), preds, weight, from_logits)


def xgboost_sklearn_objective(y_true, y_pred, sample_weight=None):
    """Objective for ``XGBClassifier(objective=xgboost_sklearn_objective)``.

    Parameters
    ----------
    y_true : ndarray of shape (n_samples,)
        Labels.
    y_pred : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Raw scores.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    gradient, hessian : ndarray, shape of `y_pred`
        As of `xgboost_objective`.

    Raises
    ------
    ValueError
        If labels, weights or scores are not as above.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from xgboost import XGBClassifier
    >>> from fastlogloss.integrations.boosting import (
    ...     initial_score,
    ...     xgboost_sklearn_metric,
    ...     xgboost_sklearn_objective,
    ... )
    >>> X, y = load_wine(return_X_y=True)
    >>> model = XGBClassifier(
    ...     n_estimators=10,
    ...     objective=xgboost_sklearn_objective,
    ...     eval_metric=xgboost_sklearn_metric,
    ...     base_score=initial_score(y).tolist(),
    ... )
    >>> model.fit(X, y).predict_proba(X).shape
    (178, 3)
    """
    gradient, hessian = _derivatives(y_true, y_pred, sample_weight, "xgboost")
    return gradient, np.maximum(hessian, _LEAST_HESSIAN, out=hessian)


def xgboost_sklearn_metric(y_true, y_score, sample_weight=None):
    """Metric for ``XGBClassifier(eval_metric=...)`` beside `xgboost_sklearn_objective`.

    Beside a built-in objective, :func:`fastlogloss.log_loss` is the one to give.

    Parameters
    ----------
    y_true : ndarray of shape (n_samples,)
        Labels.
    y_score : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Raw scores.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    loss : float
        In nats.

    Raises
    ------
    ValueError
        If labels, weights or scores are not as above.

    Examples
    --------
    See `xgboost_sklearn_objective`.

    >>> from fastlogloss.integrations.boosting import xgboost_sklearn_metric
    >>> round(xgboost_sklearn_metric([0, 1], [-1.0, 1.0]), 6)
    0.313262
    """
    return _loss(y_true, y_score, sample_weight)


# XGBoost lists the values of a metric under the name of the function.
xgboost_sklearn_metric.__name__ = _NAME


def lightgbm_objective(preds, train_data):
    """Objective for ``lightgbm.train({"objective": lightgbm_objective}, ...)``.

    Parameters
    ----------
    preds : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Raw scores.
    train_data : lightgbm.Dataset
        Has the labels and weights.

    Returns
    -------
    gradient, hessian : ndarray, shape of `preds`
        The hessian is p (1 - p) of two classes, K / (K - 1) p (1 - p) of K > 2:
        LightGBM's own.

    Raises
    ------
    ValueError
        If labels, weights or scores are not as above.

    Notes
    -----
    Predictions are raw scores without `initial_score`. LightGBM computes derivatives
    in float64 and rounds them to float32, as happens to ours: leaves are the same to
    1e-15, or 1e-7 where the rounding falls on the other side, and trees are until that
    decides between two splits that gain alike.

    Examples
    --------
    >>> import lightgbm, numpy as np
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastlogloss.integrations.boosting import initial_score, lightgbm_objective
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> params = {"objective": "binary", "num_threads": 1, "verbosity": -1}
    >>> builtin = lightgbm.train(params, lightgbm.Dataset(X, y), 10)
    >>> start = initial_score(y)
    >>> data = lightgbm.Dataset(X, y, init_score=np.full(len(y), start))
    >>> ours = lightgbm.train({**params, "objective": lightgbm_objective}, data, 10)
    >>> raw = builtin.predict(X, raw_score=True)
    >>> bool(abs(start + ours.predict(X) - raw).max() < 1e-6)
    True
    """
    return lightgbm_sklearn_objective(
        train_data.get_label(), preds, train_data.get_weight()
    )


def lightgbm_metric(preds, eval_data, *, from_logits=True):
    """Metric for ``lightgbm.train(..., feval=lightgbm_metric)``.

    Parameters
    ----------
    preds : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Raw scores, or probabilities if not `from_logits`.
    eval_data : lightgbm.Dataset
        Has the labels and weights.
    from_logits : bool, default=True
        True beside an objective that is given, False beside a built-in one.

    Returns
    -------
    name : str
        ``"log_loss"``.
    loss : float
        In nats.
    is_higher_better : bool
        False.

    Raises
    ------
    ValueError
        If labels, weights or scores are not as above.

    Examples
    --------
    >>> import functools, lightgbm
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastlogloss.integrations.boosting import lightgbm_metric
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> data, result = lightgbm.Dataset(X, y), {}
    >>> model = lightgbm.train(
    ...     {"objective": "binary", "num_threads": 1, "verbosity": -1},
    ...     data,
    ...     10,
    ...     valid_sets=[data],
    ...     feval=functools.partial(lightgbm_metric, from_logits=False),
    ...     callbacks=[lightgbm.record_evaluation(result)],
    ... )
    >>> sorted(result["training"])
    ['binary_logloss', 'log_loss']
    """
    label, weight = eval_data.get_label(), eval_data.get_weight()
    return _NAME, _loss(label, preds, weight, from_logits), False


def lightgbm_sklearn_objective(y_true, y_pred, weight):
    """Objective for ``LGBMClassifier(objective=lightgbm_sklearn_objective)``.

    Parameters
    ----------
    y_true : ndarray of shape (n_samples,)
        Labels.
    y_pred : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Raw scores.
    weight : ndarray of shape (n_samples,) or None
        Weights of the rows.

    Returns
    -------
    gradient, hessian : ndarray, shape of `y_pred`
        As of `lightgbm_objective`.

    Raises
    ------
    ValueError
        If labels, weights or scores are not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from lightgbm import LGBMClassifier
    >>> from sklearn.datasets import load_wine
    >>> from fastlogloss.integrations.boosting import (
    ...     initial_score,
    ...     lightgbm_sklearn_metric,
    ...     lightgbm_sklearn_objective,
    ... )
    >>> X, y = load_wine(return_X_y=True)
    >>> start = np.tile(initial_score(y), (len(y), 1))
    >>> model = LGBMClassifier(
    ...     n_estimators=10, objective=lightgbm_sklearn_objective, verbosity=-1
    ... )
    >>> model = model.fit(X, y, init_score=start, eval_metric=lightgbm_sklearn_metric)
    >>> raw = start + model.predict(X, raw_score=True)
    >>> float((raw.argmax(axis=1) == y).mean())
    1.0
    """
    return _derivatives(y_true, y_pred, weight, "lightgbm")


def lightgbm_sklearn_metric(y_true, y_pred, weight):
    """Metric for ``LGBMClassifier.fit(eval_metric=lightgbm_sklearn_metric)``.

    For raw scores: beside `lightgbm_sklearn_objective`. Beside a built-in objective
    give ``lambda y, p, w: ("log_loss", log_loss(y, p, sample_weight=w), False)``, with
    :func:`fastlogloss.log_loss`.

    Parameters
    ----------
    y_true : ndarray of shape (n_samples,)
        Labels.
    y_pred : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Raw scores.
    weight : ndarray of shape (n_samples,) or None
        Weights of the rows.

    Returns
    -------
    name : str
        ``"log_loss"``.
    loss : float
        In nats.
    is_higher_better : bool
        False.

    Raises
    ------
    ValueError
        If labels, weights or scores are not as above.

    Examples
    --------
    See `lightgbm_sklearn_objective`.

    >>> from fastlogloss.integrations.boosting import lightgbm_sklearn_metric
    >>> name, loss, is_higher_better = lightgbm_sklearn_metric([0, 1], [-1, 1], None)
    >>> name, round(loss, 6), is_higher_better
    ('log_loss', 0.313262, False)
    """
    return _NAME, _loss(y_true, y_pred, weight), False


class CatBoostObjective:
    """Objective for ``CatBoost(loss_function=CatBoostObjective(), ...)``.

    CatBoost wants an ``eval_metric`` beside it, for example ``"Logloss"``,
    ``"MultiClass"`` or a `CatBoostMetric`, which for several classes needs
    ``classes_count`` as well. CatBoost calls the objective for each row if there are
    several classes: that is slow, whatever it computes.

    Notes
    -----
    The trees are those of the built-in objective until a rounding decides between two
    splits that gain alike, and scores are the same to 1e-13 (to 1e-7 from
    `initial_score` for ``boost_from_average``, an average in float32), if what CatBoost
    sets by objective is set by hand: ``learning_rate``,
    ``leaf_estimation_method="Newton"``, ``leaf_estimation_iterations`` (10 for
    ``"Logloss"``, 1 for ``"MultiClass"``), ``bootstrap_type``, ``boosting_type`` and,
    for both, ``leaf_estimation_backtracking="No"``: nothing else works for an objective
    that is given.

    Examples
    --------
    >>> import numpy as np
    >>> from catboost import CatBoost, Pool
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastlogloss.integrations.boosting import CatBoostObjective, initial_score
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> params = {
    ...     "iterations": 10,
    ...     "learning_rate": 0.1,
    ...     "leaf_estimation_method": "Newton",
    ...     "leaf_estimation_iterations": 10,
    ...     "leaf_estimation_backtracking": "No",
    ...     "eval_metric": "Logloss",
    ...     "allow_writing_files": False,
    ...     "verbose": False,
    ... }
    >>> start = initial_score(y)
    >>> data = Pool(X, y, baseline=np.full((len(y), 1), start))
    >>> builtin = CatBoost({**params, "loss_function": "Logloss"}).fit(data)
    >>> ours = CatBoost({**params, "loss_function": CatBoostObjective()}).fit(data)
    >>> bool(abs(ours.predict(X) - builtin.predict(X)).max() < 1e-13)
    True
    """

    # CatBoost would have numba compile the methods, in vain and with a warning.
    no_jit = True

    def calc_ders_range(self, approxes, targets, weights):
        """First and second derivatives of minus the loss: CatBoost climbs.

        Parameters
        ----------
        approxes : ndarray of shape (n_samples,)
            Raw scores.
        targets : ndarray of shape (n_samples,)
            Labels.
        weights : ndarray of shape (n_samples,) or None
            Weights of the rows.

        Returns
        -------
        derivatives : ndarray of shape (n_samples, 2)

        Raises
        ------
        ValueError
            If labels or scores are not as above.
        """
        # Weights come last: those of a range of rows, unlike all, may sum to zero.
        derivatives = np.negative(
            np.stack(_derivatives(targets, np.asarray(approxes)), axis=1)
        )
        if weights is not None:
            derivatives *= np.asarray(weights)[:, np.newaxis]
        return derivatives

    def calc_ders_multi(self, approxes, target, weight):
        """Derivatives of minus the loss of one row, and the matrix of second ones.

        In plain Python: for 3 classes it takes 3 us, array arithmetic 13.

        Parameters
        ----------
        approxes : ndarray of shape (n_classes,)
            Raw scores.
        target : float
            The label.
        weight : float

        Returns
        -------
        first : list of n_classes floats
        second : list of n_classes such lists

        Raises
        ------
        ValueError
            If `target` is none of the codes.
        """
        scores = [float(score) for score in approxes]
        label = int(target)
        if label != target or not 0 <= label < len(scores):
            raise ValueError(f"labels must be 0 to {len(scores) - 1}, got {target}")
        highest = max(scores)
        odds = [math.exp(score - highest) for score in scores]
        total = math.fsum(odds)
        first, second = [], []
        for odd in odds:
            p = odd / total
            wp = weight * p
            first.append(-wp)
            second.append([wp * (other / total) for other in odds])
            second[-1][len(first) - 1] -= wp
        # Not weight - wp, which would lose the digits of what is left.
        first[label] = 0.0
        first[label] = -math.fsum(first)
        return first, second


class CatBoostMetric:
    """Metric for ``CatBoost(eval_metric=CatBoostMetric(), ...)``.

    Beside a built-in objective as well as `CatBoostObjective`, with which several
    classes need ``classes_count``, too. CatBoost lists it by the name of the class.

    Examples
    --------
    >>> from catboost import CatBoost
    >>> from sklearn.datasets import load_wine
    >>> from fastlogloss.integrations.boosting import CatBoostMetric
    >>> X, y = load_wine(return_X_y=True)
    >>> model = CatBoost(
    ...     {
    ...         "loss_function": "MultiClass",
    ...         "eval_metric": CatBoostMetric(),
    ...         "iterations": 10,
    ...         "allow_writing_files": False,
    ...         "verbose": False,
    ...     }
    ... ).fit(X, y)
    >>> sorted(model.get_best_score()["learn"])
    ['CatBoostMetric', 'MultiClass']
    """

    no_jit = True  # as of CatBoostObjective

    def is_max_optimal(self):
        """Whether higher is better.

        Returns
        -------
        answer : bool
            False.
        """
        return False

    def evaluate(self, approxes, target, weight):
        """Sums of the losses and of the weights, over some of the rows.

        Parameters
        ----------
        approxes : sequence of n_scores ndarrays of shape (n_samples,)
            Raw scores: one for two classes, else one for each.
        target : ndarray of shape (n_samples,)
            Labels.
        weight : ndarray of shape (n_samples,) or None
            Weights of the rows.

        Returns
        -------
        error, weight_sum : float

        Raises
        ------
        ValueError
            If labels, weights or scores are not as above.
        """
        target = np.asarray(target)
        total = float(len(target))
        if weight is not None:
            weight = np.asarray(weight)
            total = float(weight.sum(dtype=np.float64))
        if total == 0:
            return 0.0, 0.0
        scores = np.stack(list(approxes), axis=1)
        return _loss(target, scores, weight, normalize=False), total

    def get_final_error(self, error, weight):
        """The mean loss, from the sums over all rows.

        Parameters
        ----------
        error, weight : float

        Returns
        -------
        loss : float
            In nats.
        """
        return error / weight if weight else 0.0


def _derivatives(y, scores, weights=None, hessian="exact"):
    """Gradient and hessian of the weighted sum of the losses."""
    if len(scores) == 0:  # a worker may have no rows
        return np.empty_like(scores), np.empty_like(scores)
    y, meaning = _targets(y, scores)
    _, gradient, hessian = log_loss_gradient_hessian(
        y,
        scores,
        sample_weight=weights,
        normalize=False,
        from_logits=True,
        hessian=hessian,
        **meaning,
    )
    return gradient, hessian


def _loss(y, scores, weights, from_logits=True, normalize=True):
    y, meaning = _targets(y, scores)
    return log_loss(
        y,
        scores,
        sample_weight=weights,
        normalize=normalize,
        from_logits=from_logits,
        **meaning,
    )


def _targets(y, scores):
    """Labels and what they are, also where some class does not occur."""
    shape = np.shape(scores)
    if len(shape) == 2 and shape[1] > 1:
        return y, {"labels": range(shape[1])}
    y = np.asarray(y)
    is_one = y == 1
    # Codes of one byte take half the time of soft targets, for the same bits.
    if np.count_nonzero(is_one) == np.count_nonzero(y):
        return is_one, {"labels": (0, 1)}
    return y, {"soft_targets": True}


def _xgboost_weight(data):
    weight = data.get_weight()
    return weight if len(weight) else None
