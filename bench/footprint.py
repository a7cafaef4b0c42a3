"""Memory of a call and time of the import, each in fresh processes.

    python -m bench.footprint float64 fastlogloss

prints what one call allocates, as seen by tracemalloc (Python and NumPy) and by the
operating system (growth of the peak resident set, which is null where /proc is not
that of Linux).
"""

import importlib
import json
import subprocess
import sys
import time
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np

N = 10**7
WARM_N = 2 * 10**5
MEMORY_LIMIT = 2**20  # bytes
GROUPS = 1000, 10**6
GROUP = 400  # bytes of a group
IMPORT_LIMIT = 0.05  # seconds beyond numpy
IMPORT_ROUNDS = 15
MODULES = {"fastlogloss": "fastlogloss", "scikit-learn": "sklearn.metrics"}


def columns(module, n):
    matrix = np.empty((n, 2), order="F")
    matrix[:, 1] = np.random.default_rng(0).random(n)
    matrix[:, 0] = 1 - matrix[:, 1]
    return partial(module.log_loss, np.arange(n) % 2, matrix)


def numbers(
    module, n, labels=np.float64, proba=np.float64, low=0, step=1, weights=False
):
    p = np.random.default_rng(0).random(n * step).astype(proba)
    y = np.where(p > 0.5, 1, low).astype(labels)
    options = {"sample_weight": np.ones(n)} if weights else {}
    return partial(module.log_loss, y[::step], p[::step], **options)


def classes(module, n):
    """Ten of them: each array of another type and in another layout."""
    p = np.random.default_rng(0).random((n // 10, 10), np.float32)
    p = np.asfortranarray(p / p.sum(axis=1, keepdims=True))
    y = (np.arange(len(p)) % 10 + 1).astype(">i2")
    weights = np.ones(2 * len(p), np.int32)[::2]
    return partial(module.log_loss, y, p, sample_weight=weights)


def labels(module, n, convert):
    """Of types that libraries of data frames have."""
    words = np.array(["no", "yes"])[np.arange(n) % 2]
    return partial(module.log_loss, convert(words), np.random.default_rng(0).random(n))


def categorical(words):
    import pandas as pd

    return pd.Series(words, dtype="category")


def nullable(words):
    import pandas as pd

    return pd.Series(words == "yes", dtype="Int64")


def derivatives(
    module, n, order, classes=0, layout="C", strided=False, prepared=False, **options
):
    """Those of n probabilities or logits, into arrays whose memory is there already."""
    p = np.random.default_rng(0).random(n)
    if classes:
        p = np.asarray(p.reshape(-1, classes), order=layout)
        y = np.arange(len(p)) % classes
        options["labels"] = range(classes)
    elif options.get("soft_targets"):
        y = p.astype(np.float32)
    else:
        y = (p > 0.5).astype(np.float64)
    if strided:
        options["sample_weight"] = np.ones(2 * len(p))[::2]
    out = [np.ones_like(p) for _ in range(order)]
    if prepared:
        loss = module.LogLoss(y, **options)
        function = loss.loss_gradient if order == 1 else loss.loss_gradient_hessian
        return partial(function, p, out=out[0] if order == 1 else out)
    if order == 1:
        return partial(module.log_loss_gradient, y, p, out=out[0], **options)
    return partial(module.log_loss_gradient_hessian, y, p, out=out, **options)


def update(module, n, weights=False):
    p = np.random.default_rng(0).random(n)
    batch = [(p > 0.5).astype(np.float64), p, *([np.ones(n)] if weights else [])]
    return partial(module.LogLossAccumulator().update, *batch)


def groups(module, n, n_groups):
    p = np.random.default_rng(0).random(n)
    y = (p > 0.5).astype(np.float64)
    return partial(module.log_loss_by_group, y, p, np.arange(n) % n_groups)


# What they need is stated, and no target.
STATED_CASES = {
    "pandas Categorical": partial(labels, convert=categorical),
    "pandas Int64 (nullable)": partial(labels, convert=nullable),
    "'<U3' strings": partial(labels, convert=np.asarray),
    "object strings": partial(labels, convert=partial(np.asarray, dtype=object)),
}
# name -> function of a module and the number of rows, which makes the call
MEMORY_CASES = {
    "float64": numbers,
    "int64": partial(numbers, labels=np.int64),
    "int8": partial(numbers, labels=np.int8),
    "-1 and 1, int64": partial(numbers, labels=np.int64, low=-1),
    "strided": partial(numbers, step=2),
    "float32 probabilities": partial(numbers, labels=np.int64, proba=np.float32),
    "weights": partial(numbers, weights=True),
    "(n, 2) by columns": columns,
    "float16 probabilities": partial(numbers, labels=np.uint32, proba=np.float16),
    "1 to 10, int16, big-endian; float32 by columns; int32 weights": classes,
    "gradient, `out=`": partial(derivatives, order=1),
    "hessian, `out=`": partial(derivatives, order=2),
    "logits, gradient, `out=`": partial(derivatives, order=1, from_logits=True),
    "logits, hessian, `out=`": partial(derivatives, order=2, from_logits=True),
    "logits, strided weights, gradient, `out=`": partial(
        derivatives, order=1, strided=True, from_logits=True
    ),
    "logits, float32 soft targets, gradient, `out=`": partial(
        derivatives, order=1, soft_targets=True, from_logits=True
    ),
    "logits of 10 classes, gradient, `out=`": partial(
        derivatives, order=1, classes=10, from_logits=True
    ),
    "logits of 10 classes, hessian, `out=`": partial(
        derivatives, order=2, classes=10, from_logits=True
    ),
    "logits of 1,000 classes by columns, hessian, `out=`": partial(
        derivatives, order=2, classes=1000, layout="F", from_logits=True
    ),
    "`LogLoss.loss_gradient`, `out=`": partial(
        derivatives, order=1, prepared=True, from_logits=True
    ),
    "`LogLoss.loss_gradient_hessian`, `out=`": partial(
        derivatives, order=2, prepared=True, from_logits=True
    ),
    "`update`": update,
    "`update`, weights": partial(update, weights=True),
    **{
        f"{n_groups:,} groups": partial(groups, n_groups=n_groups)
        for n_groups in GROUPS
    },
    **STATED_CASES,
}
# Of groups, what they hold comes on top.
MEMORY_LIMITS = {
    f"{n_groups:,} groups": MEMORY_LIMIT + GROUP * n_groups for n_groups in GROUPS
}


def memory_limit(name):
    return MEMORY_LIMITS.get(name, MEMORY_LIMIT)


def reset_peak():
    """Make the peak resident set the present one; False where that is impossible."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_resident():
    # getrusage() would do, but its peak is inherited from the parent process and
    # cannot be reset.
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/self/status")


def memory_of_call(name, library):
    """(traced bytes, resident bytes or None) of one call, in this process."""
    module = importlib.import_module(MODULES[library])
    # Once in a process, the first call of this size imports joblib and starts threads.
    MEMORY_CASES[name](module, WARM_N)()
    call = MEMORY_CASES[name](module, N)
    resident = None
    if reset_peak():
        before = peak_resident()
        call()
        resident = peak_resident() - before
    # In a second call, for tracing has a memory of its own.
    tracemalloc.start()
    call()
    traced = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return traced, resident


def run(*arguments):
    command = [sys.executable, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measure_memory():
    """A list of dicts: ours for every case, scikit-learn's for the first."""
    first = next(iter(MEMORY_CASES))
    jobs = [(name, "fastlogloss") for name in MEMORY_CASES]
    jobs.append((first, "scikit-learn"))
    rows = []
    for name, library in jobs:
        traced, resident = json.loads(run("-m", "bench.footprint", name, library))
        rows.append(
            {"case": name, "library": library, "traced": traced, "resident": resident}
        )
    return rows


def measure_import():
    """Seconds that `import fastlogloss` adds to `import numpy`."""
    programs = ["import numpy", "import numpy, fastlogloss"]
    samples = [[] for _ in programs]
    for _ in range(IMPORT_ROUNDS):
        for program, times in zip(programs, samples, strict=True):
            start = time.perf_counter()
            run("-c", program)
            times.append(time.perf_counter() - start)
    return {"numpy": min(samples[0]), "beyond": min(samples[1]) - min(samples[0])}


if __name__ == "__main__":
    print(json.dumps(memory_of_call(*sys.argv[1:])))
