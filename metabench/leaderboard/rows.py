"""One row of a leaderboard, and how it is made from the records of its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from metabench.leaderboard.columns import Beside, Found
from metabench.leaderboard.published import published
from metabench.leaderboard.scores import Scored, is_column, of_column, of_episodes
from metabench.records.schema import Record, Value
from metabench.runtime.provenance import machine_of
from metabench.utils.finite import number


@dataclass(frozen=True)
class Row:
    """One algorithm on one benchmark, over all its seeds.

    Attributes:
        benchmark: ``name@version``.
        algorithm: its name, with what was chosen by hand.
        settings: what was chosen by hand, by name; nothing where it ran as its recipe has it.
        version: its own version.
        library: the library that did the work, or the distribution.
        backbone: the network below the head.
        status: ``ok``, or the status of the seeds that are not.
        rank: its place in the benchmark, shared by those that cannot be told apart
            (:func:`metabench.stats.shared_ranks`). Nothing for a row without a score.
        score: mean over the episodes of the mean over the seeds.
        ci95: half the 95 % t-interval over the episodes: other episodes of the same test classes.
        class_low: the lower end of the 95 % interval for new test classes, by a bootstrap over classes.
        class_high: its upper end.
        seed_sd: standard deviation of the seeds' means: the same algorithm, meta-trained again.
        episodes: test episodes.
        seeds: the seeds that ended well.
        paper: the published figure, where there is one.
        paper_difference: the score minus that figure.
        paper_source: where it stands.
        metric: what the score is.
        direction: whether a higher or a lower score is better.
        adapt_ms: median milliseconds to adapt to one task.
        predict_ms: median milliseconds to predict the queries of one task.
        peak_mb: most memory of the process, or of the device where it is a GPU.
        parameters: how many.
        train_seconds: mean seconds of meta-training.
        train_examples: mean examples that meta-training drew.
        machine: where these costs are from; compare them with those of the same machine.
        episode_digest: the sha256 of the test episodes.
        reason: why it is not ok, or has no score.
        more: the columns beside the score, by key (:data:`metabench.leaderboard.columns.KEYS`).
        why: why one of them has no number, by key.
    """

    benchmark: str
    algorithm: str
    settings: dict[str, Value]
    version: str
    library: str
    backbone: str
    status: str
    rank: int | None
    score: float | None
    ci95: float | None
    class_low: float | None
    class_high: float | None
    seed_sd: float | None
    episodes: int
    seeds: int
    paper: float | None
    paper_difference: float | None
    paper_source: str
    metric: str
    direction: str
    adapt_ms: float | None
    predict_ms: float | None
    peak_mb: float | None
    parameters: int | None
    train_seconds: float | None
    train_examples: int | None
    machine: str
    episode_digest: str
    reason: str
    more: dict[str, Found]
    why: dict[str, str]

    def flat(self) -> dict[str, Any]:
        """All but the settings, which the label has, and each of the further columns under its own key."""
        row = asdict(self)
        more = row.pop("more")
        del row["settings"]
        return row | {key: value for key, value in more.items() if key not in row}


def row_of(
    benchmark: str, records: Sequence[Record], beside: Beside, metric: str, rule: Record | None
) -> tuple[Row, Scored]:
    """The row of one algorithm on one benchmark, without its rank, and its score in full.

    Args:
        benchmark: ``name@version``.
        records: its records, one for each seed.
        beside: its further columns.
        metric: what the score is; the benchmark's own metric where it is empty.
        rule: see :func:`metabench.leaderboard.scores.ruler`.
    """
    well = [r for r in records if r.status == "ok"]
    bad = [r for r in records if r.status != "ok"]
    first = (well or records)[0]
    algorithm, main = first.algorithm, first.benchmark.metrics[0]
    costs = _costs(well)
    if metric and is_column(metric):
        scored = of_column(metric, costs, beside)
    else:
        scored = of_episodes(well, metric or main, rule)
    paper = published(first.benchmark, scored.metric, algorithm.name, algorithm.hyperparameters)
    reasons = sorted({r.reason.partition("\n")[0] for r in bad})
    if well and scored.value is None:
        reasons.append(scored.why)
    row = Row(
        benchmark=benchmark,
        algorithm=algorithm.label,
        settings=algorithm.overrides,
        version=algorithm.version,
        library=algorithm.library or algorithm.distribution,
        backbone=str(algorithm.hyperparameters.get("backbone") or first.benchmark.backbone),
        status=_status(bad, len(records)),
        rank=None,
        score=scored.value,
        ci95=scored.ci95,
        # Rounded: the last bits of a bootstrap are the processor's, and a page is verified on other ones.
        class_low=round(scored.new_classes.low, 6) if scored.new_classes else None,
        class_high=round(scored.new_classes.high, 6) if scored.new_classes else None,
        seed_sd=scored.seed_sd,
        episodes=0 if scored.episodes is None else len(scored.episodes),
        seeds=len(well),
        paper=paper.value if paper else None,
        paper_difference=None
        if paper is None or scored.value is None
        else scored.value - paper.value,
        paper_source=paper.source if paper else "",
        metric=scored.metric,
        direction=scored.direction,
        parameters=_whole(_cost(well, "parameters")),
        machine="; ".join(sorted({machine_of(r.environment) for r in records if r.environment})),
        episode_digest=first.episode_digest,
        reason="; ".join(reasons),
        more=beside.values,
        why=beside.why,
        **costs,
    )
    return row, scored


def _status(bad: Sequence[Record], seeds: int) -> str:
    if not bad:
        return "ok"
    worst = bad[0].status
    return worst if len(bad) == seeds else f"{worst} ({len(bad)} of {seeds} seeds)"


def _costs(well: Sequence[Record]) -> dict[str, Any]:
    """What is paid for the score, over the seeds."""
    device_mb = _cost(well, "peak_device_mb")
    return {
        "adapt_ms": _cost(well, "adapt_ms"),
        "predict_ms": _cost(well, "predict_ms"),
        "peak_mb": device_mb if device_mb is not None else _cost(well, "peak_process_mb"),
        "train_seconds": float(np.mean([r.training.seconds for r in well])) if well else None,
        "train_examples": int(np.mean([r.training.examples for r in well])) if well else None,
    }


def _cost(records: Sequence[Record], name: str) -> float | None:
    """The median over the seeds of a cost."""
    found = [number(r.metrics["cost"].values.get(name)) for r in records if "cost" in r.metrics]
    numbers = [value for value in found if value is not None]
    return float(np.median(numbers)) if numbers else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
