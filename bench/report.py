"""The table (Markdown), the numbers (JSON) and the picture (SVG, PNG)."""

import json
import os
import platform
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import fastlogloss
from bench.cases import CASES, DERIVATIVES, PROBABILITIES, REFERENCES
from bench.footprint import IMPORT_LIMIT, MEMORY_LIMIT
from bench.measure import OURS
from bench.peers import PEER_THREADS, PEERS, SKLEARN
from fastlogloss import _kernels

RESULTS = Path(__file__).parent / "results"
FASTEST = "fastest peer"
VALIDATING = "fastest that validates"
SAME_LABELS = "fastest from the same labels"
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
    """
    rows = []
    for target in case.targets:
        if target.reference is not None and target.reference not in seconds:
            continue  # a missing peer, named elsewhere
        rows.append(_row(case, seconds, target.reference, target.factor))
    peers = [peer for peer in PEERS if peer.name in seconds]
    fields = {FASTEST: peers}
    if case.kind == "multiclass":
        fields[VALIDATING] = [peer for peer in peers if peer.validates]
    if case.kind == "strings":
        fields[SAME_LABELS] = [peer for peer in peers if not peer.own_labels]
    for name, field in fields.items():
        fastest = min(field, key=lambda peer: seconds[peer.name])
        rows.append(_row(case, seconds, fastest.name, 1.0, name))
    return rows


def _row(case, seconds, reference, factor, against=None):
    time = 1.0 if reference is None else seconds[reference]
    ratio = seconds[OURS] / time
    return {
        "case": case.name,
        "title": case.title,
        "threads": case.threads,
        "seconds": seconds[OURS],
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
    draw(results["times"])


def read():
    """The kept results, or None."""
    if not (RESULTS / "benchmark.json").exists():
        return None
    return json.loads((RESULTS / "benchmark.json").read_text())


def duration(seconds):
    """Three digits and a unit."""
    if seconds >= 1:
        return f"{_digits(seconds)} s"
    if seconds >= 1e-3:
        return f"{_digits(1e3 * seconds)} ms"
    return f"{_digits(1e6 * seconds)} µs"


def _digits(value):
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


def _target(row):
    """A ratio and its target, in bold if that is missed."""
    ratio, factor, reference = row["ratio"], row["at_most"], row["reference"]
    if reference in REFERENCES:
        reference = f"`{reference}`"
    if row["against"] is None:
        text = f"{duration(row['seconds'])} (≤ {duration(factor)})"
    elif factor is None:
        text = f"{_digits(ratio)} x {reference}"
    elif factor >= 1:
        text = f"{_digits(ratio)} x {reference} (≤ {factor:.3g} x)"
    else:
        text = f"{_digits(1 / ratio)} x faster than {reference} (≥ {1 / factor:.3g} x)"
    return _emphasised(text, row["met"])


def _fastest(row):
    ratio = row["ratio"]
    word, ratio = ("faster", 1 / ratio) if ratio <= 1 else ("slower", ratio)
    text = f"{_digits(ratio)} x {word} than {row['reference']}"
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
                " / ".join(f"{_digits(r)} x" for r in row["ratios"]), row["met"]
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
        is_ours = row["library"] == OURS
        lines.append(
            [
                row["case"],
                row["library"],
                mebibytes(row["traced"]),
                mebibytes(row["resident"]),
                f"≤ {MEMORY_LIMIT / 2**20:g} MiB" if is_ours else "",
                _mark(peak <= MEMORY_LIMIT) if is_ours else "",
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
}


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


def draw(times):
    """Bars of time on a log scale, a panel for each case that has a title for it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    panels = [case for case in CASES if case.panel and case.name in times]
    if not panels:
        return
    style = {
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "svg.hashsalt": "fastlogloss",  # the same file for the same numbers
    }
    with plt.rc_context(style):
        # Bars of much the same height: a row is as high as its fuller panel needs.
        n_bars = [len(times[case.name].keys() - REFERENCES.keys()) for case in panels]
        heights = [
            0.75 + 0.2 * max(n_bars[i : i + 2]) for i in range(0, len(panels), 2)
        ]
        figure, grid = plt.subplots(
            len(heights),
            2,
            figsize=(10, sum(heights) + 0.5),
            height_ratios=heights,
            squeeze=False,
            layout="constrained",
        )
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        for axes, case in zip(grid.flat, panels, strict=False):
            _draw_panel(axes, case, times[case.name])
        figure.suptitle(
            "Time of log loss on a log scale: fastlogloss on one thread unless said, "
            f"peers on up to {PEER_THREADS}\ndashed: reading the arrays once (and "
            "writing them, for a hessian), and nothing else",
            fontsize=10,
        )
        figure.get_layout_engine().set(h_pad=0.12, w_pad=0.12)
        for suffix, metadata in (("svg", {"Date": None}), ("png", {})):
            figure.savefig(
                RESULTS / f"benchmark.{suffix}",
                dpi=150,
                facecolor="white",
                metadata=metadata,
            )
        plt.close(figure)


def _draw_panel(axes, case, seconds):
    names = sorted(seconds.keys() - REFERENCES.keys(), key=seconds.get, reverse=True)
    values = [seconds[name] for name in names]
    colors = {OURS: "#d1495b", SKLEARN: "#5b6f86"}
    bars = axes.barh(names, values, color=[colors.get(n, "#b8c4d0") for n in names])
    axes.bar_label(bars, [duration(value) for value in values], padding=3, fontsize=8)
    # A log scale has no zero for bars to start from: the same number of decades left
    # of the shortest bar in every panel.
    axes.set_xscale("log")
    limits = [seconds[name] for name in REFERENCES if name in seconds]
    shortest = min([*values, *limits])
    axes.set_xlim(shortest / 3, max(values) * 6)
    for name in REFERENCES:
        if name in seconds:
            axes.axvline(seconds[name], color="#222222", linestyle="--", linewidth=1)
    axes.set_title(case.panel, loc="left")
    axes.set_xticks([])
    axes.minorticks_off()
    axes.tick_params(axis="y", length=0)
    axes.get_yticklabels()[names.index(OURS)].set_fontweight("bold")
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
