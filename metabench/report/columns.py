"""The columns of a leaderboard on the page: what a cell says, and what it is sorted by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from metabench.leaderboard.rows import LeaderboardRow as Row
from metabench.report.facts import Section
from metabench.report.figure import show
from metabench.utils.finite import number


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: what it says.
        order: what it is sorted by; nothing for text, and for a number that is not there.
        after: what stands behind the text, smaller.
    """

    text: str
    order: float | None = None
    after: str = ""


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title: its heading.
        about: what it is, in a sentence.
        cells: one for each row.
        numeric: whether it is sorted by number.
    """

    title: str
    about: str
    cells: tuple[Cell, ...]
    numeric: bool = True


def columns_of(section: Section) -> list[Column]:
    """The columns of a benchmark's leaderboard; those without any content are left out.

    The name of the algorithm and the status are not among them: they stand at the ends.
    """
    rows, percent = section.rows, section.percent
    unit = " (%)" if percent else ""

    def numeric(
        title: str, about: str, value: Callable[[Row], float | None], *, share: bool = False
    ) -> Column:
        return Column(title, about, tuple(_number(value(row), percent=share) for row in rows))

    columns = [
        numeric(
            "rank",
            "Shared by those that the test on the same episodes does not tell from the best of them.",
            lambda row: row.rank,
        ),
        Column(
            section.metric + unit,
            "The mean over the test episodes, with its 95 % interval over the episodes.",
            tuple(_score(row, percent=percent) for row in rows),
        ),
        Column(
            "new classes" + unit,
            "The 95 % interval over the test classes: what to expect on others.",
            tuple(_new_classes(row, percent=percent) for row in rows),
        ),
        numeric("seeds", "Seeds that ended well.", lambda row: row.seeds),
        numeric(
            "seed sd" + unit,
            "Standard deviation over the seeds.",
            lambda row: row.seed_sd,
            share=percent,
        ),
        numeric("paper" + unit, "The published figure.", lambda row: row.paper, share=percent),
        numeric(
            "difference" + unit,
            "The score minus the published figure.",
            lambda row: row.paper_difference,
            share=percent,
        ),
        *_further(section),
        numeric(
            "adapt ms", "Median milliseconds to adapt to one episode.", lambda row: row.adapt_ms
        ),
        numeric(
            "predict ms", "Median milliseconds to predict its queries.", lambda row: row.predict_ms
        ),
        numeric(
            "memory MB", "Most memory of the process or of the device.", lambda row: row.peak_mb
        ),
        numeric("parameters", "How many.", lambda row: row.parameters),
        numeric("train s", "Seconds of meta-training.", lambda row: row.train_seconds),
        numeric(
            "train examples", "Examples that meta-training drew.", lambda row: row.train_examples
        ),
        Column(
            "library", "What did the work.", tuple(Cell(row.library) for row in rows), numeric=False
        ),
        Column(
            "backbone",
            "The network below the head.",
            tuple(Cell(row.backbone) for row in rows),
            numeric=False,
        ),
    ]
    return [column for column in columns if any(cell.text for cell in column.cells)]


def _further(section: Section) -> list[Column]:
    """The mean of every other metric that has one, over the seeds."""
    names: dict[str, str] = {}
    means: dict[tuple[str, str], float] = {}
    for row in section.rows:
        records = section.well(row.algorithm)
        for name in dict.fromkeys(
            name for r in records for name in r.metrics if name != section.metric
        ):
            found = [r.metrics[name] for r in records if name in r.metrics]
            values = [value for m in found if (value := number(m.mean)) is not None]
            if values:
                means[row.algorithm, name] = fmean(values)
                better = "Lower" if found[0].direction == "lower" else "Higher"
                names.setdefault(
                    name, f"Mean over its episodes, {found[0].unit}. {better} is better."
                )
    return [
        Column(
            name, about, tuple(_number(means.get((row.algorithm, name))) for row in section.rows)
        )
        for name, about in names.items()
    ]


def best_rows(rows: Sequence[Row]) -> set[str]:
    """The algorithms of the first rank."""
    return {row.algorithm for row in rows if row.rank == 1}


def _number(value: float | None, *, percent: bool = False) -> Cell:
    value = number(value)
    return Cell(_compact(value, percent=percent), value)


def _compact(value: float | None, *, percent: bool) -> str:
    if value is None or percent or value == int(value):
        return show(value, percent=percent)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _new_classes(row: Row, *, percent: bool) -> Cell:
    low, high = number(row.class_low), number(row.class_high)
    if low is None or high is None:
        return Cell("")
    return Cell(f"{show(low, percent=percent)} to {show(high, percent=percent)}", low)


def _score(row: Row, *, percent: bool) -> Cell:
    score, ci95 = number(row.score), number(row.ci95)
    half = "" if ci95 is None else f"± {100 * ci95:.2f}" if percent else f"± {ci95:.3g}"
    return Cell(show(score, percent=percent), score, half)
