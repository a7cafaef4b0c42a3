"""Array-likes to arrays of numbers that the kernels read, and what dtype they had.

Functions return None for what is no such array; the caller then says why.
"""

import functools
import math
import sys
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlogloss._kernels._labels import kinds

Array = NDArray[Any]

_EPS = 2.0**-52
# Machine epsilons; probabilities of all other types are made float64.
_EPS_OF = {np.dtype(np.float32): 2.0**-23, np.dtype(np.float16): 2.0**-10}


@functools.lru_cache(maxsize=256)
def limits(
    dtype: np.dtype[Any], n_columns: int, is_pairwise: bool = False
) -> tuple[float, float]:
    """Machine epsilon, and how far from 1 the sum of a row is sure to be good.

    scikit-learn adds up in the dtype of the probabilities, and in another order. Each
    addition may be rounded otherwise than ours; but for that of two float64.
    `is_pairwise` as `adds_pairwise` has it.
    """
    eps = _EPS_OF.get(dtype, _EPS)
    additions = n_columns - 1
    rounding = additions * _EPS if additions > 1 else 0.0
    if eps != _EPS:
        rounded = n_columns * eps / 2
        if is_pairwise:
            # 8 sums of 128 numbers, by turns, make 20 additions one after the other;
            # of halves they are float32. Then the sum is stored, once for each 8192
            # numbers where a copy is made.
            deep = (24 + math.log2(n_columns)) * 2.0**-24
            rounded = min(rounded, 1.1 * (deep + (2 + n_columns / 8192) * eps / 2))
        rounding += rounded
    return eps, sum_tolerance(eps) - rounding


def adds_pairwise(p: Array) -> bool:
    """Whether NumPy adds up the numbers of a row as a tree, one row after the other.

    Else it adds column to column, and each addition is rounded to the type of `p`.
    """
    return p.ndim == 2 and 0 < abs(p.strides[1]) < abs(p.strides[0])


def sum_tolerance(eps: float) -> float:
    """How far from 1 scikit-learn takes a sum: isclose(sum, 1, rtol=sqrt(eps))."""
    return 1e-8 + math.sqrt(eps)


FLOAT64 = np.dtype(np.float64)
_FLOATS: tuple[type, ...] = (np.float64, np.float32, np.float16)
_MAX_WORK: Any = 1000  # of a search that decides most cases at once
_PRECISIONS = frozenset([FLOAT64, *_EPS_OF])
DOUBLE = limits(FLOAT64, 1000)  # for all that take the short way


def array_of_series(values: Any) -> Any:
    """The array of a pandas Series, where it is NumPy's; or what has been given.

    Several times as fast as `numpy.asarray`, to which it is the same.
    """
    pandas = sys.modules.get("pandas")
    if pandas is not None and type(values) is pandas.Series:
        if isinstance(values.dtype, np.dtype):
            return values.to_numpy()
    return values


def as_array(values: Any) -> Array | None:
    """`values` as an ndarray, or None if that is not what scikit-learn would see.

    Subclasses of ndarray other than memory maps mean something that a kernel does not
    know (masks, units, matrix products).
    """
    values = array_of_series(values)
    array: Array | None
    if type(values) is np.ndarray:
        array = values
    elif isinstance(values, np.ndarray):
        array = np.asarray(values) if isinstance(values, np.memmap) else None
    else:
        try:
            array = np.asarray(values)
        except Exception:  # whatever a foreign object raises, scikit-learn raises again
            array = _widened(values)
    if array is not None and (array.dtype.kind == "V" or array.dtype.isbuiltin == 2):
        # bfloat16 and its like, types of extensions of numpy. float64 holds them all.
        if np.can_cast(array.dtype, np.float64):
            array = array.astype(np.float64)
    return array


def _widened(values: Any) -> Array | None:
    """Tensors of bfloat16 and its like, of which numpy has no type, as float64.

    Also those in a list. None for all else that numpy does not read.
    """
    try:
        if type(values) in (list, tuple):
            parts = [as_array(value) for value in values]
            return None if any(p is None for p in parts) else np.asarray(parts)
        # Complex numbers would lose their imaginary part.
        is_real = getattr(values.dtype, "is_floating_point", False)
        return np.asarray(values.double()) if is_real else None
    except Exception:
        return None


def as_scores(values: Any) -> tuple[Array | None, np.dtype[Any]]:
    """`as_numbers`, and the dtype that scikit-learn computes with: its `precision`."""
    array = as_array(values)
    if array is None or array.dtype is FLOAT64:
        return array, FLOAT64
    numbers = _as_numbers(array)
    return numbers, FLOAT64 if numbers is None else precision(values)


def precision(values: Any) -> np.dtype[Any]:
    """The dtype whose epsilon and tolerance are those of some scores.

    That is float32 or float16 where the container says so itself: by numpy's dtype in
    the order of this machine's bytes, be it an array's, a Series' or a data frame's.
    All else is float64, as scikit-learn makes it: lists and tuples whatever they hold,
    byte-swapped arrays, torch and polars, nullable and Arrow-backed columns, bfloat16.
    (Not so under scikit-learn's array API dispatch, which knows torch.)
    """
    if type(values) is np.ndarray:
        dtype = values.dtype
        return dtype if dtype is FLOAT64 or dtype in _PRECISIONS else FLOAT64
    if type(values) in (list, tuple):
        return FLOAT64
    dtype = getattr(values, "dtype", None)
    if _is_pandas_frame(values):
        dtypes = list(values.dtypes)
        is_numpy = dtypes and all(isinstance(dtype, np.dtype) for dtype in dtypes)
        dtype = np.result_type(*dtypes) if is_numpy else None
    elif not isinstance(dtype, np.dtype) and _is_dispatched(values):
        dtype = getattr(as_array(values), "dtype", None)
    return dtype if isinstance(dtype, np.dtype) and dtype in _PRECISIONS else FLOAT64


def _is_dispatched(values: Any) -> bool:
    # Where that is switched on, scikit-learn computes with the array's own library.
    if not (
        hasattr(values, "__array_namespace__")
        or type(values).__module__.startswith("torch")
    ):
        return False
    config: dict[str, Any] = getattr(sys.modules.get("sklearn"), "get_config", dict)()
    return bool(config.get("array_api_dispatch"))


def _is_pandas_frame(values: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return isinstance(values, getattr(pandas, "DataFrame", ()))


def has_sparse_columns(values: Any) -> bool:
    # scikit-learn warns of them, and refuses those that are all sparse.
    if not _is_pandas_frame(values):
        return False
    sparse = sys.modules["pandas"].SparseDtype
    return any(isinstance(dtype, sparse) for dtype in values.dtypes)


def is_array_like(values: Any) -> bool:
    # scikit-learn's functions take nothing else, and a memoryview for a scalar.
    return type(values) is not memoryview and (
        hasattr(values, "__len__")
        or hasattr(values, "shape")
        or hasattr(values, "__array__")
    )


def as_numbers(values: Any) -> Array | None:
    """An ndarray of real numbers, or None."""
    array = as_array(values)
    return None if array is None else _as_numbers(array)


def _as_numbers(array: Array) -> Array | None:
    if array.dtype.kind != "O":
        return readable(array)
    try:
        if first_unreal(array) is None:
            return array.astype(np.float64)
    except Exception:  # scikit-learn raises it again
        pass
    return None


def readable(array: Array) -> Array:
    """The array, as float64 if it is of floats that kernels do not read.

    Such are those of more than 64 bits, and of 8 bits, of extensions of numpy.
    """
    if array.dtype.kind == "f" and array.dtype.type not in _FLOATS:
        return array.astype(np.float64)
    return array


def legible(values: Any) -> Any:
    """`values` as scikit-learn can read them: tensors of bfloat16 as an array."""
    if values is None or type(values) is np.ndarray:
        return values
    try:
        np.asarray(values)
    except Exception:  # who knows which
        array = as_array(values)
        return values if array is None else array
    return values


def first_unreal(objects: Array) -> tuple[int, ...] | None:
    """Index of the first of some objects that is no real number, or None.

    Texts of numbers are none, and complex numbers would lose their imaginary part.
    """
    items = objects.ravel()
    # To numpy, spans of time are whole numbers.
    known = {
        kind: issubclass(kind, Real | Decimal) and not issubclass(kind, np.timedelta64)
        for kind in kinds(items)
    }
    if all(known.values()):
        return None
    for i, item in enumerate(items.tolist()):
        # Arrays and tensors of no dimension say themselves what they hold.
        if not known[type(item)] and not (
            np.ndim(item) == 0
            and np.can_cast(np.asarray(item).dtype, np.float64, "same_kind")
        ):
            return tuple(map(int, np.unravel_index(i, objects.shape)))
    return None


def as_columns(p: Array) -> tuple[Array, int]:
    """`p` as (n,) for the positive class or (n, K), and the number of classes.

    Zero classes where it is neither, or holds no real numbers.
    """
    if p.dtype.kind not in "fiub":
        return p, 0
    if p.ndim == 1:
        return p, 2
    if p.ndim != 2:
        return p, 0
    if p.shape[1] == 1:
        return p[:, 0], 2
    return p, p.shape[1]


def as_weights(sample_weight: Any, n: int) -> Array | None:
    """An ndarray of `n` real numbers, or None."""
    weights = as_numbers(sample_weight)
    if weights is None or not is_real(weights) or weights.shape != (n,):
        return None
    return weights


def is_real(array: Array) -> bool:
    # Wider floats would lose their last bits: scikit-learn keeps them.
    return array.dtype.kind in "fiub" and array.dtype.itemsize <= 8


def overlap(out: Array, *arrays: Array | None) -> bool:
    """Whether writing to `out` may change one of the arrays, of which some are None.

    Where it would take long to find out, it may.
    """
    try:
        return any(
            np.shares_memory(out, array, max_work=_MAX_WORK)
            for array in arrays
            if array is not None
        )
    except np.exceptions.TooHardError:
        return True
