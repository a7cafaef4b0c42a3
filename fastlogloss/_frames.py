"""Data frames of whatever library is there."""

import importlib
from typing import Any

_BACKENDS = ("pandas", "polars", "pyarrow")


def new_frame(columns: dict[str, Any], backend: str | None = None) -> Any:
    """A native data frame of arrays, by way of narwhals."""
    if backend is not None and backend not in _BACKENDS:
        raise ValueError(f"backend must be one of {list(_BACKENDS)}, got {backend!r}")
    missing: ImportError | None = None
    for name in [backend] if backend else _BACKENDS:
        try:
            importlib.import_module(name)
        except ImportError as error:
            missing = error
        else:
            narwhals = importlib.import_module("narwhals.stable.v2")
            return narwhals.from_dict(columns, backend=name).to_native()
    raise ImportError("a data frame needs pandas, polars or pyarrow") from missing
