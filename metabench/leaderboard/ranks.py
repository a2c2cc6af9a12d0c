"""Rank the rows of each benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from metabench.leaderboard.rows import LeaderboardRow
from metabench.leaderboard.scores import AggregateScore
from metabench.registry import natural_order
from metabench.stats import shared_ranks
from metabench.utils.grouping import grouped

ScoredRow = tuple[LeaderboardRow, AggregateScore]


def rank_rows(rows: Sequence[ScoredRow]) -> list[LeaderboardRow]:
    """Returns the rows by benchmark and track, best first, with their ranks on the track.

    Rows without a score come last.

    With a score in every episode, algorithms share a rank if the test does not distinguish them
    (:func:`~metabench.stats.shared_ranks`). With one value a row, only equal values share one.

    Args:
        rows: Each row with its score.
    """
    groups = grouped(rows, lambda one: (one[0].benchmark, one[0].track or ""))
    found: list[LeaderboardRow] = []
    for place in sorted(groups, key=lambda one: (natural_order(one[0]), one[1])):
        # Sorted by name first: sorting is stable, so equal scores stay in this order.
        group = sorted(groups[place], key=lambda one: natural_order(one[0].algorithm))
        scored = sorted((one for one in group if one[0].score is not None), key=_loss)
        ranks = _ranks(scored)
        found += [replace(row, rank=rank) for (row, _), rank in zip(scored, ranks, strict=True)]
        found += [row for row, _ in group if row.score is None]
    return found


def _ranks(scored: Sequence[ScoredRow]) -> list[int]:
    """Returns the ranks of rows that are sorted by score."""
    episodes = [score.episodes for _, score in scored if score.episodes is not None]
    if scored and len(episodes) == len(scored):
        return shared_ranks(episodes, higher_is_better=scored[0][0].direction != "lower")
    losses = [_loss(one) for one in scored]
    return [1 + losses.index(loss) for loss in losses]


def _loss(one: ScoredRow) -> float:
    """Returns the score so that lower is better."""
    row = one[0]
    assert row.score is not None
    return row.score if row.direction == "lower" else -row.score
