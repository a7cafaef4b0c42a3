"""Two circles: the same network in Keras, scored by fastlogloss after every epoch.

Keras reports its own binary cross-entropy of the test points; a callback computes log
loss of the same probabilities with fastlogloss. Both are the same number to float32:
Keras clips at 1e-7, which is ``eps=1e-7`` here, and computes logarithms and means in
float32, whose relative rounding error is 6e-8 a step, where fastlogloss has float64. A
few such steps meet in a mean: 2e-7 is seen, and ``TOLERANCE`` allows 1e-6.

Needs Keras 3 and a backend: PyTorch unless KERAS_BACKEND names another. Run with
``python examples/two_circles_keras.py``.
"""

import argparse
import os
import time
from pathlib import Path

from two_circles import PICTURES, circles, draw, report

from fastlogloss import log_loss

EPS = 1e-7  # where Keras clips: keras.config.epsilon()
TOLERANCE = 1e-6  # relative


def import_keras():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    return keras


def build(keras, random_state=0):
    keras.utils.set_random_seed(random_state)
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(50, "relu", kernel_initializer="he_uniform"),
            keras.layers.Dense(1, "sigmoid"),
        ]
    )
    optimizer = keras.optimizers.SGD(learning_rate=0.01, momentum=0.9)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"])
    return model


def probabilities(keras, model, X):
    """float32, of shape (n_samples, 1)."""
    return keras.ops.convert_to_numpy(model(X, training=False))


def scorer(keras, X, y):
    """A callback that scores the model on these points after each epoch."""

    class Score(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.history = {"loss": [], "accuracy": [], "val_loss": []}
            self.history["val_accuracy"] = []
            self.ours = []

        def on_epoch_end(self, epoch, logs=None):
            p = probabilities(keras, self.model, X)
            self.ours.append(log_loss(y, p, eps=EPS))
            for name, values in self.history.items():
                values.append(logs[name])
            if epoch == 0 or (epoch + 1) % 20 == 0:
                report(epoch + 1, self.history)
                print(f"{'':13}fastlogloss {self.ours[-1]:.8f}", end="")
                print(f" test, Keras {logs['val_loss']:.8f}", flush=True)

    return Score()


def train(epochs=200, random_state=0):
    """The trained model, its history, and our loss of the test points by epoch."""
    keras = import_keras()
    X, y, X_test, y_test = circles()
    model = build(keras, random_state)
    score = scorer(keras, X_test, y_test)
    model.fit(
        X,
        y,
        validation_data=(X_test, y_test),
        epochs=epochs,
        batch_size=32,
        verbose=0,
        callbacks=[score],
    )
    return model, score.history, score.ours


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--random-state", type=int, default=0)
    parser.add_argument("--out", type=Path, default=PICTURES, metavar="DIR")
    options = parser.parse_args(argv)

    keras = import_keras()
    print(f"Two circles: Keras {keras.__version__} on {keras.backend.backend()}\n")
    start = time.perf_counter()
    model, history, ours = train(options.epochs, options.random_state)
    seconds = time.perf_counter() - start

    X, y, X_test, y_test = circles()
    accuracies = [
        model.evaluate(points, labels, verbose=0)[1]
        for points, labels in ((X, y), (X_test, y_test))
    ]
    print("\n  Train: {:.3f}, Test: {:.3f}".format(*accuracies), end="")
    print(f"   ({seconds:.1f} s)")
    theirs = history["val_loss"]
    worst = max(abs(a / b - 1) for a, b in zip(theirs, ours, strict=True))
    print(f"  Keras's binary cross-entropy and log loss differ by {worst:.1e} at most")

    def predict(points):
        return probabilities(keras, model, points)

    draw(history, predict, options.out / "two_circles_keras.png")
    return accuracies, history, ours


if __name__ == "__main__":
    main()
