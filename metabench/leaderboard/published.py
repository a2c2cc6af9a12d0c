"""What the papers report, for the rows of a leaderboard."""

from __future__ import annotations

import csv
import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TypeAlias

from metabench.benchmarks.model import Benchmark

Value: TypeAlias = bool | int | float | str

METHODS: Mapping[str, str] = {
    "fomaml": "fomaml-transductive",
    "reptile": "reptile-transductive",
    "matchingnet": "matchingnet-cosine",
}
"""What the table of published figures calls a method, where that is not its name here: both of the first
always use the statistics of the queries in batch norm, as those rows do."""


@dataclass(frozen=True)
class Published:
    """A published figure.

    Attributes:
        value: a share of 1 for accuracy, or a mean squared error.
        plus_minus: what the paper gives with it; papers mean different quantities by that.
        source: where it stands.
    """

    value: float
    plus_minus: float | None
    source: str


def published(
    benchmark: Benchmark, metric: str, algorithm: str, hyperparameters: Mapping[str, Value]
) -> Published | None:
    """The figure of the method's own paper, or the first that another reports; ``None`` where none is known.

    Args:
        benchmark: the benchmark that was run.
        metric: the metric that ranks.
        algorithm: the algorithm's name.
        hyperparameters: what it ran with: a variant of a method has a figure of its own, or none.
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
def _figures() -> dict[tuple[str, ...], Published]:
    figures: dict[tuple[str, ...], Published] = {}
    file = importlib.resources.files("metabench.leaderboard") / "published.csv"
    with file.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            share = 100 if row["metric"].endswith("_percent") else 1
            value = float(Decimal(row["value"]) / share)
            spread = float(Decimal(row["plus_minus"]) / share) if row["plus_minus"] else None
            figure = Published(value, spread, row["source"])
            key = (row["dataset"], row["method"], row["ways"], row["shots"], row["metric"])
            figures.setdefault(key, figure)  # the method's own paper stands first
    return figures
