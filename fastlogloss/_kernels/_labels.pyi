from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

@final
class RecordTable:
    itemsize: int
    limit: int
    def __new__(cls, itemsize: int, limit: int) -> Self: ...
    def __len__(self) -> int: ...
    def tobytes(self) -> bytes: ...
    def encode(
        self, values: npt.NDArray[Any], out: npt.NDArray[Any] | None = None
    ) -> bool: ...

def recode(
    numbers: npt.NDArray[Any], code_of_number: npt.NDArray[np.int64]
) -> None: ...
def encode_strings(
    values: npt.NDArray[Any], limit: int, out: npt.NDArray[Any], also: type
) -> list[str] | None: ...
