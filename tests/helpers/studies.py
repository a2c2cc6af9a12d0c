"""The committed studies of the default recipes."""

from __future__ import annotations

import csv

from metabench.utils.grouping import grouped
from tests.helpers.repository import ROOT

Trials = dict[tuple[str, str], list[dict[str, str]]]
"""The rows of the trials by benchmark and algorithm."""


def trials() -> Trials:
    """Returns the trials of all studies."""
    rows: list[dict[str, str]] = []
    for path in sorted((ROOT / "leaderboards" / "studies").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as lines:
            rows += csv.DictReader(lines)
    return grouped(rows, lambda row: (row["benchmark"], row["algorithm"]))


def is_regression(benchmark: str) -> bool:
    """Returns whether a benchmark of the studies is of regression, whose lower score is better."""
    return benchmark.startswith("sinusoid")


def best(benchmark: str, rows: list[dict[str, str]]) -> dict[str, str]:
    """Returns the best trial of an algorithm on a benchmark; of equal ones the first."""
    scored = [row for row in rows if row["score"]]
    choose = min if is_regression(benchmark) else max
    return choose(scored, key=lambda row: float(row["score"]))
