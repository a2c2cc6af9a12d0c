"""The comparison of two sets of records."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from metabench.compare.pairing import pair
from metabench.compare.verdicts import Row, Verdict, Waiting, judge_pair, settle
from metabench.errors import UsageError
from metabench.records.schema import Record
from metabench.registry import natural_order
from metabench.stats import holm, permutation_tests

ORDER: tuple[Verdict, ...] = ("worse", "not-comparable", "gone", "better", "new", "same")
"""How rows are sorted: what wants attention first."""

_FEWEST_RESAMPLES = 9999
_MOST_RESAMPLES = 199_999


@dataclass(frozen=True)
class Comparison:
    """What became of every cell.

    Attributes:
        rows: what wants attention first, and within that the largest loss first.
        left_out: what was left out, in words.
        min_effect: the least effect that matters.
        alpha: the level.
    """

    rows: list[Row]
    left_out: list[str]
    min_effect: float
    alpha: float

    @property
    def regressions(self) -> list[Row]:
        """The rows that are worse."""
        return self.of("worse")

    @property
    def compared(self) -> int:
        """How many rows say something of both sides."""
        return sum(row.verdict in ("worse", "better", "same") for row in self.rows)

    def of(self, verdict: Verdict) -> list[Row]:
        """The rows with a verdict."""
        return [row for row in self.rows if row.verdict == verdict]


def compare(
    base: Iterable[Record],
    new: Iterable[Record],
    *,
    min_effect: float = 0.01,
    alpha: float = 0.05,
    seed: int = 0,
) -> Comparison:
    r"""Judge each cell: worse, better, same, new, gone or not comparable.

    A cell is an algorithm (with what was chosen by hand) on a benchmark; its score in an episode is the mean
    over the seeds that are ok on both sides, and the two sides are paired episode by episode. It is worse
    where three things come together:

    * the paired permutation test over the episodes says that these trained models differ;
    * Student's test against the spread of the seeds says that meta-training again would not make that
      difference (where a side has two seeds; with a single one on each side this is not known, and said);
    * the observed loss is at least ``min_effect``: a difference for metrics counted in shares (0.01 is one
      point of accuracy), and for others, such as squared errors, relative to the larger of the two means.

    The p-value is the larger of the two tests', corrected by Holm's procedure over all cells that have one:
    with probability :math:`1 - \alpha` there is no false alarm in the whole comparison. The null hypothesis
    is "no difference", not "a loss of at most ``min_effect``". Better is the mirror image of worse. A seed
    that was ok and is not any more is worse whatever the others say.

    Measured by simulation (``docs/statistics.md``; 600 episodes of 75 queries, accuracy 0.6 to 0.95): a table
    of ten cells without a change has a false alarm in 0 to 3 % of cases, and a drop of two points in one of
    four cells is seen in 99 % or more. With three seeds a side, a training that merely comes out differently
    raises an alarm in 0.5 to 2.6 % (standard deviation of the seeds 0.5 to 2 points), where one seed a side
    would in 7 to 35 %. A drop of two points is then seen in 95 % at 0.5 points and in 45 % at 1 point; seven
    seeds in the base, three of them also on the new side, make that 98 and 57 %.

    Args:
        base: the records that are compared with.
        new: the records that are compared.
        min_effect: the least effect that matters, at least 0.
        alpha: the level, between 0 and 1.
        seed: of the permutation tests.

    Raises:
        UsageError: ``min_effect`` or ``alpha`` cannot be.
    """
    if not (min_effect >= 0 and math.isfinite(min_effect)):
        raise UsageError(f"the least effect is {min_effect}, and it is a number of at least 0.")
    if not 0 < alpha < 1:
        raise UsageError(f"alpha is {alpha}, and it lies between 0 and 1.", hint="0.05 is usual.")
    pairs, left_out = pair(base, new)
    judged = [row for one in pairs for row in judge_pair(one)]
    rows = [row for row in judged if isinstance(row, Row)]
    rows += _settled([row for row in judged if isinstance(row, Waiting)], min_effect, alpha, seed)
    return Comparison(sorted(rows, key=_urgency), left_out, min_effect, alpha)


def _urgency(row: Row) -> tuple[object, ...]:
    effect = -math.inf if row.effect is None else row.effect
    return (
        ORDER.index(row.verdict),
        effect,
        natural_order(row.benchmark),
        natural_order(row.algorithm),
        row.seeds,
    )


def _settled(waiting: list[Waiting], min_effect: float, alpha: float, seed: int) -> list[Row]:
    """The verdicts of rows that have scores on both sides."""
    p_episodes = _p_values(waiting, alpha, seed)
    p_values = [max(p, one.row.p_seeds or 0.0) for p, one in zip(p_episodes, waiting, strict=True)]
    return [
        settle(one.row, p_episodes=p, p_value=corrected, min_effect=min_effect, alpha=alpha)
        for one, p, corrected in zip(waiting, p_episodes, holm(p_values), strict=True)
    ]


def _p_values(waiting: list[Waiting], alpha: float, seed: int) -> list[float]:
    """The p-value over the episodes of each row; those of equal length share their sign patterns."""
    # The least p-value that the resamples can give must survive the correction.
    wanted = 10 * len(waiting) / alpha
    resamples = int(min(max(_FEWEST_RESAMPLES, wanted), _MOST_RESAMPLES))
    by_length: dict[int, list[int]] = {}
    for i, one in enumerate(waiting):
        by_length.setdefault(len(one.differences), []).append(i)
    found = [1.0] * len(waiting)
    for members in by_length.values():
        table = np.stack([waiting[i].differences for i in members])
        for i, p in zip(
            members, permutation_tests(table, resamples=resamples, seed=seed), strict=True
        ):
            found[i] = float(p)
    return found
