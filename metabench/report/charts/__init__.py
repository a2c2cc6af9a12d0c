"""The charts of a benchmark: each a function of its results, or nothing without the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from metabench.report.charts.curves import (
    adaptation,
    attacks,
    corruptions,
    label_noise,
    shots,
)
from metabench.report.charts.learning import learning, learning_by_flops, learning_by_seconds
from metabench.report.charts.pareto import pareto
from metabench.report.data import BenchmarkResults
from metabench.report.figure import Figure

Chart = Callable[[BenchmarkResults], Figure | None]

CHARTS: Mapping[str, tuple[Chart, ...]] = {
    "pareto": (pareto,),
    "adaptation": (adaptation, shots),
    "learning": (learning, learning_by_seconds, learning_by_flops),
    "robustness": (corruptions, label_noise, attacks),
}
"""The charts by their kind, as ``metabench plot`` names it."""


def figures_of(results: BenchmarkResults, kind: str = "") -> list[Figure]:
    """Returns the charts of a benchmark, all or those of one kind.

    Args:
        results: The results on the benchmark.
        kind: A key of :data:`CHARTS`.
    """
    charts = CHARTS[kind] if kind else [chart for family in CHARTS.values() for chart in family]
    return [figure for chart in charts if (figure := chart(results)) is not None]


__all__ = ["CHARTS", "Chart", "figures_of"]
