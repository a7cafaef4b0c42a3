# Also the interface of _v3, which is compiled from the same loops.
from typing import Any, final

import numpy as np
import numpy.typing as npt

BAD_LABEL: int
BAD_PROBA: int
BAD_ROW_SUM: int
BAD_SCORE: int
BAD_TARGET: int

@final
class LossState:
    n_rows: int
    def __init__(
        self,
        n_columns: int,
        low: float,
        high: float,
        tolerance: float,
        *,
        from_logits: bool = False,
        soft: bool = False,
        smoothing: float = 0.0,
        target_tolerance: float = 1e-6,
    ) -> None: ...
    @property
    def block_rows(self) -> int: ...
    @property
    def status(self) -> int: ...
    @property
    def bad_sum_from(self) -> int: ...
    @property
    def loss(self) -> float: ...
    @property
    def weight(self) -> float: ...
    @property
    def in_range(self) -> bool: ...
    @property
    def n_classes_seen(self) -> int: ...
    def add(
        self,
        y: npt.NDArray[Any],
        p: npt.NDArray[Any],
        w: npt.NDArray[np.float64] | None = None,
        rows: npt.NDArray[np.float64] | None = None,
        n_threads: int = 1,
        *,
        gradient: npt.NDArray[Any] | None = None,
        hessian: npt.NDArray[Any] | None = None,
        scale: float = 1.0,
        hessian_factor: float = 1.0,
        check_only: bool = False,
        row_scale: float = 1.0,
    ) -> bool: ...

def hold(*arrays: npt.NDArray[Any] | None) -> list[Any]: ...
def many_like(
    like: LossState,
    y: npt.NDArray[Any],
    scores: npt.NDArray[Any],
    w: npt.NDArray[np.float64] | None,
    losses: npt.NDArray[np.float64],
    statuses: npt.NDArray[np.int64],
    n_threads: int,
) -> bool: ...
def mean_like(like: LossState, y: Any, p: Any, w: Any) -> float | None: ...
def mean_loss(y: Any, p: Any, low: float, tolerance: float) -> float | None: ...
def sum_weights(w: npt.NDArray[np.float64]) -> float: ...
def worst_row(p: npt.NDArray[Any]) -> tuple[int, float] | None: ...
