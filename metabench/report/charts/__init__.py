"""The charts of a benchmark: each a pure function of its records, nothing where they do not hold it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from metabench.report.charts.adaptation import adaptation, shots
from metabench.report.charts.learning import learning
from metabench.report.charts.pareto import pareto
from metabench.report.charts.robustness import attacks, corruptions, label_noise
from metabench.report.facts import Section
from metabench.report.figure import Figure

Chart = Callable[[Section], Figure | None]

CHARTS: Mapping[str, tuple[Chart, ...]] = {
    "pareto": (pareto,),
    "adaptation": (adaptation, shots),
    "learning": (learning,),
    "robustness": (corruptions, label_noise, attacks),
}
"""The charts by the name that ``metabench plot`` has for them."""


def figures_of(section: Section, kind: str = "") -> list[Figure]:
    """The charts of a benchmark, those of one kind or all.

    Args:
        section: the benchmark.
        kind: one of :data:`CHARTS`.
    """
    charts = CHARTS[kind] if kind else [chart for family in CHARTS.values() for chart in family]
    return [figure for chart in charts if (figure := chart(section)) is not None]


__all__ = ["CHARTS", "Chart", "figures_of"]
