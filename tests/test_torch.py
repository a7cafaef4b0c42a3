"""torch tensors on the CPU."""

import numpy as np
import pytest
from arrays import random_case

from fastlogloss import d2_log_loss_score, log_loss, sample_log_loss

pytestmark = pytest.mark.heavy

NARROW = ("float32", "float16")


@pytest.mark.parametrize("dtype", ["float64", *NARROW])
@pytest.mark.parametrize("n_columns", [1, 2, 3])
@pytest.mark.usefixtures("fast_path_only")
def test_tensors(dtype, n_columns):
    import torch

    codes, p, w = random_case(60, n_columns, dtype=dtype)
    tensors = torch.from_numpy(codes), torch.from_numpy(p), torch.from_numpy(w)
    y, q, v = tensors
    assert log_loss(y, q) == log_loss(codes, p)
    assert log_loss(codes, q) == log_loss(codes, p)
    assert log_loss(y, p) == log_loss(codes, p)
    assert log_loss(y, q, sample_weight=v) == log_loss(codes, p, sample_weight=w)
    assert d2_log_loss_score(y, q) == d2_log_loss_score(codes, p)
    np.testing.assert_array_equal(sample_log_loss(y, q), sample_log_loss(codes, p))


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
    from compare import assert_same

    codes, p, _ = random_case(60, 1)
    assert_same("log_loss", codes, torch.tensor(p, requires_grad=True))
