"""The columns of a leaderboard on the page: texts of cells, and numbers to sort by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from metabench.leaderboard.extras import few_episodes
from metabench.leaderboard.render import by_track, leaves_the_shares, levels_of, rank_text
from metabench.leaderboard.rows import LeaderboardRow
from metabench.report.data import BenchmarkResults
from metabench.report.values import format_number
from metabench.utils.finite import number


@dataclass(frozen=True)
class TableCell:
    """A cell.

    Attributes:
        text: The text.
        order: The number to sort by; ``None`` for text and for a missing number.
        suffix: A smaller text after it.
    """

    text: str
    order: float | None = None
    suffix: str = ""


@dataclass(frozen=True)
class TableColumn:
    """A column.

    Attributes:
        title: The heading.
        about: A sentence that explains it.
        cells: The cell of each row.
        numeric: Whether it is sorted by number.
    """

    title: str
    about: str
    cells: tuple[TableCell, ...]
    numeric: bool = True


def columns_of(results: BenchmarkResults) -> list[TableColumn]:
    """Returns the columns between the algorithm and the status that have any content."""
    rows, percent = results.rows, results.percent
    unit = " (%)" if percent else ""

    def numeric(
        title: str, about: str, value: Callable[[LeaderboardRow], float | None]
    ) -> TableColumn:
        return TableColumn(title, about, tuple(_number_cell(value(row)) for row in rows))

    def score(
        title: str, about: str, value: Callable[[LeaderboardRow], float | None]
    ) -> TableColumn:
        cells = tuple(_number_cell(value(row), percent=percent) for row in rows)
        return TableColumn(title + unit, about, cells)

    def text(title: str, about: str, value: Callable[[LeaderboardRow], str]) -> TableColumn:
        return TableColumn(title, about, tuple(TableCell(value(row)) for row in rows), False)

    columns = [
        TableColumn(
            "rank",
            "The 95 % interval of the ranks that it may have, over seeds, episodes and classes, "
            "among the methods of its track. Fewer than three seeds are provisional.",
            tuple(TableCell(rank_text(row), _rank_order(row, len(rows))) for row in rows),
        ),
        text("track", "Whether queries are predicted one by one.", lambda row: row.track or ""),
        TableColumn(
            results.metric + unit,
            "The mean over the test episodes, with its 95 % interval over the episodes.",
            tuple(_score_cell(row, percent=percent) for row in rows),
        ),
        TableColumn(
            "new classes" + unit,
            "The 95 % interval for other test classes.",
            tuple(_new_classes_cell(row, percent=percent) for row in rows),
        ),
        numeric("seeds", "The number of seeds that are ok.", lambda row: row.seeds),
        score("seed sd", "The standard deviation over the seeds.", lambda row: row.seed_sd),
        score(
            "inductive",
            "The score of a transductive method with each query alone.",
            lambda row: row.inductive_score,
        ),
        score(
            "unbalanced",
            "Its score with classes of unequal frequency among the queries.",
            lambda row: row.unbalanced_score,
        ),
        score(
            "paper",
            "The figure of its paper, if the paper had the same conditions.",
            lambda row: row.paper,
        ),
        score(
            "difference",
            "The score minus the published figure.",
            lambda row: row.paper_difference,
        ),
        *_metric_columns(results),
        numeric("adapt ms", "Median time to adapt to one episode.", lambda row: row.adapt_ms),
        numeric("predict ms", "Median time to predict its queries.", lambda row: row.predict_ms),
        numeric(
            "memory MB", "Peak memory of the device or of the process.", lambda row: row.peak_mb
        ),
        numeric("parameters", "The number of parameters.", lambda row: row.parameters),
        numeric("train s", "Seconds of meta-training.", lambda row: row.train_seconds),
        numeric(
            "train examples", "Examples that meta-training drew.", lambda row: row.train_examples
        ),
        text("library", "The library that does the computations.", lambda row: row.library),
        text("backbone", "The network below the head.", lambda row: row.backbone),
    ]
    return [column for column in columns if any(cell.text for cell in column.cells)]


def _metric_columns(results: BenchmarkResults) -> list[TableColumn]:
    """Returns the mean over the seeds of each further metric of enough episodes."""
    about: dict[str, str] = {}
    means: dict[tuple[str, str], float] = {}
    for row in results.rows:
        records = results.ok(row.algorithm)
        # A dict, because a set would order the columns differently in every process.
        names = dict.fromkeys(n for r in records for n in r.metrics if n != results.metric)
        for name in names:
            found = [r.metrics[name] for r in records if name in r.metrics]
            # As on a board: two or five episodes say nothing.
            enough = [m for m in found if not few_episodes(m)]
            values = [value for m in enough if (value := number(m.mean)) is not None]
            if values:
                means[row.algorithm, name] = fmean(values)
                unit, direction = found[0].unit, found[0].direction
                about.setdefault(name, f"Mean over its episodes, in {unit}; {direction} is better.")
    return [
        TableColumn(
            name,
            text,
            tuple(_number_cell(means.get((row.algorithm, name))) for row in results.rows),
        )
        for name, text in about.items()
    ]


def best_algorithms(rows: Sequence[LeaderboardRow]) -> set[str]:
    """Returns the algorithms that may be first on their track, if it tells any apart from them."""
    found: set[str] = set()
    for group in by_track(rows).values():
        if any(row.rank not in (None, 1) for row in group):
            found |= {row.algorithm for row in group if row.rank == 1}
    return found


def levels_by_track(rows: Sequence[LeaderboardRow]) -> str:
    """Returns in a sentence for each track how many levels its rows are told apart into."""
    groups = by_track(rows)
    if len(groups) == 1:
        return levels_of(rows)
    sentences = {track: levels_of(group) for (_, track), group in groups.items()}
    return " ".join(
        f"{track or 'track not measured'}: {text}" for track, text in sentences.items() if text
    )


def _rank_order(row: LeaderboardRow, rows: int) -> float | None:
    # Sorted by rank, the transductive methods follow the inductive ones: a page has one table.
    return row.rank + rows * (row.track == "transductive") if row.rank is not None else None


def _number_cell(value: float | None, *, percent: bool = False) -> TableCell:
    value = number(value)  # the script sorts by it: NaN has no order
    return TableCell(_compact(value, percent=percent), value)


def _compact(value: float | None, *, percent: bool) -> str:
    if value is None or percent or value == int(value):
        return format_number(value, percent=percent)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _new_classes_cell(row: LeaderboardRow, *, percent: bool) -> TableCell:
    low, high = number(row.class_low), number(row.class_high)
    if low is None or high is None:
        return TableCell("")
    ends = (format_number(end, percent=percent) for end in (low, high))
    return TableCell(" to ".join(ends), low)


def _score_cell(row: LeaderboardRow, *, percent: bool) -> TableCell:
    score = number(row.score)
    return TableCell(
        format_number(score, percent=percent), score, _interval_suffix(row, percent=percent)
    )


def _interval_suffix(row: LeaderboardRow, *, percent: bool) -> str:
    score, ci95 = number(row.score), number(row.ci95)
    if score is None or ci95 is None:
        return ""
    if leaves_the_shares(row):
        ends = (format_number(end, percent=percent) for end in (row.ci95_low, row.ci95_high))
        return f"({' to '.join(ends)})"
    return f"± {100 * ci95:.2f}" if percent else f"± {ci95:.3g}"
