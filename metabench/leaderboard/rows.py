"""A row of a leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from metabench.leaderboard.extras import ColumnValue, ExtraValues
from metabench.leaderboard.published import published_figure
from metabench.leaderboard.scores import (
    AggregateScore,
    is_column,
    score_of_column,
    score_of_metric,
)
from metabench.records.costs import median, median_cost
from metabench.records.schema import Record, Value
from metabench.runtime.provenance import machine_of

FEWEST_SEEDS = 3
"""A row with fewer seeds is provisional: it says too little of another training for a rank."""


@dataclass(frozen=True)
class LeaderboardRow:
    """One algorithm on one benchmark, over all its seeds.

    The fields are in the order of the columns of JSON and CSV. Each of them is documented below its
    declaration.
    """

    benchmark: str
    """``name@version``."""
    algorithm: str
    """Its name with the overridden hyper-parameters."""
    settings: dict[str, Value]
    """The overridden hyper-parameters; empty for the recipe as it is."""
    version: str
    """Its own version."""
    library: str
    """The library that does its computations, or its distribution."""
    backbone: str
    """The network below the head."""
    status: str
    """``ok``, or the status of the seeds that are not."""
    track: str | None
    """``inductive``, ``transductive`` if a seed is, or ``None`` if it was not measured."""
    rank: int | None
    """The best rank that it may have, the same as ``rank_low``; its place for a column with one
    value a row; ``None`` without a score, of ``--quick`` runs and if provisional."""
    rank_low: int | None
    """The lower end of the 95 % interval of its rank, for all rows at once
    (:func:`metabench.stats.rank_intervals`)."""
    rank_high: int | None
    """The upper end."""
    level: int | None
    """The level on which the table places it: 1 if nothing is told to be better."""
    provisional: bool
    """Whether it has fewer than :data:`FEWEST_SEEDS` seeds, and so no rank."""
    beats: dict[str, float]
    """The probability that it is better than each other ranked row, by label."""
    score: float | None
    """The mean over the episodes of the mean over the seeds."""
    ci95: float | None
    """Half the width of the 95 % t-interval over the episodes, of the same test classes."""
    ci95_low: float | None
    """The lower end of the interval; of Wilson's for a share, within 0 and 1."""
    ci95_high: float | None
    """The upper end."""
    class_low: float | None
    """The lower end of the 95 % interval for new test classes, origins or groups."""
    class_high: float | None
    """The upper end."""
    seed_sd: float | None
    """The standard deviation of the seeds' means."""
    inductive_score: float | None
    """The score of a transductive method with each query alone."""
    unbalanced_score: float | None
    """Its score with classes of unequal frequency among the queries."""
    episodes: int
    """The number of test episodes."""
    seeds: int
    """The number of seeds that are ok."""
    paper: float | None
    """The published figure, if every seed has the conditions of its paper."""
    paper_difference: float | None
    """The score minus the published figure."""
    paper_source: str
    """The paper and its table."""
    metric: str
    """What the score is."""
    direction: str
    """Whether a higher or a lower score is better."""
    adapt_ms: float | None
    """Median milliseconds to adapt to one task."""
    predict_ms: float | None
    """Median milliseconds to predict the queries of one task."""
    peak_mb: float | None
    """Peak memory of the device if it is a GPU, else of the process."""
    parameters: int | None
    """The number of parameters."""
    train_seconds: float | None
    """Mean seconds of meta-training."""
    train_examples: int | None
    """Mean number of examples that meta-training drew."""
    train_flops: float | None
    """Mean number of floating-point operations of meta-training; ``None`` if that of a seed is
    unknown."""
    looks: int | None
    """How often the algorithm was scored on meta-test of this benchmark, by the ledger of the
    folder; ``None`` without one."""
    machine: str
    """The machine of these costs; they compare within one machine only."""
    episode_digest: str
    """The sha256 of the test episodes."""
    reason: str
    """Why the status is not ``ok``, why there is no score, or why the track is the declared one."""
    extra: dict[str, ColumnValue]
    """The extra columns, by key (:data:`metabench.leaderboard.columns.KEYS`)."""
    extra_ci95: dict[str, float]
    """Half the width of the 95 % interval of an extra column, by key, if it has one."""
    missing: dict[str, str]
    """Why an extra column has no value, by key."""

    def flat(self) -> dict[str, Any]:
        """Returns the row as JSON and CSV have it: each extra column under its own key."""
        row = asdict(self)
        extra, row["why"] = row.pop("extra"), row.pop("missing")
        extra |= {f"{key}_ci95": value for key, value in row.pop("extra_ci95").items()}
        del row["settings"]  # the label shows them
        return row | {key: value for key, value in extra.items() if key not in row}


def make_row(
    records: Sequence[Record], extra: ExtraValues, metric: str, reference: Record | None
) -> tuple[LeaderboardRow, AggregateScore]:
    """Returns the row of one algorithm on one benchmark, without its rank, and its score.

    Args:
        records: Its records, one for each seed.
        extra: Its extra columns.
        metric: The metric or column to rank by; the metric of the benchmark if empty.
        reference: See :func:`metabench.leaderboard.scores.score_of_metric`.
    """
    ok = [r for r in records if r.status == "ok"]
    other = [r for r in records if r.status != "ok"]
    first = (ok or records)[0]
    algorithm = first.algorithm
    costs = _costs(ok)
    if metric and is_column(metric):
        score = score_of_column(metric, costs, extra)
    else:
        score = score_of_metric(ok, metric or first.metric, reference)
    # The first line: further ones are details for the record's own page.
    reasons = sorted({r.reason.partition("\n")[0] for r in other})
    if ok and score.value is None:
        reasons.append(score.missing)
    reasons += _declared_track(ok)
    parameters = median_cost(ok, "parameters")
    row = LeaderboardRow(
        benchmark=first.benchmark.title,
        algorithm=algorithm.label,
        settings=algorithm.overrides,
        version=algorithm.version,
        library=algorithm.library or algorithm.distribution,
        # A recipe may ask for another network than the benchmark.
        backbone=str(algorithm.hyperparameters.get("backbone") or first.benchmark.backbone),
        status=_status(other, len(records)),
        rank=None,
        rank_low=None,
        rank_high=None,
        level=None,
        provisional=_provisional(score, len(ok)),
        beats={},
        looks=None,
        seeds=len(ok),
        **_track_fields(ok, ranked_by_metric=score.metric == first.metric),
        parameters=None if parameters is None else round(parameters),
        machine="; ".join(sorted({machine_of(r.environment) for r in records if r.environment})),
        episode_digest=first.episode_digest,
        reason="; ".join(reasons),
        extra=extra.values,
        extra_ci95=extra.half_widths,
        missing=extra.missing,
        **costs,
        **_score_fields(score),
        **_paper_fields(ok or records, score),
    )
    return row, score


def _provisional(score: AggregateScore, seeds: int) -> bool:
    # Seeds that were measured otherwise than the newest record are not part of the score.
    scored = seeds if score.by_seed is None else len(score.by_seed)
    return score.value is not None and scored < FEWEST_SEEDS


def _track_fields(ok: Sequence[Record], *, ranked_by_metric: bool) -> dict[str, Any]:
    tracks = {record.track for record in ok}
    track = "transductive" if "transductive" in tracks else "inductive"
    evidence = [r.track_evidence for r in ok if r.track_evidence and r.track == "transductive"]
    # They are scores by the metric of the benchmark, and stand beside no other.
    shown = evidence if ranked_by_metric else []
    return {
        "track": track if tracks and None not in tracks else None,
        "inductive_score": median(e.inductive_score for e in shown),
        "unbalanced_score": median(e.unbalanced_score for e in shown),
    }


def _declared_track(ok: Sequence[Record]) -> list[str]:
    """Returns why an inductive track is what the algorithm declares; nothing if it was measured."""
    # Random numbers in its predictions hide whether a method uses the other queries.
    found = {r.track_evidence.reason for r in ok if r.track == "inductive" and r.track_evidence}
    return [f"its track is declared: {reason}" for reason in sorted(found) if reason]


def _status(other: Sequence[Record], seeds: int) -> str:
    if not other:
        return "ok"
    first = other[0].status
    return first if len(other) == seeds else f"{first} ({len(other)} of {seeds} seeds)"


def _score_fields(score: AggregateScore) -> dict[str, Any]:
    interval = score.new_classes
    return {
        "metric": score.metric,
        "direction": score.direction,
        "score": score.value,
        "ci95": score.ci95,
        "ci95_low": score.low,
        "ci95_high": score.high,
        "class_low": interval.low if interval else None,
        "class_high": interval.high if interval else None,
        "seed_sd": score.seed_sd,
        "episodes": score.episodes,
    }


def _paper_fields(records: Sequence[Record], score: AggregateScore) -> dict[str, Any]:
    # Of every seed: one that was trained under other conditions takes the figure from the row.
    figure, *others = (published_figure(record, score.metric) for record in records)
    if figure is None or any(other != figure for other in others):
        return {"paper": None, "paper_difference": None, "paper_source": ""}
    difference = None if score.value is None else score.value - figure.value
    return {
        "paper": figure.value,
        "paper_difference": difference,
        "paper_source": figure.source,
    }


def _costs(ok: Sequence[Record]) -> dict[str, Any]:
    # On a GPU the memory of the process is mostly that of the CUDA libraries.
    device_mb = median_cost(ok, "peak_device_mb")
    return {
        "adapt_ms": median_cost(ok, "adapt_ms"),
        "predict_ms": median_cost(ok, "predict_ms"),
        "peak_mb": device_mb if device_mb is not None else median_cost(ok, "peak_process_mb"),
        "train_seconds": float(np.mean([r.training.seconds for r in ok])) if ok else None,
        "train_examples": int(np.mean([r.training.examples for r in ok])) if ok else None,
        "train_flops": _mean_flops(ok),
    }


def _mean_flops(ok: Sequence[Record]) -> float | None:
    flops = [r.training.flops for r in ok if r.training.flops is not None]
    return float(np.mean(flops)) if flops and len(flops) == len(ok) else None
