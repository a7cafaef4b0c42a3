"""Cases that cover every pair of values of some factors, few enough to run them all.

Most faults of programs with many options need two of them to show: a type in a layout,
a layout in a function. All combinations would be millions, all pairs are hundreds.
"""

from itertools import combinations

import numpy as np


def pairwise(factors, allowed, seed=0):
    """A list of dicts from factor to value that holds every allowed pair of values.

    Greedy, and the same list for the same arguments: each case is the best of some
    that begin with a pair that is missing and take, factor by factor, the value that
    adds most pairs.

    Parameters
    ----------
    factors : dict
        Name of each factor -> its values.
    allowed : callable
        Whether a case may be, which holds only some of the factors; where it may, it
        may be completed.
    """
    missing = {
        pair
        for one, other in combinations(factors, 2)
        for pair in (
            frozenset([(one, a), (other, b)])
            for a in factors[one]
            for b in factors[other]
        )
        if allowed(dict(pair))
    }
    rng = np.random.default_rng(seed)
    # Sets are in another order in every process.
    queue = sorted(missing, key=lambda pair: str(sorted(pair, key=str)))
    cases = []
    while missing:
        first = next(pair for pair in queue if pair in missing)
        found = [_complete(first, factors, allowed, missing, rng) for _ in range(8)]
        found = [case for case in found if case is not None]
        if not found:
            raise ValueError(f"no case can hold {sorted(first, key=str)}")
        best = max(found, key=lambda case: len(_pairs(case) & missing))
        missing -= _pairs(best)
        queue = [pair for pair in queue if pair in missing]
        cases.append({name: best[name] for name in factors})
    return cases


def _complete(pair, factors, allowed, missing, rng):
    """A case that holds the pair and, as far as that is soon found, many of the rest.

    None where the choices made have left no value for some factor.
    """
    case = dict(pair)
    for name in rng.permutation([name for name in factors if name not in case]):
        values = factors[name]
        best, most = None, -1
        for i in rng.permutation(len(values)):
            longer = {**case, name: values[i]}
            if allowed(longer):
                new = sum(
                    frozenset([(name, values[i]), item]) in missing
                    for item in case.items()
                )
                if new > most:
                    best, most = longer, new
        if best is None:
            return None
        case = best
    return {str(name): case[name] for name in case}


def _pairs(case):
    return set(map(frozenset, combinations(case.items(), 2)))
