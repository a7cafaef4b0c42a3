# Also the interface of _v3, which is compiled from the same loops.
from typing import Any, final

import numpy as np
import numpy.typing as npt

BAD_LABEL: int
BAD_PROBA: int
BAD_ROW_SUM: int
BAD_SCORE: int
BAD_TARGET: int
BAD_WEIGHT: int
NEEDS_ROOM: int
SMALL_CELLS: int

@final
class Spec:
    def __new__(
        cls,
        n_columns: int,
        low: float,
        high: float,
        tolerance: float,
        *,
        from_logits: bool = False,
        soft: bool = False,
        smoothing: float = 0.0,
        target_tolerance: float = 1e-6,
    ) -> Spec: ...
    @property
    def block_rows(self) -> int: ...
    def run(
        self,
        y: npt.NDArray[Any],
        p: npt.NDArray[Any],
        w: npt.NDArray[Any] | None = None,
        *,
        classes: npt.NDArray[Any] | None = None,
        rows: npt.NDArray[np.float64] | None = None,
        gradient: npt.NDArray[Any] | None = None,
        hessian: npt.NDArray[Any] | None = None,
        n_threads: int = 1,
        scale: float = 1.0,
        hessian_factor: float = 1.0,
        check_only: bool = False,
        row_scale: float = 1.0,
        exact: bool = False,
    ) -> Totals: ...
    def run_many(
        self,
        y: npt.NDArray[Any],
        scores: npt.NDArray[Any],
        w: npt.NDArray[Any] | None,
        losses: npt.NDArray[np.float64],
        statuses: npt.NDArray[np.int64],
        n_threads: int = 1,
    ) -> bool: ...
    def add_to_groups(
        self,
        y: npt.NDArray[Any],
        p: npt.NDArray[Any],
        w: npt.NDArray[Any] | None,
        numbers: npt.NDArray[Any],
        cells: npt.NDArray[np.int64],
        layout: npt.NDArray[np.int64],
        *,
        classes: npt.NDArray[Any] | None = None,
        window: npt.NDArray[np.int32] | None = None,
        base: int = 0,
        take_away: bool = False,
        n_threads: int = 1,
    ) -> tuple[int, int, int, list[tuple[int, int]]]: ...
    def mean(
        self, y: Any, p: Any, w: Any = None, complete: bool = False
    ) -> float | None: ...
    def slopes(
        self,
        y: Any,
        p: Any,
        w: Any,
        total: float,
        order: int,
        normalize: bool,
        out: Any,
        complete: bool,
    ) -> tuple[Any, ...] | None: ...

@final
class Totals:
    n_rows: int
    exact: Any
    def __add__(self, other: Totals) -> Totals: ...
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
    def signed(self) -> bool: ...
    @property
    def n_classes_seen(self) -> int: ...

def encode(
    y: npt.NDArray[Any], classes: npt.NDArray[Any], codes: npt.NDArray[np.int64]
) -> bool: ...
def pin_memory(*arrays: npt.NDArray[Any] | None) -> list[Any]: ...
def loss_of_shares(
    spec: Spec,
    y: npt.NDArray[Any],
    share: npt.NDArray[np.float64],
    w: npt.NDArray[Any] | None = None,
    *,
    classes: npt.NDArray[Any] | None = None,
    n_threads: int = 1,
) -> Totals: ...
def mean_loss(
    y: Any,
    p: Any,
    low: float,
    tolerance: float,
    w: Any = None,
    from_logits: bool = False,
) -> float | None: ...
def sum_by_class(
    y: npt.NDArray[Any],
    classes: npt.NDArray[Any] | None,
    w: npt.NDArray[Any] | None,
    sums: npt.NDArray[np.float64],
    factor: float = 1.0,
) -> bool: ...
def sum_weights(w: npt.NDArray[Any]) -> tuple[float, float, float]: ...
def worst_row(p: npt.NDArray[Any]) -> tuple[int, float]: ...
def sum_exactly(
    losses: npt.NDArray[np.float64], w: npt.NDArray[np.float64] | None = None
) -> Any: ...
def settle_cells(cells: npt.NDArray[np.int64], at: int, n: int, step: int) -> None: ...
def round_cells(
    cells: npt.NDArray[np.int64], at: int, n: int, step: int, low: int
) -> npt.NDArray[np.float64]: ...
