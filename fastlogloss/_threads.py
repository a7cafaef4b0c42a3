"""How many threads a call may use: what the user, the machine and its containers allow.

The pool itself is `_kernels/pool.h`. Its threads help if they come, so that a number
that is too high costs little; one that is too low wastes the machine.
"""

import functools
import math
import os
import pathlib
from collections.abc import Iterator

from fastlogloss._kernels import _pool

_DIGITS = 18  # of a number of threads, at the most
# Nanoseconds of work that pay for a thread: to wake it takes 10 us, and 20 until it
# runs, which may be for nothing. So two threads work from 200,000 unweighted
# probabilities on.
_SHARE = 40_000


def threads_for(nanoseconds: float) -> int:
    """Threads for a call that takes one thread about so long."""
    if nanoseconds < 2 * _SHARE:
        return 1
    return min(n_threads(), int(nanoseconds // _SHARE))


def n_threads() -> int:
    """Threads for a long call.

    No more than ``FASTLOGLOSS_NUM_THREADS``, than OpenMP would use for the calling
    thread (``OMP_NUM_THREADS``, `threadpoolctl.threadpool_limits`) and, unless one of
    these variables is set, than the processors that are granted.
    """
    threads = _pool.max_threads()
    # OpenMP reads its variable itself, where there is one.
    openmp = _whole_number(os.environ.get("OMP_NUM_THREADS", "").partition(",")[0])
    if openmp and not _pool.HAS_OPENMP:
        threads = min(threads, openmp)
    own = _own_number()
    if own:
        return min(threads, own)
    return threads if openmp else min(threads, _granted_processors())


def _own_number() -> int | None:
    """That of our own variable, or None where it is not set."""
    text = os.environ.get("FASTLOGLOSS_NUM_THREADS")
    number = _whole_number(text) if text else None
    if text and number is None:
        raise ValueError(
            f"FASTLOGLOSS_NUM_THREADS must be a whole number from 1 on, got {text!r}"
        )
    return number


def _granted_processors() -> int:
    """Processors that affinity, joblib's setting and control groups grant the caller.

    `joblib.cpu_count` knows them too, but its import takes 50 ms and 8 MB of the first
    long call.
    """
    if hasattr(os, "sched_getaffinity"):
        granted = len(os.sched_getaffinity(0))
    else:
        granted = os.cpu_count() or 1
    # joblib's own variable: where it holds no number, joblib says so.
    of_joblib = _whole_number(os.environ.get("LOKY_MAX_CPU_COUNT", ""))
    return max(1, int(min(granted, of_joblib or granted, _quota())))


def _whole_number(text: str) -> int | None:
    """A number from 1 on, or None."""
    # Not int(), which raises: CPython's message for it may swallow a Ctrl-C.
    digits = text.strip().removeprefix("+")
    if not digits.isdecimal() or len(digits) > _DIGITS:
        return None
    return int(digits) or None


@functools.cache
def _quota() -> float:
    """Processors' worth of time that control groups grant, rounded up; or infinity.

    They are asked once: a later change of a quota is not seen.
    """
    granted = math.inf
    for paths in _quota_files():
        try:
            words = [word for path in paths for word in path.read_text().split()]
            quota, period = map(int, words)
        except (OSError, ValueError):  # another system, or no quota: "max"
            continue
        if quota > 0 and period > 0:
            granted = min(granted, math.ceil(quota / period))
    return granted


def _quota_files(
    groups: str = "/proc/self/cgroup", root: str = "/sys/fs/cgroup"
) -> Iterator[tuple[pathlib.Path, ...]]:
    """Files that hold quota and period, of the groups of this process and those above.

    A container may see the names of its groups in the host, but not their folders; its
    own group is then the root.
    """
    try:
        text = os.fsdecode(pathlib.Path(groups).read_bytes())  # names are any bytes
    except OSError:  # another system
        return
    for line in text.splitlines():
        if line.count(":") < 2:
            continue
        _, controllers, name = line.split(":", 2)
        group = pathlib.PurePosixPath(name)
        for folder in (group, *group.parents):
            below = str(folder).strip("/")
            if not controllers:  # version 2
                yield (pathlib.Path(root, below, "cpu.max"),)
            elif "cpu" in controllers.split(","):
                place = pathlib.Path(root, "cpu", below)
                yield place / "cpu.cfs_quota_us", place / "cpu.cfs_period_us"


_own_number()  # a wrong one is an error of the import, not of some calls
