"""The figures that papers report, for the rows of a leaderboard under the same conditions."""

from __future__ import annotations

import csv
import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from metabench.benchmarks.model import Benchmark, read_suite
from metabench.records.schema import Record

RECIPE = "paper"
"""The recipe of a row that may have a figure."""

BUILT_IN = "metabench"
"""The distribution of the algorithms that may have figures."""

SUITE = "papers"
"""The built-in suite whose benchmarks may have figures."""


@dataclass(frozen=True)
class PublishedFigure:
    """A published figure, and the conditions that it was measured under.

    Attributes:
        value: An accuracy between 0 and 1, or a mean squared error.
        source: The paper and its table.
        track: The track of the method in the paper.
        settings: The text of each hyper-parameter that the paper tells.
    """

    value: float
    source: str
    track: str
    settings: Mapping[str, str]

    def applies_to(self, record: Record) -> bool:
        """Returns whether a record of this algorithm and benchmark has these conditions."""
        algorithm = record.algorithm
        values = algorithm.hyperparameters
        # A table may have one row for each number of inner steps: an override is a condition too.
        return (
            # A plugin may have an algorithm of the same name, and weights that saw other data.
            algorithm.distribution == BUILT_IN
            and not algorithm.pretrained_on
            and record.track == self.track
            and record.budget == record.benchmark.budget
            and algorithm.recipe == RECIPE
            and algorithm.overrides.keys() <= self.settings.keys()
            and all(str(values.get(name)) == text for name, text in self.settings.items())
        )


def published_figure(record: Record, metric: str) -> PublishedFigure | None:
    """Returns the figure that the paper of an algorithm reports for the conditions of a record.

    These are the benchmark of the suite :data:`SUITE` (data set and split, ways, shots, queries,
    budget, test episodes), the recipe :data:`RECIPE` without overrides, and the track; and the
    algorithm is the built-in one, from random weights. ``None`` unless all of them agree.

    Args:
        record: A record of the algorithm.
        metric: What the row is scored by.
    """
    name = record.benchmark.name
    cell = _cells().get(name)
    # The definition that the record holds: a suite of the user may define another by this name.
    if cell is None or record.benchmark.public.scored != cell.scored or metric != record.metric:
        return None
    figures = _figures().get((name, record.algorithm.name), ())
    return next((figure for figure in figures if figure.applies_to(record)), None)


@cache
def _cells() -> dict[str, Benchmark]:
    file = importlib.resources.files("metabench.benchmarks") / "suites" / f"{SUITE}.toml"
    with importlib.resources.as_file(file) as path:
        return {benchmark.name: benchmark for benchmark in read_suite(path).benchmark}


@cache
def _figures() -> dict[tuple[str, str], list[PublishedFigure]]:
    """Returns the figures by benchmark and algorithm; the others are for the documentation."""
    figures: dict[tuple[str, str], list[PublishedFigure]] = {}
    file = importlib.resources.files("metabench.leaderboard") / "published.csv"
    with file.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if not row["benchmark"]:
                continue
            share = 100 if row["metric"].endswith("_percent") else 1
            figure = PublishedFigure(
                # Decimal, because 98.9 / 100 in floats is not 0.989.
                float(Decimal(row["value"]) / share),
                row["source"],
                row["track"],
                dict(setting.split("=", 1) for setting in row["settings"].split()),
            )
            figures.setdefault((row["benchmark"], row["algorithm"]), []).append(figure)
    return figures
