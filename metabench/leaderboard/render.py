"""Render the rows of a leaderboard as text."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Sequence
from typing import Literal

import pandas as pd
from tabulate import tabulate

from metabench.leaderboard.columns import COLUMNS, ExtraColumn, choose
from metabench.leaderboard.emphasis import TABULATE_STYLES, Emphasis
from metabench.leaderboard.extras import ColumnValue
from metabench.leaderboard.rows import LeaderboardRow
from metabench.leaderboard.scores import form_of
from metabench.utils.grouping import grouped
from metabench.utils.text import counted

Format = Literal["table", "markdown", "csv", "json", "html", "latex"]

_OPTIONAL = (
    "rank",
    "beats next",
    "new classes",
    "seed sd",
    "inductive",
    "unbalanced",
    "paper",
    "difference",
    "adapt ms",
    "predict ms",
    "MB",
    "train s",
    "examples",
    "TFLOP",
    "looks",
)
"""The columns of the ranking that are left out if all of their cells are empty."""

Cells = dict[str, str]


def render_rows(rows: Sequence[LeaderboardRow], form: Format, columns: Sequence[str] = ()) -> str:
    """Returns ranked rows as text: see :meth:`metabench.leaderboard.build.Leaderboard.render`."""
    chosen = choose(columns or ("narrow" if form == "table" else "all",))
    if form == "json":
        return json.dumps([row.flat() for row in rows], indent=1)
    if form == "csv":
        return str(to_frame(rows).to_csv(index=False)).rstrip("\n")
    parts = []
    for (benchmark, track), group in by_track(rows).items():
        emphasis = Emphasis(form)
        ranking = _ranking(group, emphasis)
        title = f"{benchmark}, {track}" if track else benchmark
        heading = _heading(form, title, group[0], levels_of(group))
        parts.append(f"{heading}\n{_table(ranking, form, emphasis)}")
        # A terminal shows the second table only for more than accuracy and costs, if not asked.
        if columns or form != "table" or _has_more_than_costs(group):
            extra = _extra_columns(group, chosen, emphasis)
            body = [
                {"algorithm": cells["algorithm"], **more}
                for cells, more in zip(ranking, extra, strict=True)
            ]
            if any(extra):
                # As text, because tabulate would write the number 0.500 as 0.5.
                parts.append(_table(body, form, emphasis, disable_numparse=True))
    return "\n\n".join(parts)


def to_frame(rows: Sequence[LeaderboardRow]) -> pd.DataFrame:
    """Returns one row of a frame for each row of a leaderboard."""
    # CSV has no place for objects: the reasons and the probabilities. An empty frame has neither.
    frame = pd.DataFrame([row.flat() for row in rows])
    return frame.drop(columns=["why", "beats"], errors="ignore")


def by_benchmark(rows: Sequence[LeaderboardRow]) -> dict[str, list[LeaderboardRow]]:
    """Returns the rows of each benchmark, in their order."""
    return grouped(rows, lambda row: row.benchmark)


def by_track(rows: Sequence[LeaderboardRow]) -> dict[tuple[str, str], list[LeaderboardRow]]:
    """Returns the rows of each benchmark and track, in their order; no table mixes tracks.

    The track is empty for rows whose track was not measured.
    """
    return grouped(rows, lambda row: (row.benchmark, row.track or ""))


def _table(
    body: list[Cells], form: Format, emphasis: Emphasis, *, disable_numparse: bool = False
) -> str:
    if form == "markdown":  # tabulate does not escape the end of a cell
        body = [{name: text.replace("|", "\\|") for name, text in row.items()} for row in body]
    style = TABULATE_STYLES[form]
    text = tabulate(body, headers="keys", tablefmt=style, disable_numparse=disable_numparse)
    return emphasis.apply(text)


def levels_of(rows: Sequence[LeaderboardRow]) -> str:
    """Returns in a sentence how many levels the table of a benchmark can tell apart."""
    levels = [row.level for row in rows if row.level is not None]
    if not levels:
        return ""
    return (
        f"This table tells apart {counted(max(levels), 'level')} among "
        f"{counted(len(levels), 'ranked algorithm')}."
    )


def _heading(form: Format, benchmark: str, row: LeaderboardRow, levels: str) -> str:
    digest = f", episodes {row.episode_digest[:12]}" if row.episode_digest else ""
    on = f" on {row.episodes} episodes" if row.episodes else ""  # a column has no episode scores
    text = f"{benchmark}: {row.metric}{on}{digest}"
    match form:
        case "markdown":
            return "\n\n".join(filter(None, [f"### {text}", levels])) + "\n"
        case "html":  # tabulate escapes the cells, but the heading is ours
            return f"<h3>{html.escape(text)}</h3>" + (f"\n<p>{levels}</p>" if levels else "")
        case "latex":  # comments: a paper has its own captions
            return "\n".join(f"% {line}" for line in (text, levels) if line)
        case _:
            return "\n".join(filter(None, [text, levels]))


def _ranking(rows: Sequence[LeaderboardRow], emphasis: Emphasis) -> list[Cells]:
    """Returns the cells of the ranking; the scores of the first rank are bold."""
    distinguished = any(row.rank not in (None, 1) for row in rows)
    body = [_cells(row, emphasis, bold=distinguished and row.rank == 1) for row in rows]
    for row, below, cells in zip(rows, rows[1:], body, strict=False):
        probability = row.beats.get(below.algorithm)
        cells["beats next"] = "" if probability is None else f"{100 * probability:.0f} %"
    empty = {name for name in _OPTIONAL if not any(cells[name] for cells in body)}
    return [{name: text for name, text in cells.items() if name not in empty} for cells in body]


def _cells(row: LeaderboardRow, emphasis: Emphasis, *, bold: bool) -> Cells:
    return {
        "rank": rank_text(row),
        "algorithm": f"{row.algorithm}@{row.version}" if row.version else row.algorithm,
        "library": row.library,
        "backbone": row.backbone,
        row.metric: emphasis.mark(score_text(row)) if bold else score_text(row),
        "beats next": "",
        "new classes": _ends(row, row.class_low, row.class_high),
        "seed sd": _score(row, row.seed_sd),
        "inductive": _score(row, row.inductive_score),
        "unbalanced": _score(row, row.unbalanced_score),
        "paper": _score(row, row.paper),
        "difference": _score(row, row.paper_difference, sign="+"),
        "seeds": str(row.seeds),
        "adapt ms": _number(row.adapt_ms),
        "predict ms": _number(row.predict_ms),
        "MB": "" if row.peak_mb is None else f"{row.peak_mb:.0f}",
        "train s": "" if row.train_seconds is None else f"{row.train_seconds:.0f}",
        "examples": f"{row.train_examples:,}" if row.train_examples else "",
        "TFLOP": "" if row.train_flops is None else f"{row.train_flops / 1e12:.3g}",
        "looks": "" if row.looks is None else str(row.looks),
        "status": row.status if not row.reason else f"{row.status}: {row.reason}",
    }


def _score(row: LeaderboardRow, value: float | None, after: str = "", sign: str = "-") -> str:
    """Returns a score as text, accuracies in percent."""
    if value is None:
        return ""
    if row.metric == "accuracy":
        return f"{100 * value:{sign}.2f}{after} %"
    if form_of(row.metric) == "share" and abs(value) < 1000:  # an error may have diverged
        return f"{value:{sign}.3f}{after}"
    return f"{value:{sign},.2f}{after}" if abs(value) < 10 else f"{value:{sign},.0f}{after}"


def rank_text(row: LeaderboardRow) -> str:
    """Returns the interval of a rank as text: ``2``, ``2 to 4``, ``provisional`` or nothing."""
    if row.rank is None:
        return "provisional" if row.provisional else ""
    if row.rank_high is None or row.rank_high == row.rank:
        return str(row.rank)
    return f"{row.rank} to {row.rank_high}"


def score_text(row: LeaderboardRow) -> str:
    """Returns the score with its interval; a share has both ends where ± would leave 0 to 1."""
    if row.score is None or row.ci95 is None:
        return _score(row, row.score)
    if leaves_the_shares(row):
        return f"{_score(row, row.score)} ({_ends(row, row.ci95_low, row.ci95_high)})"
    return _score(row, row.score, _plus_minus(row, row.ci95))


def leaves_the_shares(row: LeaderboardRow) -> bool:
    """Returns whether ± would leave 0 to 1, and the ends of Wilson's interval are to be shown."""
    low, high = row.ci95_low, row.ci95_high
    if row.score is None or row.ci95 is None or low is None or high is None:
        return False
    outside = row.score - row.ci95 < 0 or row.score + row.ci95 > 1
    return outside and low >= 0 and high <= 1


def _plus_minus(row: LeaderboardRow, half_width: float) -> str:
    return f" ± {100 * half_width:.2f}" if row.metric == "accuracy" else f" ± {half_width:.3f}"


def _ends(row: LeaderboardRow, low: float | None, high: float | None) -> str:
    # Both ends, because the score need not be in the middle.
    if low is None or high is None:
        return ""
    if row.metric == "accuracy":
        return f"{100 * low:.2f} to {100 * high:.2f} %"
    return f"{low:.3f} to {high:.3f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"


def _has_more_than_costs(rows: Sequence[LeaderboardRow]) -> bool:
    return any(c.metric not in ("accuracy", "cost") and _has_content(rows, c) for c in COLUMNS)


def _has_content(rows: Sequence[LeaderboardRow], column: ExtraColumn) -> bool:
    key = column.key
    return any(row.extra.get(key) is not None or key in row.missing for row in rows)


def _extra_columns(
    rows: Sequence[LeaderboardRow], columns: Sequence[ExtraColumn], emphasis: Emphasis
) -> list[Cells]:
    """Returns the cells of the extra columns that have any content; the best values are bold."""
    body: list[Cells] = [{} for _ in rows]
    for column in columns:
        if not _has_content(rows, column):
            continue
        best = _best(rows, column)
        for row, cells in zip(rows, body, strict=True):
            text = _extra_text(row, column)
            bold = best is not None and row.extra.get(column.key) == best
            cells[column.title] = emphasis.mark(text) if bold else text
    return body


def _best(rows: Sequence[LeaderboardRow], column: ExtraColumn) -> ColumnValue:
    """Returns the best value of a column, or nothing if no value is told to be the best."""
    known = [(v, row) for row in rows if (v := row.extra.get(column.key)) is not None]
    if not column.better or len({value for value, _ in known}) < 2:
        return None
    known.sort(key=lambda one: one[0], reverse=column.better == "higher")
    (best, first), (second, next_row) = known[:2]
    if column.robustness:
        half_widths = [row.extra_ci95.get(column.key) for row in (first, next_row)]
        # Without an interval nothing is told apart.
        if any(h is None or math.isnan(h) for h in half_widths):
            return None
        if abs(best - second) <= sum(h for h in half_widths if h is not None):
            return None
    return best


def _extra_text(row: LeaderboardRow, column: ExtraColumn) -> str:
    value = row.extra.get(column.key)
    if value is None:
        return row.missing.get(column.key, "").partition(":")[0]
    match column.form:
        case "flag":
            return "yes" if value else "no"
        case "share":
            half_width = row.extra_ci95.get(column.key)
            return f"{value:.3f}" if half_width is None else f"{value:.3f} ± {half_width:.3f}"
        case "count":
            return f"{value:,.0f}"
        case _:
            return _number(value)
