from typing import Any, Literal

import numpy as np
import numpy.typing as npt

def log_loss(
    y_true: Any,
    y_proba: Any = None,
    *,
    normalize: bool = True,
    sample_weight: Any = None,
    labels: Any = None,
    y_pred: Any = "deprecated",
    eps: float | Literal["auto"] = "auto",
    from_logits: bool = False,
    soft_targets: bool = False,
    label_smoothing: float = 0.0,
) -> float: ...
def d2_log_loss_score(
    y_true: Any,
    y_proba: Any = None,
    *,
    sample_weight: Any = None,
    labels: Any = None,
    y_pred: Any = "deprecated",
    eps: float | Literal["auto"] = "auto",
    from_logits: bool = False,
    soft_targets: bool = False,
    label_smoothing: float = 0.0,
) -> float: ...
def sample_log_loss(
    y_true: Any,
    y_proba: Any,
    *,
    labels: Any = None,
    eps: float | Literal["auto"] = "auto",
    from_logits: bool = False,
    soft_targets: bool = False,
    label_smoothing: float = 0.0,
    out: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.float64]: ...
