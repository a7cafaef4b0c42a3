"""Ten points: how log loss is computed, in nine pictures.

From points to a sigmoid, from the sigmoid to the probability of each point's true
class, and from probabilities to negative logarithms and their mean.

Run with ``python examples/ten_points.py``.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression

from fastlogloss import log_loss, sample_log_loss

PICTURES = Path(__file__).parent / "pictures"
X = np.array([-2.2, -1.4, -0.8, 0.2, 0.4, 0.8, 1.2, 2.2, 2.9, 4.6])
Y = np.array([0, 0, 1, 0, 1, 1, 1, 1, 1, 1])
COLOURS = np.where(Y == 1, "tab:green", "tab:red")
WIDTH = 0.16


def fit():
    """A logistic regression of the ten points."""
    return LogisticRegression(solver="lbfgs").fit(X[:, None], Y)


def draw(model, path):
    figure = Figure(figsize=(13, 9), layout="constrained")
    panels = iter(figure.subplots(3, 3).flat)
    p = model.predict_proba(X[:, None])[:, 1]
    true = np.where(Y == 1, p, 1 - p)
    losses = sample_log_loss(Y, p)

    axes = next(panels)
    axes.axhline(0, color="grey", linewidth=1, zorder=0)
    axes.scatter(X, np.zeros_like(X), c=COLOURS, s=60)
    axes.set(title="1. The points, green or red", ylim=(-1, 1), yticks=[])

    axes = next(panels)
    for height in (0, 1):
        axes.axhline(height, color="grey", linewidth=1, zorder=0)
    axes.scatter(X, Y, c=COLOURS, s=60)
    axes.set(title="2. Split by class", ylim=(-0.5, 1.5))
    axes.set_yticks([0, 1], ["red\ny = 0", "green\ny = 1"])

    axes = sigmoid(next(panels), model)
    axes.scatter(X, Y, c=COLOURS, s=60, zorder=3)
    axes.set(title="3. A fitted sigmoid: probability of green")

    axes = sigmoid(next(panels), model)
    bars(axes, Y == 1, 0, p)
    axes.set(title="4. Green points: the part below the curve")

    axes = sigmoid(next(panels), model)
    bars(axes, Y == 0, p, 1 - p)
    axes.set(title="5. Red points: the part above it")

    axes = sigmoid(next(panels), model)
    bars(axes, Y == 1, 0, p)
    bars(axes, Y == 0, p, 1 - p)
    axes.set(title="6. Each point, probability of its true class")

    axes = next(panels)
    numbered(axes, true)
    axes.set(title="7. The bars alone", ylabel="probability of the true class")
    axes.set(ylim=(0, 1.15))

    axes = next(panels)
    q = np.linspace(0.02, 1, 200)
    axes.plot(q, -np.log(q), color="grey", zorder=0)
    axes.scatter(true, losses, c=COLOURS, s=40)
    axes.set(title="8. A low probability costs much", ylim=(0, 4))
    axes.set(xlabel="probability q of the true class", ylabel="loss, -log q")

    axes = next(panels)
    mean = log_loss(Y, p)
    numbered(axes, losses)
    axes.axhline(mean, color="black", linestyle="--", linewidth=1)
    axes.text(9.4, mean + 0.06, f"mean: log loss = {mean:.4f}", ha="right")
    axes.set(title="9. Negative logarithms, and their mean", ylabel="loss")
    axes.set(ylim=(0, 1.15 * losses.max()))

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    print(f"  picture: {path}")


def sigmoid(axes, model):
    x = np.linspace(-3, 5.4, 200)
    axes.plot(x, model.predict_proba(x[:, None])[:, 1], color="tab:blue", zorder=2)
    axes.set(ylim=(-0.05, 1.05), xlabel="x")
    return axes


def bars(axes, chosen, bottom, height):
    bottom = np.broadcast_to(bottom, X.shape)[chosen]
    axes.bar(X[chosen], height[chosen], WIDTH, bottom, color=COLOURS[chosen])


def numbered(axes, heights):
    """A bar a point, its height written above."""
    places = np.arange(len(X))
    axes.bar(places, heights, color=COLOURS)
    for place, height in zip(places, heights, strict=True):
        axes.annotate(
            f"{height:.2f}",
            (place, height),
            (0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0},
        )
    axes.set_xticks(places, [f"{x:g}" for x in X])
    axes.set(xlabel="x")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURES, metavar="DIR")
    options = parser.parse_args(argv)

    print("Ten points: log loss is the mean of negative logarithms\n")
    model = fit()
    p = model.predict_proba(X[:, None])[:, 1]
    losses, loss = sample_log_loss(Y, p), log_loss(Y, p)
    with np.printoptions(precision=2, suppress=True):
        print(f"  x         {X}")
        print(f"  y         {Y}")
        print(f"  p(y = 1)  {p}")
        print(f"  losses    {losses}")
    print(f"  log loss  {loss:.4f}")
    draw(model, options.out / "ten_points.png")
    return losses, loss


if __name__ == "__main__":
    main()
