"""The pages of a committed leaderboard: made from its records, and held against them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from metabench.errors import ResultsError
from metabench.leaderboard.build import Leaderboard, build, by_benchmark
from metabench.leaderboard.rows import Row
from metabench.leaderboard.scores import hits_of
from metabench.records.schema import Record, key_of
from metabench.records.store import Unreadable
from metabench.stats import t_interval
from metabench.utils.files import atomic_path

README = "README.md"
_TOLERANCE = 1e-9

LEGEND = (
    "Algorithms share a rank where the paired permutation test on the same episodes, with Holm's correction "
    "over the table, does not tell them from the best of that rank. Three spreads: ± is half the 95 % "
    "interval over the test episodes, *new classes* the 95 % interval over the test classes (what to expect "
    "on others), *seed sd* the standard deviation over the seeds. Bold: the first rank, and the best of a "
    "column."
)
"""How a page is to be read."""


def pages_of(board: Leaderboard, title: str) -> dict[str, str]:
    """What stands beside the records: a page for people, and the same as a CSV file, by file name.

    Args:
        board: the leaderboard.
        title: the title of the page.
    """
    sources = sorted({row.paper_source for row in board.rows if row.paper_source})
    parts = [
        f"# {title}",
        "Made from the records beside it, and checked against them, by:",
        f"```sh\nmetabench leaderboard {title} --write\nmetabench leaderboard {title} --verify\n```",
        LEGEND,
        board.render("markdown"),
    ]
    parts += _machines(board)
    if sources:
        parts.append("Published figures: " + "; ".join(sources) + ".")
    if board.left_out:
        parts.append("Left out: " + "; ".join(board.left_out) + ".")
    return {README: "\n\n".join(parts) + "\n", "leaderboard.csv": board.render("csv") + "\n"}


def _machines(board: Leaderboard) -> list[str]:
    """Where the rows of a benchmark were not all measured on one machine."""
    found = []
    for benchmark, rows in by_benchmark(board.rows):
        machines: dict[str, list[str]] = {}
        for row in rows:
            machines.setdefault(row.machine or "an unknown machine", []).append(row.algorithm)
        if len(machines) > 1:
            told = "".join(
                f"\n* {name}: {', '.join(sorted(machines[name]))}" for name in sorted(machines)
            )
            found.append(
                f"{benchmark} was measured on different machines. Milliseconds, seconds and memory compare "
                f"within one of them:\n{told}"
            )
    return found


def summary(board: Leaderboard) -> str:
    """A small Markdown table: each algorithm's score on each benchmark, its paper's in brackets.

    With its recipe's settings alone: whatever was run with others stands on the whole page.

    Args:
        board: the leaderboard.
    """
    rows = [row for row in board.rows if not row.settings]
    benchmarks = list(dict.fromkeys(row.benchmark for row in rows))
    cells: dict[str, dict[str, str]] = {}
    for row in rows:
        cells.setdefault(row.algorithm, dict.fromkeys(benchmarks, ""))[row.benchmark] = _summarised(
            row
        )
    table = [{"algorithm": name, **scores} for name, scores in cells.items()]
    return tabulate(table, headers="keys", tablefmt="pipe")


def _summarised(row: Row) -> str:
    if row.score is None:
        return row.status
    percent = row.metric == "accuracy"
    score, paper = (
        f"{100 * x:.1f}" if percent else f"{x:.3f}" for x in (row.score, row.paper or 0.0)
    )
    return score if row.paper is None else f"{score} ({paper})"


def write_pages(pages: Mapping[str, str], folder: Path) -> list[Path]:
    """Write pages, each whole or not at all.

    Raises:
        ResultsError: the folder cannot be written.
    """
    paths = []
    for name, text in pages.items():
        try:
            with atomic_path(folder / name) as temporary:
                temporary.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ResultsError(
                f"'{folder / name}' cannot be written: {error.strerror or error}."
            ) from error
        paths.append(folder / name)
    return paths


def problems_of(
    records: Sequence[Record], unreadable: Iterable[Unreadable], folder: Path, title: str
) -> list[str]:
    """What is wrong with a committed leaderboard, one sentence each; nothing where all is well.

    Every file must be a record; each record's key must be that of what it says it ran, its mean and interval
    must follow from its episodes, and these from the classes that they showed; the records of a benchmark
    must show the same episodes, with scores that can be; and the pages must be those that the records make.

    Args:
        records: the records of the folder.
        unreadable: the files among them that are none.
        folder: where the pages stand.
        title: the title of the page.
    """
    problems = [f"{file.path.name} {file.reason}" for file in unreadable]
    for record in records:
        problems += [f"{record.file_name}: {problem}" for problem in _problems_of_record(record)]
    try:
        board = build(records)
    except ResultsError as error:
        return [*problems, str(error)]
    problems += board.unsound
    pages = pages_of(board, title)
    for name, text in pages.items():
        problems += _problems_of_page(folder / name, text)
    return problems


def _problems_of_record(record: Record) -> list[str]:
    problems = []
    if record.benchmark.quick:
        problems.append("it is of a --quick run, which never enters a leaderboard")
    key = key_of(record.algorithm, record.benchmark, record.seed, record.data_digest)
    if record.status == "ok" and record.key != key:
        problems.append(
            f"its key begins with {record.key[:10]}, and that of what it says it ran with {key[:10]}"
        )
    for name, metric in record.metrics.items():
        if not metric.episodes:
            continue
        if "class_hits" in metric.values and hits_of(record, name) is None:
            problems.append(
                f"its {name} of the episodes is not that of the classes that they showed"
            )
        mean, half_width = t_interval(metric.episodes)
        if not _same(metric.mean, mean) or not _same(metric.ci95, half_width):
            given, found = f"{metric.mean} ± {metric.ci95}", f"{mean} ± {half_width}"
            problems.append(f"its {name} is given as {given}, and its episodes have {found}")
    return problems


def _same(given: float | None, worked_out: float) -> bool:
    if given is None:
        return math.isnan(worked_out)
    return math.isclose(given, worked_out, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


def _problems_of_page(path: Path, text: str) -> list[str]:
    if not path.is_file():
        return [f"{path.name} is missing; `--write` makes it"]
    there = path.read_text(encoding="utf-8", errors="replace")
    if there == text:
        return []
    changes = difflib.unified_diff(
        there.splitlines(), text.splitlines(), "there", "from the records", n=0
    )
    first = " | ".join(list(changes)[3:5])
    return [f"{path.name} is not what the records make; `--write` makes it anew. {first}"]
