"""Rank the rows of each benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from metabench.leaderboard.rows import LeaderboardRow
from metabench.leaderboard.scores import AggregateScore
from metabench.registry import natural_order
from metabench.stats import Bootstrap, ClassSlots, RankIntervals, bootstrap_means, rank_intervals
from metabench.utils.grouping import grouped

ScoredRow = tuple[LeaderboardRow, AggregateScore]


def rank_rows(rows: Sequence[ScoredRow], *, quick: bool = False) -> list[LeaderboardRow]:
    """Returns the rows by benchmark, best first, with their ranks; rows without a score last.

    With a score in every episode, a row has the interval of its rank
    (:func:`~metabench.stats.rank_intervals`), over seeds, episodes and clusters of classes. With
    one value a row, it has its place. Provisional rows have neither.

    Args:
        rows: Each row with its score.
        quick: Whether they are of ``--quick`` runs, which are not ranked.
    """
    groups = grouped(rows, lambda one: one[0].benchmark)
    found: list[LeaderboardRow] = []
    for benchmark in sorted(groups, key=natural_order):
        # Sorted by name first: sorting is stable, so equal scores stay in this order.
        group = sorted(groups[benchmark], key=lambda one: natural_order(one[0].algorithm))
        scored = sorted((one for one in group if one[0].score is not None), key=_loss)
        ranked = {} if quick else _ranked([one for one in scored if not one[0].provisional])
        found += [ranked.get(row.algorithm, row) for row, _ in scored]
        found += [row for row, _ in group if row.score is None]
    return found


def bootstrap_rows(scored: Sequence[ScoredRow]) -> Bootstrap | None:
    """Returns the resampled scores of some rows of a benchmark.

    Nothing if there is no row, or one has no score in every episode.
    """
    scores = [score.by_seed for _, score in scored if score.by_seed is not None]
    if not scored or len(scores) < len(scored):
        return None
    return bootstrap_means(scores, classes=_classes([score for _, score in scored]))


def _ranked(scored: Sequence[ScoredRow]) -> dict[str, LeaderboardRow]:
    """Returns rows that are sorted by score with their ranks, by label."""
    rows = [row for row, _ in scored]
    resampled = bootstrap_rows(scored)
    if resampled is None:
        losses = [_loss(one) for one in scored]
        return {
            row.algorithm: replace(row, rank=1 + losses.index(loss))
            for row, loss in zip(rows, losses, strict=True)
        }
    found = rank_intervals(resampled, higher_is_better=rows[0].direction != "lower")
    return {row.algorithm: _with_ranks(row, i, rows, found) for i, row in enumerate(rows)}


def _with_ranks(
    row: LeaderboardRow, i: int, rows: Sequence[LeaderboardRow], found: RankIntervals
) -> LeaderboardRow:
    return replace(
        row,
        # Rows that may be first share rank 1, as rows without a significant difference did.
        rank=found.low[i],
        rank_low=found.low[i],
        rank_high=found.high[i],
        level=found.level[i],
        beats={
            other.algorithm: round(float(p), 3)
            for other, p in zip(rows, found.probability[i], strict=True)
            if other is not row
        },
    )


def _classes(scores: Sequence[AggregateScore]) -> ClassSlots | None:
    """Returns the classes of the episodes with all scores on them, if all rows state the same."""
    known = [score.classes for score in scores if score.classes is not None]
    if len(known) < len(scores):
        return None
    clusters = known[0].clusters
    if any(not np.array_equal(one.clusters, clusters) for one in known):
        return None
    return ClassSlots(clusters, np.concatenate([one.shares for one in known]))


def _loss(one: ScoredRow) -> float:
    """Returns the score so that lower is better."""
    row = one[0]
    assert row.score is not None
    return row.score if row.direction == "lower" else -row.score
