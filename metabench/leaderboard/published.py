"""The figures that papers report, for the rows of a leaderboard."""

from __future__ import annotations

import csv
import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from metabench.benchmarks.model import Benchmark
from metabench.records.schema import Value

METHODS: Mapping[str, str] = {
    # Both normalise with the statistics of the query batch, and so do these rows of the papers.
    "fomaml": "fomaml-transductive",
    "reptile": "reptile-transductive",
    "matchingnet": "matchingnet-cosine",
}
"""The name of an algorithm in ``published.csv``, if it differs from its name here."""


@dataclass(frozen=True)
class PublishedFigure:
    """A published figure.

    Attributes:
        value: An accuracy between 0 and 1, or a mean squared error.
        source: The paper and its table.
    """

    value: float
    source: str


def published_figure(
    benchmark: Benchmark, metric: str, algorithm: str, hyperparameters: Mapping[str, Value]
) -> PublishedFigure | None:
    """Returns the figure of the method's own paper, or else the first that another paper reports.

    Args:
        benchmark: The benchmark that was run.
        metric: The metric that ranks.
        algorithm: The algorithm's name.
        hyperparameters: Its hyper-parameters: a variant of a method has a figure of its own.
    """
    method = METHODS.get(algorithm, algorithm)
    if algorithm == "matchingnet" and hyperparameters.get("distance") == "l2":
        method = "matchingnet-l2"
    if metric == "mse":
        metric = f"mse_after_{hyperparameters.get('test_steps')}_steps"
    elif metric == "accuracy":
        metric = "accuracy_percent"
    ways = "" if benchmark.ways == 0 else str(benchmark.ways)
    return _figures().get((benchmark.dataset, method, ways, str(benchmark.shots), metric))


@cache
def _figures() -> dict[tuple[str, ...], PublishedFigure]:
    figures: dict[tuple[str, ...], PublishedFigure] = {}
    file = importlib.resources.files("metabench.leaderboard") / "published.csv"
    with file.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            share = 100 if row["metric"].endswith("_percent") else 1
            # Decimal, because 98.9 / 100 in floats is not 0.989.
            figure = PublishedFigure(float(Decimal(row["value"]) / share), row["source"])
            key = (row["dataset"], row["method"], row["ways"], row["shots"], row["metric"])
            figures.setdefault(key, figure)  # the file lists the method's own paper first
    return figures
