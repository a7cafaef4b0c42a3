"""Times of all contestants of a case, by turns in one run.

A noisy machine slows everybody down for a while: contestants alternate, and the
minimum over all turns counts.
"""

import gc
import math
import os
import time
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

import numpy as np
from threadpoolctl import ThreadpoolController

from bench.case import FROM_MEMORY, ORDINARY, PLAIN, REFERENCES
from bench.peers import OUR_CALLS, PEERS

OURS = "fastlogloss"
OURS_ON_TWO = "fastlogloss, 2 threads"
SAMPLE = 2e-3  # seconds: shorter calls are repeated in a tight loop
REPEATS = 5  # samples of a turn; the first may find cold caches
SHORT_TURN = 0.1  # seconds: longer turns are one sample
BUDGET = 1.2  # seconds for one contestant of a case; slow ones have fewer turns
PAUSE = 2e-3  # seconds in which the threads of the one before stop to spin


class Disagreement(AssertionError):
    """A peer's result is not ours: there is nothing to compare."""


@dataclass
class Contestant:
    name: str
    call: object
    threads: int
    loops: int = 1
    repeats: int = 1
    turns: int = 1
    samples: list[float] = field(default_factory=list)

    def sample(self):
        call = self.call
        loops = repeat(None, self.loops)
        start = time.perf_counter()
        for _ in loops:
            call()
        return (time.perf_counter() - start) / self.loops

    def plan(self, rounds):
        """How often to sample, from a first sample."""
        seconds = self.sample()
        self.samples.append(seconds)
        self.loops = max(1, math.ceil(SAMPLE / seconds))
        sample = self.loops * seconds
        self.repeats = REPEATS if REPEATS * sample < SHORT_TURN else 1
        affordable = int(BUDGET / (self.repeats * sample))
        self.turns = max(1, min(rounds, affordable))

    def is_due(self, index, rounds):
        """Turns are spread evenly over the rounds, the first in the first."""
        return -(-index * self.turns // rounds) < -(-(index + 1) * self.turns // rounds)

    @property
    def seconds(self):
        return min(self.samples)


def peers_of(case):
    """Those that apply; of ordinary input we compare our own calls."""
    is_ours = case.section == ORDINARY
    return [] if is_ours else [peer for peer in PEERS if case.kind in peer.calls]


def contestants(case, data, missing=()):
    """Us, the references of the case and the peers that are not missing."""
    ours, formed = OUR_CALLS[case.kind], case.form(data)
    found = [Contestant(OURS, ours(formed), case.threads)]
    references = {target.reference: data for target in case.targets}
    if case.speedup is not None:
        found.append(Contestant(OURS_ON_TWO, found[0].call, 2))
        references[FROM_MEMORY] = formed
    for name, given in references.items():
        if name == PLAIN:
            found.append(Contestant(PLAIN, ours(given), case.threads))
        elif name in REFERENCES:
            reference = REFERENCES[name]
            found.append(Contestant(name, reference.make(given), reference.threads))
    for peer in peers_of(case):
        if peer.name not in missing:
            call = peer.calls[case.kind](formed)
            found.append(Contestant(peer.name, call, peer.threads))
    return found


def check_agreement(case, data, found):
    """Call each once, which also compiles; losses and derivatives have to be ours."""
    expected = _parts(found[0].call())
    # float32 is clipped elsewhere.
    tolerance = 1e-6 if np.asarray(case.form(data).p).itemsize >= 8 else 1e-4
    for contestant in found:
        value = contestant.call()
        if contestant.name in REFERENCES:
            continue
        for part, ours in zip(_parts(value), expected, strict=True):
            if part.shape != ours.shape or not np.allclose(part, ours, tolerance, 0):
                raise Disagreement(
                    f"{case.name}: {contestant.name} says {part}, we say {ours}"
                )


def _parts(value):
    """Losses of models or groups, or a difference, or a loss with its derivatives."""
    for name in ("difference", "loss"):
        value = getattr(value, name, value)
    return [np.asarray(v) for v in (value if isinstance(value, tuple) else (value,))]


class Disturbance:
    """Cores that other processes kept busy in a with statement, in `cores`.

    Peers on two threads lose most by them. None where /proc is not that of Linux.
    """

    cores = None

    def __enter__(self):
        self.start = self._now()
        return self

    def __exit__(self, *error):
        if self.start is not None:
            now, busy = self._now()
            self.cores = max(0.0, (busy - self.start[1]) / (now - self.start[0]))

    def _now(self):
        stat = Path("/proc/stat")
        if not stat.exists():
            return None
        user, nice, system, _, _, irq, softirq, steal = map(
            int, stat.read_text().split()[1:9]
        )
        busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
        own = os.times()
        return time.perf_counter(), busy - own.user - own.system


def measure(case, missing=(), rounds=None):
    """Seconds of each contestant: a dict from name, ours first."""
    rounds = case.rounds if rounds is None else rounds
    data = case.data()
    found = contestants(case, data, missing)
    check_agreement(case, data, found)
    controller = ThreadpoolController()
    for contestant in found:
        with controller.limit(limits=contestant.threads):
            contestant.plan(rounds)
    gc.collect()
    gc.disable()
    try:
        for index in range(rounds):
            # Who is first finds caches filled by a rival: there and back again.
            for contestant in found[:: -1 if index % 2 else 1]:
                if contestant.is_due(index, rounds):
                    with controller.limit(limits=contestant.threads):
                        time.sleep(PAUSE)
                        for _ in range(contestant.repeats):
                            contestant.samples.append(contestant.sample())
    finally:
        gc.enable()
    return {contestant.name: contestant.seconds for contestant in found}
