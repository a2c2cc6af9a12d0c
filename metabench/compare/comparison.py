"""The comparison of two sets of records."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from metabench.compare.pairing import pair
from metabench.compare.salted import decide_salted
from metabench.compare.verdicts import ComparisonRow, PendingRow, Verdict, decide, judge_pair
from metabench.errors import UsageError
from metabench.records.schema import Record
from metabench.registry import natural_order
from metabench.stats import holm, permutation_tests
from metabench.utils.grouping import grouped

ORDER: tuple[Verdict, ...] = ("worse", "not-comparable", "gone", "better", "new", "same")
"""The order of the rows: those that need attention first."""

_FEWEST_RESAMPLES = 9999
_MOST_RESAMPLES = 199_999  # 3 s for 40 cells of 600 episodes


@dataclass(frozen=True)
class Comparison:
    """The verdicts on all cells.

    Attributes:
        rows: Those that need attention first, and within a verdict the largest loss first.
        left_out: What was left out, in words.
        min_effect: The minimum effect.
        alpha: The significance level.
    """

    rows: list[ComparisonRow]
    left_out: list[str]
    min_effect: float
    alpha: float

    @property
    def regressions(self) -> list[ComparisonRow]:
        """The rows that are worse."""
        return self.of("worse")

    @property
    def compared(self) -> int:
        """The number of rows that compare the two sides."""
        return sum(row.verdict in ("worse", "better", "same") for row in self.rows)

    def of(self, verdict: Verdict) -> list[ComparisonRow]:
        """Returns the rows with a verdict."""
        return [row for row in self.rows if row.verdict == verdict]


def compare(
    base: Iterable[Record],
    new: Iterable[Record],
    *,
    min_effect: float = 0.01,
    alpha: float = 0.05,
    seed: int = 0,
) -> Comparison:
    """Judge each cell: worse, better, same, new, gone or not comparable.

    A cell is an algorithm label on a benchmark. Its score in an episode is the mean over the seeds
    that are ok on both sides. It is worse if the loss is at least ``min_effect``, and significant
    both in the paired permutation test over the episodes and in the t-test over the seeds. The
    larger p-value counts, after Holm's correction over all cells. With one seed on each side the
    variation between seeds is unknown, and the row says so. A seed that is no longer ok is worse.
    ``docs/statistics.md`` states the false alarms and the power.

    Args:
        base: The records to compare with.
        new: The records to compare.
        min_effect: The minimum effect: absolute for metrics in shares (0.01 is one point of
            accuracy), relative to the larger of the two means for others.
        alpha: The significance level, between 0 and 1: the probability of any false alarm.
        seed: The seed of the permutation tests.

    Raises:
        UsageError: If ``min_effect`` or ``alpha`` is out of range.
    """
    if not (min_effect >= 0 and math.isfinite(min_effect)):
        raise UsageError(f"the minimum effect is {min_effect}; it must be at least 0 and finite.")
    if not 0 < alpha < 1:
        raise UsageError(f"alpha is {alpha}; it must be between 0 and 1.", hint="0.05 is usual.")
    pairs, left_out = pair(base, new)
    judged = [row for one in pairs for row in judge_pair(one)]
    rows = [row for row in judged if isinstance(row, ComparisonRow)]
    pending = [row for row in judged if isinstance(row, PendingRow)]
    rows += _decide_all(pending, min_effect, alpha, seed)
    return Comparison(sorted(rows, key=_urgency), left_out, min_effect, alpha)


def _urgency(row: ComparisonRow) -> tuple[object, ...]:
    effect = -math.inf if row.effect is None else row.effect  # a failure before any loss
    return (
        ORDER.index(row.verdict),
        effect,
        natural_order(row.benchmark),
        natural_order(row.algorithm),
        row.seeds,
    )


def _decide_all(
    pending: list[PendingRow], min_effect: float, alpha: float, seed: int
) -> list[ComparisonRow]:
    p_episodes = _p_values(pending, alpha, seed)
    p_values = [max(p, one.row.p_seeds or 0.0) for p, one in zip(p_episodes, pending, strict=True)]
    rows = []
    for one, p, corrected in zip(pending, p_episodes, holm(p_values), strict=True):
        limits = {"p_value": corrected, "min_effect": min_effect, "alpha": alpha}
        if one.salted_base is None:
            rows.append(decide(one.row, p_episodes=p, **limits))
        else:
            rows.append(decide_salted(one.row, salted_base=one.salted_base, **limits))
    return rows


def _p_values(pending: list[PendingRow], alpha: float, seed: int) -> list[float]:
    """Returns the p-value of each row over its episodes."""
    # The least p-value, 1 / resamples, must be significant after a correction by len(pending).
    wanted = 10 * len(pending) / alpha
    resamples = int(min(max(_FEWEST_RESAMPLES, wanted), _MOST_RESAMPLES))
    found = [one.row.p_episodes or 0.0 for one in pending]
    # Rows with equally many episodes share their sign patterns, which costs little more than one.
    paired = [i for i, one in enumerate(pending) if one.salted_base is None]
    by_length = grouped(paired, lambda i: len(pending[i].differences))
    for members in by_length.values():
        table = np.stack([pending[i].differences for i in members])
        p_values = permutation_tests(table, resamples=resamples, seed=seed)
        for i, p in zip(members, p_values.tolist(), strict=True):
            found[i] = p
    return found
