"""What stands in a leaderboard beside the score: each column, and where its value is found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from metabench.errors import UnknownName
from metabench.records.schema import MetricResult, Record
from metabench.utils.emphasis import Emphasis
from metabench.utils.finite import number

Form = Literal["share", "number", "count", "flag"]
Found = bool | float | None
Rule = tuple[str, Mapping[str, Any]]
"""What values of a metric must share to stand in one column: its version, and its options."""

BASELINE = "nearest-mean"
"""What the drops of the others are held against."""


@dataclass(frozen=True)
class Column:
    """A column of the table that stands below the ranking.

    Args:
        key: its name in JSON and CSV, and for ``--columns``.
        title: its heading for people, in as few letters as can be.
        metric: the metric that it is read from.
        path: the keys of the value among the metric's values, a list of texts standing for its length;
            without any it is the metric's mean.
        form: how it is shown.
        narrow: whether a terminal shows it without being asked.
        relative: whether it is held against the same value of :data:`BASELINE`.
        better: whether a higher or a lower value is better; empty where neither is.
    """

    key: str
    title: str
    metric: str
    path: tuple[str, ...]
    form: Form = "share"
    narrow: bool = False
    relative: bool = False
    better: Literal["higher", "lower", ""] = "lower"


_PGD = ("attacks", "pgd-linf-0.1", "score")
_FLIPS = ("label_noise", "0.4", "drop")
_CORRUPTION = ("corruptions", "query", "mean_drop")

_RELIABILITY: tuple[tuple[str, str, Form], ...] = (
    ("zero_gradients", "zero grad", "share"),
    ("deterministic", "determ.", "share"),
    ("white_box", "white box", "share"),
    ("black_box", "black box", "share"),
    ("loss_rose", "loss rose", "share"),
    ("radius_excess", "excess", "number"),
    ("accuracy_everywhere", "any picture", "share"),
)
"""The flags behind the doubts: :meth:`metabench.metrics.adversarial.reliability.Reliability.verdict`."""

COLUMNS: tuple[Column, ...] = (
    Column("adaptation_area", "area", "adaptation", ("area",), narrow=True, better="higher"),
    Column("steps_to_95", "steps to 95 %", "adaptation", ("steps_to_95",), "count"),
    Column(
        "steps_to_threshold", "steps to threshold", "adaptation", ("steps_to_threshold",), "count"
    ),
    Column("label_noise_drop", "- flips 0.4", "noise", _FLIPS, narrow=True),
    Column("label_noise_relative", "flips / nm", "noise", _FLIPS, "number", relative=True),
    Column("corruption_drop", "- corrupt", "noise", _CORRUPTION, narrow=True),
    Column("corruption_relative", "corrupt / nm", "noise", _CORRUPTION, "number", relative=True),
    Column("noise_drop", "- noise", "noise", ("mean_drop",)),
    Column("pgd_0.1", "PGD 0.1", "adversarial", _PGD, narrow=True, better="higher"),
    Column(
        "pgd_0.2", "PGD 0.2", "adversarial", ("attacks", "pgd-linf-0.2", "score"), better="higher"
    ),
    Column(
        "pgd_0.3", "PGD 0.3", "adversarial", ("attacks", "pgd-linf-0.3", "score"), better="higher"
    ),
    Column(
        "square_0.1",
        "Square 0.1",
        "adversarial",
        ("attacks", "square-linf-0.1", "score"),
        better="higher",
    ),
    Column("poisoning_drop", "- poison", "adversarial", ("poisoning", "drop"), narrow=True),
    Column("doubts", "doubts", "adversarial", ("reliability", "doubts"), "count", narrow=True),
    *(
        Column(key, title, "adversarial", ("reliability", key), form, better="")
        for key, title, form in _RELIABILITY
    ),
    Column("within_group_drop", "- one group", "shift", ("within_group", "drop")),
    Column("elsewhere_drop", "- elsewhere", "shift", ("elsewhere", "drop")),
    Column("shift_drop", "- shift", "shift", ("query", "mean_drop"), narrow=True),
    Column(
        "transductive", "transd.", "transduction", ("transductive",), "flag", narrow=True, better=""
    ),
    Column("transduction_gain", "+ together", "transduction", (), better=""),
    Column("adapt_ms_iqr", "adapt IQR ms", "cost", ("adapt_ms_iqr",), "number"),
    Column("adapt_flops", "adapt FLOPs", "cost", ("adapt_flops",), "count"),
    Column("predict_flops", "predict FLOPs", "cost", ("predict_flops",), "count"),
    Column("adapt_joules", "adapt J", "cost", ("adapt_joules",), "number"),
    Column("gradient_order", "order", "cost", ("gradient_order",), "count", better=""),
    Column("parameters", "parameters", "cost", ("parameters",), "count"),
    Column("macro_f1", "macro-F1", "accuracy", ("macro_f1",), better="higher"),
    Column("ece", "ECE", "accuracy", ("ece",), "number"),
    Column("nll", "NLL", "accuracy", ("nll",), "number"),
    Column("worst_decile", "worst tenth", "accuracy", ("worst_decile",), better="higher"),
)
"""In the order of the table. A drop is score lost: positive where the method got worse."""

TRAINING: tuple[Column, ...] = (
    Column("seconds_to_threshold", "s to threshold", "", (), "number"),
    Column("examples_per_second", "examples/s", "", (), "count", better="higher"),
    Column("tasks_per_second", "tasks/s", "", (), "count", better="higher"),
    Column("train_joules", "train J", "", (), "count"),
)
"""Columns that are worked out of more than one value."""

KEYS = tuple(column.key for column in (*COLUMNS, *TRAINING))


@dataclass(frozen=True)
class Beside:
    """The columns of one row.

    Args:
        values: by key; nothing where there is no number.
        why: why there is none, by key, where the metric said so.
    """

    values: dict[str, Found]
    why: dict[str, str]


def beside(records: Sequence[Record], rules: Mapping[str, Rule]) -> Beside:
    """The columns of one algorithm on one benchmark, each the median over its seeds.

    Args:
        records: its records that are ok, one for each seed.
        rules: what the table goes by for each metric; what was measured otherwise cannot be compared, and
            stays out.
    """
    values: dict[str, Found] = {}
    why: dict[str, str] = {}
    for column in COLUMNS:
        found = [_find(r, column, rules) for r in records]
        numbers = [v for v in found if not isinstance(v, str) and v is not None]
        values[column.key] = _middle(numbers, column.form)
        reasons = sorted({v for v in found if isinstance(v, str)})
        if not numbers and reasons:
            why[column.key] = "; ".join(reasons)
    values["seconds_to_threshold"] = _middle(
        [s for r in records if (s := _seconds(r)) is not None], "number"
    )
    trained = [r.training for r in records if r.training.seconds > 0]
    values["examples_per_second"] = _middle([t.examples / t.seconds for t in trained], "count")
    values["tasks_per_second"] = _middle([t.tasks / t.seconds for t in trained if t.tasks], "count")
    values["train_joules"] = _middle([t.joules for t in trained if t.joules is not None], "count")
    return Beside(values, why)


def beside_all(groups: Mapping[tuple[str, str], Sequence[Record]]) -> dict[tuple[str, str], Beside]:
    """The columns of every row, by benchmark and label; the newest that measured a metric rules it there."""
    rules: dict[str, dict[str, Rule]] = {}
    for record in sorted((r for group in groups.values() for r in group), key=lambda r: r.finished):
        if record.status == "ok":
            measured = [name for name, metric in record.metrics.items() if metric.status == "ok"]
            of_benchmark = rules.setdefault(record.benchmark.title, {})
            of_benchmark.update({name: _rule(record, name) for name in measured})
    found = {
        (benchmark, label): beside([r for r in group if r.status == "ok"], rules.get(benchmark, {}))
        for (benchmark, label), group in groups.items()
    }
    return {place: relative(row, found.get((place[0], BASELINE))) for place, row in found.items()}


def relative(row: Beside, baseline: Beside | None) -> Beside:
    """The same with its drops held against those of the baseline on the same benchmark.

    A ratio is told only where the baseline really loses something: below a hundredth it would be noise.
    """
    values, why = dict(row.values), dict(row.why)
    for column in COLUMNS:
        own, other = values[column.key], baseline.values[column.key] if baseline else None
        if not column.relative or own is None:
            continue
        values[column.key] = None
        if other is None:
            why[column.key] = f"there is no {BASELINE} beside it"
        elif other < 0.01:
            why[column.key] = f"{BASELINE} loses {other:.3f}, too little to compare with"
        else:
            values[column.key] = own / other
    return Beside(values, why)


def choose(names: Iterable[str]) -> list[Column]:
    """The columns of these names, in the order of the table; ``all`` and ``narrow`` mean what they say.

    Raises:
        UnknownName: there is no such column.
    """
    wanted = set(names)
    for name in sorted(wanted - {*KEYS, "all", "narrow"}):
        raise UnknownName("column", name, KEYS, hint=f"They are {', '.join(KEYS)}; or all.")
    every = (*COLUMNS, *TRAINING)
    return [
        c for c in every if c.key in wanted or "all" in wanted or ("narrow" in wanted and c.narrow)
    ]


def shown(
    rows: Sequence[Beside], columns: Iterable[Column], emphasis: Emphasis
) -> list[dict[str, str]]:
    """The rows as people read them, without the columns that say nothing of any row; the best stand out."""
    kept = [c for c in columns if _says_something(rows, c)]
    texts: list[dict[str, str]] = [{} for _ in rows] if kept else []
    for column in kept:
        best = _best(rows, column)
        for row, cells in zip(rows, texts, strict=True):
            stands_out = best is not None and row.values.get(column.key) == best
            cells[column.title] = (
                emphasis.on(_text(row, column)) if stands_out else _text(row, column)
            )
    return texts


def _best(rows: Sequence[Beside], column: Column) -> Found:
    """The best value of a column; nothing where no value is better than another."""
    values = [value for row in rows if (value := row.values.get(column.key)) is not None]
    if not column.better or len(set(values)) < 2:
        return None
    return min(values) if column.better == "lower" else max(values)


def beyond(rows: Sequence[Beside]) -> bool:
    """Whether anything was measured but the score and the cost, for which alone a terminal has no room."""
    return any(c.metric not in ("accuracy", "cost") and _says_something(rows, c) for c in COLUMNS)


def _says_something(rows: Sequence[Beside], column: Column) -> bool:
    return any(r.values.get(column.key) is not None or column.key in r.why for r in rows)


def _rule(record: Record, metric: str) -> Rule:
    return record.metrics[metric].version, record.benchmark.metric_options.get(metric, {})


def _find(record: Record, column: Column, rules: Mapping[str, Rule]) -> Found | str:
    """A value, nothing where it was not measured, or in words why there is none."""
    metric = record.metrics.get(column.metric)
    if metric is None:
        return None
    if metric.status == "ok" and _rule(record, column.metric) != rules.get(column.metric):
        return "measured by another version or with other options than the newest"
    return _value(metric, column.path)


def _value(metric: MetricResult, path: Sequence[str]) -> Found | str:
    if metric.status != "ok":
        return f"{metric.status}: {metric.reason.partition(chr(10))[0]}"
    value: Any = metric.values if path else metric.mean
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, Mapping):
            for state in ("n/a", "failed"):
                if state in value:
                    return f"{state}: {str(value[state]).partition(chr(10))[0]}"
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return float(len(value))
    return value if isinstance(value, bool) else number(value)


def _middle(values: Sequence[Found], form: Form) -> Found:
    if not values:
        return None
    if form == "flag":
        return any(values)
    return float(np.median([float(v or 0.0) for v in values]))


def _seconds(record: Record) -> float | None:
    """Seconds of meta-training until meta-validation first reached the fixed threshold."""
    adaptation = record.metrics.get("adaptation")
    main = record.metrics[record.benchmark.metrics[0]]
    lower = main.direction == "lower"
    found = number(adaptation.values.get("threshold")) if adaptation is not None else None
    threshold = found if found is not None else (-1.0 if lower else 0.9)
    for point in record.training.curve:
        if (-point.score if lower else point.score) >= threshold:
            return point.seconds
    return None


def _text(row: Beside, column: Column) -> str:
    value = row.values.get(column.key)
    if value is None:
        return row.why.get(column.key, "").partition(":")[0] if column.key in row.why else ""
    match column.form:
        case "flag":
            return "yes" if value else "no"
        case "share":
            return f"{value:.3f}"
        case "count":
            return f"{value:,.0f}"
        case _:
            return f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"
