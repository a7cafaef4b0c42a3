"""How often confidence intervals of 95 % contain the mean that they are about.

    python -m bench.coverage

Rows are drawn from models whose true mean loss is known from many more rows. What is
counted is how often intervals of some hundred to some thousand rows contain it: 950 of
1000 is right. The intervals are those of fastlogloss, from sums alone, and the
percentile bootstrap, which draws rows again and again.
"""

import argparse
import math
import time

import numpy as np

from fastlogloss._intervals import (
    Estimate,
    Moments,
    clustered,
    confidence_interval,
    estimate,
)

LEVEL = 0.95
RESAMPLES = 500
CELLS = 2**21  # numbers drawn at a time
TRUTH_ROWS = 2 * 10**7

# name: (mean and deviation of the logits, slope and offset of the model, rows)
ROWS = {
    "clicks, 2 %": ((-4.5, 1.0), (1.3, 0.2), (100, 200, 500, 1000, 10_000)),
    "sharp probabilities": ((0.0, 4.0), (1.3, 0.2), (100, 1000)),
}
REPEATS = {100: 10_000, 200: 10_000, 500: 10_000, 1000: 5000, 10_000: 2000}
BOOTSTRAPPED = 1000  # repeats at the most; none of more rows than
BOOTSTRAPPED_ROWS = 1000
CLUSTERS = (5, 10, 20, 30, 50, 100, 300)
CLUSTER_REPEATS = 4000
CLUSTER_ROWS = 20


def losses(z, y):
    """Losses of logits."""
    return np.logaddexp(0, np.where(y, -z, z))


def rows(rng, shape, kind):
    """Losses of a model and of a slightly duller one, and the labels."""
    (centre, deviation), (slope, offset), _ = ROWS[kind]
    z = rng.normal(centre, deviation, shape)
    y = rng.random(shape) * (1 + np.exp(-z)) < 1
    scores = slope * z + offset
    return losses(scores, y), losses(0.9 * scores - 0.1, y), y


def clusters(rng, shape):
    """Likewise of clusters whose rows have something in common."""
    z = rng.normal(-2, 1, (*shape, CLUSTER_ROWS))
    y = rng.random(z.shape) * (1 + np.exp(-z - rng.normal(0, 1, (*shape, 1)))) < 1
    return losses(z, y), losses(0.9 * z - 0.1, y)


def moments(x):
    """`Moments` of each row of a matrix of losses, unweighted."""
    n = np.full(len(x), float(x.shape[1]))
    square = x * x
    one, two, three = (a.sum(axis=1) for a in (x, square, square * x))
    return Moments(n, n, one, n, one, two, n, one, two, three)


def percentile(rng, x):
    """Ends of bootstrap intervals of each row of a matrix of losses."""
    n = x.shape[1]
    counts = rng.multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(float)
    tails = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    return np.quantile(x @ counts.T / n, tails, axis=1)


def share(ends, truth):
    low, high = ends
    return np.mean((low <= truth) & (truth <= high))


def shares(found, truth):
    """Of normal intervals and of Hall's."""
    ends = [confidence_interval(*found, LEVEL, m) for m in ("normal", "hall")]
    return [share(e, truth) for e in ends]


def in_parts(repeats, size):
    """Repeats, so many at a time as fit."""
    step = max(1, CELLS // size)
    while repeats > 0:
        yield min(step, repeats)
        repeats -= step


def stacked(estimates):
    return Estimate(*map(np.concatenate, zip(*estimates, strict=True)))


def table_of_rows(rng, scale):
    lines = []
    for kind, (*_, sizes) in ROWS.items():
        truth = np.zeros(2)
        for _ in range(20):
            a, b, _ = rows(rng, TRUTH_ROWS // 20, kind)
            truth += np.array([a.mean(), (a - b).mean()]) / 20
        for n in sizes:
            repeats = max(20, int(REPEATS[n] * scale))
            found, of_differences, events, boot = [], [], 0, [[], []]
            for part in in_parts(repeats, n):
                a, b, y = rows(rng, (part, n), kind)
                found.append(estimate(moments(a)))
                of_differences.append(estimate(moments(a - b)))
                events += np.minimum(y.sum(axis=1), (~y).sum(axis=1)).sum() / repeats
                room = BOOTSTRAPPED - sum(e.shape[1] for e in boot[0])
                if n <= BOOTSTRAPPED_ROWS and room > 0:
                    boot[0].append(percentile(rng, a[:room]))
                    boot[1].append(percentile(rng, (a - b)[:room]))
            each = (found, of_differences)
            names = ("mean loss", "difference")
            for name, one, ends, true in zip(names, each, boot, truth, strict=True):
                normal, hall = shares(stacked(one), true)
                drawn = share(np.hstack(ends), true) if ends else math.nan
                lines.append((kind, n, events, name, normal, drawn, hall))
    return lines


def table_of_clusters(rng, scale):
    truth = np.zeros(2)
    for _ in range(20):
        a, b = clusters(rng, (TRUTH_ROWS // 20 // CLUSTER_ROWS,))
        truth += np.array([a.mean(), (a - b).mean()]) / 20
    lines = []
    for n in CLUSTERS:
        repeats = max(20, int(CLUSTER_REPEATS * scale))
        naive, robust = ([], []), ([], [])
        size = np.full(n, float(CLUSTER_ROWS))
        for part in in_parts(repeats, n * CLUSTER_ROWS):
            a, b = clusters(rng, (part, n))
            for i, x in enumerate((a, a - b)):
                naive[i].append(estimate(moments(x.reshape(part, -1))))
                of_parts = [clustered(sums, size) for sums in x.sum(axis=2)]
                robust[i].append(Estimate(*map(np.array, zip(*of_parts, strict=True))))
        for i, name in enumerate(("mean loss", "difference")):
            _, of_rows = shares(stacked(naive[i]), truth[i])
            lines.append(
                (n, name, of_rows, *shares(stacked(robust[i]), truth[i])),
            )
    return lines


def markdown(header, lines):
    """A table of Markdown; shares have three digits, and what was not tried none."""
    print("|", " | ".join(header), "|")
    print("|", " | ".join("---" for _ in header), "|")
    for line in lines:
        print("|", " | ".join(map(_text, line)), "|")
    print()


def _text(value):
    if isinstance(value, str):
        return value
    if value > 1:
        return f"{value:,.0f}"
    return "" if math.isnan(value) else f"{value:.3f}"[1:] if value < 1 else "1"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the repeats")
    scale = parser.parse_args(argv).scale
    start = time.perf_counter()
    rng = np.random.default_rng(0)
    of_rows = table_of_rows(rng, scale)
    header = "data", "rows", "rarer class", "of", "normal", "bootstrap", "Hall"
    markdown(header, of_rows)
    of_clusters = table_of_clusters(rng, scale)
    header = f"clusters of {CLUSTER_ROWS}", "of", "rows alone", "normal", "Hall"
    markdown(header, of_clusters)
    print(f"{time.perf_counter() - start:.0f} seconds")
    return of_rows, of_clusters


if __name__ == "__main__":
    main()
