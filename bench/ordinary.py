"""Cases of ordinary input: numbers of every type and layout, and short calls.

Each is plain arrays in one other form, and is measured against the limit of memory or
against the same call of the plain ones: contiguous float64 scores and weights, rows one
after the other, and int64 codes (float64 for the logits of two classes).
"""

from functools import partial

import numpy as np
import pandas as pd

from bench.case import ORDINARY, PLAIN, Case, Target
from bench.data import (
    backwards,
    binary,
    cast,
    counted,
    formed,
    logits,
    matrix,
    multiclass,
    multiclass_logits,
    second_column,
    two_labels,
)
from fastlogloss import _kernels

SPEEDUP = 1.5  # of two threads
# A logarithm for each row takes longer where there is no AVX-512.
WEIGHTED = 2.8 if _kernels.loops.__name__.endswith("_v4") else 3.2


def _case(title, kind, make, target, reference, form, speedup=SPEEDUP):
    return Case(
        title,
        title,
        kind,
        make,
        (Target(reference, target),),
        section=ORDINARY,
        form=partial(formed, **form),
        speedup=speedup,
    )


def _rows(what, target, make=binary, kind="binary", reference="y @ p", **form):
    return _case(f"n=1e7, {what}", kind, make, target, reference, form)


TEN_MILLION = [
    *(
        _rows(f"{dtype} labels", 1.2, y=cast(dtype))
        for dtype in ("int16", "int32", "uint32", "float32")
    ),
    _rows("int8 labels, float32 p", 1.0, y=cast("int8"), p=cast("float32")),
    *(
        _rows(f"{dtype} labels, `P[:, 1]`", 1.8, y=cast(dtype), p=second_column)
        for dtype in ("int64", "int32")
    ),
    _rows("(n, 2) in Fortran order", 1.8, matrix, p=np.asfortranarray),
    _rows("reversed p", 1.3, p=backwards),
    _rows("big-endian p", 1.4, p=cast(">f8")),
    _rows("float16 p", 1.2, p=cast("float16")),
    *(
        _rows(
            f"{dtype} weights",
            WEIGHTED,
            counted,
            "weighted",
            w=cast(dtype),
        )
        for dtype in ("float32", "int32", "int64")
    ),
    *(
        _rows(f"labels {low} and {high}, {dtype}", 1.4, y=two_labels(low, high, dtype))
        for low, high in ((1, 2), (-1, 1))
        for dtype in ("int64", "float64", "int8")
    ),
    _rows(
        "logits, int32 labels: loss+gradient",
        1.1,
        partial(logits, n=10**7),
        "logits gradient",
        PLAIN,
        y=cast("int32"),
    ),
    _rows("`P[:, 1]`: losses of rows", 1.5, binary, "rows", PLAIN, p=second_column),
]


def _classes(n_classes, what, kind, target, make=multiclass, reference=PLAIN, **form):
    n = {3: 3 * 10**6, 10: 10**6, 100: 10**5}[n_classes]
    make = partial(make, n=n, n_classes=n_classes)
    title = f"n={n:.0e}, {n_classes} classes, {what}".replace("e+0", "e")
    return _case(title, kind, make, target, reference, form)


CLASSES = [
    case
    for k in (3, 10, 100)
    for case in (
        _classes(k, "int32 labels", "multiclass", 1.15, y=cast("int32")),
        _classes(k, "float32 matrix", "multiclass", 1.0, p=cast("float32")),
        _classes(k, "Fortran order", "multiclass", 1.5, p=np.asfortranarray),
        _classes(
            k,
            "float32 weights",
            "weighted",
            1.1,
            partial(multiclass, weights=True),
            w=cast("float32"),
        ),
        _classes(
            k,
            "logits in Fortran order",
            "logits",
            1.3,
            multiclass_logits,
            p=np.asfortranarray,
        ),
        _classes(
            k,
            "logits, int32 labels: loss+gradient",
            "multiclass logits gradient",
            1.05,
            multiclass_logits,
            y=cast("int32"),
        ),
        _classes(k, "D2", "d2", 1.6, reference="log_loss(y, P)"),
    )
] + [_classes(10, "labels 1 to 10", "multiclass", 1.3, y=lambda y: y + 1)]


def _short(what, microseconds, kind="binary", make=binary, **form):
    make, target = partial(make, n=100), microseconds * 1e-6
    return _case(f"n=100, {what}", kind, make, target, None, form, None)


SHORT = [
    _short("int32 labels, `P[:, 1]`", 1.2, y=cast("int32"), p=second_column),
    _short("weights", 1.0, "weighted", partial(binary, weights=True)),
    _short("`labels=`", 2.0, "labels"),
    _short("logits", 1.2, "mean of logits", logits),
    _short("labels -1 and 1", 2.5, y=two_labels(-1, 1, "int64")),
    _short("gradient, `out=`", 2.5, "gradient"),
    _short("`LogLoss` gradient, `out=`", 1.2, "prepared gradient"),
    _short("pandas Series", 8.0, y=pd.Series, p=pd.Series),
]
ORDINARY_CASES = [*TEN_MILLION, *CLASSES, *SHORT]
