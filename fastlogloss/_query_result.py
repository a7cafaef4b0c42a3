"""What an engine has found by a query -> sums, or what is wrong with its rows."""

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogloss._arrow import Columns, text_of
from fastlogloss._errors import caller_level
from fastlogloss._exact import SUMS, State, from_float
from fastlogloss._intervals import Moments
from fastlogloss._statistics import Sums

# Without weights these are the same sums.
_SAME = {"w2l": "wl", "w3l": "wl", "w3l2": "w2l2"}


class Found(NamedTuple):
    """What an engine has found, in arrays with an entry for each group."""

    sums: Sums
    bad_labels: Any
    bad_scores: Any
    bad_weights: Any
    off_one: Any  # rows whose probabilities do not sum to one


def read(found: Mapping[str, Any], n_classes: int) -> Found:
    """The sums that an engine has found, by the names of `Query.sums`.

    Parameters
    ----------
    found : mapping
        Arrays of numbers, or sequences in which None is the sum of no rows.
    n_classes : int
    """

    def counts(name: str) -> NDArray[np.int64]:
        if name not in found:
            return np.zeros(n_groups, np.int64)
        given = found[name]
        if not isinstance(given, np.ndarray):
            given = [0 if x is None else int(x) for x in given]
        return np.array(given, np.int64)

    def floats(name: str) -> NDArray[np.float64]:
        given = found[name]
        if not isinstance(given, np.ndarray):
            given = [0.0 if x is None else float(x) for x in given]
        return np.array(given, np.float64)

    n_groups = len(found["n_rows"])
    rows, zeros = counts("n_rows"), counts("n_zero_weights")
    beyond = np.zeros(n_groups, np.int64)
    moments = []
    for name in SUMS:
        of = f"sum_{_SAME.get(name, name) if 'sum_w' not in found else name}"
        x = floats(of) if of in found else rows.astype(np.float64)
        lost = ~np.isfinite(x)
        if name in ("w", "wl") and lost.any():
            raise ValueError("the sum of the weighted losses is beyond doubles")
        beyond += lost
        moments.append(np.where(lost, 0.0, x))
    sums = Sums(
        rows,
        Moments((rows - zeros).astype(np.float64), *moments),
        counts("n_infinite"),
        counts("n_minus_infinite"),
        beyond,
        [floats(f"class_{j}") for j in range(n_classes)],
        exact=False,
    )
    bad = counts("n_bad_labels"), counts("n_bad_scores"), counts("n_bad_weights")
    return Found(sums, *bad, counts("n_off_one"))


def skips(on_invalid: Any) -> bool:
    """Whether rows that are not valid are left out, as the argument says."""
    if on_invalid not in ("error", "skip"):
        raise ValueError(f'on_invalid must be "error" or "skip", got {on_invalid!r}')
    return bool(on_invalid == "skip")


def settled(
    found: Found,
    columns: Columns | None = None,
    leaves_out: bool = False,
    n_listed: int = 0,
) -> Sums:
    """The sums, where all rows are valid or are to be skipped; it warns as it must.

    Scores may be lists, of `n_listed` each.

    Raises
    ------
    ValueError
        For rows that are not valid, by number and reason; and where there are no rows.
    """
    label, scores, weight = "the label", "the score", "the weight"
    outside = ", or a probability outside [0, 1]"
    if columns is not None:
        label, scores = text_of(columns.label), text_of(columns.scores)
        weight = text_of(columns.weight)
        outside = "" if columns.are_logits else " or outside [0, 1]"
    if n_listed:
        outside += f", or not a list of {n_listed}"
    reasons = (
        (found.bad_labels, f"{label} is null or no class"),
        (found.bad_scores, f"{scores} is null or NaN{outside}"),
        (found.bad_weights, f"{weight} is null, not finite or out of range"),
    )
    bad = [(int(n.sum()), reason) for n, reason in reasons]
    n_bad = sum(n for n, _ in bad)
    n_valid = int(found.sums.n_samples.sum())
    if n_bad and not leaves_out:
        words = "; ".join(f"in {n} {reason}" for n, reason in bad if n)
        raise ValueError(
            f"{n_bad} of {n_bad + n_valid} rows are not valid: {words} "
            '(on_invalid="skip" leaves them out)'
        )
    if not n_valid:
        words = f"no rows are left of {n_bad}" if n_bad else "there are no rows"
        raise ValueError(words)
    n_off = int(found.off_one.sum())
    if n_off:
        warnings.warn(
            f"The rows of {scores} do not sum to one. Make sure to pass probabilities. "
            f"There are {n_off} such rows.",
            UserWarning,
            stacklevel=caller_level(),
        )
    return found.sums


def state_of(sums: Sums) -> State:
    """The state of a single group."""
    (used,), *moments = ([float(x) for x in m] for m in sums.moments)
    (rows,) = map(int, sums.n_samples)
    of_rows = sums.infinite, sums.minus_infinite, sums.beyond
    counts = rows, rows - int(used), *(int(n[0]) for n in of_rows)
    classes = tuple(from_float(float(x[0])) for x in sums.classes)
    return State(tuple(from_float(x) for (x,) in moments), counts, classes, False)
