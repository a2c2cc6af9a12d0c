"""One table over all benchmarks of a leaderboard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from tabulate import tabulate

from metabench.errors import UsageError
from metabench.leaderboard.emphasis import TABULATE_STYLES
from metabench.leaderboard.ranks import ScoredRow, bootstrap_rows
from metabench.records.schema import SHARE
from metabench.stats import (
    Bootstrap,
    average_rank_intervals,
    average_ranks,
    interquartile_interval,
    interquartile_mean,
    performance_profile,
)
from metabench.utils.grouping import grouped

THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(20))
"""The scores of the performance profile: 0 to 0.95."""


@dataclass(frozen=True)
class AggregateRow:
    """One algorithm over several benchmarks.

    Attributes:
        algorithm: Its label.
        benchmarks: The number of benchmarks.
        rank: Its average rank; equal scores share the mean of their ranks.
        rank_low: The lower end of the 95 % interval of the average of the true ranks.
        rank_high: The upper end.
        iqm: The interquartile mean over the seeds of all benchmarks whose score is a share and
            better if higher; ``None`` without any.
        iqm_low: The lower end of its 95 % interval.
        iqm_high: The upper end.
        profile: The share of the same runs that score above each of :data:`THRESHOLDS`.
    """

    algorithm: str
    benchmarks: int
    rank: float
    rank_low: float
    rank_high: float
    iqm: float | None
    iqm_low: float | None
    iqm_high: float | None
    profile: list[float]

    def flat(self) -> dict[str, Any]:
        """Returns the row as JSON has it, with the thresholds of the profile."""
        return asdict(self) | {"thresholds": list(THRESHOLDS)}


def aggregate(scored: Sequence[ScoredRow]) -> list[AggregateRow]:
    """Returns the algorithms that are ranked on every benchmark, best average rank first.

    Nothing for fewer than two benchmarks or two such algorithms.

    Args:
        scored: The rows of all benchmarks with their scores.
    """
    ranked = [one for one in scored if one[0].score is not None and not one[0].provisional]
    tables = {
        title: {row.algorithm: (row, score) for row, score in group if score.by_seed is not None}
        for title, group in grouped(ranked, lambda one: one[0].benchmark).items()
    }
    tables = {title: table for title, table in tables.items() if table}
    labels = sorted(set.intersection(*map(set, tables.values()))) if tables else []
    if len(tables) < 2 or len(labels) < 2:
        return []
    complete = [[table[label] for label in labels] for table in tables.values()]
    resampled = [found for rows in complete if (found := bootstrap_rows(rows)) is not None]
    # Ranks need one direction: errors are negated.
    higher = [rows[0][0].direction != "lower" for rows in complete]
    signed = [b.means if up else -b.means for b, up in zip(resampled, higher, strict=True)]
    ranks = average_ranks(np.array(signed))
    intervals = average_rank_intervals(resampled, higher)
    shares = _share_benchmarks(complete, resampled)
    aggregated = [
        AggregateRow(label, len(tables), ranks[k], *intervals[k], **_interquartile(shares, k))
        for k, label in enumerate(labels)
    ]
    return sorted(aggregated, key=lambda row: (row.rank, row.algorithm))


_Shares = list[tuple[Sequence[ScoredRow], Bootstrap]]


def _share_benchmarks(
    complete: Sequence[Sequence[ScoredRow]], resampled: Sequence[Bootstrap]
) -> _Shares:
    """Returns the benchmarks whose scores have the scale from 0 to 1 in common."""
    return [
        (rows, found)
        for rows, found in zip(complete, resampled, strict=True)
        if all(score.unit == SHARE and score.direction == "higher" for _, score in rows)
    ]


def _interquartile(shares: _Shares, k: int) -> Mapping[str, Any]:
    runs = [
        score.by_seed.mean(1) for rows, _ in shares if (score := rows[k][1]).by_seed is not None
    ]
    if not runs:
        return {"iqm": None, "iqm_low": None, "iqm_high": None, "profile": []}
    deviations = np.stack([found.deviations[:, k] for _, found in shares])
    low, high = interquartile_interval(runs, deviations)
    together = np.concatenate(runs)
    return {
        "iqm": float(interquartile_mean(together)),
        "iqm_low": max(0.0, low),
        "iqm_high": min(1.0, high),
        "profile": performance_profile(together, THRESHOLDS),
    }


def render_aggregate(rows: Sequence[AggregateRow], form: str) -> str:
    """Returns the table as text.

    Args:
        rows: The rows.
        form: ``json``, or ``table``, ``markdown``, ``html`` or ``latex``.

    Raises:
        UsageError: If it is another format.
    """
    if form == "json":
        return json.dumps([row.flat() for row in rows], indent=1)
    if form not in TABULATE_STYLES:
        raise UsageError(
            f"the table over all benchmarks has no format '{form}'.",
            hint=f"Choose one of json, {', '.join(TABULATE_STYLES)}.",
        )
    body = [
        {
            "average rank": f"{row.rank:.2f} ({row.rank_low:.2f} to {row.rank_high:.2f})",
            "algorithm": row.algorithm,
            "interquartile mean": _percent(row),
            "benchmarks": str(row.benchmarks),
        }
        for row in rows
    ]
    return tabulate(body, headers="keys", tablefmt=TABULATE_STYLES[form], disable_numparse=True)


def _percent(row: AggregateRow) -> str:
    if row.iqm is None or row.iqm_low is None or row.iqm_high is None:
        return ""
    return f"{100 * row.iqm:.2f} % ({100 * row.iqm_low:.2f} to {100 * row.iqm_high:.2f})"
