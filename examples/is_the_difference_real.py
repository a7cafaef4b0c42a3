"""Is the difference real? Two models, compared on the same rows, with intervals.

Is a digit an 8? Two logistic regressions, one with more of a penalty, are scored by
cross-validation. Each loss alone is so uncertain that their intervals overlap; but both
models find the same digits hard, and of the differences, row by row, the interval is
several times as narrow. Then the same is repeated over other splits: five times as many
rows, but not more digits, so that the rows of a digit have to be kept together.

Run with ``python examples/is_the_difference_real.py``.
"""

import argparse
import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from fastlogloss import compare_log_loss, log_loss_by_group

PICTURES = Path(__file__).parent / "pictures"
PENALTIES = {"C = 1": 1.0, "C = 0.3": 0.3}
SEGMENTS = np.array(["1 faint", "2 light", "3 dark", "4 bold"])


def digits():
    """Pixels in [0, 1], whether it is an 8, and how much ink there is."""
    X, digit = load_digits(return_X_y=True)
    X = X / 16
    ink = X.mean(axis=1)
    quarter = np.searchsorted(np.quantile(ink, [0.25, 0.5, 0.75]), ink)
    return X, (digit == 8).astype(int), SEGMENTS[quarter]


def scores(X, y, C, split):
    """Probabilities of an 8, each from a model that has not seen the digit."""
    folds = StratifiedKFold(5, shuffle=True, random_state=split)
    model = LogisticRegression(C=C, max_iter=2000)
    return cross_val_predict(model, X, y, cv=folds, method="predict_proba")[:, 1]


def row(name, difference, interval):
    low, high = interval
    verdict = "may be chance" if low <= 0 <= high else "is real"
    print(
        f"    {name:27} {difference:+.4f}   from {low:+.4f} to {high:+.4f}   {verdict}"
    )
    return {"name": name, "difference": difference, "low": low, "high": high}


def compare(y, repeats):
    """Rows of a table: the difference, and intervals of it by four ways."""
    first, second = (p[0] for p in repeats)
    one = compare_log_loss(y, first, second)
    # As if each model had been scored on digits of its own.
    alone = [by_all.standard_error[0] for by_all in (whole(y, first), whole(y, second))]
    half = 1.96 * math.hypot(*alone)
    unpaired = one.difference - half, one.difference + half

    pooled = [p.ravel() for p in repeats]
    n_repeats = len(repeats[0])
    labels = np.tile(y, n_repeats)
    number = np.tile(np.arange(len(y)), n_repeats)
    naive = compare_log_loss(labels, *pooled)
    robust = compare_log_loss(labels, *pooled, groups=number)
    results = [
        row("unpaired", one.difference, unpaired),
        row("paired", one.difference, one.confidence_interval()),
        row(f"{n_repeats} splits, rows alone", *found(naive)),
        row(f"{n_repeats} splits, rows of a digit", *found(robust)),
    ]
    print(f"    p-value, paired: {one.pvalue:.1e}")
    return results, one


def found(comparison):
    return comparison.difference, comparison.confidence_interval()


def whole(y, p):
    """The loss of all rows, as of one group."""
    return log_loss_by_group(y, p, np.zeros(len(y), int))


def by_segment(y, segment, repeats):
    results = {}
    for name, p in zip(PENALTIES, repeats, strict=True):
        groups = log_loss_by_group(y, p[0], segment)
        low, high = groups.confidence_interval()
        results[name] = {
            "segment": [str(key) for key in groups.groups],
            "loss": np.asarray(groups.loss),
            "low": np.asarray(low),
            "high": np.asarray(high),
        }
        for key, *numbers in zip(*results[name].values(), strict=True):
            loss, low, high = numbers
            print(f"    {name:8} {key:8} {loss:.4f}   from {low:.4f} to {high:.4f}")
    return results


def draw(segments, differences, path):
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for i, (name, found) in enumerate(segments.items()):
        place = np.arange(len(found["loss"])) + 0.12 * (2 * i - 1)
        ends = found["loss"] - found["low"], found["high"] - found["loss"]
        left.errorbar(place, found["loss"], ends, fmt="o", capsize=4, label=name)
        left.set_xticks(range(len(place)), found["segment"])
    left.set(title="log loss by ink, 95 %", xlabel="quarter of the digits")
    left.set_ylim(bottom=0)
    left.legend(frameon=False)

    for i, found in enumerate(differences):
        low, high = found["low"], found["high"]
        colour = "tab:red" if low <= 0 <= high else "tab:green"
        right.plot([low, high], [i, i], color=colour, linewidth=2)
        right.plot(found["difference"], i, "o", color=colour)
    right.axvline(0, color="grey", linestyle=":", linewidth=1)
    right.set_yticks(range(len(differences)), [found["name"] for found in differences])
    right.set_ylim(len(differences) - 0.5, -0.5)
    right.set(title="difference of the log losses, 95 %")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    print(f"\n  picture: {path}")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--out", type=Path, default=PICTURES, metavar="DIR")
    options = parser.parse_args(argv)

    X, y, segment = digits()
    print(f"Is it an 8? {len(y)} digits, of which {y.sum()} are")
    repeats = [
        np.stack([scores(X, y, C, split) for split in range(options.splits)])
        for C in PENALTIES.values()
    ]
    first, second = PENALTIES
    print("\n  Log loss by the ink of a digit")
    segments = by_segment(y, segment, repeats)
    print(f"\n  Difference, {first} less {second}")
    differences, comparison = compare(y, repeats)
    draw(segments, differences, options.out / "is_the_difference_real.png")
    return {
        "segments": segments,
        "differences": differences,
        "comparison": comparison,
        "labels": y,
        "scores": repeats,
    }


if __name__ == "__main__":
    main()
