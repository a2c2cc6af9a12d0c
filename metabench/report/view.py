"""What the templates are given: every page as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metabench.records.schema import MetricResult, Record, Value
from metabench.report.charts import figures_of
from metabench.report.charts.episodes import distributions
from metabench.report.charts.ranks import critical_difference
from metabench.report.columns import Column, best_rows, columns_of
from metabench.report.drawing import Drawing
from metabench.report.facts import Facts, Section
from metabench.report.figure import show
from metabench.report.pictures import Picture
from metabench.report.plotting import draw
from metabench.report.values import flat


@dataclass(frozen=True)
class SectionView:
    """One benchmark on the page.

    Attributes:
        section: what is shown.
        columns: of the leaderboard.
        best: the algorithms of the first rank.
        drawings: the charts.
        pictures: the episodes.
        no_pictures: why there are none.
    """

    section: Section
    columns: list[Column]
    best: set[str]
    drawings: list[Drawing]
    pictures: list[Picture]
    no_pictures: str


@dataclass(frozen=True)
class Overview:
    """Every algorithm on every benchmark.

    Attributes:
        benchmarks: the titles.
        rows: for each algorithm its label, and for each benchmark its score and whether that is the best.
    """

    benchmarks: list[str]
    rows: list[tuple[str, list[tuple[str, bool]]]]


@dataclass(frozen=True)
class Run:
    """One algorithm on one benchmark, on the algorithm's own page.

    Attributes:
        section: the benchmark.
        rank: as text.
        score: as text.
        records: by seed.
        settings: the hyper-parameters.
        overridden: those that were chosen by hand.
        metrics: of the first record that ended well: the name, what was found, its mean as text.
        found: the further numbers of each metric, by name.
        environments: the different ones, each with the seeds that ran in it.
    """

    section: Section
    rank: str
    score: str
    records: list[Record]
    settings: list[tuple[str, str]]
    overridden: set[str]
    metrics: list[tuple[str, MetricResult, str]]
    found: list[tuple[str, list[tuple[str, str]]]]
    environments: list[tuple[str, list[tuple[str, str]]]]


def section_view(section: Section, pictures: list[Picture] | str) -> SectionView:
    """A benchmark's part of the page."""
    drawings = [draw(figure) for figure in figures_of(section)]
    if spread := distributions(section):
        drawings.append(spread)
    return SectionView(
        section,
        columns_of(section),
        best_rows(section.rows),
        drawings,
        pictures if isinstance(pictures, list) else [],
        pictures if isinstance(pictures, str) else "",
    )


def overview(facts: Facts) -> Overview:
    """Every algorithm on every benchmark."""
    cells: dict[str, dict[str, tuple[str, bool]]] = {label: {} for label in facts.files}
    for section in facts.sections:
        best = best_rows(section.rows)
        for row in section.rows:
            text = show(row.score, percent=section.percent) if row.score is not None else row.status
            cells[row.algorithm][section.title] = (text, row.algorithm in best)
    titles = [section.title for section in facts.sections]
    return Overview(
        titles,
        [(label, [found.get(t, ("", False)) for t in titles]) for label, found in cells.items()],
    )


def ranks(facts: Facts) -> Drawing | str:
    """The critical-difference diagram, or why there is none."""
    return critical_difference([section for section in facts.sections if section.rows])


def runs_of(facts: Facts, label: str) -> list[Run]:
    """What an algorithm's own page shows."""
    return [_run(section, label) for section in facts.sections if label in section.records]


def _run(section: Section, label: str) -> Run:
    records = sorted(section.records[label], key=lambda r: (r.seed, r.key))
    row = next((row for row in section.rows if row.algorithm == label), None)
    first = (section.well(label) or records)[0]
    environments: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for record in records:
        if record.environment:
            environments.setdefault(tuple(_pairs(record.environment)), []).append(str(record.seed))
    return Run(
        section,
        "" if row is None or row.rank is None else str(row.rank),
        "" if row is None else show(row.score, percent=section.percent),
        records,
        _pairs(first.algorithm.hyperparameters),
        set(first.algorithm.overrides),
        [(name, metric, _interval(metric)) for name, metric in first.metrics.items()],
        [(name, pairs) for name, metric in first.metrics.items() if (pairs := flat(metric.values))],
        [(", ".join(seeds), list(pairs)) for pairs, seeds in environments.items()],
    )


def _interval(metric: MetricResult) -> str:
    if metric.mean is None:
        return ""
    return f"{metric.mean:.5g}" + ("" if metric.ci95 is None else f" ± {metric.ci95:.2g}")


def _pairs(values: Mapping[str, Value | None]) -> list[tuple[str, str]]:
    return [(name, "" if value is None else str(value)) for name, value in values.items()]
