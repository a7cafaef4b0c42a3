"""What was found, as text, JSON, a CSV table or a picture."""

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastlogloss._intervals import FEW_GROUPS
from fastlogloss.commands.tally import Tally

_NAMES = ("n_samples", "weight_sum", "loss_sum", "loss", "standard_error")
_SHARES = ("null_loss", "normalized_entropy", "d2")
_SHOWN = 25  # groups in a text


def describe(tally: Tally) -> dict[str, Any]:
    """An object for JSON; its keys are attributes of the accumulators.

    Of several models, those that they share; `models` has the others.
    """
    task = tally.task
    totals = [model.total() if task.by else model for model in tally.models]
    order = sorted(range(len(totals)), key=lambda i: _rank(totals[i].loss))
    models = []
    for rank, i in enumerate(order, 1):
        name = list(task.models)[i]
        found = {"name": name, "columns": list(task.models[name]), "rank": rank}
        found |= _statistics(totals[i])
        if len(order) > 1:
            is_best = rank == 1
            found["to_best"] = None if is_best else _to_best(tally, i, order[0])
        if task.by:
            found["groups"] = _groups(tally, i)
        models.append(found)
    if len(models) > 1:
        shared = ("n_samples", "weight_sum", "n_groups", "classes", "class_weights")
        whole = {key: models[0][key] for key in shared if key in models[0]}
        whole |= {"null_loss": models[0]["null_loss"], "models": models}
    else:
        (whole,) = models
        for key in ("name", "columns", "rank"):
            del whole[key]
    return whole | {"skipped": dict(tally.skipped)}


def _rank(loss: float) -> tuple[bool, float]:
    return math.isnan(loss), loss


def _statistics(found: Any) -> dict[str, Any]:
    values = {name: getattr(found, name) for name in _NAMES}
    values["confidence_interval"] = found.confidence_interval()._asdict()
    values |= {name: getattr(found, name) for name in _SHARES}
    if hasattr(found, "n_groups"):
        values["n_groups"] = found.n_groups
    values["classes"] = list(found._batches.classes)
    values["class_weights"] = {str(k): v for k, v in found.class_weights.items()}
    values["exact"] = found.exact
    return values


def _to_best(tally: Tally, i: int, best: int) -> dict[str, Any]:
    """The difference to the best model, and how sure it is."""
    found = tally.comparison(min(i, best), max(i, best))
    low, high = found.confidence_interval()
    sign = 1.0
    if i > best:
        sign, low, high = -1.0, -high, -low
    return {
        "difference": sign * found.difference,
        "standard_error": found.standard_error,
        "confidence_interval": {"low": low, "high": high},
        "pvalue": found.pvalue,
    }


def _groups(tally: Tally, i: int) -> list[dict[str, Any]]:
    """The groups of a model, the heaviest first."""
    found, by = tally.models[i], tally.task.by
    keys = found.groups if isinstance(found.groups, tuple) else (found.groups,)
    columns = {name: getattr(found, name) for name in (*_NAMES, *_SHARES)}
    interval = found.confidence_interval()
    order = np.argsort(-found.weight_sum, kind="stable").tolist()
    lists = {name: column.tolist() for name, column in columns.items()}
    texts = [_keys(column) for column in keys]
    low, high = interval.low.tolist(), interval.high.tolist()
    groups = []
    for g in order:
        key = {name: column[g] for name, column in zip(by, texts, strict=True)}
        group: dict[str, Any] = {"group": key}
        group |= {name: lists[name][g] for name in _NAMES}
        group["confidence_interval"] = {"low": low[g], "high": high[g]}
        group |= {name: lists[name][g] for name in _SHARES}
        groups.append(group)
    return groups


def _keys(column: NDArray[Any]) -> list[Any]:
    """Keys as JSON has them; missing ones are None, and dates texts."""
    if column.dtype.kind in "mM":
        missing = np.isnat(column).tolist()
        texts = column.astype(str).tolist()
        return [None if m else x for m, x in zip(missing, texts, strict=True)]
    values = [None if x is None or x != x else x for x in column.tolist()]
    if column.dtype.kind == "f" and all(x is None or x.is_integer() for x in values):
        return [None if x is None else int(x) for x in values]  # as most of them came
    return [
        x if x is None or isinstance(x, str | int | float) else str(x) for x in values
    ]


def as_json(found: dict[str, Any]) -> str:
    return json.dumps(_finite(found), indent=2, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    """What JSON has no number for: null for NaN, and texts for infinities."""
    if isinstance(value, dict):
        return {key: _finite(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(x) for x in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf" if value > 0 else "-inf"
    return value


def rows_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    """A table: a row for each group, or for each model."""
    rows = []
    for model in found.get("models", [found]):
        name = {"model": model["name"]} if "models" in found else {}
        for part in model.get("groups", [model]):
            row = name | part.get("group", {})
            row |= {key: part[key] for key in _NAMES}
            row |= part["confidence_interval"]
            row |= {key: part[key] for key in _SHARES}
            if "to_best" in part:
                to_best = part["to_best"] or {}
                row["difference"] = to_best.get("difference", 0.0)
                ends = to_best.get("confidence_interval", {"low": 0.0, "high": 0.0})
                row |= {f"difference_{end}": x for end, x in ends.items()}
                row["pvalue"] = to_best.get("pvalue")
            rows.append(row)
    return rows


def as_csv(found: dict[str, Any]) -> str:
    rows = rows_of(found)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def as_text(found: dict[str, Any]) -> str:
    parts = []
    models = found.get("models")
    if models is None:
        parts.append(_text_of_one(found))
    else:
        parts.append(f"{found['n_samples']:,} rows" + _weight(found))
        parts.append(_table(_rows_of_models(models)))
        note = "Intervals of the loss, and of the difference to the best, are of 95 %"
        parts.append(note + _clusters(found) + ".")
    if "groups" in (models or [found])[0]:
        parts.append(_table_of_groups(models or [found]))
    if found["skipped"]:
        reasons = ", ".join(f"{n:,} where {why}" for why, n in found["skipped"].items())
        parts.append(f"skipped {sum(found['skipped'].values()):,} rows: {reasons}")
    return "\n\n".join(parts)


def _clusters(found: dict[str, Any]) -> str:
    n = found.get("n_groups")
    if n is None:
        return ""
    few = ", too few to rely on" if n < FEW_GROUPS else ""
    return f", cluster-robust by {n:,} groups{few}"


def _weight(found: dict[str, Any]) -> str:
    is_weighted = found["weight_sum"] != found["n_samples"]
    return f", of weight {found['weight_sum']:,.6g}" if is_weighted else ""


def _text_of_one(found: dict[str, Any]) -> str:
    low, high = found["confidence_interval"].values()
    interval = f"   95 % interval {low:.6g} to {high:.6g}{_clusters(found)}"
    lines = {
        "log loss": f"{found['loss']:.10g}{interval}",
        "rows": f"{found['n_samples']:,}{_weight(found)}",
        "standard error": f"{found['standard_error']:.4g}",
        "null loss": f"{found['null_loss']:.6g}   of the shares of the classes",
        "normalized entropy": f"{found['normalized_entropy']:.6g}",
    }
    return "\n".join(f"{name:20}{text}" for name, text in lines.items())


def _rows_of_models(models: Sequence[dict[str, Any]]) -> list[list[str]]:
    head = ["", "model", "log loss", "low", "high", "to best", "low", "high", "p-value"]
    rows = [head]
    for model in models:
        ends = model["confidence_interval"].values()
        row = [str(model["rank"]), model["name"], f"{model['loss']:.8g}"]
        row += [f"{end:.6g}" for end in ends]
        to_best = model["to_best"]
        if to_best is not None:
            numbers = (to_best["difference"], *to_best["confidence_interval"].values())
            row += [f"{x:+.4g}" for x in numbers] + [f"{to_best['pvalue']:.2g}"]
        rows.append(row + [""] * (len(head) - len(row)))
    return rows


def _table_of_groups(models: Sequence[dict[str, Any]]) -> str:
    """Groups as rows; of several models, a column of losses for each."""
    groups = models[0]["groups"]
    by = list(groups[0]["group"])
    is_one = len(models) == 1
    losses = [
        {tuple(g["group"].values()): g["loss"] for g in m["groups"]} for m in models
    ]
    head = [*by, "rows", "weight"]
    head += ["log loss", "low", "high"] if is_one else [m["name"] for m in models]
    rows = [head]
    for group in groups[:_SHOWN]:
        key = tuple(group["group"].values())
        row = ["(missing)" if part is None else str(part) for part in key]
        row += [f"{group['n_samples']:,}", f"{group['weight_sum']:,.6g}"]
        row += [f"{of_model[key]:.6g}" for of_model in losses]
        if is_one:
            row += [f"{end:.6g}" for end in group["confidence_interval"].values()]
        rows.append(row)
    text = _table(rows, len(by))
    rest = len(groups) - _SHOWN
    return text if rest <= 0 else f"{text}\nand {rest:,} more (--format csv has all)"


def _table(rows: Sequence[Sequence[str]], n_texts: int = 2) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            text.ljust(width) if j < n_texts else text.rjust(width)
            for j, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def plot(found: dict[str, Any], path: str) -> None:
    """Losses and their intervals; of groups the heaviest ones."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            '--plot needs matplotlib: pip install "fastlogloss[cli]"'
        ) from error
    rows = rows_of(found)
    by = set(
        (found.get("models") or [found])[0].get("groups", [{}])[0].get("group", {})
    )
    rows = rows[:_SHOWN]
    figure = Figure(figsize=(6.4, 1.2 + 0.3 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    names = [
        " ".join(str(row[key]) for key in row if key == "model" or key in by) or "all"
        for row in rows
    ]
    loss = np.array([row["loss"] for row in rows])
    ends = np.array([[row["low"], row["high"]] for row in rows])
    places = np.arange(len(rows))[::-1]
    axes.hlines(places, ends[:, 0], ends[:, 1], color="tab:blue")
    axes.plot(loss, places, "o", color="tab:blue")
    axes.set_yticks(places, names)
    axes.axvline(found["null_loss"], color="gray", linestyle=":", label="null loss")
    axes.set_xlabel("log loss, with its interval of 95 %")
    axes.legend()
    figure.savefig(path)
