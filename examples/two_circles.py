"""Two circles: a network in plain NumPy, trained on log loss and its gradient.

A thousand noisy points on two circles, 500 to train on and 500 to test; 50 ReLU units
and one logit; stochastic gradient descent with momentum in batches of 32, 200 epochs.
The loss comes from logits: no sigmoid, no clipping, one call for loss and gradient.

Run with ``python examples/two_circles.py``.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import make_circles

from fastlogloss import LogLoss, log_loss_gradient

PICTURES = Path(__file__).parent / "pictures"


def circles():
    """Points and labels, to train on and to test."""
    X, y = make_circles(n_samples=1000, noise=0.1, random_state=1)
    return X[:500], y[:500], X[500:], y[500:]


class Network:
    """Inputs -> ReLU units -> one logit; trained by gradient descent with momentum."""

    def __init__(self, n_inputs, n_units, rng):
        he = np.sqrt(6 / n_inputs)
        glorot = np.sqrt(6 / (n_units + 1))
        self.parameters = [
            rng.uniform(-he, he, (n_inputs, n_units)),
            np.zeros(n_units),
            rng.uniform(-glorot, glorot, n_units),
            np.zeros(1),
        ]
        self.velocities = [np.zeros_like(p) for p in self.parameters]

    def forward(self, X):
        w1, b1, w2, b2 = self.parameters
        units = np.maximum(X @ w1 + b1, 0)
        return units, units @ w2 + b2

    def logits(self, X):
        return self.forward(X)[1]

    def step(self, X, y, rate, momentum):
        units, z = self.forward(X)
        # labels: a batch may hold one class alone.
        loss, dz = log_loss_gradient(y, z, labels=[0, 1], from_logits=True)
        d_units = np.outer(dz, self.parameters[2]) * (units > 0)
        gradients = X.T @ d_units, d_units.sum(axis=0), units.T @ dz, dz.sum()
        for p, v, g in zip(self.parameters, self.velocities, gradients, strict=True):
            v *= momentum
            v -= rate * g
            p += v
        return loss


def train(epochs=200, batch=32, rate=0.01, momentum=0.9, random_state=0):
    """The trained network, and its history under the names that Keras uses."""
    X, y, X_test, y_test = circles()
    rng = np.random.default_rng(random_state)
    network = Network(X.shape[1], 50, rng)
    # Labels are validated and encoded once, then scored after every epoch.
    watched = {
        "": (X, y, LogLoss(y, from_logits=True)),
        "val_": (X_test, y_test, LogLoss(y_test, from_logits=True)),
    }
    history = {"loss": [], "accuracy": [], "val_loss": [], "val_accuracy": []}
    for epoch in range(1, epochs + 1):
        order = rng.permutation(len(y))
        for start in range(0, len(y), batch):
            rows = order[start : start + batch]
            network.step(X[rows], y[rows], rate, momentum)
        for prefix, (points, labels, loss) in watched.items():
            z = network.logits(points)
            history[prefix + "loss"].append(loss(z))
            history[prefix + "accuracy"].append(np.mean((z > 0) == labels))
        if epoch == 1 or epoch % 20 == 0:
            report(epoch, history)
    return network, history


def report(epoch, history):
    train_loss, train_accuracy, test_loss, test_accuracy = (
        history[name][-1] for name in ("loss", "accuracy", "val_loss", "val_accuracy")
    )
    print(
        f"  epoch {epoch:3}   loss {train_loss:.4f} train, {test_loss:.4f} test"
        f"   accuracy {train_accuracy:.3f} train, {test_accuracy:.3f} test",
        flush=True,
    )


def draw(history, predict, path):
    """Curves of loss and accuracy, and what `predict` says over the plane."""
    figure = Figure(figsize=(12, 3.9), layout="constrained")
    losses, accuracies, plane = figure.subplots(1, 3)
    epochs = np.arange(1, len(history["loss"]) + 1)
    for axes, name in ((losses, "loss"), (accuracies, "accuracy")):
        axes.plot(epochs, history[name], color="tab:blue", label="train")
        axes.plot(epochs, history["val_" + name], color="tab:orange", label="test")
        axes.set(xlabel="epoch", title="log loss" if name == "loss" else name)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)

    _, _, X, y = circles()
    side = np.linspace(-1.5, 1.5, 121)
    grid = np.stack(np.meshgrid(side, side), axis=-1)
    p = predict(grid.reshape(-1, 2)).reshape(grid.shape[:2])
    shown = plane.contourf(
        side, side, p, np.linspace(0, 1, 11), cmap="RdYlGn", alpha=0.5
    )
    plane.contour(side, side, p, [0.5], colors="black", linewidths=1)
    for label, colour in ((0, "tab:red"), (1, "tab:green")):
        points = X[y == label]
        plane.scatter(*points.T, s=9, c=colour, edgecolors="white", linewidths=0.4)
    plane.set(title="p(inner circle), and test points", aspect="equal")
    figure.colorbar(shown, ax=plane)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    print(f"  picture: {path}")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--random-state", type=int, default=0)
    parser.add_argument("--out", type=Path, default=PICTURES, metavar="DIR")
    options = parser.parse_args(argv)

    print("Two circles: 50 ReLU units, trained in NumPy on the gradient from logits\n")
    start = time.perf_counter()
    network, history = train(options.epochs, random_state=options.random_state)
    seconds = time.perf_counter() - start
    train_accuracy, test_accuracy = history["accuracy"][-1], history["val_accuracy"][-1]
    print(f"\n  Train: {train_accuracy:.3f}, Test: {test_accuracy:.3f}", end="")
    print(f"   ({seconds:.1f} s)")

    def predict(points):
        return 1 / (1 + np.exp(-network.logits(points)))

    draw(history, predict, options.out / "two_circles.png")
    return history


if __name__ == "__main__":
    main()
