"""Log loss as the objective and the metric of XGBoost, LightGBM and CatBoost.

Give one of these to the library, start from `initial_score`, and it grows the trees of
its built-in objective, up to rounding, for two classes or more:

==============================  ===========================  ===========================
library, interface              objective                    metric with it
==============================  ===========================  ===========================
XGBoost, ``train``              `xgboost_objective`          `xgboost_metric`
XGBoost, ``XGBClassifier``      `xgboost_sklearn_objective`  `xgboost_sklearn_metric`
LightGBM, ``train``             `lightgbm_objective`         `lightgbm_metric`
LightGBM, ``LGBMClassifier``    `lightgbm_sklearn_objective` `lightgbm_sklearn_metric`
CatBoost                        `CatBoostObjective`          `CatBoostMetric`
==============================  ===========================  ===========================

XGBoost and LightGBM pass raw scores to a metric only if the objective is a custom one.
With a built-in objective they pass probabilities. Then these are the metrics:

==============================  =======================================================
library, interface              metric with a built-in objective
==============================  =======================================================
XGBoost, ``train``              ``functools.partial(xgboost_metric,
                                from_logits=False)``
XGBoost, ``XGBClassifier``      `xgboost_sklearn_proba_metric`
LightGBM, ``train``             ``functools.partial(lightgbm_metric,
                                from_logits=False)``
LightGBM, ``LGBMClassifier``    `lightgbm_sklearn_proba_metric`
CatBoost                        `CatBoostMetric`: it gets raw scores with any objective
==============================  =======================================================

Unlike :func:`fastlogloss.log_loss`, these metrics know all classes, even if the
validation set lacks some. A metric that expects raw scores warns if it gets
probabilities.

Where to give ``s = initial_score(y, w)``:

==============================  ========================================================
library, number of classes      start
==============================  ========================================================
XGBoost, two                    parameter ``base_score=1 / (1 + exp(-s))``, a
                                probability
XGBoost, more                   parameter ``base_score=s.tolist()``
LightGBM                        ``init_score`` of each row, of training and evaluation
CatBoost                        ``baseline`` of each row, of training and evaluation
==============================  ========================================================

Labels are the codes 0 to n_classes - 1, as the libraries store them. With two classes a
label may also be the probability of class 1. With more, ``train`` of XGBoost and
LightGBM need ``num_class``, and CatBoost may need ``classes_count``. Weights multiply
gradient and hessian. LightGBM's ``sigmoid`` has no effect on a custom objective.

Class weights
-------------
``class_weight`` of ``LGBMClassifier`` and ``class_weights`` and ``auto_class_weights``
of CatBoost become part of the row weights, so a custom objective sees them. It does not
see ``scale_pos_weight`` and ``is_unbalance`` (CatBoost refuses the first): multiply the
row weights ``w`` by them. Built-in objectives start from

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

From that start the trees are the same. There is one exception: if a column has more
than ``max_bin`` values, XGBoost's bins depend on the row weights.

Rounding
--------
"Up to rounding" has a limit. The libraries grow trees from derivatives in float32, and
XGBoost also computes its own in float32. So ours and theirs may differ by a rounding.
Where two splits have the same gain but for that rounding, the other one may be taken,
and later trees differ. They are not worse. This is rare, but it can happen in runs of
many hundreds of rounds, above all if columns are alike and little is left to learn. The
tests compare tens of rounds.

Labels are read again in every round. A prepared `LogLoss` would save 1 of 4 ms with
10^6 rows, where one tree takes 130, and would have to notice when labels are replaced.
"""

# None of the libraries is imported here or below: they call us, so whoever needs one
# has imported it.

from fastlogloss.integrations.boosting.catboost import CatBoostMetric, CatBoostObjective
from fastlogloss.integrations.boosting.lightgbm import (
    lightgbm_metric,
    lightgbm_objective,
    lightgbm_sklearn_metric,
    lightgbm_sklearn_objective,
    lightgbm_sklearn_proba_metric,
)
from fastlogloss.integrations.boosting.start import initial_score
from fastlogloss.integrations.boosting.xgboost import (
    xgboost_metric,
    xgboost_objective,
    xgboost_sklearn_metric,
    xgboost_sklearn_objective,
    xgboost_sklearn_proba_metric,
)

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
