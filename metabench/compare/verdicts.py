"""The verdict on one cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metabench.compare.costs import other_machine, warnings
from metabench.compare.pairing import Pair, changes, obstacle
from metabench.compare.salted import is_salted, welch_difference
from metabench.records.comparability import explain_definitions
from metabench.records.schema import SHARE, Record
from metabench.stats import Difference, seeds_difference, t_interval
from metabench.utils.grouping import grouped

Verdict = Literal["worse", "gone", "not-comparable", "undecided", "better", "new", "equivalent"]
COMPARED: tuple[Verdict, ...] = ("better", "worse", "equivalent", "undecided")
"""The verdicts on cells that both sides have."""


@dataclass(frozen=True)
class ComparisonRow:
    """The verdict on one algorithm on one benchmark.

    Attributes:
        algorithm: Its name with the overridden hyper-parameters.
        benchmark: ``name@version``, with ``+quick`` for a ``--quick`` run.
        verdict: The verdict.
        seeds: The seeds of this row.
        metric: What the score is.
        direction: Whether a higher or a lower score is better.
        unit: The unit of the score.
        base: The mean score of the base.
        new: The mean score of the new side.
        new_ci95: Half the width of the 95 % interval of the new score over the episodes.
        difference: New minus base, paired by episode.
        ci95: Half the width of the 95 % t-interval of the difference over the episodes.
        low: The lower end of the interval that shows the verdict: of the difference, over seeds
            and episodes; over the episodes alone if neither side has two seeds.
        high: The upper end.
        confidence: The confidence of this interval, after Holm's correction over the comparison.
        effect: The gain as the minimum effect measures it; a loss is negative.
        p_episodes: The p-value of the paired permutation test over the episodes.
        p_seeds: The p-value of the t-test over seeds and episodes; ``None`` if neither side has
            two seeds.
        p_value: The larger of the two, after Holm's correction over the comparison.
        p_equivalent: The p-value of a difference of at least the minimum effect, after Holm's
            correction; ``None`` if neither side has two seeds.
        reason: Why the verdict is what it is.
        notes: What else changed.
        warnings: What became slower or larger.
        other_machine: Why time and memory were not compared.
    """

    algorithm: str
    benchmark: str
    verdict: Verdict
    seeds: tuple[int, ...] = ()
    metric: str = ""
    direction: str = ""
    unit: str = ""
    base: float | None = None
    new: float | None = None
    new_ci95: float | None = None
    difference: float | None = None
    ci95: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    effect: float | None = None
    p_episodes: float | None = None
    p_seeds: float | None = None
    p_value: float | None = None
    p_equivalent: float | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    other_machine: str = ""

    @property
    def title(self) -> str:
        """``ALGORITHM on BENCHMARK``."""
        return f"{self.algorithm} on {self.benchmark}"


@dataclass(frozen=True)
class PendingRow:
    """A row whose verdict depends on the p-values of the whole comparison.

    Attributes:
        row: The row without its verdict.
        differences: New minus base in each episode, ``[E]``; empty if the sides have different
            episodes.
        difference: The mean difference with its error over seeds and episodes.
        scale: What the minimum effect is a share of.
        salted_base: Which side has salted episodes: the base or the new one; ``None`` for neither.
    """

    row: ComparisonRow
    differences: NDArray[np.float64] = field(repr=False)
    difference: Difference
    scale: float
    salted_base: bool | None = None

    @property
    def p_seeds(self) -> float:
        """The p-value of the t-test over seeds and episodes; 0 if the seeds say nothing."""
        return self.difference.p_value if self.difference.seeds_known else 0.0

    def p_equivalent(self, min_effect: float) -> float:
        """Returns the p-value of a difference of at least the effect; 1 if seeds say nothing."""
        if not self.difference.seeds_known:
            return 1.0
        return self.difference.equivalence(min_effect * self.scale)


def judge_pair(pair: Pair) -> list[ComparisonRow | PendingRow]:
    """Returns the rows of a pair: one for all seeds that are ok on both sides.

    Seeds that are not ok on both sides get a row for each combination of statuses.
    """
    if not pair.base or not pair.new:
        return [_one_sided(pair)]
    base, new = _by_seed(pair.base), _by_seed(pair.new)
    common = sorted(base.keys() & new.keys())
    first = replace(_start(pair.new), seeds=tuple(common))
    salted = is_salted(pair)
    # Before the seeds: another definition explains why seeds are missing.
    definitions = [side[0].benchmark for side in (pair.base, pair.new)]
    reason = "" if salted else explain_definitions(*definitions)
    if not common:
        reason = reason or f"no common seed: {_list(base)} and {_list(new)}"
    if reason:
        return [replace(first, verdict="not-comparable", reason=reason)]
    rows: list[ComparisonRow | PendingRow] = []
    groups = grouped(common, lambda seed: (base[seed].status, new[seed].status))
    for statuses, seeds in groups.items():
        row = replace(first, seeds=tuple(seeds))
        if statuses == ("ok", "ok"):
            rows.append((_scored_apart if salted else _scored)(row, pair, seeds))
        else:
            rows.append(_unscored(row, base[seeds[0]], new[seeds[0]]))
    return rows


def _unscored(row: ComparisonRow, base: Record, new: Record) -> ComparisonRow:
    """Returns the row of seeds that are not ok on both sides."""
    if base.status == new.status:
        return replace(row, verdict="equivalent", reason=f"{_status(new)} on both sides")
    verdict: Verdict = "not-comparable"
    # An interrupted cell may have succeeded: it is no evidence for either side.
    if "interrupted" not in (base.status, new.status):
        verdict = "worse" if base.status == "ok" else "better" if new.status == "ok" else verdict
    return replace(row, verdict=verdict, reason=f"was {_status(base)} and is {_status(new)}")


def _scored(row: ComparisonRow, pair: Pair, seeds: Sequence[int]) -> ComparisonRow | PendingRow:
    """Returns the row of the seeds that are ok on both sides."""
    base, new = ([r for r in side if r.status == "ok"] for side in (pair.base, pair.new))
    reason = obstacle(base, new)
    if reason:
        return replace(row, verdict="not-comparable", reason=reason)
    before, after = ([r for r in side if r.seed in seeds] for side in (base, new))
    unpaired = {r.seed for r in [*base, *new]} - set(seeds)
    notes = [changes(before[0], after[0])]
    if unpaired:
        notes.append(f"seeds {_list(unpaired)} on one side only")
    row = replace(
        row,
        notes=tuple(filter(None, notes)),
        warnings=tuple(warnings(before, after)),
        other_machine=other_machine(before, after),
    )
    result = new[0].metrics[row.metric]
    row = replace(row, direction=result.direction, unit=result.unit)
    if np.array_equal(_scores(before), _scores(after)):  # the same code, to the bit
        row = pending_row(row, _scores(before), _scores(after)).row
        return replace(row, verdict="equivalent", reason="no difference", p_value=1.0)
    # All seeds of both sides: paired or not, they show the variation between seeds, and the
    # smallest change of arithmetic makes two trainings from one seed as different as from two.
    return pending_row(row, _scores(base), _scores(new))


def pending_row(
    row: ComparisonRow, was: NDArray[np.float64], now: NDArray[np.float64]
) -> PendingRow:
    """Returns the row of two sides with their means, their difference and its errors.

    Args:
        row: The row with its direction and unit.
        was: The scores of the base, ``[seeds, E]``.
        now: The scores of the new side, ``[seeds, E]``.
    """
    differences = now.mean(0) - was.mean(0)
    mean, half_width = t_interval(differences.tolist())
    gain = mean if row.direction == "higher" else -mean
    # Errors have no natural scale: their effect is relative to the larger mean.
    scale = 1.0 if row.unit == SHARE else max(abs(float(was.mean())), abs(float(now.mean())))
    difference = seeds_difference(was, now)
    row = replace(
        row,
        base=float(was.mean()),
        new=float(now.mean()),
        new_ci95=_known(t_interval(now.mean(0).tolist()).half_width),
        difference=mean,
        ci95=_known(half_width),
        effect=gain / scale if scale > 0 else 0.0,
        p_seeds=difference.p_value if difference.seeds_known else None,
    )
    return PendingRow(row, differences, difference, scale)


def _scored_apart(
    row: ComparisonRow, pair: Pair, seeds: Sequence[int]
) -> ComparisonRow | PendingRow:
    """Returns the row of the seeds that are ok on both sides, which have different episodes."""
    before, after = ([r for r in side if r.seed in seeds] for side in (pair.base, pair.new))
    # Each side for itself: public and salted episodes differ, and so do their definitions.
    if reason := obstacle(before, before) or obstacle(after, after):
        return replace(row, verdict="not-comparable", reason=reason)
    result = after[0].metrics[row.metric]
    was, now = _mean_scores(before), _mean_scores(after)
    difference = welch_difference(was, now)
    gain = difference.mean if result.direction == "higher" else -difference.mean
    scale = 1.0 if result.unit == SHARE else max(abs(float(was.mean())), abs(float(now.mean())))
    low, high = difference.interval(0.95)
    scored = replace(
        row,
        direction=result.direction,
        unit=result.unit,
        base=float(was.mean()),
        new=float(now.mean()),
        new_ci95=_known(t_interval(now.tolist()).half_width),
        difference=difference.mean,
        ci95=_known((high - low) / 2),
        effect=gain / scale if scale > 0 else 0.0,
        notes=tuple(filter(None, [changes(before[0], after[0])])),
    )
    salted_base = bool(pair.base[0].benchmark.episodes_salt)
    return PendingRow(scored, np.empty(0), difference, scale, salted_base)


def decide(
    row: ComparisonRow,
    *,
    p_episodes: float,
    p_value: float,
    p_equivalent: float | None,
    min_effect: float,
    alpha: float,
) -> ComparisonRow:
    """Returns the row with its verdict.

    Args:
        row: The row.
        p_episodes: The p-value over the episodes.
        p_value: The corrected p-value.
        p_equivalent: The corrected p-value of a difference of at least the minimum effect;
            ``None`` if neither side has two seeds.
        min_effect: The minimum effect.
        alpha: The significance level.
    """
    assert row.effect is not None
    large, significant = abs(row.effect) >= min_effect, p_value < alpha
    warned = row.warnings
    verdict: Verdict = "undecided"
    if p_equivalent is None:
        reason = "one seed a side says nothing of another training"
        if large and significant:
            word = "gain" if row.effect > 0 else "loss"
            warned = (f"a {word} that is significant over the episodes", *warned)
    elif large and significant:
        verdict = "better" if row.effect > 0 else "worse"
        reason = "significant, and at least the minimum effect"
    elif p_equivalent < alpha:
        verdict, reason = "equivalent", "less than the minimum effect"
    elif significant:
        reason = "significant, but not shown to be the minimum effect or less"
    elif large and row.p_seeds is not None and p_episodes < alpha <= row.p_seeds:
        reason = "within the variation between seeds"
    else:
        reason = "not significant"
    return replace(
        row,
        verdict=verdict,
        p_episodes=p_episodes,
        p_value=p_value,
        p_equivalent=p_equivalent,
        reason=reason,
        warnings=warned,
    )


def _one_sided(pair: Pair) -> ComparisonRow:
    records = pair.new or pair.base
    verdict: Verdict = "new" if pair.new else "gone"
    row = replace(_start(records), seeds=tuple(r.seed for r in records), verdict=verdict)
    ok = [r for r in records if r.status == "ok"]
    if not ok:
        return replace(row, reason=f"its status is {_status(records[0])}")
    reason = obstacle(ok, ok)
    if reason:
        return replace(row, verdict="not-comparable", reason=reason)
    result = ok[0].metrics[row.metric]
    mean, half_width = t_interval(_scores(ok).mean(0).tolist())
    row = replace(row, direction=result.direction, unit=result.unit)
    if pair.base:
        return replace(row, base=mean)
    return replace(row, new=mean, new_ci95=_known(half_width))


def _start(records: Sequence[Record]) -> ComparisonRow:
    first = records[0]
    return ComparisonRow(
        first.algorithm.label, first.benchmark.title, "undecided", metric=first.metric
    )


def _scores(records: Sequence[Record]) -> NDArray[np.float64]:
    """Returns the score of each seed in each episode, ``[S, E]``."""
    return np.array([r.metrics[r.metric].episodes for r in records], dtype=np.float64)


def _mean_scores(records: Sequence[Record]) -> NDArray[np.float64]:
    """Returns the mean over the seeds in each episode, ``[E]``."""
    means: NDArray[np.float64] = _scores(records).mean(0)
    return means


def _by_seed(records: Sequence[Record]) -> dict[int, Record]:
    return {record.seed: record for record in records}


def _list(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))


def _status(record: Record) -> str:
    line = record.reason.partition("\n")[0]
    return f"{record.status} ({line})" if line else record.status


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
