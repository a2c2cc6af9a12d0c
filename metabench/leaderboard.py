"""The leaderboard: a pure function of stored records."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pandas as pd
from tabulate import tabulate

from metabench.errors import ResultsError
from metabench.published import published
from metabench.registry import natural_order
from metabench.results import Record, Value
from metabench.stats import t_interval

Format = Literal["table", "markdown", "csv", "json", "html", "latex"]
_OF_PAPERS = ("paper", "difference")
FORMATS: tuple[Format, ...] = ("table", "markdown", "csv", "json", "html", "latex")


@dataclass(frozen=True)
class Row:
    """One algorithm on one benchmark, over all its seeds.

    Attributes:
        benchmark: ``name@version``.
        algorithm: its name, with what was chosen by hand.
        version: its own version.
        library: the library that did the work, or the distribution.
        backbone: the network below the head.
        status: ``ok``, or the status of the seeds that are not.
        rank: its place in the benchmark; equal scores share one. Nothing for a row without a score.
        score: mean over the episodes of the mean over the seeds.
        ci95: half the 95 % t-interval over the episodes.
        seed_sd: standard deviation of the seeds' means: another quantity than the interval.
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
        episode_digest: the sha256 of the test episodes.
        reason: why it is not ok.
    """

    benchmark: str
    algorithm: str
    version: str
    library: str
    backbone: str
    status: str
    rank: int | None
    score: float | None
    ci95: float | None
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
    episode_digest: str
    reason: str


@dataclass(frozen=True)
class Leaderboard:
    """Ranked rows, and what was left out of them.

    Attributes:
        rows: by benchmark, the best first, those without a score at the bottom.
        left_out: what was left out, in words.
    """

    rows: list[Row]
    left_out: list[str]

    def to_frame(self) -> pd.DataFrame:
        """The rows as a frame."""
        return pd.DataFrame([asdict(row) for row in self.rows])

    def render(self, form: Format) -> str:
        """The leaderboard as text."""
        if form == "json":
            return json.dumps([asdict(row) for row in self.rows], indent=1)
        if form == "csv":
            return str(self.to_frame().to_csv(index=False)).rstrip("\n")
        style = {"table": "simple", "markdown": "pipe", "html": "html", "latex": "latex_booktabs"}[form]
        parts = []
        for benchmark, rows in _by_benchmark(self.rows):
            body = [_cells(row) for row in rows]
            if all(row.paper is None for row in rows):
                body = [{k: v for k, v in cells.items() if k not in _OF_PAPERS} for cells in body]
            if form == "markdown":
                body = [{name: text.replace("|", "\\|") for name, text in cells.items()} for cells in body]
            heading = _heading(form, benchmark, rows[0])
            parts.append(f"{heading}\n{tabulate(body, headers='keys', tablefmt=style)}")
        return "\n\n".join(parts)


def build(records: Iterable[Record], *, quick: bool = False) -> Leaderboard:
    """Rank the algorithms of each benchmark.

    Args:
        records: the records.
        quick: show ``--quick`` records and nothing else; by default they are left out.

    Raises:
        ResultsError: one benchmark is there in two definitions, or with two sets of episodes.
    """
    records = list(records)
    left_out: list[str] = []
    kept = [r for r in records if r.benchmark.quick == quick]
    if len(kept) < len(records) and not quick:
        left_out.append(f"{len(records) - len(kept)} --quick record(s), which never enter a leaderboard")
    latest = current(kept)
    if len(latest) < len(kept):
        left_out.append(f"{len(kept) - len(latest)} record(s) that later ones of the same algorithm replace")
    _check_same(latest)
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in latest:
        groups.setdefault((record.benchmark.title, record.algorithm.label), []).append(record)
    rows = [_row(benchmark, label, group) for (benchmark, label), group in groups.items()]
    return Leaderboard(_ranked(rows), left_out)


def current(records: Sequence[Record]) -> list[Record]:
    """The newest record of each cell; one that went well before one that did not.

    The seeds of a row must be seeds of one thing: those that ran with another version, other hyper-parameters
    or other data than the newest are left out.
    """
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in sorted(records, key=lambda r: (r.status == "ok", r.finished)):
        groups.setdefault((record.benchmark.title, record.algorithm.label), []).append(record)
    kept: list[Record] = []
    for group in groups.values():
        newest = group[-1]
        same = [r for r in group if r.status != "ok" or _made_of(r) == _made_of(newest)]
        kept += {record.seed: record for record in same}.values()
    return kept


def _made_of(record: Record) -> tuple[object, ...]:
    algorithm = record.algorithm
    return algorithm.distribution, algorithm.version, algorithm.hyperparameters, record.data_digest


def _check_same(records: Iterable[Record]) -> None:
    definitions: dict[str, Record] = {}
    digests: dict[str, Record] = {}
    for record in records:
        first = definitions.setdefault(record.benchmark.name, record)
        if first.benchmark != record.benchmark:
            raise ResultsError(
                f"benchmark '{record.benchmark.name}' is there as {first.benchmark.title} and as "
                f"{record.benchmark.title}, with other definitions.",
                hint="Their scores cannot be compared: keep the results of one of them in another folder.",
            )
        if record.status == "ok":
            first = digests.setdefault(record.benchmark.name, record)
            if first.episode_digest != record.episode_digest:
                raise ResultsError(
                    f"'{first.algorithm.label}' and '{record.algorithm.label}' were tested on other episodes "
                    f"of '{record.benchmark.name}': {first.episode_digest[:12]} and "
                    f"{record.episode_digest[:12]}.",
                    hint="The data differ: `metabench data verify` looks at them.",
                )


def _row(benchmark: str, label: str, records: list[Record]) -> Row:
    well = [r for r in records if r.status == "ok"]
    first = (well or records)[0]
    metric = first.benchmark.metrics[0]
    bad = [r for r in records if r.status != "ok"]
    score = ci95 = seed_sd = None
    episodes = 0
    if well:
        scores = np.mean([r.metrics[metric].episodes for r in well], axis=0)
        episodes = len(scores)
        score, half_width = t_interval(scores)
        ci95 = None if math.isnan(half_width) else half_width
        if len(well) > 1:
            seed_sd = float(np.std([r.score or 0.0 for r in well], ddof=1))
    algorithm = first.algorithm
    paper = published(first.benchmark, metric, algorithm.name, algorithm.hyperparameters)
    device_mb = _cost(well, "peak_device_mb")
    return Row(
        benchmark=benchmark,
        algorithm=label,
        version=first.algorithm.version,
        library=first.algorithm.library or first.algorithm.distribution,
        backbone=str(first.algorithm.hyperparameters.get("backbone") or first.benchmark.backbone),
        status=_status(bad, len(records)),
        rank=None,
        score=score,
        ci95=ci95,
        seed_sd=seed_sd,
        episodes=episodes,
        seeds=len(well),
        paper=paper.value if paper else None,
        paper_difference=None if paper is None or score is None else score - paper.value,
        paper_source=paper.source if paper else "",
        metric=metric,
        direction=first.metrics[metric].direction if well else "",
        adapt_ms=_cost(well, "adapt_ms"),
        predict_ms=_cost(well, "predict_ms"),
        peak_mb=device_mb if device_mb is not None else _cost(well, "peak_process_mb"),
        parameters=_whole(_cost(well, "parameters")),
        train_seconds=float(np.mean([r.training.seconds for r in well])) if well else None,
        train_examples=int(np.mean([r.training.examples for r in well])) if well else None,
        episode_digest=first.episode_digest,
        reason="; ".join(sorted({r.reason.partition("\n")[0] for r in bad})),
    )


def _status(bad: list[Record], seeds: int) -> str:
    if not bad:
        return "ok"
    worst = bad[0].status
    return worst if len(bad) == seeds else f"{worst} ({len(bad)} of {seeds} seeds)"


def _cost(records: list[Record], name: str) -> float | None:
    """The median over the seeds of a cost that all of them have."""
    values: list[Value | None] = [r.metrics["cost"].values.get(name) for r in records if "cost" in r.metrics]
    numbers = [float(v) for v in values if v is not None]
    return float(np.median(numbers)) if numbers else None


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _ranked(rows: list[Row]) -> list[Row]:
    """The rows in order, each with its rank in its benchmark."""
    ranked: list[Row] = []
    for _, group in _by_benchmark(sorted(rows, key=lambda r: natural_order(r.benchmark))):
        scored = sorted((r for r in group if r.score is not None), key=_goodness)
        for row in scored:
            better = sum(_goodness(other) < _goodness(row) for other in scored)
            ranked.append(Row(**{**asdict(row), "rank": better + 1}))
        ranked += sorted((r for r in group if r.score is None), key=lambda r: natural_order(r.algorithm))
    return ranked


def _goodness(row: Row) -> float:
    """Smaller is better."""
    assert row.score is not None
    return row.score if row.direction == "lower" else -row.score


def _by_benchmark(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.benchmark, []).append(row)
    return list(groups.items())


def _heading(form: Format, benchmark: str, row: Row) -> str:
    """The line over a benchmark's table."""
    digest = f", episodes {row.episode_digest[:12]}" if row.episode_digest else ""
    text = f"{benchmark}: {row.metric} on {row.episodes or 'no'} episodes{digest}"
    match form:
        case "markdown":
            return f"### {text}\n"
        case "html":
            return f"<h3>{html.escape(text)}</h3>"
        case "latex":
            return f"% {text}"
        case _:
            return text


def _cells(row: Row) -> dict[str, str]:
    """A row as people read it."""
    return {
        "rank": "" if row.rank is None else str(row.rank),
        "algorithm": f"{row.algorithm}@{row.version}" if row.version else row.algorithm,
        "library": row.library,
        "backbone": row.backbone,
        row.metric: _score(row, row.score, _plus_minus(row, row.ci95)),
        "paper": _score(row, row.paper),
        "difference": _score(row, row.paper_difference, sign="+"),
        "seeds": str(row.seeds),
        "adapt ms": _number(row.adapt_ms),
        "predict ms": _number(row.predict_ms),
        "MB": "" if row.peak_mb is None else f"{row.peak_mb:.0f}",
        "train s": "" if row.train_seconds is None else f"{row.train_seconds:.0f}",
        "status": row.status if not row.reason else f"{row.status}: {row.reason}",
    }


def _score(row: Row, value: float | None, after: str = "", sign: str = "-") -> str:
    """A score of a row's metric as text: accuracy in percent."""
    if value is None:
        return ""
    return f"{100 * value:{sign}.2f}{after} %" if row.metric == "accuracy" else f"{value:{sign}.3f}{after}"


def _plus_minus(row: Row, half_width: float | None) -> str:
    if half_width is None:
        return ""
    return f" ± {100 * half_width:.2f}" if row.metric == "accuracy" else f" ± {half_width:.3f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"
