"""Simulations of ``metabench compare`` with retraining noise, as measured in ``leaderboards/ci``.

Each simulated seed has an effect of its own, and one of its own on each episode. The standard
deviations of both, and the mean score of each episode, are those of the seven committed seeds.
"""

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metabench.compare.comparison import decide_all
from metabench.compare.verdicts import ComparisonRow, PendingRow, pending_row
from metabench.records.schema import Record
from metabench.records.store import ResultsFolder
from metabench.utils.grouping import grouped

ROOT = Path(__file__).parents[2]
FIRST = "protonet"
"""The algorithm whose accuracy is lost: its cells are the first of a table."""
SEEDS = ((1, 7), (2, 7), (3, 3), (3, 7), (5, 7), (7, 7), (10, 10))
"""Seeds of the new side and of the baseline."""
DROPS = (0.0, 0.01, 0.015, 0.02, 0.03, 0.04)
"""Losses of accuracy, of the first cell."""
TABLES = 400
RESAMPLES = 599
"""Sign patterns of a permutation test. Fewer than the command draws, which only loses power."""


class Noise(NamedTuple):
    """The measured scores of a cell.

    Attributes:
        episodes: The mean of each episode over the seeds, ``[E]``.
        seed_sd: The standard deviation of the effect of a seed.
        effects: The measured effects of the seeds, with this standard deviation, ``[S]``.
        residual_sd: The standard deviation of the effect of a seed on an episode.
        share: Whether the score is a share.
    """

    episodes: np.ndarray
    seed_sd: float
    effects: np.ndarray
    residual_sd: float
    share: bool


@cache
def committed() -> dict[tuple[str, str], list[Record]]:
    """Returns the records of ``leaderboards/ci`` that are ok, by algorithm and benchmark."""
    records, _ = ResultsFolder(ROOT / "leaderboards" / "ci").load()
    ok = [record for record in records if record.status == "ok"]
    return grouped(ok, lambda record: (record.algorithm.name, record.benchmark.name))


@cache
def cells() -> tuple[tuple[str, str], ...]:
    """Returns the cells of the CI suite whose training is random: its seeds have other scores."""
    varied = [
        cell
        for cell, records in committed().items()
        if len({tuple(r.metrics[r.metric].episodes) for r in records}) > 1
    ]
    return tuple(sorted(varied, key=lambda cell: (cell[0] != FIRST, cell)))


@cache
def measured(algorithm: str, benchmark: str) -> Noise:
    """Returns the scores of a cell of ``leaderboards/ci``."""
    records = committed()[algorithm, benchmark]
    metric = records[0].metric
    table = np.array([record.metrics[metric].episodes for record in records])
    seeds, episodes = table.shape
    means = table.mean(1)
    residuals = table - table.mean(0) - means[:, None] + table.mean()
    variance = float((residuals**2).sum()) / ((seeds - 1) * (episodes - 1))
    # The variance of the means holds the residuals of the episodes too.
    between = max(0.0, float(means.var(ddof=1)) - variance / episodes)
    effects = (means - means.mean()) / means.std() * between**0.5
    return Noise(table.mean(0), between**0.5, effects, variance**0.5, metric == "accuracy")


def retrained(
    noise: Noise, rng: np.random.Generator, seeds: int, loss: float, *, normal: bool = True
) -> np.ndarray:
    """Returns the scores of new trainings, ``[seeds, E]``.

    Args:
        noise: The measured scores.
        rng: The source of random numbers.
        seeds: The number of trainings.
        loss: What is lost of the mean.
        normal: Whether the effect of a seed is normal, or one of those that were measured.
    """
    drawn = rng.normal(0, noise.seed_sd, seeds) if normal else rng.choice(noise.effects, seeds)
    residuals = rng.normal(0, noise.residual_sd, (seeds, len(noise.episodes)))
    return noise.episodes + drawn[:, None] - loss + residuals


def simulated_cell(
    cell: tuple[str, str],
    rng: np.random.Generator,
    seeds: tuple[int, int],
    loss: float = 0.0,
    *,
    normal: bool = True,
) -> PendingRow:
    """Returns one comparison of two trainings of the same code, or of code that lost accuracy."""
    noise = measured(*cell)
    base = retrained(noise, rng, seeds[1], 0.0, normal=normal)
    new = retrained(noise, rng, seeds[0], loss, normal=normal)
    row = ComparisonRow(
        *cell,
        "undecided",
        direction="higher" if noise.share else "lower",
        unit="share" if noise.share else "squared error",
    )
    return pending_row(row, base, new)


@cache
def rates(
    seeds: tuple[int, int],
    drop: float,
    *,
    tables: int = TABLES,
    copies: int = 1,
    normal: bool = True,
) -> dict[str, float]:
    """Returns how often a comparison of the CI suite has each outcome.

    Args:
        seeds: The seeds of the new side and of the baseline.
        drop: The loss of accuracy of the first of :func:`cells`; the others have none.
        tables: The number of simulated comparisons.
        copies: How many times the table has the cells of the suite.
        normal: See :func:`retrained`.

    Returns:
        ``alarm``: any cell without a loss is worse. ``worse`` and ``equivalent``: the verdict on
        the first cell.
    """
    rng = np.random.default_rng([*seeds, round(10_000 * drop), copies])
    count = {"alarm": 0, "worse": 0, "equivalent": 0}
    for _ in range(tables):
        pending = [
            simulated_cell(cell, rng, seeds, drop if i == 0 else 0.0, normal=normal)
            for i, cell in enumerate(cells() * copies)
        ]
        rows = decide_all(pending, 0.01, 0.05, resamples=RESAMPLES)
        first, *others = (row.verdict for row in rows)
        count["alarm"] += "worse" in others or (drop == 0 and first == "worse")
        count["worse"] += first == "worse"
        count["equivalent"] += first == "equivalent"
    return {name: number / tables for name, number in count.items()}


def table_of_alarms() -> tuple[list[str], list[list[str]]]:
    """Returns the heading and the rows of the false alarms, for the page."""
    heading = ["seeds", *(_sides(seeds) for seeds in SEEDS)]
    number = len(cells())
    kinds: dict[str, dict[str, Any]] = {
        f"{number} cells": {},
        f"{4 * number} cells": {"copies": 4},
        f"{number} cells, measured effects": {"normal": False},
    }
    return heading, [
        [name, *(_percent(rates(seeds, 0.0, **options)["alarm"]) for seeds in SEEDS)]
        for name, options in kinds.items()
    ]


def table_of_verdicts(verdict: str) -> tuple[list[str], list[list[str]]]:
    """Returns the heading and the rows of the operating curve, for the page."""
    heading = ["seeds", *(f"{100 * drop:g}" for drop in DROPS)]
    return heading, [
        [_sides(seeds), *(_percent(rates(seeds, drop)[verdict]) for drop in DROPS)]
        for seeds in SEEDS
    ]


def table_of_noise() -> tuple[list[str], list[list[str]]]:
    """Returns the heading and the rows of the measured standard deviations, for the page."""
    rows = []
    for cell in cells():
        noise = measured(*cell)
        scale, unit = (100, " points") if noise.share else (1, "")
        rows.append(
            [
                " ".join(cell),
                f"{scale * noise.episodes.mean():.3g}",
                f"{scale * noise.seed_sd:.2g}{unit}",
                f"{scale * noise.residual_sd:.2g}{unit}",
            ]
        )
    return ["cell", "mean", "sd of a seed", "sd of a seed on an episode"], rows


def _sides(seeds: tuple[int, int]) -> str:
    return f"{seeds[0]} against {seeds[1]}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
