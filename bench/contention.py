"""One call as it is by default against one thread, on a machine that others use too.

    python -m bench.contention

Neighbours are processes that do nothing but count, each in a session of its own (so
that the scheduler shares out the processors between them and us), or others that call
the same function at the same time: a second process, or a second thread of Python.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np

import fastlogloss

SETTING = "FASTLOGLOSS_NUM_THREADS"  # read at every call, by all threads
TURNS = 12  # of each setting, by turns
SECONDS = 0.25  # of a turn
PERCENTILES = (50, 90)
TARGETS = (1.5, 2.5)  # of these, as multiples of one thread's
IDLE_TARGET = 1 / 1.6
BUSY = "while True: pass"


def _binary(n):
    rng = np.random.default_rng(0)
    p = rng.random(n)
    return partial(fastlogloss.log_loss, rng.random(n) < p, p)


def _five_classes():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(5), 50_000)
    return partial(fastlogloss.log_loss, rng.integers(5, size=len(p)), p)


CALLS = {
    "n=1e7": partial(_binary, 10**7),  # labels of one byte: 9 bytes a row
    "n=1e6": partial(_binary, 10**6),
    "n=50,000, 5 classes": _five_classes,
}


@contextlib.contextmanager
def _processes(n, *arguments):
    started = [
        subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _ in range(n)
    ]
    try:
        time.sleep(0.5)
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


@contextlib.contextmanager
def _busy(name, n):
    with _processes(n, "-c", BUSY):
        yield lambda setting: None


@contextlib.contextmanager
def _caller_in_a_process(name):
    with _processes(1, "-m", "bench.contention", name) as (process,):

        def tell(setting):
            process.stdin.write(f"{setting}\n".encode())
            process.stdin.flush()
            time.sleep(0.05)

        yield tell


@contextlib.contextmanager
def _caller_in_a_thread(name):
    call, done = CALLS[name](), threading.Event()

    def forever():
        while not done.is_set():
            call()

    thread = threading.Thread(target=forever)
    thread.start()
    try:
        yield lambda setting: None  # it obeys the same variable
    finally:
        done.set()
        thread.join()


SITUATIONS = {
    "idle": partial(_busy, n=0),
    "one busy process": partial(_busy, n=1),
    "two busy processes": partial(_busy, n=2),
    "two processes call": _caller_in_a_process,
    "two threads call": _caller_in_a_thread,
}


def _set(setting):
    if setting:
        os.environ[SETTING] = setting
    else:
        os.environ.pop(SETTING, None)


def _samples(call):
    found, end = [], time.perf_counter() + SECONDS
    while not found or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return found


def measure(situation, name, turns=TURNS):
    """Seconds of single calls, at some percentiles: by one thread and by default."""
    before = os.environ.get(SETTING)
    samples = {"1": [], "": []}
    try:
        call = CALLS[name]()
        with SITUATIONS[situation](name) as tell:
            for _ in range(turns):
                for setting, found in samples.items():
                    _set(setting)
                    tell(setting)
                    call()
                    found += _samples(call)
    finally:
        _set(before)
    one, default = (np.percentile(s, PERCENTILES).tolist() for s in samples.values())
    ratios = [b / a for a, b in zip(one, default, strict=True)]
    met = all(r <= t for r, t in zip(ratios, TARGETS, strict=True))
    if situation == "idle":
        # 50,000 x 5 is too short for a second thread, which must not cost anything.
        met = ratios[0] <= (IDLE_TARGET if name.startswith("n=1e") else 1.1)
    return {
        "situation": situation,
        "call": name,
        "one": one,
        "default": default,
        "ratios": ratios,
        "met": met,
    }


def measure_all():
    return [measure(situation, name) for situation in SITUATIONS for name in CALLS]


def _answer(name):
    """What a second process does: call until it is ended, as it is told."""
    call = CALLS[name]()

    def obey():
        for line in sys.stdin:
            _set(line.strip())

    threading.Thread(target=obey, daemon=True).start()
    while True:
        call()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _answer(sys.argv[1])
    for situation in SITUATIONS:
        for name in CALLS:
            print(json.dumps(measure(situation, name)), flush=True)
