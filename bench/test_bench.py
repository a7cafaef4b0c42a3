"""The same cases and peers under pytest-benchmark: `pytest bench --benchmark-only`.

Outside of the test suite, which times nothing. Distributions rather than ratios: peers
do not alternate here.
"""

import pytest
from threadpoolctl import threadpool_limits

from bench import peers
from bench.cases import CASES
from bench.measure import OURS, check_agreement, contestants, peers_of

# The suite makes warnings errors; those of peers are not ours to repair.
pytestmark = pytest.mark.filterwarnings("default")

PAIRS = [
    pytest.param(case, name, id=f"{case.name}-{name}")
    for case in CASES
    for name in [OURS, *(peer.name for peer in peers_of(case))]
]


@pytest.fixture(scope="module")
def missing():
    return peers.load()[1]


@pytest.fixture(scope="module")
def prepare(missing):
    kept = {}

    def prepared(case):
        if case.name not in kept:
            kept.clear()  # one case at a time fits in memory
            data = case.data()
            found = contestants(case, data, missing)
            check_agreement(case, data, found)
            kept[case.name] = {contestant.name: contestant for contestant in found}
        return kept[case.name]

    return prepared


@pytest.mark.parametrize(("case", "name"), PAIRS)
def test_time(benchmark, prepare, missing, case, name):
    if name in missing:
        pytest.skip(f"{name} is missing: {missing[name]}")
    contestant = prepare(case)[name]
    benchmark.group = case.name
    with threadpool_limits(limits=contestant.threads):
        contestant.plan(case.rounds)
        benchmark.pedantic(
            contestant.call, rounds=contestant.turns, iterations=contestant.loops
        )
