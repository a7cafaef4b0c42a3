"""The ten points that the project grew from."""

import math

import numpy as np
import pytest
from compare import ulps
from sklearn.linear_model import LogisticRegression

import fastlogloss

X = np.array([-2.2, -1.4, -0.8, 0.2, 0.4, 0.8, 1.2, 2.2, 2.9, 4.6])[:, None]
Y = np.array([0, 0, 1, 0, 1, 1, 1, 1, 1, 1])


@pytest.fixture(scope="module")
def model():
    return LogisticRegression(solver="lbfgs").fit(X, Y)


@pytest.fixture(scope="module")
def p(model):
    return model.predict_proba(X)[:, 1]


def test_the_number(model, p):
    assert round(fastlogloss.log_loss(Y, p), 4) == 0.3329
    assert round(fastlogloss.log_loss(Y, model.predict_proba(X)), 4) == 0.3329
    assert round(fastlogloss.neg_log_loss_scorer(model, X, Y), 4) == -0.3329


def test_formula_row_by_row(p):
    """Two logarithms apart: each within 1 ULP."""
    rows = fastlogloss.sample_log_loss(Y, p)
    formula = [
        -y * math.log(q) - (1 - y) * math.log(1 - q)
        for y, q in zip(Y.tolist(), p.tolist(), strict=True)
    ]
    assert ulps(rows, formula).max() <= 2
    assert fastlogloss.log_loss(Y, p) == pytest.approx(np.mean(formula), rel=2e-15)
