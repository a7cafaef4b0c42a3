from typing import Any, Literal, Protocol

class _Scorer(Protocol):
    @property
    def __name__(self) -> str: ...
    def __call__(
        self, estimator: Any, X: Any, y_true: Any, *, sample_weight: Any = None
    ) -> float: ...
    def set_score_request(self, **kwargs: bool | str | None) -> _Scorer: ...

def make_log_loss_scorer(
    *,
    eps: float | Literal["auto"] = "auto",
    label_smoothing: float = 0.0,
    from_logits: bool = False,
    d2: bool = False,
) -> _Scorer: ...

neg_log_loss_logits_scorer: _Scorer
neg_log_loss_scorer: _Scorer
d2_log_loss_scorer: _Scorer

__all__ = [
    "d2_log_loss_scorer",
    "make_log_loss_scorer",
    "neg_log_loss_logits_scorer",
    "neg_log_loss_scorer",
]
