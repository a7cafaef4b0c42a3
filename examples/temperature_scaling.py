"""Temperature scaling: one number that cures an over-confident classifier.

Logistic regression without a penalty separates its few training digits perfectly, and
is far too sure of the rest. Its logits z are divided by a temperature T, chosen so that
the log loss of held-out digits is least. With b = 1 / T the loss of b z is convex in b,
and the chain rule gives its derivatives from those by logits, g and h:

    dL/db = sum g z    and, for two classes,    d2L/db2 = sum h z^2

Two classes (odd or even) are fitted by Newton's method on log_loss_gradient_hessian,
ten classes by L-BFGS on log_loss_gradient.

Run with ``python examples/temperature_scaling.py``.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastlogloss import log_loss, log_loss_gradient, log_loss_gradient_hessian

PICTURES = Path(__file__).parent / "pictures"


def logits(odd_or_even):
    """Labels and logits of held-out digits: to fit the temperature, and to test it."""
    X, y = load_digits(return_X_y=True)
    if odd_or_even:
        y = y % 2
    X, X_rest, y, y_rest = train_test_split(
        X, y, train_size=200, stratify=y, random_state=0
    )
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e8, max_iter=10_000))
    z = model.fit(X, y).decision_function(X_rest)
    half = len(y_rest) // 2
    return y_rest[:half], z[:half], y_rest[half:], z[half:]


def newton(y, z, tolerance=1e-10):
    """Temperature for the logits of two classes."""

    def derivatives(b):
        loss, g, h = log_loss_gradient_hessian(y, b * z, from_logits=True)
        return loss, g @ z, h @ z**2

    b = 1.0
    for step in range(1, 101):
        loss, slope, curvature = derivatives(b)
        print(f"    step {step:2}   T = {1 / b:8.4f}   log loss {loss:.6f}")
        if abs(slope) <= tolerance:
            break
        change = -slope / curvature
        # Never past zero, never uphill: 1e-12 is for rounding.
        while change <= -b or derivatives(b + change)[0] > loss * (1 + 1e-12):
            change /= 2
        b += change
    return 1 / b


def l_bfgs(y, z):
    """Temperature for the logits of any number of classes."""

    def derivatives(log_b):
        b = np.exp(log_b[0])
        loss, g = log_loss_gradient(y, b * z, from_logits=True)
        return loss, np.array([b * np.vdot(g, z)])

    def report(intermediate_result):
        T = np.exp(-intermediate_result.x[0])
        print(f"    T = {T:8.4f}   log loss {intermediate_result.fun:.6f}")

    found = minimize(derivatives, [0.0], jac=True, method="L-BFGS-B", callback=report)
    return float(np.exp(-found.x[0]))


def confidence(y, z):
    """Probability of the predicted class, and whether it is the true one."""
    if z.ndim == 1:
        z = np.column_stack([np.zeros_like(z), z])
    p = softmax(z, axis=1)
    return p.max(axis=1), p.argmax(axis=1) == y


def reliability(sure, right, n_bins=5):
    """Mean confidence and accuracy of rows in equal bins of confidence, and counts."""
    edges = np.linspace(sure.min(), 1, n_bins + 1)
    bins = np.clip(np.searchsorted(edges, sure, side="right") - 1, 0, n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    used = counts > 0
    total = np.maximum(counts, 1)
    mean_sure = np.bincount(bins, sure, n_bins) / total
    accuracy = np.bincount(bins, right, n_bins) / total
    return mean_sure[used], accuracy[used], counts[used]


def draw(results, path):
    figure = Figure(figsize=(5 * len(results), 4.8), layout="constrained")
    for axes, result in zip(figure.subplots(1, len(results)), results, strict=True):
        y, z, T = result["y"], result["z"], result["T"]
        axes.plot([0, 1], [0, 1], color="grey", linestyle=":", linewidth=1)
        for name, scaled, colour in (
            ("before", z, "tab:red"),
            (f"T = {T:.2f}", z / T, "tab:green"),
        ):
            sure, right, counts = reliability(*confidence(y, scaled))
            loss = log_loss(y, scaled, from_logits=True)
            label = f"{name}: log loss {loss:.3f}"
            axes.plot(sure, right, color=colour, label=label)
            axes.scatter(sure, right, s=10 + counts, color=colour, alpha=0.6)
        low = 0.45 if z.ndim == 1 else 0.3
        axes.set(xlim=(low, 1.05), ylim=(0.25, 1.05), title=result["title"])
        axes.set(xlabel="confidence (area: number of digits)", ylabel="accuracy")
        axes.legend(frameon=False, loc="upper left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    print(f"\n  picture: {path}")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURES, metavar="DIR")
    options = parser.parse_args(argv)

    print("Temperature scaling of a logistic regression without a penalty")
    results = []
    for title, odd_or_even, method, fit in (
        ("digits, odd or even", True, "Newton", newton),
        ("digits, ten classes", False, "L-BFGS", l_bfgs),
    ):
        print(f"\n  {title}: {method}", flush=True)
        y_fit, z_fit, y, z = logits(odd_or_even)
        T = fit(y_fit, z_fit)
        losses = [log_loss(y, s, from_logits=True) for s in (z, z / T)]
        sure, right = confidence(y, z)
        print(f"    temperature {T:.4f}, fitted on {len(y_fit)} held-out digits")
        print(f"    on {len(y)} others, of which {right.mean():.1%} are right:")
        for name, s, loss in zip(("before", "after"), (z, z / T), losses, strict=True):
            sure, _ = confidence(y, s)
            print(f"      {name:7} mean confidence {sure.mean():.1%}", end="")
            print(f"   log loss {loss:.4f}")
        results.append({"title": title, "y": y, "z": z, "T": T, "losses": losses})
    draw(results, options.out / "temperature_scaling.png")
    return results


if __name__ == "__main__":
    main()
