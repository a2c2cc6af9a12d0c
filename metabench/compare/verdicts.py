"""One row of a comparison: what became of a cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from metabench.compare.costs import other_machine, warnings
from metabench.compare.pairing import Pair, changes, definition_change, obstacle
from metabench.records.schema import Record, Status
from metabench.stats import seeds_test, t_interval

Verdict = Literal["worse", "not-comparable", "gone", "better", "new", "same"]

ABSOLUTE_UNIT = "share"
"""In this unit an effect is a difference; in others it is relative to the larger of the two means."""


@dataclass(frozen=True)
class Row:
    """What became of one algorithm on one benchmark.

    Attributes:
        algorithm: its name, with what was chosen by hand.
        benchmark: ``name@version``, with ``+quick`` for the shrunken form.
        verdict: what became of it.
        seeds: the seeds that this row is about.
        metric: what the score is.
        direction: whether a higher or a lower score is better.
        unit: the unit of the score.
        base: mean score of the base.
        new: mean score of the new side.
        new_ci95: half the 95 % interval of the new score over the episodes.
        difference: new minus base, paired by episode.
        ci95: half the 95 % t-interval of the difference over the episodes.
        effect: the gain in the terms of the least effect; a loss is negative.
        p_episodes: p-value of the paired permutation test over the episodes.
        p_seeds: p-value against the spread of the seeds; nothing where no side has two.
        p_value: the larger of the two, corrected by Holm's procedure over the whole comparison.
        reason: why the verdict is what it is.
        notes: what else is different.
        warnings: what got slower or larger.
        other_machine: why time and memory were not compared.
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
        """The cell in a few words."""
        return f"{self.algorithm} on {self.benchmark}"


@dataclass(frozen=True)
class Waiting:
    """A row whose verdict waits for the p-values.

    Args:
        row: the row without a verdict of its own yet.
        differences: one for each episode.
    """

    row: Row
    differences: NDArray[np.float64] = field(repr=False)


def judge_pair(pair: Pair) -> list[Row | Waiting]:
    """The rows of a pair: one for the seeds that both sides have, one each for those that broke or mended."""
    if not pair.base or not pair.new:
        return [_one_sided(pair)]
    base, new = _by_seed(pair.base), _by_seed(pair.new)
    common = sorted(base.keys() & new.keys())
    first = replace(_start(pair.new), seeds=tuple(common))
    reason = definition_change(pair.base[0].benchmark, pair.new[0].benchmark)
    if not common:
        reason = reason or f"no seed on both sides: {_list(base)} and {_list(new)}"
    if reason:
        return [replace(first, verdict="not-comparable", reason=reason)]
    groups: dict[tuple[Status, Status], list[int]] = {}
    for seed in common:
        groups.setdefault((base[seed].status, new[seed].status), []).append(seed)
    rows: list[Row | Waiting] = []
    for statuses, seeds in groups.items():
        row = replace(first, seeds=tuple(seeds))
        if statuses == ("ok", "ok"):
            rows.append(_scored(row, pair, seeds))
        else:
            rows.append(_unscored(row, base[seeds[0]], new[seeds[0]]))
    return rows


def _unscored(row: Row, base: Record, new: Record) -> Row:
    """The row of seeds that are not ok on both sides."""
    if base.status == new.status:
        return replace(row, verdict="same", reason=f"{_status(new)} on both sides")
    verdict: Verdict = "not-comparable"
    if "interrupted" not in (base.status, new.status):
        verdict = "worse" if base.status == "ok" else "better" if new.status == "ok" else verdict
    return replace(row, verdict=verdict, reason=f"was {_status(base)} and is {_status(new)}")


def _scored(row: Row, pair: Pair, seeds: Sequence[int]) -> Row | Waiting:
    """The row of the seeds that are ok on both sides: the mean over them, episode by episode."""
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
    scale = (
        1.0 if result.unit == ABSOLUTE_UNIT else max(abs(float(was.mean())), abs(float(now.mean())))
    )
    means = [[float(np.mean(r.metrics[row.metric].episodes)) for r in side] for side in (base, new)]
    p_seeds = seeds_test(means[0], means[1], mean, common=len(seeds))
    alone = {r.seed for r in [*base, *new]} - set(seeds)
    notes = [changes(before[0], after[0])]
    if alone:
        notes.append(f"seeds {_list(alone)} on one side only")
    scored = replace(
        row,
        direction=result.direction,
        unit=result.unit,
        base=float(was.mean()),
        new=float(now.mean()),
        new_ci95=_number(t_interval(now.tolist()).half_width),
        difference=mean,
        ci95=_number(half_width),
        effect=gain / scale if scale > 0 else 0.0,
        p_seeds=_number(p_seeds),
        notes=tuple(filter(None, notes)),
        warnings=tuple(warnings(before, after)),
        other_machine=other_machine(before, after),
    )
    return Waiting(scored, differences)


def settle(row: Row, *, p_episodes: float, p_value: float, min_effect: float, alpha: float) -> Row:
    """The row with its verdict.

    Args:
        row: the row.
        p_episodes: the p-value over the episodes.
        p_value: the corrected p-value.
        min_effect: the least effect that matters.
        alpha: the level.
    """
    assert row.effect is not None
    large, significant = abs(row.effect) >= min_effect, p_value < alpha
    verdict: Verdict = "same"
    if row.difference == 0:
        reason = "no difference"
    elif large and significant:
        verdict = "better" if row.effect > 0 else "worse"
        reason = "significant, and beyond the least effect"
    elif significant:
        reason = "significant, and smaller than the least effect"
    elif large and row.p_seeds is not None and p_episodes < alpha <= row.p_seeds:
        reason = "no more than meta-training again makes of it"
    else:
        reason = "not significant"
    if verdict != "same" and row.p_seeds is None:
        reason += "; with one seed it is not known what meta-training again makes of it"
    return replace(row, verdict=verdict, p_episodes=p_episodes, p_value=p_value, reason=reason)


def _one_sided(pair: Pair) -> Row:
    records = pair.new or pair.base
    row = replace(_start(records), seeds=tuple(r.seed for r in records))
    row = replace(row, verdict="new" if pair.new else "gone")
    well = [r for r in records if r.status == "ok"]
    if not well:
        return replace(row, reason=f"it is {_status(records[0])}")
    reason = obstacle(well, well)
    if reason:
        return replace(row, verdict="not-comparable", reason=reason)
    result = well[0].metrics[row.metric]
    mean, half_width = t_interval(_mean_scores(well).tolist())
    row = replace(row, direction=result.direction, unit=result.unit)
    if pair.base:
        return replace(row, base=mean)
    return replace(row, new=mean, new_ci95=_number(half_width))


def _start(records: Sequence[Record]) -> Row:
    first = records[0]
    return Row(
        first.algorithm.label, first.benchmark.title, "same", metric=first.benchmark.metrics[0]
    )


def _mean_scores(records: Sequence[Record]) -> NDArray[np.float64]:
    """The score of each episode, averaged over seeds: ``[E]``."""
    scores = [r.metrics[r.benchmark.metrics[0]].episodes for r in records]
    return np.asarray(np.mean(scores, axis=0), dtype=np.float64)


def _by_seed(records: Sequence[Record]) -> dict[int, Record]:
    return {record.seed: record for record in records}


def _list(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(seeds)))


def _status(record: Record) -> str:
    line = record.reason.partition("\n")[0]
    return f"{record.status} ({line})" if line else record.status


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
