from collections.abc import Mapping
from typing import Any, Literal, NoReturn, TypeVar, overload

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.floating[Any]]
_Name = TypeVar("_Name")

class LogLoss:
    classes: tuple[Any, ...]
    def __init__(
        self,
        y_true: Any,
        *,
        sample_weight: Any = None,
        classes: Any = None,
        eps: float | Literal["auto"] = "auto",
        from_logits: bool = False,
        soft_targets: bool = False,
        label_smoothing: float = 0.0,
    ) -> None: ...
    def __call__(self, y_score: Any, *, normalize: bool = True) -> float: ...
    def loss_gradient(
        self, y_score: Any, *, normalize: bool = True, out: _Floats | None = None
    ) -> tuple[float, _Floats]: ...
    def loss_gradient_hessian(
        self,
        y_score: Any,
        *,
        normalize: bool = True,
        hessian: Literal["exact", "xgboost", "lightgbm"] = "exact",
        out: tuple[_Floats, _Floats] | None = None,
    ) -> tuple[float, _Floats, _Floats]: ...
    def samples(
        self, y_score: Any, *, out: npt.NDArray[np.float64] | None = None
    ) -> npt.NDArray[np.float64]: ...
    @overload
    def many(self, scores: Mapping[_Name, Any]) -> dict[_Name, float]: ...
    @overload
    def many(self, scores: Any) -> Any: ...
    def __setattr__(self, name: str, value: object) -> NoReturn: ...
    def __delattr__(self, name: str) -> NoReturn: ...
