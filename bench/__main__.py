"""Measure, print the table, keep it with its picture in bench/results."""

import argparse
import sys

from bench import contention, peers, picture, report
from bench.cases import CASES
from bench.footprint import measure_import, measure_memory
from bench.measure import Disturbance, measure


def parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "filter",
        nargs="?",
        default="",
        help="only cases with this in their name; nothing is kept then",
    )
    parser.add_argument("--rounds", type=int, help="instead of those of the cases")
    parser.add_argument(
        "--gate",
        action="store_true",
        help="fail if a ratio and its time have both grown beyond the kept results, "
        "which stay as they are",
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    options = parse(arguments)
    cases = [case for case in CASES if options.filter in case.name]
    if not cases:
        names = ", ".join(case.name for case in CASES)
        sys.exit(f"no case has {options.filter!r} in its name; there are {names}")
    kept = report.read()
    if options.gate and kept is None:
        sys.exit("no results are kept to compare with: run once without --gate")
    versions, missing = peers.load()
    results = {
        "machine": report.machine(),
        "versions": versions,
        "missing": missing,
        "disturbed": {},
        "rows": [],
        "times": {},
    }
    for case in cases:
        print(f"{case.name} ...", file=sys.stderr, flush=True)
        with Disturbance() as disturbance:
            seconds = measure(case, missing, options.rounds)
        results["disturbed"][case.name] = disturbance.cores
        results["times"][case.name] = seconds
        results["rows"] += report.rows_of(case, seconds)
    if not options.filter:
        print("threads beside others ...", file=sys.stderr, flush=True)
        results["contention"] = contention.measure_all()
        print("memory, import ...", file=sys.stderr, flush=True)
        results["memory"] = measure_memory()
        results["import"] = measure_import()
    print(report.markdown(results))
    if options.gate:
        slower = report.regressions(results["rows"], kept["rows"])
        for row in slower:
            print(f"REGRESSION: {row['case']} against {row['against']}")
        return int(bool(slower))
    if not options.filter:
        report.write(results)
        picture.draw(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
