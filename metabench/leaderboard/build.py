"""The leaderboard: a pure function of stored records."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd
from tabulate import tabulate

from metabench.errors import ResultsError
from metabench.leaderboard.columns import Beside, beside_all, beyond, choose, shown
from metabench.leaderboard.ranks import ranked
from metabench.leaderboard.rows import Row, row_of
from metabench.leaderboard.scores import check_name, form_of, ruler
from metabench.records.comparable import of_most, possible
from metabench.records.schema import Record
from metabench.utils.emphasis import Emphasis

Format = Literal["table", "markdown", "csv", "json", "html", "latex"]
FORMATS: tuple[Format, ...] = ("table", "markdown", "csv", "json", "html", "latex")

_SPARING = (
    "new classes",
    "seed sd",
    "paper",
    "difference",
    "adapt ms",
    "predict ms",
    "MB",
    "train s",
)
"""Columns that are left out where all of their cells are empty."""


@dataclass(frozen=True)
class Leaderboard:
    """Ranked rows, and what was left out of them.

    Attributes:
        rows: by benchmark, the best first, those without a score at the bottom.
        left_out: what was left out, in words.
        unsound: those of them that are records which cannot be, or not with the others.
    """

    rows: list[Row]
    left_out: list[str]
    unsound: list[str] = field(default_factory=list)

    def to_frame(self) -> pd.DataFrame:
        """The rows as a frame."""
        return pd.DataFrame([row.flat() for row in self.rows]).drop(columns="why", errors="ignore")

    def render(self, form: Format, more: Sequence[str] = ()) -> str:
        """The leaderboard as text.

        Args:
            form: the format.
            more: the columns beside the score, or ``all``; by default a few in a terminal and all elsewhere.

        Raises:
            UnknownName: there is no such column.
        """
        chosen = choose(more or ("narrow" if form == "table" else "all",))
        if form == "json":
            return json.dumps([row.flat() for row in self.rows], indent=1)
        if form == "csv":
            return str(self.to_frame().to_csv(index=False)).rstrip("\n")
        style = {"table": "simple", "markdown": "pipe", "html": "html", "latex": "latex_booktabs"}[
            form
        ]
        parts = []
        for benchmark, rows in by_benchmark(self.rows):
            emphasis = Emphasis(form)
            body = [_cells(row, emphasis if _beats_others(row, rows) else None) for row in rows]
            empty = [name for name in _SPARING if not any(cells[name] for cells in body)]
            body = [{k: v for k, v in cells.items() if k not in empty} for cells in body]
            if form == "markdown":
                body = [
                    {name: text.replace("|", "\\|") for name, text in cells.items()}
                    for cells in body
                ]
            heading = _heading(form, benchmark, rows[0])
            parts.append(
                f"{heading}\n{emphasis.drawn(tabulate(body, headers='keys', tablefmt=style))}"
            )
            of_rows = [Beside(row.more, row.why) for row in rows]
            if (more or form != "table" or beyond(of_rows)) and (
                beside := shown(of_rows, chosen, emphasis)
            ):
                body = [
                    {"algorithm": cells["algorithm"], **b}
                    for cells, b in zip(body, beside, strict=True)
                ]
                table = tabulate(body, headers="keys", tablefmt=style, disable_numparse=True)
                parts.append(emphasis.drawn(table))
        return "\n\n".join(parts)


def build(records: Iterable[Record], *, quick: bool = False, metric: str = "") -> Leaderboard:
    """Rank the algorithms of each benchmark.

    Args:
        records: the records.
        quick: show ``--quick`` records and nothing else; by default they are left out.
        metric: what to rank by instead of each benchmark's own metric: another one that scores episodes, or
            one of :data:`metabench.leaderboard.columns.KEYS` or :data:`metabench.leaderboard.scores.COSTS`.

    Raises:
        ResultsError: a benchmark is there in two versions; or in two definitions or with two sets of episodes
            of which neither is that of most records.
        UnknownName: nothing of the name ``metric`` was measured.
    """
    records = list(records)
    left_out: list[str] = []
    kept = [r for r in records if r.benchmark.quick == quick]
    if len(kept) < len(records) and not quick:
        left_out.append(
            f"{len(records) - len(kept)} --quick record(s), which never enter a leaderboard"
        )
    kept, unsound = possible(kept)
    latest = newest(kept)
    if len(latest) < len(kept):
        left_out.append(
            f"{len(kept) - len(latest)} record(s) that later ones of the same algorithm replace"
        )
    _check_versions(latest)
    latest, others = of_most(latest)
    unsound += others
    if metric and latest:
        check_name(metric, latest)
    groups: dict[tuple[str, str], list[Record]] = {}
    of_benchmark: dict[str, list[Record]] = {}
    for record in latest:
        groups.setdefault((record.benchmark.title, record.algorithm.label), []).append(record)
        of_benchmark.setdefault(record.benchmark.title, []).append(record)
    rules = {
        title: ruler(group, metric or group[0].benchmark.metrics[0])
        for title, group in of_benchmark.items()
    }
    beside = beside_all(groups)
    rows = [
        row_of(place[0], group, beside[place], metric, rules[place[0]])
        for place, group in groups.items()
    ]
    return Leaderboard(ranked(rows), [*left_out, *unsound], unsound)


def newest(records: Sequence[Record]) -> list[Record]:
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


def _check_versions(records: Iterable[Record]) -> None:
    """Raise ResultsError where a benchmark is there in two versions."""
    titles: dict[str, str] = {}
    for record in records:
        first = titles.setdefault(record.benchmark.name, record.benchmark.title)
        if first != record.benchmark.title:
            raise ResultsError(
                f"benchmark '{record.benchmark.name}' is there as {first} and as {record.benchmark.title}.",
                hint="Their scores cannot be compared: keep the results of one of them in another folder.",
            )


def by_benchmark(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Each benchmark with its rows, in the order in which they come."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.benchmark, []).append(row)
    return list(groups.items())


def _heading(form: Format, benchmark: str, row: Row) -> str:
    """The line over a benchmark's table."""
    digest = f", episodes {row.episode_digest[:12]}" if row.episode_digest else ""
    on = f" on {row.episodes} episodes" if row.episodes else ""  # a cost has none
    text = f"{benchmark}: {row.metric}{on}{digest}"
    match form:
        case "markdown":
            return f"### {text}\n"
        case "html":
            return f"<h3>{html.escape(text)}</h3>"
        case "latex":
            return f"% {text}"
        case _:
            return text


def _beats_others(row: Row, rows: Sequence[Row]) -> bool:
    """Whether a row has the first rank, and another has not."""
    return row.rank == 1 and any(other.rank not in (None, 1) for other in rows)


def _cells(row: Row, emphasis: Emphasis | None) -> dict[str, str]:
    """A row as people read it; its score stands out where there is an emphasis."""
    score = _score(row, row.score, _plus_minus(row, row.ci95))
    return {
        "rank": "" if row.rank is None else str(row.rank),
        "algorithm": f"{row.algorithm}@{row.version}" if row.version else row.algorithm,
        "library": row.library,
        "backbone": row.backbone,
        row.metric: emphasis.on(score) if emphasis else score,
        "new classes": _from_to(row, row.class_low, row.class_high),
        "seed sd": _score(row, row.seed_sd),
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
    if row.metric == "accuracy":
        return f"{100 * value:{sign}.2f}{after} %"
    if form_of(row.metric) == "share" and abs(value) < 1000:
        return f"{value:{sign}.3f}{after}"
    return f"{value:{sign},.2f}{after}" if abs(value) < 10 else f"{value:{sign},.0f}{after}"


def _plus_minus(row: Row, half_width: float | None) -> str:
    if half_width is None:
        return ""
    return f" ± {100 * half_width:.2f}" if row.metric == "accuracy" else f" ± {half_width:.3f}"


def _from_to(row: Row, low: float | None, high: float | None) -> str:
    """An interval whose ends need not lie equally far from the score."""
    if low is None or high is None:
        return ""
    return (
        f"{100 * low:.2f} to {100 * high:.2f} %"
        if row.metric == "accuracy"
        else f"{low:.3f} to {high:.3f}"
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"
