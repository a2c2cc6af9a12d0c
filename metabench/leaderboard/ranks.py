"""Rows in order, each with its rank in its benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from metabench.leaderboard.rows import Row
from metabench.leaderboard.scores import Scored
from metabench.registry import natural_order
from metabench.stats import shared_ranks


def ranked(rows: Sequence[tuple[Row, Scored]]) -> list[Row]:
    """The rows by benchmark, the best first, those without a score at the bottom.

    Where every episode has a score, algorithms that cannot be told apart share a rank
    (:func:`~metabench.stats.shared_ranks`); where each row has one number, only equal ones do.

    Args:
        rows: each with its score in full.
    """
    groups: dict[str, list[tuple[Row, Scored]]] = {}
    for row, score in rows:
        groups.setdefault(row.benchmark, []).append((row, score))
    found: list[Row] = []
    for benchmark in sorted(groups, key=natural_order):
        group = sorted(groups[benchmark], key=lambda one: natural_order(one[0].algorithm))
        scored = sorted((one for one in group if one[0].score is not None), key=_goodness)
        ranks = _ranks(scored)
        found += [replace(row, rank=rank) for (row, _), rank in zip(scored, ranks, strict=True)]
        found += [row for row, _ in group if row.score is None]
    return found


def _ranks(scored: Sequence[tuple[Row, Scored]]) -> list[int]:
    """The ranks of rows that stand in order."""
    episodes = [score.episodes for _, score in scored if score.episodes is not None]
    if scored and len(episodes) == len(scored):
        return shared_ranks(episodes, higher_is_better=scored[0][0].direction != "lower")
    values = [_goodness(one) for one in scored]
    return [1 + values.index(value) for value in values]


def _goodness(one: tuple[Row, Scored]) -> float:
    """Smaller is better."""
    row = one[0]
    assert row.score is not None
    return row.score if row.direction == "lower" else -row.score
