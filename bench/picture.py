"""The pictures: times beside those of peers, and ratios of ordinary input."""

from bench.case import REFERENCES
from bench.cases import CASES
from bench.measure import OURS
from bench.peers import PEER_THREADS, SKLEARN
from bench.report import RESULTS, digits, duration, ordinary_rows

COLORS = {OURS: "#d1495b", SKLEARN: "#5b6f86"}
OTHERS = "#b8c4d0"
STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "svg.hashsalt": "fastlogloss",  # the same file for the same numbers
}


def draw(results):
    """Write the pictures beside the tables, where their cases were measured."""
    import matplotlib

    matplotlib.use("Agg")
    with matplotlib.rc_context(STYLE):
        _draw_times(results["times"])
        _draw_ratios(ordinary_rows(results["rows"]))


def _draw_times(times):
    """Bars of time on a log scale, a panel for each case that has a title for it."""
    panels = [case for case in CASES if case.panel and case.name in times]
    if not panels:
        return
    # Bars of much the same height: a row is as high as its fuller panel needs.
    n_bars = [len(times[case.name].keys() - REFERENCES.keys()) for case in panels]
    figure, grid = _panels(
        [max(n_bars[i : i + 2]) for i in range(0, len(panels), 2)], 2
    )
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, case in zip(grid.flat, panels, strict=False):
        _draw_panel(axes, case, times[case.name])
    figure.suptitle(
        "Time of log loss on a log scale: fastlogloss on one thread unless said, "
        f"peers on up to {PEER_THREADS}\ndashed: reading the arrays once (and "
        "writing them, for a hessian), and nothing else; of groups, an `update` of all "
        "rows as one",
        fontsize=10,
    )
    _save(figure, "benchmark")


def _panels(n_bars, n_columns):
    """A figure with rows of panels, for so many bars each."""
    from matplotlib import pyplot as plt

    heights = [0.75 + 0.2 * n for n in n_bars]
    return plt.subplots(
        len(heights),
        n_columns,
        figsize=(10, sum(heights) + 0.5),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )


def _save(figure, name):
    from matplotlib import pyplot as plt

    figure.get_layout_engine().set(h_pad=0.12, w_pad=0.12)
    for suffix, metadata in (("svg", {"Date": None}), ("png", {})):
        path = RESULTS / f"{name}.{suffix}"
        figure.savefig(path, dpi=150, facecolor="white", metadata=metadata)
    plt.close(figure)


def _draw_panel(axes, case, seconds):
    names = sorted(seconds.keys() - REFERENCES.keys(), key=seconds.get, reverse=True)
    values = [seconds[name] for name in names]
    bars = axes.barh(names, values, color=[COLORS.get(n, OTHERS) for n in names])
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
    _finish(axes, case.panel)
    axes.get_yticklabels()[names.index(OURS)].set_fontweight("bold")


def _finish(axes, title):
    axes.set_title(title, loc="left")
    axes.set_xticks([])
    axes.minorticks_off()
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)


def _draw_ratios(rows):
    """Ratios of one thread and their targets, a panel for each kind of reference."""
    found = {}
    for row in rows:
        if row["reference"] != OURS and row["reference"] != SKLEARN:
            kind = row["reference"] if row["reference"] in (None, "y @ p") else "others"
            found.setdefault(kind, []).append(row)
    titles = {
        "y @ p": "As multiples of y @ p (float64, contiguous)",
        "others": "As multiples of the same call of plain arrays (D2: of log_loss)",
        None: "100 rows: the time of a call",
    }
    if titles.keys() - found.keys():
        return  # of some cases alone
    figure, grid = _panels([len(found[kind]) for kind in titles], 1)
    for axes, (kind, title) in zip(grid.flat, titles.items(), strict=True):
        _draw_targets(axes, found[kind][::-1], title, digits if kind else duration)
    figure.suptitle(
        "Ordinary input on one thread; lines are what it has to reach, red does not",
        fontsize=10,
    )
    _save(figure, "ordinary")


def _draw_targets(axes, rows, title, text):
    names = [row["title"].replace("`", "") for row in rows]
    colors = [OTHERS if row["met"] else COLORS[OURS] for row in rows]
    values = [row["ratio"] for row in rows]
    limits = [row["at_most"] for row in rows]
    axes.barh(names, values, color=colors)
    for i, (value, limit) in enumerate(zip(values, limits, strict=True)):
        axes.vlines(limit, i - 0.4, i + 0.4, "#222222")
        at = max(value, limit), i
        axes.annotate(
            text(value), at, (3, 0), textcoords="offset points", va="center", size=8
        )
    axes.set_xlim(0, 1.15 * max(*values, *limits))
    _finish(axes, title)
