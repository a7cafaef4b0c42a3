"""torch tensors on the CPU."""

import numpy as np
import pytest
import sklearn.metrics
from arrays import random_case
from compare import assert_same, outcome

from fastlogloss import (
    LogLoss,
    d2_log_loss_score,
    log_loss,
    log_loss_gradient,
    sample_log_loss,
)

pytestmark = pytest.mark.heavy

NARROW = ("float32", "float16")


@pytest.mark.parametrize("dtype", ["float64", *NARROW])
@pytest.mark.parametrize("n_columns", [1, 2, 3])
def test_tensors(dtype, n_columns):
    """float64 to scikit-learn, whatever they hold."""
    import torch

    codes, p, w = random_case(60, n_columns, dtype=dtype)
    wide = p.astype(np.float64)
    tensors = torch.from_numpy(codes), torch.from_numpy(p), torch.from_numpy(w)
    y, q, v = tensors
    for proba in (q, list(q), q.tolist()):
        expected = assert_same("log_loss", codes, proba)
        assert outcome(log_loss, codes, wide).value == expected
        assert outcome(log_loss, y, proba).value == expected
        assert outcome(LogLoss(y), proba).value == expected
    weighted = outcome(log_loss, codes, wide, sample_weight=w).value
    assert outcome(log_loss, y, q, sample_weight=v).value == weighted
    explained = outcome(d2_log_loss_score, codes, wide).value
    assert outcome(d2_log_loss_score, y, q).value == explained
    np.testing.assert_array_equal(
        outcome(sample_log_loss, y, q).value,
        outcome(sample_log_loss, codes, wide).value,
    )


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("n_columns", [1, 3])
def test_types_that_numpy_has_not(dtype, n_columns):
    """Read wherever numbers are; scikit-learn refuses them."""
    import torch

    codes, p, w = random_case(60, n_columns)
    q = torch.from_numpy(p / 2 + 0.125).to(getattr(torch, dtype))
    v = torch.from_numpy(w).to(getattr(torch, dtype))
    wide, wv = q.double().numpy(), v.double().numpy()
    calls = [
        log_loss,
        d2_log_loss_score,
        lambda y, q: log_loss(y, q, from_logits=True),
        lambda y, q: log_loss(y, q, label_smoothing=0.1),
        lambda y, q: log_loss_gradient(y, q)[0],
        lambda y, q: LogLoss(y)(q),
        lambda y, q: LogLoss(y).many([q, q])[1],
        lambda y, q: LogLoss(y, from_logits=True).loss_gradient_hessian(q)[0],
        lambda y, q: sample_log_loss(y, q).tolist(),
    ]
    for call in calls:
        expected = outcome(call, codes, wide)
        assert expected.error is None
        for proba in (q, list(q), q.detach()):
            found = outcome(call, codes, proba)
            assert found[:2] == expected[:2]
            assert len(found.warnings) == len(expected.warnings)
    weighted = outcome(log_loss, codes, wide, sample_weight=wv)
    assert outcome(log_loss, codes, q, sample_weight=v)[:2] == weighted[:2]
    soft = torch.rand(60).to(getattr(torch, dtype))
    vector = p if n_columns == 1 else p[:, 0]
    expected = LogLoss(soft.double().numpy(), soft_targets=True)(vector)
    assert LogLoss(soft, soft_targets=True)(vector) == expected
    # What is wrong with them is said all the same.
    q = (q.float() * 4).to(q.dtype)
    expected = outcome(log_loss, codes, q.double().numpy())
    assert outcome(log_loss, codes, q).error == expected.error


@pytest.mark.parametrize(
    "make",
    [
        lambda torch: torch.full((2,), 0.5, requires_grad=True),
        lambda torch: torch.full((2,), 0.5, dtype=torch.bfloat16, requires_grad=True),
        lambda torch: torch.tensor([0.5 + 1j, 0.5]),
        lambda torch: torch.tensor([0.5 + 1j, 0.5]).conj(),
        lambda torch: torch.empty(2, device="meta", dtype=torch.bfloat16),
        lambda torch: torch.tensor([0.5, 0.5]).to_sparse(),
    ],
)
def test_what_is_refused(make):
    """Gradients, imaginary parts and devices are nothing that we may drop."""
    import torch

    ours, theirs = (
        outcome(log_loss, [0, 1], make(torch)),
        outcome(sklearn.metrics.log_loss, [0, 1], make(torch)),
    )
    assert ours.error[0] == theirs.error[0]
    with pytest.raises(ValueError, match="real numbers"):
        LogLoss([0, 1])(make(torch))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.usefixtures("fast_path_only")
def test_labels(dtype):
    import torch

    codes, p, _ = random_case(60, 1)
    y = torch.from_numpy(codes).to(getattr(torch, dtype))
    assert log_loss(y, p) == log_loss(codes, p)


@pytest.mark.usefixtures("fast_path_only")
def test_views():
    import torch

    codes, p, _ = random_case(60, 3)
    transposed = torch.from_numpy(np.ascontiguousarray(p.T)).T
    assert log_loss(torch.from_numpy(codes), transposed) == log_loss(codes, p)


def test_tensors_with_gradients_are_left_to_sklearn():
    import torch

    codes, p, _ = random_case(60, 1)
    assert_same("log_loss", codes, torch.tensor(p, requires_grad=True))
