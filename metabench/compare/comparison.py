"""The comparison of two sets of records."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from metabench.compare.missing import add_unreadable
from metabench.compare.pairing import pair
from metabench.compare.salted import decide_salted
from metabench.compare.verdicts import (
    COMPARED,
    ComparisonRow,
    PendingRow,
    Verdict,
    decide,
    judge_pair,
)
from metabench.errors import UsageError
from metabench.records.schema import Record
from metabench.registry import natural_order
from metabench.stats import holm, holm_levels, permutation_tests
from metabench.utils.grouping import grouped

ORDER: tuple[Verdict, ...] = (
    "worse",
    "gone",
    "not-comparable",
    "undecided",
    "better",
    "new",
    "equivalent",
)
"""The order of the rows: those that need attention first."""

FEWEST_RESAMPLES = 9999
"""Sign patterns of a permutation test; more where the correction asks for a smaller p-value."""

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
    def gone(self) -> list[ComparisonRow]:
        """The rows of the baseline without a new record that can be read."""
        return self.of("gone")

    @property
    def compared(self) -> int:
        """The number of rows that compare the two sides."""
        return sum(row.verdict in COMPARED for row in self.rows)

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
    unreadable: Iterable[Path] = (),
) -> Comparison:
    """Judge each cell: better, worse, equivalent or undecided; or new, gone or not comparable.

    A cell is an algorithm label on a benchmark. It is worse if the loss is at least ``min_effect``
    and significant, both in the paired permutation test over the episodes and in the t-test over
    seeds and episodes; the larger p-value counts. It is equivalent if two one-sided t-tests show
    that the difference is less than ``min_effect``, or if no score differs. Both p-values are
    corrected after Holm, over all cells with a difference. With one seed on each side the
    variation between seeds is unknown: the cell is undecided, and a significant loss is a warning.
    A seed that is no longer ok is worse. ``docs/statistics.md`` states the false alarms and the
    power.

    Args:
        base: The records to compare with.
        new: The records to compare.
        min_effect: The minimum effect: absolute for metrics in shares (0.01 is one point of
            accuracy), relative to the larger of the two means for others.
        alpha: The significance level, between 0 and 1: the probability of any false alarm.
        seed: The seed of the permutation tests.
        unreadable: The new files that are not valid records: a cell of the base that has one is
            gone.

    Raises:
        UsageError: If ``min_effect`` or ``alpha`` is out of range.
    """
    if not (min_effect >= 0 and math.isfinite(min_effect)):
        raise UsageError(f"the minimum effect is {min_effect}; it must be at least 0 and finite.")
    if not 0 < alpha < 1:
        raise UsageError(f"alpha is {alpha}; it must be between 0 and 1.", hint="0.05 is usual.")
    base, new = list(base), list(new)
    pairs, left_out = pair(base, new)
    judged = [row for one in pairs for row in judge_pair(one)]
    rows = [row for row in judged if isinstance(row, ComparisonRow)]
    pending = [row for row in judged if isinstance(row, PendingRow)]
    rows += decide_all(pending, min_effect, alpha, seed)
    rows = add_unreadable(rows, base, new, unreadable)
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


def decide_all(
    pending: list[PendingRow],
    min_effect: float,
    alpha: float,
    seed: int = 0,
    *,
    resamples: int = FEWEST_RESAMPLES,
) -> list[ComparisonRow]:
    """Returns the rows of a comparison with their verdicts, corrected for their number.

    Args:
        pending: The rows.
        min_effect: The minimum effect.
        alpha: The significance level.
        seed: The seed of the permutation tests.
        resamples: The least number of sign patterns of a permutation test.
    """
    p_episodes = _p_values(pending, alpha, seed, resamples)
    p_values = [max(p, one.p_seeds) for p, one in zip(p_episodes, pending, strict=True)]
    p_equivalent = [one.p_equivalent(min_effect) for one in pending]
    of_difference = zip(holm(p_values), holm_levels(p_values, alpha), strict=True)
    of_equivalence = zip(holm(p_equivalent), holm_levels(p_equivalent, alpha), strict=True)
    found = []
    for one, p, (corrected, level), (equal, equal_level) in zip(
        pending, p_episodes, of_difference, of_equivalence, strict=True
    ):
        if one.salted_base is None:
            row = decide(
                one.row,
                p_episodes=p,
                p_value=corrected,
                p_equivalent=equal if one.difference.seeds_known else None,
                min_effect=min_effect,
                alpha=alpha,
            )
        else:
            row = decide_salted(one, p_value=corrected, min_effect=min_effect, alpha=alpha)
        # Two one-sided tests at a level are shown by the interval that leaves it out on each side.
        shown_equal = row.verdict == "equivalent" and one.salted_base is None
        confidence = 1 - (2 * equal_level if shown_equal else level)
        low, high = one.difference.interval(confidence)
        if not math.isnan(low):
            row = replace(row, low=low, high=high, confidence=confidence)
        found.append(row)
    return found


def _p_values(pending: list[PendingRow], alpha: float, seed: int, resamples: int) -> list[float]:
    """Returns the p-value of each row over its episodes."""
    # The least p-value, 1 / resamples, must be significant after a correction by len(pending).
    wanted = 10 * len(pending) / alpha
    resamples = int(min(max(resamples, wanted), _MOST_RESAMPLES))
    found = [1.0 if one.salted_base is None else one.difference.p_value for one in pending]
    # Rows with equally many episodes share their sign patterns, which costs little more than one.
    paired = [i for i, one in enumerate(pending) if one.salted_base is None]
    by_length = grouped(paired, lambda i: len(pending[i].differences))
    for members in by_length.values():
        table = np.stack([pending[i].differences for i in members])
        p_values = permutation_tests(table, resamples=resamples, seed=seed)
        for i, p in zip(members, p_values.tolist(), strict=True):
            found[i] = p
    return found
