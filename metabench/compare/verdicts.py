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
from metabench.compare.salted import is_salted, welch_test
from metabench.records.comparability import explain_definitions
from metabench.records.schema import SHARE, Record
from metabench.stats import seeds_test, t_interval
from metabench.utils.grouping import grouped

Verdict = Literal["worse", "not-comparable", "gone", "better", "new", "same"]


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
        effect: The gain as the minimum effect measures it; a loss is negative.
        p_episodes: The p-value of the paired permutation test over the episodes.
        p_seeds: The p-value of the t-test over the seeds; ``None`` if neither side has two seeds.
        p_value: The larger of the two, after Holm's correction over the comparison.
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
    effect: float | None = None
    p_episodes: float | None = None
    p_seeds: float | None = None
    p_value: float | None = None
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
            episodes, and the row its p-value.
        salted_base: Which side has salted episodes: the base or the new one; ``None`` for neither.
    """

    row: ComparisonRow
    differences: NDArray[np.float64] = field(repr=False)
    salted_base: bool | None = None


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
        return replace(row, verdict="same", reason=f"{_status(new)} on both sides")
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
    result = new[0].metrics[row.metric]
    was, now = _mean_scores(before), _mean_scores(after)
    differences = now - was
    mean, half_width = t_interval(differences.tolist())
    gain = mean if result.direction == "higher" else -mean
    # Errors have no natural scale: their effect is relative to the larger mean.
    scale = 1.0 if result.unit == SHARE else max(abs(float(was.mean())), abs(float(now.mean())))
    means = [[float(np.mean(r.metrics[row.metric].episodes)) for r in side] for side in (base, new)]
    # All seeds of both sides: the unpaired ones still measure the variation between seeds.
    p_seeds = seeds_test(means[0], means[1], mean, common=len(seeds))
    unpaired = {r.seed for r in [*base, *new]} - set(seeds)
    notes = [changes(before[0], after[0])]
    if unpaired:
        notes.append(f"seeds {_list(unpaired)} on one side only")
    scored = replace(
        row,
        direction=result.direction,
        unit=result.unit,
        base=float(was.mean()),
        new=float(now.mean()),
        new_ci95=_known(t_interval(now.tolist()).half_width),
        difference=mean,
        ci95=_known(half_width),
        effect=gain / scale if scale > 0 else 0.0,
        p_seeds=_known(p_seeds),
        notes=tuple(filter(None, notes)),
        warnings=tuple(warnings(before, after)),
        other_machine=other_machine(before, after),
    )
    return PendingRow(scored, differences)


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
    p_value, half_width = welch_test(was, now)
    difference = float(now.mean() - was.mean())
    gain = difference if result.direction == "higher" else -difference
    scale = 1.0 if result.unit == SHARE else max(abs(float(was.mean())), abs(float(now.mean())))
    scored = replace(
        row,
        direction=result.direction,
        unit=result.unit,
        base=float(was.mean()),
        new=float(now.mean()),
        new_ci95=_known(t_interval(now.tolist()).half_width),
        difference=difference,
        ci95=_known(half_width),
        effect=gain / scale if scale > 0 else 0.0,
        p_episodes=1.0 if math.isnan(p_value) else p_value,
        notes=tuple(filter(None, [changes(before[0], after[0])])),
    )
    salted_base = bool(pair.base[0].benchmark.episodes_salt)
    return PendingRow(scored, np.empty(0), salted_base=salted_base)


def decide(
    row: ComparisonRow, *, p_episodes: float, p_value: float, min_effect: float, alpha: float
) -> ComparisonRow:
    """Returns the row with its verdict.

    Args:
        row: The row.
        p_episodes: The p-value over the episodes.
        p_value: The corrected p-value.
        min_effect: The minimum effect.
        alpha: The significance level.
    """
    assert row.effect is not None
    large, significant = abs(row.effect) >= min_effect, p_value < alpha
    verdict: Verdict = "same"
    if row.difference == 0:  # the usual case: the same code, to the bit
        reason = "no difference"
    elif large and significant:
        verdict = "better" if row.effect > 0 else "worse"
        reason = "significant, and at least the minimum effect"
    elif significant:
        reason = "significant, but below the minimum effect"
    elif large and row.p_seeds is not None and p_episodes < alpha <= row.p_seeds:
        reason = "within the variation between seeds"
    else:
        reason = "not significant"
    if verdict != "same" and row.p_seeds is None:
        reason += "; with one seed the variation between seeds is unknown"
    return replace(row, verdict=verdict, p_episodes=p_episodes, p_value=p_value, reason=reason)


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
    mean, half_width = t_interval(_mean_scores(ok).tolist())
    row = replace(row, direction=result.direction, unit=result.unit)
    if pair.base:
        return replace(row, base=mean)
    return replace(row, new=mean, new_ci95=_known(half_width))


def _start(records: Sequence[Record]) -> ComparisonRow:
    first = records[0]
    return ComparisonRow(first.algorithm.label, first.benchmark.title, "same", metric=first.metric)


def _mean_scores(records: Sequence[Record]) -> NDArray[np.float64]:
    """Returns the score of each episode, averaged over the seeds: ``[E]``."""
    scores = [r.metrics[r.metric].episodes for r in records]
    return np.asarray(np.mean(scores, axis=0), dtype=np.float64)


def _by_seed(records: Sequence[Record]) -> dict[int, Record]:
    return {record.seed: record for record in records}


def _list(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))


def _status(record: Record) -> str:
    line = record.reason.partition("\n")[0]
    return f"{record.status} ({line})" if line else record.status


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
