"""Log loss as the objective and the metric of XGBoost, LightGBM and CatBoost.

Give one of these to the library, start it from `initial_score`, and it grows the trees
of its own objective, up to rounding, for two classes or more:

==============================  ===========================  ===========================
library, interface              objective                    metric beside it
==============================  ===========================  ===========================
XGBoost, ``train``              `xgboost_objective`          `xgboost_metric`
XGBoost, ``XGBClassifier``      `xgboost_sklearn_objective`  `xgboost_sklearn_metric`
LightGBM, ``train``             `lightgbm_objective`         `lightgbm_metric`
LightGBM, ``LGBMClassifier``    `lightgbm_sklearn_objective` `lightgbm_sklearn_metric`
CatBoost                        `CatBoostObjective`          `CatBoostMetric`
==============================  ===========================  ===========================

XGBoost and LightGBM hand raw scores to a metric only if the objective is given too.
Beside a built-in objective they hand over probabilities, for which there are

==============================  =======================================================
library, interface              metric beside a built-in objective
==============================  =======================================================
XGBoost, ``train``              ``functools.partial(xgboost_metric,
                                from_logits=False)``
XGBoost, ``XGBClassifier``      `xgboost_sklearn_proba_metric`
LightGBM, ``train``             ``functools.partial(lightgbm_metric,
                                from_logits=False)``
LightGBM, ``LGBMClassifier``    `lightgbm_sklearn_proba_metric`
CatBoost                        `CatBoostMetric`: its scores are always raw
==============================  =======================================================

Unlike :func:`fastlogloss.log_loss` they know all classes where the validation set lacks
some. A metric that expects raw scores warns if it gets probabilities.

Where to give ``s = initial_score(y, w)``:

==============================  ========================================================
library, number of classes      start
==============================  ========================================================
XGBoost, two                    parameter ``base_score=1 / (1 + exp(-s))``, no logit
XGBoost, more                   parameter ``base_score=s.tolist()``
LightGBM                        ``init_score`` of each row, of training and evaluation
CatBoost                        ``baseline`` of each row, likewise
==============================  ========================================================

Labels are the codes 0 to n_classes - 1, as these libraries hold them; of two classes a
label may also be the probability of class 1. For more than two, ``train`` of XGBoost
and LightGBM need ``num_class``, CatBoost may need ``classes_count``. Weights multiply
gradient and hessian. LightGBM's ``sigmoid`` is no option beside an objective that is
given.

Class weights
-------------
``class_weight`` of ``LGBMClassifier`` and ``class_weights`` and ``auto_class_weights``
of CatBoost are made part of the weights of the rows, and reach an objective that is
given. ``scale_pos_weight`` and ``is_unbalance`` do not (CatBoost refuses the first):
multiply the weights ``w`` of the rows by them. Built-in objectives start from

==============================  ========================================================
option                          start
==============================  ========================================================
LightGBM, ``scale_pos_weight``  ``initial_score(y, w)``, without the class weights
LightGBM, ``is_unbalance``      the same
LightGBM, ``class_weight``      ``initial_score(y, w * c)``, ``c`` the class weights
CatBoost                        ``initial_score(y, w * c)``, if ``boost_from_average``
XGBoost, ``scale_pos_weight``   one Newton step from zero: ``4 * share - 2``, ``share``
                                the mean of ``y`` with the weights ``w * c``
==============================  ========================================================

With that start the trees are theirs, those of XGBoost unless its bins, which depend on
weights of rows, are others (more than ``max_bin`` values in a column).

Rounding
--------
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
# file is long for its docstrings; code is a third of it.

import functools
import math
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fastlogloss._engine import Spec
from fastlogloss._errors import Names, caller_level, check_flag
from fastlogloss._losses import prepare
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
    "lightgbm_sklearn_proba_metric",
    "xgboost_metric",
    "xgboost_objective",
    "xgboost_sklearn_metric",
    "xgboost_sklearn_objective",
    "xgboost_sklearn_proba_metric",
]

_NAME = "log_loss"  # of the metrics; none of the libraries has one of this name
_LEAST_SHARE = 1e-15  # of a class that does not occur, as in LightGBM
_LEAST_HESSIAN = 1e-16  # as in XGBoost, which divides by sums of them
_XGBOOST_EPS = 1e-16  # where its own metrics clip
_LIGHTGBM_EPS = 1e-15


def initial_score(y, sample_weight=None, *, classes=None, soft_targets=False):
    """The raw score from which boosting starts: the best constant.

    Built-in objectives start there by themselves: LightGBM; CatBoost with
    ``boost_from_average``; XGBoost of two classes since 3.0 and, with scores that are
    shifted by a constant, of more since 3.2. Objectives that are given start from
    zero unless told.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_classes)
        Labels; with `soft_targets` numbers in [0, 1]: the probability of class 1, or
        rows of a distribution, whose sum is 1 within 1e-6 (float32
        targets: 3.5e-4, float16: 0.03, bfloat16: 0.09).
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, finite. Some may be negative, but not the total weight of
        a class.
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
        `classes`, or no distribution; and for weights that are not finite, sum to zero
        or give a class a negative share.

    Notes
    -----
    How to start from ``s = initial_score(y, w)``:

    - XGBoost: the parameter ``base_score``. Of two classes it is a probability,
      ``1 / (1 + exp(-s))``, in ``train`` beside ``objective="binary:logistic"`` and in
      ``XGBClassifier`` with any objective; of more it is ``s.tolist()`` (XGBoost >=
      3.1). Or ``base_margin``, ``np.full(n, s)`` or ``np.tile(s, (n, 1))``, for
      prediction as well.
    - LightGBM: ``init_score``, of training and validation data, in the shapes of
      ``base_margin``. It is no part of the model: add it to raw predictions.
    - CatBoost: ``baseline``, likewise.

    For class weights see :mod:`fastlogloss.integrations.boosting`.

    Examples
    --------
    >>> from fastlogloss.integrations.boosting import initial_score
    >>> round(initial_score([0, 1, 1, 1]), 6)
    1.098612
    >>> initial_score(["a", "b", "c", "c"]).round(6)
    array([-1.386294, -1.386294, -0.693147])
    """
    check_flag("soft_targets", soft_targets)
    spec = Spec(from_logits=True, soft=bool(soft_targets))
    targets = prepare(y, sample_weight, classes, spec, Names(targets="y"))
    codes, weights = targets.codes.whole, targets.weights
    if weights is not None:  # their sum could overflow; a power of 2 changes no bit
        weights = np.ldexp(weights, -np.frexp(np.abs(weights).max())[1])
    if not soft_targets:
        totals = np.bincount(codes, weights, targets.n_classes)
    else:
        if codes.ndim == 1:
            codes = np.stack([1 - codes, codes], axis=1)
        totals = codes.sum(axis=0) if weights is None else weights @ codes
    shares = totals / totals.sum()
    worst = shares.argmin()
    if shares[worst] < 0:
        name = targets.classes[worst] if targets.classes else worst
        raise ValueError(
            f"sample_weight gives the class {name!r} of y a share of {shares[worst]}: "
            "there is no constant that is best"
        )
    scores = np.log(np.clip(shares, _LEAST_SHARE, 1 - _LEAST_SHARE))
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
        The hessian is XGBoost's own: p (1 - p) of two classes; of more, 2 p (1 - p) or,
        if the XGBoost that is loaded has that, abs(p - y); at least 1e-16.

    Raises
    ------
    ValueError
        If labels, weights or scores are not as above, as without ``num_class`` if there
        are more than two classes.

    Notes
    -----
    Keep ``objective`` in the parameters, too: predictions are probabilities then. Our
    derivatives are exact to float32, those of XGBoost are computed in float32: leaves
    differ by about 1e-6, and trees only from the first split on that two gain alike.
    Which hessian XGBoost has is found once, by a tree of one row.

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
        In nats; 0 without rows or with weights that are all zero, since XGBoost takes
        the mean of its workers' losses.

    Raises
    ------
    ValueError
        If labels, weights or scores are not as above.

    Warns
    -----
    UserWarning
        If raw scores are expected, but these are probabilities.

    Notes
    -----
    Of probabilities it is XGBoost's own ``logloss`` or ``mlogloss``, clipped at 1e-16;
    raw scores have no limit to what a row can cost. XGBoost keeps six decimals of a
    metric that is given: for early stopping, a gain of less is none.

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
    check_flag("from_logits", from_logits)
    raw, proba = xgboost_sklearn_metric, xgboost_sklearn_proba_metric
    metric = raw if from_logits else proba
    return _NAME, metric(dtrain.get_label(), preds, _xgboost_weight(dtrain))


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

    Of two classes, ``base_score`` is a probability:

    >>> import numpy as np
    >>> from sklearn.datasets import load_breast_cancer
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> builtin = XGBClassifier(n_estimators=10).fit(X, y)
    >>> ours = XGBClassifier(
    ...     n_estimators=10,
    ...     objective=xgboost_sklearn_objective,
    ...     base_score=1 / (1 + np.exp(-initial_score(y))),
    ... ).fit(X, y)
    >>> bool(abs(ours.predict_proba(X) - builtin.predict_proba(X)).max() < 1e-5)
    True
    """
    gradient, hessian = _derivatives(y_true, y_pred, sample_weight, "xgboost")
    if gradient.ndim == 2 and gradient.shape[1] > 1 and _xgboost_takes_residuals():
        np.abs(gradient, out=hessian)
    return gradient, np.maximum(hessian, _LEAST_HESSIAN, out=hessian)


def xgboost_sklearn_metric(y_true, y_score, sample_weight=None):
    """Metric for ``XGBClassifier(eval_metric=...)`` beside `xgboost_sklearn_objective`.

    Beside a built-in objective, `xgboost_sklearn_proba_metric` is the one to give.
    XGBoost lists either as ``"log_loss"``.

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
        As of `xgboost_metric`.

    Raises
    ------
    ValueError
        If labels, weights or scores are not as above.

    Warns
    -----
    UserWarning
        If these are probabilities.

    Examples
    --------
    See `xgboost_sklearn_objective`.

    >>> from fastlogloss.integrations.boosting import xgboost_sklearn_metric
    >>> round(xgboost_sklearn_metric([0, 1], [-1.0, 1.0]), 6)
    0.313262
    """
    loss = _loss(y_true, y_score, sample_weight, from_logits=True)
    _warn_of_probabilities(y_true, y_score, sample_weight)
    return loss


def xgboost_sklearn_proba_metric(y_true, y_proba, sample_weight=None):
    """Metric for ``XGBClassifier(eval_metric=...)`` beside a built-in objective.

    Parameters
    ----------
    y_true : ndarray of shape (n_samples,)
        Labels.
    y_proba : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Probabilities.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    loss : float
        As of `xgboost_metric`.

    Raises
    ------
    ValueError
        If labels, weights or probabilities are not as above, as beside
        ``"multi:softmax"``, which hands over classes.

    Examples
    --------
    Early stopping by rows that lack a class:

    >>> from sklearn.datasets import load_wine
    >>> from xgboost import XGBClassifier
    >>> from fastlogloss.integrations.boosting import xgboost_sklearn_proba_metric
    >>> X, y = load_wine(return_X_y=True)
    >>> model = XGBClassifier(
    ...     n_estimators=10,
    ...     eval_metric=xgboost_sklearn_proba_metric,
    ...     early_stopping_rounds=3,
    ... )
    >>> model = model.fit(X, y, eval_set=[(X[y < 2], y[y < 2])], verbose=False)
    >>> sorted(model.evals_result()["validation_0"])
    ['log_loss', 'mlogloss']
    """
    return _loss(y_true, y_proba, sample_weight, eps=_XGBOOST_EPS)


# XGBoost lists the values of a metric under the name of the function.
xgboost_sklearn_metric.__name__ = _NAME
xgboost_sklearn_proba_metric.__name__ = _NAME


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
        In nats; NaN if all weights are zero, as LightGBM has it.
    is_higher_better : bool
        False.

    Raises
    ------
    ValueError
        If labels, weights or scores are not as above.

    Warns
    -----
    UserWarning
        If raw scores are expected, but these are probabilities.

    Notes
    -----
    Of probabilities it is LightGBM's own ``binary_logloss`` or ``multi_logloss``,
    clipped at 1e-15; raw scores have no limit to what a row can cost.

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
    check_flag("from_logits", from_logits)
    raw, proba = lightgbm_sklearn_metric, lightgbm_sklearn_proba_metric
    metric = raw if from_logits else proba
    return metric(eval_data.get_label(), preds, eval_data.get_weight())


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

    Notes
    -----
    `predict_proba` of ``LGBMClassifier``, too, returns raw scores then, as a vector of
    two classes, and warns of it: no scorer of probabilities can read them. Score them
    by hand, or by :data:`fastlogloss.neg_log_loss_logits_scorer` if they started from
    zero.

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

    For raw scores: beside `lightgbm_sklearn_objective`. Beside a built-in objective,
    `lightgbm_sklearn_proba_metric` is the one to give.

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
    name, loss, is_higher_better : str, float, bool
        As of `lightgbm_metric`.

    Raises
    ------
    ValueError
        If labels, weights or scores are not as above.

    Warns
    -----
    UserWarning
        If these are probabilities.

    Examples
    --------
    See `lightgbm_sklearn_objective`.

    >>> from fastlogloss.integrations.boosting import lightgbm_sklearn_metric
    >>> name, loss, is_higher_better = lightgbm_sklearn_metric([0, 1], [-1, 1], None)
    >>> name, round(loss, 6), is_higher_better
    ('log_loss', 0.313262, False)
    """
    loss = _loss(y_true, y_pred, weight, nothing=math.nan, from_logits=True)
    _warn_of_probabilities(y_true, y_pred, weight)
    return _NAME, loss, False


def lightgbm_sklearn_proba_metric(y_true, y_pred, weight):
    """Metric for ``LGBMClassifier.fit(eval_metric=lightgbm_sklearn_proba_metric)``.

    For probabilities: beside a built-in objective.

    Parameters
    ----------
    y_true : ndarray of shape (n_samples,)
        Labels.
    y_pred : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Probabilities.
    weight : ndarray of shape (n_samples,) or None
        Weights of the rows.

    Returns
    -------
    name, loss, is_higher_better : str, float, bool
        As of `lightgbm_metric`.

    Raises
    ------
    ValueError
        If labels, weights or probabilities are not as above.

    Examples
    --------
    Early stopping by rows that lack a class:

    >>> from lightgbm import LGBMClassifier, early_stopping
    >>> from sklearn.datasets import load_wine
    >>> from fastlogloss.integrations.boosting import lightgbm_sklearn_proba_metric
    >>> X, y = load_wine(return_X_y=True)
    >>> model = LGBMClassifier(n_estimators=10, verbosity=-1).fit(
    ...     X,
    ...     y,
    ...     eval_X=X[y < 2],
    ...     eval_y=y[y < 2],
    ...     eval_metric=lightgbm_sklearn_proba_metric,
    ...     callbacks=[early_stopping(3, verbose=False)],
    ... )
    >>> sorted(model.best_score_["valid_0"])
    ['log_loss', 'multi_logloss']
    """
    loss = _loss(y_true, y_pred, weight, nothing=math.nan, eps=_LIGHTGBM_EPS)
    return _NAME, loss, False


class CatBoostObjective:
    """Objective for ``CatBoost(loss_function=CatBoostObjective(), ...)``.

    CatBoost wants an ``eval_metric`` beside it, for example ``"Logloss"``,
    ``"MultiClass"`` or a `CatBoostMetric`, which for several classes needs
    ``classes_count`` as well. CatBoost calls the objective for each row if there are
    several classes: that is slow, whatever it computes.

    Labels of two classes may be probabilities of class 1 only if no metric is one of
    classification: beside ``eval_metric`` or ``custom_metric`` ``"Logloss"``,
    ``"CrossEntropy"``, ``"Accuracy"`` and the like, CatBoost makes classes of the
    labels before the objective sees them. That is an error, unless it is asked for
    by ``target_border`` or ``class_names``. `CatBoostMetric` is ``"CrossEntropy"``
    for such labels; ``"RMSE"`` and ``"AUC"`` are in order, too.

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

    _soft = None  # labels that may become classes, of the training under way

    @property
    def no_jit(self):
        """True: CatBoost would have numba compile the methods, in vain."""
        # It asks before it trains, in the thread of the caller: the time to look.
        self._soft = _two_soft_labels()
        return True

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
            If labels or scores are not as above, and if CatBoost has made classes of
            labels that are probabilities.
        """
        targets, approxes = np.asarray(targets), np.asarray(approxes)
        if self._soft:
            made = [c for c in (0, 1) if c not in self._soft and (targets == c).any()]
            if made:
                low, high = self._soft
                raise ValueError(
                    f"labels are probabilities, {low:.6g} and {high:.6g}, but CatBoost "
                    "has made classes of them, as it does beside a metric of "
                    "classification: take eval_metric=CatBoostMetric()"
                )
        # Weights come last: those of a range of rows, unlike all, may sum to zero.
        derivatives = _derivatives(targets, approxes, parameter="classes_count")
        derivatives = np.negative(np.stack(derivatives, axis=1))
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
            raise ValueError(
                f"labels must be 0 to {len(scores) - 1}, got {target}; is "
                f"classes_count={len(scores)} right?"
            )
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

    no_jit = True  # numba would compile the methods in vain

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
        loss = _loss(
            target,
            scores,
            weight,
            normalize=False,
            from_logits=True,
            parameter="classes_count",
        )
        return loss, total

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


def _derivatives(y, scores, weights=None, hessian="exact", parameter="num_class"):
    """Gradient and hessian of the weighted sum of the losses.

    `parameter` is the library's for the number of classes.
    """
    if len(scores) == 0:  # a worker may have no rows
        return np.empty_like(scores), np.empty_like(scores)
    targets, meaning = _targets(y, scores)
    try:
        _, gradient, hessian = log_loss_gradient_hessian(
            targets,
            scores,
            sample_weight=weights,
            normalize=False,
            from_logits=True,
            hessian=hessian,
            **meaning,
        )
    except ValueError:
        if _all_zero(weights):  # or rows that count for nothing
            return np.zeros_like(scores), np.zeros_like(scores)
        _explain_label(y, scores, parameter)
        raise
    return gradient, hessian


def _loss(y, scores, weights, *, nothing=0.0, parameter="num_class", **options):
    """The loss; `nothing` where there is nothing to take the mean of."""
    targets, meaning = _targets(y, scores)
    try:
        return log_loss(targets, scores, sample_weight=weights, **options, **meaning)
    except ValueError:
        if len(scores) == 0 or _all_zero(weights):
            return nothing
        if not options.get("from_logits"):
            _explain_probability(scores)
        _explain_label(y, scores, parameter)
        raise


def _targets(y, scores):
    """Labels and what they are, also where some class does not occur."""
    n_classes = _n_columns(scores)
    if n_classes > 1:
        return y, {"labels": range(n_classes)}
    y = np.asarray(y)
    is_one = y == 1
    # Codes of one byte take half the time of soft targets, for the same bits.
    if np.count_nonzero(is_one) == np.count_nonzero(y):
        return is_one, {"labels": (0, 1)}
    return y, {"soft_targets": True}


def _n_columns(scores):
    shape = np.shape(scores)
    return shape[1] if len(shape) == 2 else 1


def _all_zero(weights):
    return weights is not None and not np.any(weights)


def _explain_label(y, scores, parameter):
    """Raise for the first label that is none, in the words of the library."""
    y, n_classes = np.asarray(y), _n_columns(scores)
    if y.shape != np.shape(scores)[:1] or y.dtype.kind not in "biuf":
        return
    if n_classes == 1:
        must = "be 0 or 1 (or the probability of 1)"
        hint = f"for more than two classes give {parameter}"
        valid = (y >= 0) & (y <= 1)
    else:
        must = f"be 0 to {n_classes - 1}"
        hint = f"is {parameter}={n_classes} right?"
        valid = (y >= 0) & (y < n_classes) & (y == np.floor(y))
    if not valid.all():
        row = int(valid.argmin())
        raise ValueError(
            f"labels must {must}, got {y[row]} in row {row}; {hint}"
        ) from None


def _explain_probability(scores):
    """Raise for the first score that is no probability."""
    scores = np.asarray(scores)
    valid = (scores >= 0) & (scores <= 1)
    if not valid.all():
        row, *_ = np.unravel_index(valid.argmin(), valid.shape)
        raise ValueError(
            f"scores must be probabilities, got {scores[~valid][0]} in row {row}; "
            "beside an objective that is given they are raw (from_logits=True), and "
            'XGBoost\'s "multi:softmax" hands over classes: take "multi:softprob"'
        ) from None


def _warn_of_probabilities(y, scores, weights):
    """Warn if `scores`, which should be raw, are probabilities."""
    y, scores = np.asarray(y), np.asarray(scores)
    # All in [0, 1] says little: raw scores of the first rounds often are.
    if not len(scores) or not _in_unit(scores[:64]) or not _in_unit(scores):
        return
    if scores.min() == scores.max():
        return
    if _n_columns(scores) == 1:
        found = _fit_as_probabilities(y, scores.reshape(len(scores)), weights)
    else:  # of two columns, raw scores that start from 0.5 sum to one as well
        sums = scores.sum(axis=1)
        found = scores.shape[1] > 2 and np.abs(sums - 1).max() < 1e-5
    if found:
        warnings.warn(
            "The scores are probabilities, but raw scores are expected. Beside a "
            "built-in objective say from_logits=False, or take the metric for "
            "probabilities (xgboost_sklearn_proba_metric, "
            "lightgbm_sklearn_proba_metric).",
            UserWarning,
            stacklevel=caller_level(),
        )


def _fit_as_probabilities(y, p, weights):
    """Whether scores `p` in [0, 1] fit labels of both classes, and would not as logits.

    - As probabilities, their mean is that of the labels, within 4 standard errors.
    - As logits it is not, if training started from `initial_score`; or else they span
      all of [0, 1], which raw scores would have left.
    - If it started from zero, a score that is not negative says class 1, also before
      training has come to its end. So rows below 0.5 are of class 0, such that it is
      1000 times as likely with probabilities.

    What is left are first rounds that start elsewhere, where all of this is chance.
    """
    if y.shape != p.shape or y.min() != 0 or y.max() != 1:
        return False
    p = p.astype(np.float64)
    q = 1 / (1 + np.exp(-p))

    def same_mean(of):
        apart = (y - of) if weights is None else (y - of) * weights
        return abs(apart.sum()) <= 4 * math.sqrt((apart * apart).sum())

    spans = p.min() < 0.005 and p.max() > 0.995
    if not same_mean(p) or (same_mean(q) and not spans):
        return False
    low = p < 0.5
    y, p, q = y[low], np.maximum(p[low], _LEAST_SHARE), q[low]
    gain = y * np.log(p / q) + (1 - y) * np.log((1 - p) / (1 - q))
    return gain.sum() > math.log(1000)


def _in_unit(scores):
    return bool(((scores >= 0) & (scores <= 1)).all())


def _xgboost_weight(data):
    weight = data.get_weight()
    return weight if len(weight) else None


def _xgboost_takes_residuals():
    """Whether the hessian of XGBoost's own softmax is abs(p - y)."""
    xgboost = sys.modules.get("xgboost")
    return xgboost is not None and _takes_residuals(xgboost)


@functools.cache
def _takes_residuals(xgboost):
    """Ask a tree of one row: releases differ, and what is to come is not known."""

    def grow():
        data = xgboost.DMatrix(np.zeros((1, 1)), label=np.zeros(1))
        data.set_base_margin(np.zeros((1, 3)))
        params = {
            "objective": "multi:softprob",
            "num_class": 3,
            "learning_rate": 1.0,
            "reg_lambda": 0.0,
            "min_child_weight": 0.0,
            "nthread": 1,
        }
        return xgboost.train(params, data, 1).predict(data, output_margin=True)

    # In a thread of its own, since XGBoost ties workers that train together to theirs.
    with ThreadPoolExecutor(1) as pool:
        margins = pool.submit(grow).result()
    # Of the true class: 2/3 over the hessian, which is 4/9, or 2/3 itself.
    return bool(margins[0, 0] < 1.25)


def _two_soft_labels():
    """The labels that CatBoost is to train on if they are two that are soft, or None.

    CatBoost has a metric of classification make classes of them, and nothing that it
    hands over tells. But the labels are in a variable of its function in Python that
    trains.
    """
    frame = sys._getframe(1)
    while frame and not str(frame.f_globals.get("__name__")).startswith("catboost."):
        frame = frame.f_back
    variables = dict(frame.f_locals) if frame else {}
    params = variables.get("params") or {}
    if any(params.get(name) is not None for name in ("target_border", "class_names")):
        return None  # classes are what was asked for
    holders = [pool for pool in variables.values() if hasattr(pool, "get_label")]
    for labels in [*(pool.get_label() for pool in holders), variables.get("y")]:
        labels = np.asarray(labels)
        if labels.dtype.kind == "f" and _in_unit(labels) and (labels % 1).any():
            values = np.unique(labels)  # of more, CatBoost makes no two classes
            return tuple(values) if len(values) == 2 else None
    return None
