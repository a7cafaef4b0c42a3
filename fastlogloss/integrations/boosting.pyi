from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

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

_Floats = npt.NDArray[np.floating[Any]]

def initial_score(
    y: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
    *,
    classes: npt.ArrayLike | None = None,
    soft_targets: bool = False,
) -> float | npt.NDArray[np.float64]: ...
def xgboost_objective(preds: _Floats, dtrain: Any) -> tuple[_Floats, _Floats]: ...
def xgboost_metric(
    preds: _Floats, dtrain: Any, *, from_logits: bool = True
) -> tuple[str, float]: ...
def xgboost_sklearn_objective(
    y_true: npt.ArrayLike, y_pred: _Floats, sample_weight: npt.ArrayLike | None = None
) -> tuple[_Floats, _Floats]: ...
def xgboost_sklearn_metric(
    y_true: npt.ArrayLike,
    y_score: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
) -> float: ...
def xgboost_sklearn_proba_metric(
    y_true: npt.ArrayLike,
    y_proba: npt.ArrayLike,
    sample_weight: npt.ArrayLike | None = None,
) -> float: ...
def lightgbm_objective(preds: _Floats, train_data: Any) -> tuple[_Floats, _Floats]: ...
def lightgbm_metric(
    preds: _Floats, eval_data: Any, *, from_logits: bool = True
) -> tuple[str, float, bool]: ...
def lightgbm_sklearn_objective(
    y_true: npt.ArrayLike, y_pred: _Floats, weight: npt.ArrayLike | None
) -> tuple[_Floats, _Floats]: ...
def lightgbm_sklearn_metric(
    y_true: npt.ArrayLike, y_pred: npt.ArrayLike, weight: npt.ArrayLike | None
) -> tuple[str, float, bool]: ...
def lightgbm_sklearn_proba_metric(
    y_true: npt.ArrayLike, y_pred: npt.ArrayLike, weight: npt.ArrayLike | None
) -> tuple[str, float, bool]: ...

class CatBoostObjective:
    @property
    def no_jit(self) -> bool: ...
    def calc_ders_range(
        self, approxes: _Floats, targets: npt.ArrayLike, weights: npt.ArrayLike | None
    ) -> npt.NDArray[np.float64]: ...
    def calc_ders_multi(
        self, approxes: Sequence[float] | _Floats, target: float, weight: float
    ) -> tuple[list[float], list[list[float]]]: ...

class CatBoostMetric:
    no_jit: bool
    def is_max_optimal(self) -> bool: ...
    def evaluate(
        self,
        approxes: Sequence[_Floats],
        target: npt.ArrayLike,
        weight: npt.ArrayLike | None,
    ) -> tuple[float, float]: ...
    def get_final_error(self, error: float, weight: float) -> float: ...
