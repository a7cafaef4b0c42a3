from typing import Any, Literal

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.floating[Any]]

def log_loss_gradient(
    y_true: Any,
    y_score: Any,
    *,
    normalize: bool = True,
    sample_weight: Any = None,
    labels: Any = None,
    eps: float | Literal["auto"] = "auto",
    from_logits: bool = False,
    soft_targets: bool = False,
    label_smoothing: float = 0.0,
    out: _Floats | None = None,
) -> tuple[float, _Floats]: ...
def log_loss_gradient_hessian(
    y_true: Any,
    y_score: Any,
    *,
    normalize: bool = True,
    sample_weight: Any = None,
    labels: Any = None,
    eps: float | Literal["auto"] = "auto",
    from_logits: bool = False,
    soft_targets: bool = False,
    label_smoothing: float = 0.0,
    hessian: Literal["exact", "xgboost", "lightgbm"] = "exact",
    out: tuple[_Floats, _Floats] | None = None,
) -> tuple[float, _Floats, _Floats]: ...
