"""The tables (Markdown) and the numbers (JSON)."""

import json
import os
import platform
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import fastlogloss
from bench.case import (
    DERIVATIVES,
    EXACT,
    FROM_MEMORY,
    ORDINARY,
    PLAIN,
    PROBABILITIES,
    REFERENCES,
)
from bench.cases import CASES
from bench.footprint import IMPORT_LIMIT, STATED_CASES, memory_limit
from bench.measure import OURS, OURS_ON_TWO, peers_of
from bench.peers import PEER_THREADS, PEERS
from fastlogloss import _kernels

RESULTS = Path(__file__).parent / "results"
# The best input, whose times stand above those of ordinary ones.
BEST = ("float64", "int64", "matrix", "weighted", "small")
FASTEST = "fastest peer"
VALIDATING = "fastest that validates"
SAME_LABELS = "fastest from the same labels"
# Two threads may take this multiple of what it takes to read as much.
NEAR_MEMORY = 1 / 0.7
# A row regresses if its ratio and its time have both grown by this.
REGRESSION = 1.25
DISTURBED = 0.1  # of a core


def machine():
    """What the numbers depend on; nothing that names the machine."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "fastlogloss": f"{fastlogloss.__version__} ({instruction_set()})",
    }


def instruction_set():
    return _kernels.loops.__name__.rpartition("._")[2]


def rows_of(case, seconds):
    """A row for each target and one for the fastest peer, which has to be slower.

    Where that may have had less to do, because it need not read all probabilities or
    its labels were converted beforehand, another row is for the fastest of the rest.
    Where we are measured on two threads as well, a row is for these against one.
    """
    rows = []
    for target in case.targets:
        if target.reference is not None and target.reference not in seconds:
            continue  # a missing peer, named elsewhere
        rows.append(_row(case, seconds, target.reference, target.factor))
    if case.speedup is not None:
        limit = NEAR_MEMORY * seconds[FROM_MEMORY] / seconds[OURS]
        factor = min(1.0, max(1 / case.speedup, limit))
        rows.append(_row(case, seconds, OURS, factor, ours=OURS_ON_TWO))
    peers = [peer for peer in peers_of(case) if peer.name in seconds]
    if not peers:
        return rows
    fields = {FASTEST: peers}
    if case.kind == "multiclass":
        fields[VALIDATING] = [peer for peer in peers if peer.validates]
    if any(peer.own_labels for peer in peers):
        fields[SAME_LABELS] = [peer for peer in peers if not peer.own_labels]
    for name, field in fields.items():
        fastest = min(field, key=lambda peer: seconds[peer.name])
        rows.append(_row(case, seconds, fastest.name, 1.0, name))
    return rows


def _row(case, seconds, reference, factor, against=None, ours=OURS):
    time = 1.0 if reference is None else seconds[reference]
    ratio = seconds[ours] / time
    return {
        "case": case.name,
        "title": case.title,
        "threads": 2 if ours == OURS_ON_TWO else case.threads,
        "seconds": seconds[ours],
        "against": against or reference,
        "reference": reference,
        "reference_seconds": time,
        "ratio": ratio,
        "at_most": factor,
        "met": factor is None or ratio <= factor,
    }


def regressions(rows, kept):
    """Rows that are slower than in the kept results, by ratio and by time."""
    before = {(row["case"], row["against"]): row for row in kept}
    found = []
    for row in rows:
        old = before.get((row["case"], row["against"]))
        if (
            old is not None
            and row["ratio"] > REGRESSION * old["ratio"]
            and row["seconds"] > REGRESSION * old["seconds"]
        ):
            found.append(row)
    return found


def write(results):
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(results, indent=1) + "\n"
    (RESULTS / "benchmark.json").write_text(text)
    (RESULTS / "benchmark.md").write_text(markdown(results))


def read():
    """The kept results, or None."""
    if not (RESULTS / "benchmark.json").exists():
        return None
    return json.loads((RESULTS / "benchmark.json").read_text())


def duration(seconds):
    """Three digits and a unit."""
    if seconds >= 1:
        return f"{digits(seconds)} s"
    if seconds >= 1e-3:
        return f"{digits(1e3 * seconds)} ms"
    return f"{digits(1e6 * seconds)} µs"


def digits(value):
    """Three of them."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def _mark(met):
    return "yes" if met else "**no**"


def _table(head, lines):
    cells = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)


def target_table(rows):
    """A line for each case: what had to be reached, and what was."""
    lines = []
    for _, found in groupby(rows, key=itemgetter("case")):
        group = list(found)
        first = group[0]
        fastest = [row for row in group if row["against"] != row["reference"]]
        targets = [row for row in group if row["against"] == row["reference"]]
        lines.append(
            [
                first["title"],
                str(first["threads"]),
                duration(first["seconds"]),
                "; ".join(map(_target, targets)),
                "; ".join(map(_fastest, fastest)),
            ]
        )
    head = ["case", "threads", "ours", "ratio (target)", "fastest peer"]
    return _table(head, lines)


def ordinary_rows(rows):
    """Targets of ordinary input, after those of the best."""
    names = [*BEST, *(case.name for case in CASES if case.section == ORDINARY)]
    found = {name: [] for name in names}
    for row in rows:
        if row["case"] in found and row["against"] == row["reference"]:
            found[row["case"]].append(row)
    return [row for group in found.values() for row in group]


def ordinary_table(rows):
    """What one thread has to reach, and how much faster two of them are."""
    lines = []
    for _, found in groupby(rows, key=itemgetter("case")):
        first, *others = found
        two = [row for row in others if row["reference"] == OURS]
        reference, factor = first["reference"], first["at_most"]
        ratio, limit = "", duration(factor)
        if reference is not None:
            ratio = f"{digits(first['ratio'])} x {_quoted(reference)}"
            limit = f"{factor:.3g} x"
        lines.append(
            [
                first["title"],
                duration(first["seconds"]),
                ratio,
                f"≤ {limit}",
                _mark(first["met"]),
                "; ".join(map(_speedup, two)),
            ]
        )
    return _table(
        ["case", "one thread", "ratio", "must reach", "reached?", "two threads"], lines
    )


def _speedup(row):
    text = f"{digits(1 / row['ratio'])} x as fast (≥ {1 / row['at_most']:.3g} x)"
    return f"{duration(row['seconds'])}, {_emphasised(text, row['met'])}"


def _quoted(reference):
    return f"`{reference}`" if reference in REFERENCES else reference


def _target(row):
    """A ratio and its target, in bold if that is missed."""
    ratio, factor = row["ratio"], row["at_most"]
    reference = _quoted(row["reference"])
    if row["against"] is None:
        text = f"{duration(row['seconds'])} (≤ {duration(factor)})"
    elif factor is None:
        text = f"{digits(ratio)} x {reference}"
    elif factor >= 1:
        text = f"{digits(ratio)} x {reference} (≤ {factor:.3g} x)"
    else:
        text = f"{digits(1 / ratio)} x faster than {reference} (≥ {1 / factor:.3g} x)"
    return _emphasised(text, row["met"])


def _fastest(row):
    ratio = row["ratio"]
    word, ratio = ("faster", 1 / ratio) if ratio <= 1 else ("slower", ratio)
    text = f"{digits(ratio)} x {word} than {row['reference']}"
    if row["against"] != FASTEST:
        text += f" ({row['against'].removeprefix('fastest ')})"
    return _emphasised(text, row["met"])


def _emphasised(text, met):
    return text if met else f"**missed: {text}**"


def time_table(times):
    """All times, a line for each contestant and a column for each case."""
    names = [OURS, *REFERENCES, *(peer.name for peer in PEERS)]
    lines = [
        [name, *(duration(t[name]) if name in t else "" for t in times.values())]
        for name in names
        if any(name in t for t in times.values())
    ]
    return _table(["", *times], lines)


def contention_table(rows):
    """Median and 90th percentile of one call: one thread, and by default."""
    lines = [
        [
            row["situation"],
            row["call"],
            " / ".join(map(duration, row["one"])),
            " / ".join(map(duration, row["default"])),
            _emphasised(
                " / ".join(f"{digits(r)} x" for r in row["ratios"]), row["met"]
            ),
        ]
        for row in rows
    ]
    head = ["the machine is", "call", "one thread", "by default", "ratio"]
    return _table(head, lines)


CONTENTION_NOTE = (
    "Median / 90th percentile of single calls on two cores. Targets: idle, the long "
    "calls take at most 0.63 x the time of one thread at the median; otherwise at most "
    "1.5 x at the median and 2.5 x at the 90th percentile."
)


def memory_table(rows):
    def mebibytes(size):
        return "?" if size is None else f"{size / 2**20:.2f} MiB"

    lines = []
    for row in rows:
        peak = max(row["traced"], row["resident"] or 0)
        limit = memory_limit(row["case"])
        has_target = row["library"] == OURS and row["case"] not in STATED_CASES
        lines.append(
            [
                row["case"],
                row["library"],
                mebibytes(row["traced"]),
                mebibytes(row["resident"]),
                f"≤ {limit / 2**20:.4g} MiB" if has_target else "",
                _mark(peak <= limit) if has_target else "",
            ]
        )
    head = ["n=1e7", "", "Python and NumPy", "resident set", "target", "met?"]
    return _table(head, lines)


def import_line(seconds):
    met = seconds["beyond"] <= IMPORT_LIMIT
    return (
        f"`import fastlogloss` takes {duration(seconds['beyond'])} beyond "
        f"`import numpy` (target: ≤ {duration(IMPORT_LIMIT)}; met: {_mark(met)})."
    )


def missing_line(missing):
    if not missing:
        return "Missing peers: none."
    named = "; ".join(f"**{name}** ({reason})" for name, reason in missing.items())
    return f"Missing peers, not measured: {named}."


def disturbed_line(disturbed):
    named = [
        f"{name} ({cores:.0%} of a core)"
        for name, cores in disturbed.items()
        if cores is not None and cores > DISTURBED
    ]
    if not named:
        return "Disturbed by other processes: no case."
    return f"**Disturbed by other processes**, measure again: {', '.join(named)}."


NOTES = {
    PROBABILITIES: "Only scikit-learn and the peers named *checked* validate "
    "probabilities: for many classes, the others read one number of a row. CatBoost is "
    "given logits; *own strings* were converted beforehand.",
    DERIVATIVES: "scikit-learn is `HalfBinomialLoss` and `HalfMultinomialLoss` of its "
    "`sklearn._loss` for logits, and `log_loss`, in a loop over the models, for the "
    "rest. Derivatives are written into given arrays (`out=`) by us, scikit-learn, "
    "NumPy and numba; we look at all rows before the first is written. The gradient of "
    "torch is its backward pass, its hessian the closed form.",
    EXACT: "Exact sums of float64 rows. `update` of all rows as one is what groups are "
    "measured against. Peers make the same sums of doubles, by powers of the loss and "
    "of the weight, of tables that they read in memory: polars and DuckDB on two "
    "threads (polars streams), pandas by way of columns of row losses. SciPy draws "
    "1000 resamples of differences of row losses that are there.",
}

ORDINARY_NOTE = (
    "The best input, then the same numbers in other types and layouts, and short "
    f"calls: one thread, as multiples of `y @ p` (float64, contiguous) or of {PLAIN} "
    "(float64, C order, labels int64, or float64 for the logits of two classes). Two "
    "threads have to be faster by the factor given, which is less where memory allows "
    f"no more: they may take {NEAR_MEMORY:.3g} x the time of `{FROM_MEMORY}`, of as "
    "many bytes."
)


def markdown(results):
    """All that was measured, as one document."""
    about = results["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in results["versions"].items())
    parts = [
        "# Benchmark",
        f"{about['processor']}, {about['cores']} cores, {about['system']}; "
        f"Python {about['python']}, fastlogloss {about['fastlogloss']}, {versions}.",
        "Minimum over alternating rounds in one process. `threads` are ours; peers "
        f"may use {PEER_THREADS}, but for NumPy, scikit-learn, *numba* and *torch, 1 "
        "thread*, which have one. `y @ p` and `P.sum()` read the float64 arrays once "
        "and do nothing else, `g = y + z, h = z` reads and writes as much as a "
        "hessian needs, each on one thread; `P @ y` reads the stack of models once, "
        "on two. Every result, derivatives included, was compared with ours before it "
        "was timed.",
        missing_line(results["missing"]),
        disturbed_line(results["disturbed"]),
    ]
    for section, note in NOTES.items():
        names = {case.name for case in CASES if case.section == section}
        rows = [row for row in results["rows"] if row["case"] in names]
        times = {name: t for name, t in results["times"].items() if name in names}
        if rows:
            parts += [f"## {section}", note, target_table(rows), time_table(times)]
    rows = ordinary_rows(results["rows"])
    if rows:
        parts += [f"## {ORDINARY}", ORDINARY_NOTE, ordinary_table(rows)]
    if "contention" in results:
        parts += [
            "## Threads beside others",
            CONTENTION_NOTE,
            contention_table(results["contention"]),
        ]
    if "memory" in results:
        parts += [
            "## Extra memory of one call, and import",
            memory_table(results["memory"]),
            import_line(results["import"]),
        ]
    return "\n\n".join(parts) + "\n"
