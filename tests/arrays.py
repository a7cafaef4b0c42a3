"""One generator of nasty arrays, for all tests.

Everything is made from `codes` (the number of each row's class) and from `p`, the
probabilities; layouts and types of labels then change the form, never the values.
"""

import tempfile
from collections import namedtuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

# Lanes are 4 to 16 rows, strips 32, tiles 256.
SHORT_LENGTHS = (
    *(1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65),
    *(127, 128, 129, 255, 256, 257, 511, 512, 513),
)
# Blocks are 16384 rows for two columns, 3072 for ten; a wave of chunks is 16384 too.
BLOCK_LENGTHS = (*(3071, 3072, 3073, 16383, 16384, 16385, 32767, 32768, 32769),)
LENGTHS = SHORT_LENGTHS + BLOCK_LENGTHS

REAL_DTYPES = (
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("float16", "float32", "float64", "longdouble"),
)
LABEL_DTYPES = tuple(d for d in REAL_DTYPES if d != "longdouble")
PROBA_DTYPES = ("float64", "float32", "float16", "longdouble")

Case = namedtuple("Case", "codes p w")


def random_codes(rng, n, n_classes):
    """Codes of n rows, in which every class occurs if there are rows enough."""
    codes = rng.integers(n_classes, size=n)
    codes[: min(n, n_classes)] = np.arange(n_classes)[:n]
    return rng.permutation(codes)


def random_proba(rng, n, n_classes, dtype="float64"):
    """(n,) for one column, else (n, n_classes) whose rows sum to one in the dtype."""
    if n_classes == 1:
        return rng.random(n).astype(dtype)
    p = rng.random((n, n_classes)) + 1e-3
    p /= p.sum(axis=1, keepdims=True)
    return p.astype(dtype)


def random_case(n, n_columns, seed=0, dtype="float64"):
    """Codes, probabilities and weights; one column means that of class 1."""
    rng = np.random.default_rng([seed, n, n_columns])
    codes = random_codes(rng, n, max(n_columns, 2))
    p = random_proba(rng, n, n_columns, dtype)
    return Case(codes, p, rng.random(n) + 0.1)


# --- How likely the true class is: name -> q of n rows ------------------------------


def _mixed(rng, n):
    kinds = [CONFIDENCES[k](rng, n) for k in CONFIDENCES if k != "mixed"]
    return np.stack(kinds)[rng.integers(len(kinds), size=n), np.arange(n)]


CONFIDENCES = {
    "random": lambda rng, n: rng.random(n),
    "confident": lambda rng, n: 1.0 - 1e-12 * rng.random(n),
    "saturated": lambda rng, n: rng.integers(2, size=n).astype(float),
    "tiny": lambda rng, n: 1e-300 * rng.random(n),
    "log-uniform": lambda rng, n: 10.0 ** rng.uniform(-300, 0, n),
    "near the clip": lambda rng, n: np.where(
        rng.random(n) < 0.5, 2.0**-52 * rng.uniform(0.5, 4, n), 1 - 2.0**-53 * 3
    ),
    "mixed": _mixed,
}


def confident_case(kind, n, seed=0):
    """(codes, p of class 1) whose rows give their class the probability q of `kind`."""
    rng = np.random.default_rng([seed, n])
    codes = random_codes(rng, n, 2)
    q = CONFIDENCES[kind](rng, n)
    return codes, np.where(codes == 1, q, 1.0 - q)


# --- Layouts: name -> the same values, laid out otherwise ---------------------------


def _strided(a):
    wide = np.zeros((3 * len(a), *a.shape[1:]), a.dtype)
    wide[1::3] = a
    return wide[1::3]


def _columns_strided(a):
    wide = np.zeros((*a.shape, 2), a.dtype)
    wide[..., 1] = a
    return wide[..., 1]


def _readonly(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def _memmap(a):
    if not a.size:
        return a
    with tempfile.TemporaryFile() as file:
        mapped = np.memmap(file, a.dtype, "w+", shape=a.shape)
    mapped[...] = a
    return mapped


def _unaligned(a):
    if a.dtype.hasobject:
        return a  # which is always aligned
    raw = np.zeros(a.nbytes + 1, np.uint8)
    shifted = raw[1:].view(a.dtype).reshape(a.shape)
    shifted[...] = a
    return shifted


def _swapped(a):
    return a if a.dtype.kind == "T" else a.astype(a.dtype.newbyteorder("S"))


LAYOUTS = {
    "contiguous": np.ascontiguousarray,
    "fortran": np.asfortranarray,
    "strided": _strided,
    "columns strided": _columns_strided,
    "negative stride": lambda a: a[::-1].copy()[::-1],
    "negative everywhere": lambda a: np.flip(np.flip(a).copy()),
    "read-only": _readonly,
    "memory-mapped": _memmap,
    "unaligned": _unaligned,
    "byte-swapped": _swapped,
    "offset": lambda a: np.concatenate([a[:1], a], dtype=a.dtype)[1:],
}


# --- Types of labels: name -> (codes -> labels of the same order) -------------------


def words(codes):
    """Strings in the order of the codes, not all of one length."""
    return np.array([f"c{c:03d}" + "e" * (c % 3) for c in codes.tolist()])


def _object_words(codes):
    return words(codes).astype(object)


def _categorical(codes):
    # Categories in another order than that of the labels, and one that never occurs.
    values = words(codes).tolist()
    return pd.Categorical(values, categories=["zzz", *sorted(set(values))[::-1]])


LABEL_TYPES = {
    **{dtype: (lambda codes, d=dtype: codes.astype(d)) for dtype in LABEL_DTYPES},
    "shifted int": lambda codes: codes * 3 - 7,
    "large int": lambda codes: codes + (2**62 + 1),
    "large uint": lambda codes: codes.astype(np.uint64) + np.uint64(2**63 + 5),
    "shifted float": lambda codes: codes * 2.0 - 1.0,
    "str": words,
    "str, byte-swapped": lambda codes: _swapped(words(codes)),
    "object str": _object_words,
    "object np.str_": lambda codes: np.array([*words(codes)], dtype=object),
    "StringDType": lambda codes: words(codes).astype(np.dtypes.StringDType()),
    "list of int": lambda codes: codes.tolist(),
    "list of str": lambda codes: words(codes).tolist(),
    "list of bool": lambda codes: codes.astype(bool).tolist(),
    "tuple": lambda codes: tuple(codes.tolist()),
    "column": lambda codes: codes[:, None],
    "pandas int": lambda codes: pd.Series(codes, index=range(9, 9 + len(codes))),
    "pandas Int64": lambda codes: pd.Series(codes, dtype="Int64"),
    "pandas boolean": lambda codes: pd.Series(codes.astype(bool), dtype="boolean"),
    "pandas str": lambda codes: pd.Series(words(codes).tolist(), dtype="str"),
    "pandas string": lambda codes: pd.Series(words(codes).tolist(), dtype="string"),
    "pandas object": lambda codes: pd.Series(_object_words(codes), dtype=object),
    "pandas Arrow string": lambda codes: pd.Series(
        words(codes).tolist(), dtype=pd.ArrowDtype(pa.string())
    ),
    "pandas Arrow int": lambda codes: pd.Series(codes, dtype=pd.ArrowDtype(pa.int64())),
    "pandas Categorical": _categorical,
    "pandas Categorical of int": lambda codes: pd.Categorical(
        codes + 5, categories=[99, *sorted(set((codes + 5).tolist()))[::-1]]
    ),
    "pandas Series of category": lambda codes: pd.Series(_categorical(codes)),
    "polars int": lambda codes: pl.Series(codes),
    "polars String": lambda codes: pl.Series(words(codes).tolist()),
    "polars Categorical": lambda codes: pl.Series(
        words(codes).tolist(), dtype=pl.Categorical
    ),
    "polars Enum": lambda codes: pl.Series(
        words(codes).tolist(), dtype=pl.Enum(sorted(set(words(codes).tolist()))[::-1])
    ),
    "pyarrow Array": lambda codes: pa.array(codes),
    "pyarrow Array of str": lambda codes: pa.array(words(codes).tolist()),
    "pyarrow ChunkedArray": lambda codes: pa.chunked_array(
        [words(codes[:2]).tolist(), words(codes[2:]).tolist()]
    ),
}
# Types that can only tell two classes apart.
TWO_VALUED = {"bool", "list of bool", "pandas boolean"}
# NumPy's StringDType is no label for every scikit-learn, or none at all.
NOT_IN_SKLEARN = {"StringDType"}


def label_types(n_classes):
    return [name for name in LABEL_TYPES if n_classes == 2 or name not in TWO_VALUED]


# --- Types of probabilities: name -> (p -> the same numbers) ------------------------

PROBA_TYPES = {
    **{dtype: (lambda p, d=dtype: p.astype(d)) for dtype in PROBA_DTYPES},
    "list": lambda p: p.tolist(),
    "pandas": lambda p: pd.Series(p) if p.ndim == 1 else pd.DataFrame(p),
    "pandas Float64": lambda p: (
        pd.Series(p, dtype="Float64")
        if p.ndim == 1
        else pd.DataFrame(p).astype("Float64")
    ),
    "polars": lambda p: pl.Series(p) if p.ndim == 1 else pl.DataFrame(p),
    "pyarrow": lambda p: pa.array(p) if p.ndim == 1 else pl.DataFrame(p).to_arrow(),
    "object": lambda p: p.astype(object),
}
