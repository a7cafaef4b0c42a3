"""What an exception stops at any line of Python leaves all as it was."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fastlogloss
from fastlogloss import (
    GroupedLogLoss,
    LogLossAccumulator,
    LogLossComparison,
    _group_sums,
    groups,
)

FOLDER = Path(fastlogloss.__file__).parent
FILES = {
    str(FOLDER / f"{name}.py")
    for name in (
        *("accumulator", "comparison", "groups", "_batches", "_group_sums"),
        *("_groups", "_key_cells", "_key_codes", "_key_columns", "_key_objects"),
    )
}
N = 40
RNG = np.random.default_rng(0)
Y, P, Q, W = RNG.integers(0, 2, N), RNG.random(N), RNG.random(N), RNG.random(N)
KEYS = RNG.integers(0, 12, N)
WIDE = (P - 0.5) * 10.0 ** np.linspace(-200, 200, N)
FEW = slice(0, 5)
KEPT = KEYS != 3


def few(keys, **options):
    return lambda: GroupedLogLoss(**options).update(Y[FEW], P[FEW], keys)


def few_pairs():
    return LogLossComparison().update(Y[FEW], P[FEW], Q[FEW], groups=KEYS[FEW])


OTHER = GroupedLogLoss().update(Y, P, KEYS + 5, W)
OTHER_PAIRS = LogLossComparison().update(Y, P, Q, groups=KEYS)
DAYS = pd.Categorical(list("abcdefgh" * 5))
CASES = {
    "rows": (few(KEYS[FEW]), lambda g: g.update(Y, P, KEYS)),
    "weights": (few(KEYS[FEW]), lambda g: g.update(Y, P, KEYS, W * 1e10)),
    "new groups": (few(KEYS[FEW]), lambda g: g.update(Y, P, np.arange(N) + 100)),
    "digits": (
        few(KEYS[FEW], from_logits=True),
        lambda g: g.update(Y, WIDE, KEYS),
    ),
    "finer times": (
        few(np.arange(5).astype("M8[us]")),
        lambda g: g.update(Y, P, np.arange(N).astype("M8[ns]")),
    ),
    "objects": (
        few(list("abcde")),
        lambda g: g.update(Y, P, [*("abcdefgh" * 4), *range(8)]),
    ),
    "columns": (
        few((list("abcde"), [1, 2, 3, 4, 5])),
        lambda g: g.update(Y, P, (DAYS, KEYS)),
    ),
    "revert": (
        lambda: GroupedLogLoss().update(Y, P, KEYS, W),
        lambda g: g.revert(Y[KEPT], P[KEPT], KEYS[KEPT], W[KEPT]),
    ),
    "merge": (few(KEYS[FEW]), lambda g: g.merge(OTHER)),
    "first pairs": (LogLossComparison, lambda c: c.update(Y, P, Q)),
    "first pairs of groups": (
        LogLossComparison,
        lambda c: c.update(Y, P, Q, groups=KEYS),
    ),
    "pairs of groups": (few_pairs, lambda c: c.update(Y, P, Q, groups=KEYS)),
    "merge pairs": (few_pairs, lambda c: c.merge(OTHER_PAIRS)),
    "merge first pairs": (LogLossComparison, lambda c: c.merge(OTHER_PAIRS)),
    "accumulator": (LogLossAccumulator, lambda a: a.update(Y.tolist(), P, W)),
}


def stopped(call, after):
    """Stop a call before a line of `FILES`; whether it came so far."""
    lines = iter(range(after))

    def trace(frame, event, _):
        if frame.f_code.co_filename not in FILES:
            return None
        if event == "line" and next(lines, None) is None:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_all_is_as_it_was(monkeypatch, case, threads):
    monkeypatch.setattr(groups, "_CHUNK", 16)
    monkeypatch.setattr(groups, "_MANY", 24)
    monkeypatch.setattr(_group_sums, "threads_for", lambda _: threads)
    new, change = CASES[case]
    before, after = new(), new()
    change(after)
    line, step = 0, 7
    n_stopped = n_done = 0
    found = new()
    while stopped(lambda: change(found), line):  # noqa: B023
        n_stopped += 1
        if found == before:
            change(found)
        else:  # the last lines only return
            n_done += 1
        assert found == after
        assert found != before
        found = new()
        line += step
    assert n_stopped > 1
    assert n_done <= 1
