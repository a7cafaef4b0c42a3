"""The list of cases: data, what they are measured against, and the target."""

from functools import partial

import numpy as np
import pandas as pd

from bench.case import DERIVATIVES, FROM_MEMORY, Case, Target
from bench.data import (
    binary,
    logits,
    matrix,
    multiclass,
    multiclass_logits,
    narrow,
    rounded,
    stack,
    strings,
)
from bench.exact import EXACT_CASES
from bench.ordinary import ORDINARY_CASES


def _of_logits(kind, what, factor, *targets, panel=None):
    """For a million logits, and for ten million with more targets."""
    against_sklearn = Target("scikit-learn", factor)
    return [
        Case(
            f"{kind.replace(' ', '-')}-1e{digits}",
            f"n=1e{digits}, logits: {what}",
            kind,
            partial(logits, n=10**digits),
            (against_sklearn, *others),
            panel=panel if others else None,
            section=DERIVATIVES,
        )
        for digits, others in ((6, ()), (7, targets))
    ]


CASES = [
    Case(
        "float64",
        "n=1e7, float64 labels",
        "binary",
        partial(binary, labels=np.float64),
        (Target("y @ p", 1.4),),
        panel="10 million rows, float64 labels",
    ),
    Case(
        "int64",
        "n=1e7, int64 labels",
        "binary",
        binary,
        (Target("y @ p", 1.7),),
        panel="10 million rows, int64 labels",
    ),
    Case(
        "bool",
        "n=1e7, bool labels",
        "binary",
        partial(binary, labels=np.bool_),
        (Target("y @ p", 1.7),),
    ),
    Case(
        "float32",
        "n=1e7, int64 labels, float32 probabilities",
        "binary",
        partial(binary, proba=np.float32),
        (Target("y @ p", 1.7),),
    ),
    Case(
        "matrix",
        "n=1e7, int64 labels, (n, 2) matrix",
        "binary",
        matrix,
        (Target("y @ p", 3.4),),
    ),
    Case(
        "weighted",
        "n=1e7, float64 labels and weights",
        "weighted",
        partial(binary, labels=np.float64, weights=True),
        (Target("y @ p", 3.0),),
        panel="10 million rows, float64 labels and weights",
    ),
    Case(
        "weighted-2-threads",
        "n=1e7, float64 labels and weights",
        "weighted",
        partial(binary, labels=np.float64, weights=True),
        (Target("y @ p", 1.8),),
        threads=2,
    ),
    Case(
        "classes-10",
        "n=1e6, 10 classes",
        "multiclass",
        partial(multiclass, n=10**6, n_classes=10),
        (Target("P.sum()", 1.5), Target("scikit-learn", 1 / 50)),
        panel="1 million rows, 10 classes",
    ),
    Case(
        "classes-1000",
        "n=1e5, 1000 classes",
        "multiclass",
        partial(multiclass, n=10**5, n_classes=1000),
        (Target("P.sum()", 1.3),),
    ),
    Case(
        "off-2",
        "n=1e6, 2 classes, float32 kept as float64",
        "off",
        partial(narrow, n=10**6),
        (Target("clean rows", 2.5), Target("scikit-learn", 1 / 20)),
    ),
    Case(
        "off-3",
        "n=1e6, 3 classes, rounded to 4 decimals",
        "off",
        partial(rounded, n=10**6, n_classes=3),
        (Target("clean rows", 2.5), Target("scikit-learn", 1 / 20)),
    ),
    Case(
        "small",
        "n=100, int64 labels",
        "binary",
        partial(binary, n=100),
        (Target(None, 3e-6), Target("scikit-learn", 1 / 500)),
        panel="100 rows",
    ),
    Case(
        "scorer",
        "569 rows, `neg_log_loss_scorer` beyond `predict_proba`",
        "scorer",
        partial(matrix, n=569),
        (Target(None, 30e-6), Target("scikit-learn", 1 / 30)),
    ),
    Case(
        "fixed-strings",
        "n=1e6, '<U3' strings",
        "strings",
        partial(strings, convert=np.asarray),
        (Target("scikit-learn", 1 / 25),),
    ),
    Case(
        "object-strings",
        "n=1e6, object strings",
        "strings",
        partial(strings, convert=partial(np.asarray, dtype=object)),
        (Target("scikit-learn", 1 / 100),),
        panel="1 million rows, strings (object)",
    ),
    Case(
        "categorical",
        "n=1e6, pandas Categorical",
        "strings",
        partial(strings, convert=partial(pd.Series, dtype="category")),
        (Target("scikit-learn", 1 / 100),),
    ),
    *_of_logits("logits", "loss", 1 / 6),
    *_of_logits("logits gradient", "loss+gradient", 1 / 5),
    *_of_logits(
        "logits hessian",
        "loss+gradient+hessian",
        1 / 4,
        Target("g = y + z, h = z", 3.5),
        panel="10 million logits: gradient, hessian",
    ),
    Case(
        "classes-10-gradient",
        "n=1e6, logits of 10 classes: loss+gradient",
        "multiclass logits gradient",
        partial(multiclass_logits, n=10**6, n_classes=10),
        (Target("scikit-learn", 1 / 3),),
        panel="1 million logits, 10 classes: gradient",
        section=DERIVATIVES,
    ),
    Case(
        "gradient",
        "n=1e7, probabilities and weights: loss+gradient",
        "gradient",
        partial(binary, labels=np.float64, weights=True),
        (Target("y @ p"),),
        panel="10 million rows, weights: gradient",
        section=DERIVATIVES,
    ),
    Case(
        "gradient-2-threads",
        "n=1e7, probabilities and weights: loss+gradient",
        "gradient",
        partial(binary, labels=np.float64, weights=True),
        (Target("y @ p"),),
        threads=2,
        section=DERIVATIVES,
    ),
    Case(
        "prepared",
        "n=100, `LogLoss(y)(p)`",
        "prepared",
        partial(binary, n=100),
        (Target(None, 1.5e-6),),
        section=DERIVATIVES,
    ),
    *(
        Case(
            name,
            f"{n_models} models, n=1e5, `LogLoss(y).many(P)`",
            "many",
            partial(stack, n_models=n_models, n=10**5),
            (
                Target("scikit-learn", 1 / 200),
                Target(FROM_MEMORY, 1 / 0.7),
                Target("P @ y", limit),
            ),
            threads=2,
            panel=panel,
            section=DERIVATIVES,
        )
        # 40 MB may lie in a cache for the most part, 400 MB do not.
        for name, n_models, limit, panel in (
            ("many", 50, None, "50 models of 100 thousand rows, 2 threads"),
            ("many-from-memory", 500, 1 / 0.7, None),
        )
    ),
    *EXACT_CASES,
    *ORDINARY_CASES,
]
