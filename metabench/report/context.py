"""The variables of the templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metabench.leaderboard.render import rank_text
from metabench.records.schema import MetricResult, Record, Value
from metabench.report.charts import figures_of
from metabench.report.charts.episodes import distributions
from metabench.report.columns import TableColumn, best_algorithms, columns_of, levels_by_track
from metabench.report.data import BenchmarkResults, ReportData
from metabench.report.pictures import Picture
from metabench.report.svg import Drawing, draw
from metabench.report.values import flat, format_number
from metabench.utils.grouping import grouped


@dataclass(frozen=True)
class BenchmarkContext:
    """One benchmark on the index page.

    Attributes:
        results: Its results.
        columns: The columns of its leaderboard.
        levels: How many levels the leaderboard tells apart, as a sentence.
        best: The algorithms of the first rank.
        drawings: The charts.
        pictures: The first test episodes.
        no_pictures: Why there are no pictures.
    """

    results: BenchmarkResults
    columns: list[TableColumn]
    levels: str
    best: set[str]
    drawings: list[Drawing]
    pictures: list[Picture]
    no_pictures: str


@dataclass(frozen=True)
class OverviewContext:
    """Every algorithm on every benchmark.

    Attributes:
        benchmarks: The titles.
        rows: The label of each algorithm, with its score on each benchmark and whether that is of
            the first rank.
    """

    benchmarks: list[str]
    rows: list[tuple[str, list[tuple[str, bool]]]]


@dataclass(frozen=True)
class AlgorithmContext:
    """One benchmark on the page of an algorithm.

    Attributes:
        results: The results on the benchmark.
        rank: The rank, as text.
        score: The score, as text.
        records: The records, by seed.
        hyperparameters: Names and values.
        overridden: The names of those that the user set.
        metrics: The name, the result and the mean as text, of the first record that is ok.
        values: The further values of each metric, by its name.
        environments: The seeds and the facts of each distinct environment.
    """

    results: BenchmarkResults
    rank: str
    score: str
    records: list[Record]
    hyperparameters: list[tuple[str, str]]
    overridden: set[str]
    metrics: list[tuple[str, MetricResult, str]]
    values: list[tuple[str, list[tuple[str, str]]]]
    environments: list[tuple[str, list[tuple[str, str]]]]


def benchmark_context(results: BenchmarkResults, pictures: list[Picture] | str) -> BenchmarkContext:
    """Returns the variables of one benchmark on the index page."""
    drawings = [draw(figure) for figure in figures_of(results)]
    if episodes := distributions(results):
        drawings.append(episodes)
    return BenchmarkContext(
        results,
        columns_of(results),
        levels_by_track(results.rows),
        best_algorithms(results.rows),
        drawings,
        pictures if isinstance(pictures, list) else [],
        pictures if isinstance(pictures, str) else "",
    )


def overview_context(data: ReportData) -> OverviewContext:
    """Returns the variables of the table of all benchmarks."""
    cells: dict[str, dict[str, tuple[str, bool]]] = {label: {} for label in data.files}
    for results in data.benchmarks:
        best = best_algorithms(results.rows)
        for row in results.rows:
            score = format_number(row.score, percent=results.percent)
            cells[row.algorithm][results.title] = (score or row.status, row.algorithm in best)
    titles = [results.title for results in data.benchmarks]
    return OverviewContext(
        titles,
        [(label, [found.get(t, ("", False)) for t in titles]) for label, found in cells.items()],
    )


def algorithm_contexts(data: ReportData, label: str) -> list[AlgorithmContext]:
    """Returns the variables of an algorithm's page, for each benchmark that it ran on."""
    return [_algorithm(results, label) for results in data.benchmarks if label in results.records]


def _algorithm(results: BenchmarkResults, label: str) -> AlgorithmContext:
    records = sorted(results.records[label], key=lambda r: (r.seed, r.key))
    row = next((row for row in results.rows if row.algorithm == label), None)
    first = (results.ok(label) or records)[0]  # a failed record may lack hyper-parameters
    known = [r for r in records if r.environment]
    environments = grouped(known, lambda r: tuple(_pairs(r.environment)))
    return AlgorithmContext(
        results,
        "" if row is None else rank_text(row),
        "" if row is None else format_number(row.score, percent=results.percent),
        records,
        _pairs(first.algorithm.hyperparameters),
        set(first.algorithm.overrides),
        [(name, metric, _interval(metric)) for name, metric in first.metrics.items()],
        [(name, pairs) for name, metric in first.metrics.items() if (pairs := flat(metric.values))],
        [
            (", ".join(str(r.seed) for r in group), list(pairs))
            for pairs, group in environments.items()
        ],
    )


def _interval(metric: MetricResult) -> str:
    if metric.mean is None:
        return ""
    return f"{metric.mean:.5g}" + ("" if metric.ci95 is None else f" ± {metric.ci95:.2g}")


def _pairs(values: Mapping[str, Value | None]) -> list[tuple[str, str]]:
    return [(name, "" if value is None else str(value)) for name, value in values.items()]
