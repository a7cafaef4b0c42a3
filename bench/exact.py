"""Cases of exact sums: batches of rows, groups of them, and two models compared.

An accumulator takes the same rows in every call: what it holds makes it no slower. The
sums of groups are begun anew, and peers make the same: of the rows, of weights w and
losses l, the powers that a standard error and an interval need.
"""

from functools import partial

import numpy as np

from bench.case import EXACT, NUMBERED, UPDATE, Case, Target
from bench.data import binary, grouped, named_groups, stack

SPEEDUP = 1.6  # of two threads


def _case(name, title, kind, make, *targets, **options):
    name = f"exact-{name}"
    return Case(name, title, kind, make, targets, section=EXACT, **options)


def _update(n, title, target, **options):
    weights = options.pop("weights", False)
    make = partial(binary, n=n, labels=np.float64, weights=weights)
    name = f"update-{title.replace(' ', '-')}{'-weighted' if weights else ''}"
    title = f"`update`, {title}{', weights' if weights else ''}"
    return _case(name, title, "update", make, target, **options)


def _groups(n_groups, title, factor, panel=None, weights=False, threads=1):
    name = f"groups-{title.partition(' ')[0]}{'-weighted' if weights else ''}"
    return _case(
        f"{name}-{threads}-threads" if threads > 1 else name,
        f"n=1e7, {title}{', weights' if weights else ''}",
        "weighted groups" if weights else "groups",
        partial(grouped, n_groups=n_groups, weights=weights),
        Target(UPDATE, factor),
        panel=panel,
        threads=threads,
    )


EXACT_CASES = [
    _update(10**7, "n=1e7", Target("y @ p", 6.0), speedup=SPEEDUP),
    _update(10**7, "n=1e7", Target("y @ p", 12.0), speedup=SPEEDUP, weights=True),
    _update(256, "256 rows", Target(None, 12e-6)),
    _update(1, "one row", Target(None, 8e-6)),
    _case(
        "merge",
        "`merge` of two accumulators into a third",
        "merge",
        partial(binary, n=10**5, labels=np.float64, weights=True),
        Target(None, 10e-6),
    ),
    _groups(1000, "1000 groups", 4.0, "10 million rows, 1000 groups"),
    _groups(
        1000,
        "1000 groups",
        None,
        "10 million rows, 1000 groups, weights",
        weights=True,
    ),
    _groups(1000, "1000 groups", None, threads=2),
    _groups(1000, "1000 groups", None, weights=True, threads=2),
    _groups(10**6, "1e6 groups", 20.0, "10 million rows, 1 million groups"),
    _groups(
        10**6,
        "1e6 groups",
        40.0,
        "10 million rows, 1 million groups, weights",
        weights=True,
    ),
    _case(
        "groups-named",
        "n=1e7, 1000 groups, strings (object)",
        "named groups",
        partial(named_groups, n_groups=1000),
        Target(NUMBERED, 1.0),
        panel="10 million rows, 1000 groups, strings (object)",
    ),
    _case(
        "compare",
        "n=1e5, `compare_log_loss`",
        "compare",
        partial(stack, n_models=2, n=10**5),
        Target(None, 3e-3),
        Target("SciPy bootstrap", 1 / 200),
        panel="Two models compared, 100 thousand rows",
    ),
]
