"""Every bit of the results, as digests of them that are kept in frozen_bits.json.

The rule: what is in that file does not change. Sums and losses of rows that somebody
keeps today have to be found again by the next release, on every machine. Who has to
change a digest all the same, because the bits of today are wrong, writes a release note
in the changelog that names the functions and by how much their results move, and then

    python tests/test_frozen_bits.py --write

All that goes in is made of integers, by a hash, a division that rounds once and powers
of 2: no library of mathematics, no stream of random numbers that a release of NumPy
could change.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

import fastlogloss

FILE = Path(__file__).with_name("frozen_bits.json")
CONFIDENCES = ("random", "confident", "saturated", "tiny")
DTYPES = ("float64", "float32")
SHORT = (1, 35, 257)  # one row, a strip and a tile with some rows more
DIGITS = 16  # of 64: 64 bits


def hashes(n, seed):
    """(n,) uint64, equally likely: splitmix64."""
    x = (np.arange(n, dtype=np.uint64) + np.uint64(seed << 32)) * np.uint64(
        0x9E3779B97F4A7C15
    )
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def integers(n, bits, seed):
    """(n,) int64 below 2^bits."""
    return (hashes(n, seed) >> np.uint64(64 - bits)).astype(np.int64)


def fractions(n, seed):
    """(n,) float64, odd multiples of 2^-33 in (0, 1)."""
    return (2 * integers(n, 32, seed) + 1) * 2.0**-33


def shares(counts):
    """Rows that sum to one: integers, divided by their sum."""
    return counts / counts.sum(axis=1, keepdims=True)


def labels(n, k, seed=1):
    return integers(n, 31, seed) % k


def weights(n):
    """Multiples of 2^-8 in [0, 16); 0 for one row in nine."""
    w = integers(n, 12, seed=2) * 2.0**-8
    w[4::9] = 0.0
    return w


def probabilities(y, k, confidence):
    """(n,), those of class 1, or (n, k) from k = 2 on."""
    n = len(y)
    if k == 1:
        q = fractions(n, seed=3)  # of the true class
        if confidence == "confident":
            q = 1.0 - q * 2.0**-20
        elif confidence == "saturated":
            q = np.floor(q * 8) / 8  # 0 in an eighth of the rows
        elif confidence == "tiny":
            q = np.ldexp(q, -(np.arange(n) * 37 % 1000))
        return np.where(y == 1, q, 1.0 - q)
    counts = integers(n * k, 20, seed=4).reshape(n, k) + 1
    rows = np.arange(n)
    if confidence == "confident":
        counts[rows, y] += 2**40
    elif confidence == "saturated":
        counts[integers(n * k, 1, seed=5).reshape(n, k) == 1] = 0
        counts[rows, (y + rows % 2) % k] += 1
    elif confidence == "tiny":
        counts[rows, y] = 1
        counts[rows, (y + 1) % k] += 2**44
    return shares(counts)


def logits(y, k, confidence):
    """(n,), those of class 1, or (n, k) from k = 2 on."""
    n = len(y)
    z = (integers(n * k, 24, seed=6) - 2**23) * 2.0**-20  # from -8 to 8
    z = z if k == 1 else z.reshape(n, k)
    if confidence == "confident":
        return z + 20.0 * (2.0 * y - 1.0 if k == 1 else np.eye(k)[y])
    return z * {"random": 1.0, "saturated": 128.0, "tiny": 2.0**-40}[confidence]


def targets(n, k):
    """(n,), or (n, k) from k = 2 on; 0 and 1 among them."""
    if k == 1:
        return (integers(n, 20, seed=7) % 257) / 256.0
    counts = integers(n * k, 12, seed=8).reshape(n, k)
    counts[integers(n * k, 1, seed=9).reshape(n, k) == 1] = 0
    counts[:, 0] += 1
    return shares(counts)


def cases():
    """Name, k columns of scores, keywords of the functions, confidence, dtype."""
    for dtype in DTYPES:
        for confidence in CONFIDENCES:
            for k in (1, 2, 3, 10, 40, 1000):
                yield "labels", k, {}, confidence, dtype
            for k in (1, 3, 10, 40, 1000):
                yield "logits", k, {"from_logits": True}, confidence, dtype
            for k in (1, 3, 10):
                soft, smooth = {"soft_targets": True}, {"label_smoothing": 2.0**-4}
                yield "soft", k, soft, confidence, dtype
                yield "soft logits", k, soft | {"from_logits": True}, confidence, dtype
                yield "smooth", k, smooth, confidence, dtype
                smooth = smooth | {"from_logits": True}
                yield "smooth logits", k, smooth, confidence, dtype
    for k in (1, 3):
        yield "unclipped", k, {"eps": 0.0}, "tiny", "float64"


def data(n, k, keywords, confidence, dtype):
    """Targets and scores of n rows."""
    y = labels(n, max(k, 2))
    make = logits if keywords.get("from_logits") else probabilities
    scores = make(y, k, confidence).astype(dtype)
    return (targets(n, k) if keywords.get("soft_targets") else y), scores


def results(y, scores, w, keywords):
    """Name and array of all that is frozen."""
    yield "rows", fastlogloss.sample_log_loss(y, scores, **keywords)
    for weight in (None, w):
        both = {"sample_weight": weight, **keywords}
        yield "loss", fastlogloss.log_loss(y, scores, **both)
        yield "loss", fastlogloss.log_loss(y, scores, normalize=False, **both)
        _, gradient, hessian = fastlogloss.log_loss_gradient_hessian(y, scores, **both)
        yield "gradient", gradient
        yield "hessian", hessian


def digests():
    """Name of a case -> name of a result -> digest over all lengths."""
    found = {}
    for name, k, keywords, confidence, dtype in cases():
        longest = 2**15 // max(k, 2) + 9  # a block and more
        y, scores = data(longest, k, keywords, confidence, dtype)
        w = weights(longest)
        w[0] = 1.0  # where there is one row, its weight
        if not keywords.get("soft_targets"):
            keywords = keywords | {"labels": np.arange(max(k, 2))}
        sums = {}
        for n in sorted({*(min(n, longest) for n in SHORT), longest}):
            for result, array in results(y[:n], scores[:n], w[:n], keywords):
                a = np.ascontiguousarray(array)
                little = a.astype(a.dtype.newbyteorder("<"), copy=False)
                sums.setdefault(result, hashlib.sha256()).update(little.tobytes())
        case = f"{name}, {k} columns, {confidence}, {dtype}"
        found[case] = {key: s.hexdigest()[:DIGITS] for key, s in sums.items()}
    return found


def test_frozen(engine):
    """On every variant, on one and on two threads."""
    frozen, found = json.loads(FILE.read_text()), digests()
    assert list(found) == list(frozen)
    moved = [
        f"{case}: {result}"
        for case in frozen
        for result in frozen[case]
        if found[case][result] != frozen[case][result]
    ]
    assert not moved, "\n".join(moved)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/test_frozen_bits.py --write")
    FILE.write_text(json.dumps(digests(), indent=1) + "\n")
