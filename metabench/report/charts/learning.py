"""Charts of learning: the meta-validation score by examples, seconds and operations."""

from __future__ import annotations

from collections.abc import Callable

from metabench.records.schema import Record
from metabench.report.charts.curves import SEED_BAND, curves_figure
from metabench.report.curves import learning_curve, over_seeds, with_cost
from metabench.report.data import BenchmarkResults
from metabench.report.figure import Axis, Figure, Point, Series

NO_CURVE = "An algorithm that does not meta-train has no curve."


def learning(results: BenchmarkResults) -> Figure | None:
    """The meta-validation score by examples that meta-training drew."""
    return _learning(
        results,
        "learning",
        lambda records: over_seeds([learning_curve(record) for record in records]),
        Axis("examples drawn"),
        title="Learning: validation score by examples",
        caption=f"{NO_CURVE} {SEED_BAND}",
    )


def learning_by_seconds(results: BenchmarkResults) -> Figure | None:
    """The meta-validation score by seconds of meta-training."""
    return _learning(
        results,
        "learning-seconds",
        lambda records: with_cost(records, lambda record, point: point.seconds),
        Axis("seconds of meta-training", "log"),
        title="Learning: validation score by seconds",
        caption=f"Validation is not part of the seconds. {NO_CURVE} {SEED_BAND}",
    )


def learning_by_flops(results: BenchmarkResults) -> Figure | None:
    """The meta-validation score by floating-point operations of meta-training."""
    return _learning(
        results,
        "learning-flops",
        lambda records: with_cost(
            records,
            lambda record, point: (
                None
                if record.training.flops is None
                else record.training.flops * point.examples / record.training.examples
            ),
        ),
        Axis("FLOPs of meta-training", "log"),
        title="Learning: validation score by operations",
        caption=f"Operations are estimated from one outer step. {NO_CURVE} {SEED_BAND}",
    )


def _learning(
    results: BenchmarkResults,
    name: str,
    points_of: Callable[[list[Record]], tuple[Point, ...]],
    x: Axis,
    *,
    title: str,
    caption: str,
) -> Figure | None:
    label = "validation accuracy (%)" if results.percent else f"validation {results.metric}"
    series = [
        Series(row.algorithm, results.styles[row.algorithm], points)
        for row in results.rows
        if (points := points_of(list(results.ok(row.algorithm))))
    ]
    y = Axis(label, percent=results.percent)
    return curves_figure(name, tuple(series), x, y, title=title, caption=caption)
