"""Cases that cover every pair of values of some factors, few enough to run them all.

Most faults of programs with many options need two of them to show: a type in a layout,
a layout in a function. All combinations would be millions, all pairs are hundreds.
"""

from itertools import combinations

import numpy as np


def pairwise(factors, allowed, seed=0):
    """A list of dicts from factor to value that holds every allowed pair of values.

    Greedy, and the same list for the same arguments: each case begins with a pair that
    is missing and takes, factor by factor, the value that adds most pairs.

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
    for pair in queue:
        if pair in missing:
            case = _complete(pair, factors, allowed, missing, rng)
            missing -= _pairs(case)
            cases.append({name: case[name] for name in factors})
    return cases


def _complete(pair, factors, allowed, missing, rng):
    """A case that holds the pair and, as far as that is soon found, many of the rest.

    Values chosen first may leave none for a factor: then once more, in another order.
    """
    for _ in range(100):
        case = dict(pair)
        others = [name for name in factors if name not in case]
        for i in rng.permutation(len(others)):
            name = others[i]
            longer = [{**case, name: value} for value in factors[name]]
            longer = [longer[j] for j in rng.permutation(len(longer))]
            longer = [each for each in longer if allowed(each)]
            if not longer:
                break
            case = max(longer, key=lambda each: len(_pairs_with(name, each) & missing))
        else:
            return case
    raise ValueError(f"found no case that holds {sorted(pair, key=str)}")


def _pairs(case):
    return set(map(frozenset, combinations(case.items(), 2)))


def _pairs_with(name, case):
    mine = name, case[name]
    return {frozenset([mine, item]) for item in case.items() if item != mine}
