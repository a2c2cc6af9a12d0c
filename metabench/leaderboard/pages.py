"""Write the pages of a committed leaderboard."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tabulate import tabulate

from metabench.errors import ResultsError
from metabench.leaderboard.aggregate import render_aggregate
from metabench.leaderboard.build import Leaderboard
from metabench.leaderboard.equal_seconds import equal_seconds
from metabench.leaderboard.render import by_benchmark, rank_text
from metabench.leaderboard.rows import LeaderboardRow
from metabench.utils.files import atomic_path
from metabench.utils.grouping import grouped

README = "README.md"

_GENERATED = "Generated from the records in this folder, and checked against them, by:"

LEGEND = (
    "A rank is the 95 % interval of the ranks that an algorithm may have, for all rows of a table "
    "at once: from a bootstrap over seeds, test episodes and the groups of the test classes (their "
    "origins or the classes, where there are no groups). *beats next* is the probability that it "
    "is better than the next row. A row with fewer than three seeds is provisional and has no "
    "rank. There are three measures of spread: ± is half the width of the 95 % interval over the "
    "test episodes, *new classes* is the 95 % interval for other test classes, and *seed sd* is "
    "the standard deviation over the seeds. Bold marks the rows that may be first, if any may not, "
    "and the best value of a column. A column with a minus sign is the score that is lost; *nm* is "
    "the loss of nearest-mean. *looks* counts the configurations of an algorithm that were scored "
    "on these test episodes, by evaluations.csv. Each track is ranked by itself: a method is "
    "inductive if it predicts each query from the support set alone. Beside a transductive method "
    "stand its score with each query alone (*inductive*), and with classes of unequal frequency "
    "among the queries (*unbalanced*). Attacks change all queries of an episode of such a method "
    "together. *cell s* is the time of a whole cell: training, validation and all metrics."
)
"""How to read a page."""


def board_files(board: Leaderboard, title: str) -> dict[str, str]:
    """Returns the files that accompany the records, by name: a page and the rows as CSV.

    Args:
        board: The leaderboard.
        title: The title of the page.
    """
    sources = sorted({row.paper_source for row in board.rows if row.paper_source})
    command = f"metabench leaderboard {title}"
    parts = [
        f"# {title}",
        _GENERATED,
        f"```sh\n{command} --write\n{command} --verify\n```",
        LEGEND,
        board.render("markdown"),
        *_equal_seconds(board),
        *_over_benchmarks(board),
        *_machines(board),
    ]
    if sources:
        parts.append("Published figures: " + "; ".join(sources) + ".")
    if board.left_out:
        parts.append("Left out: " + "; ".join(board.left_out) + ".")
    return {README: "\n\n".join(parts) + "\n", "leaderboard.csv": board.render("csv") + "\n"}


def title_of(folder: Path) -> str:
    """Returns the title of a folder's page: that of an existing page, or else the folder's path.

    The existing title stays because a page is the same however the path to its folder is spelled.

    Args:
        folder: The folder of the pages.
    """
    try:
        text = (folder / README).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    heading, _, after = text.partition("\n\n")
    if re.fullmatch(r"# .+", heading) and after.startswith(_GENERATED):
        return heading.removeprefix("# ")
    return folder.as_posix()


def _equal_seconds(board: Leaderboard) -> list[str]:
    """Returns the table of each benchmark at equal seconds of training, with a heading."""
    tables = {
        title: table
        for title, records in board.selection.by_benchmark().items()
        if (table := equal_seconds(r for r in records if r.status == "ok"))
    }
    if not tables:
        return []
    return [
        "### At equal seconds of meta-training",
        "The meta-validation score of the best state by then, a mean over the seeds. The times are "
        "when the fastest method ended its training, the median one and the slowest one.",
        *(f"{title}:\n\n{table}" for title, table in tables.items()),
    ]


def _over_benchmarks(board: Leaderboard) -> list[str]:
    """Returns the table over all benchmarks with its heading, if there is one."""
    if not board.aggregate:
        return []
    return [
        "### Over the benchmarks",
        "Average ranks, with the average of the rank intervals at a corrected level, and the mean "
        "of the middle half of all seeds on all benchmarks whose score is a share. These are the "
        "algorithms that are ranked on every benchmark.",
        render_aggregate(board.aggregate, "markdown"),
    ]


def _machines(board: Leaderboard) -> list[str]:
    """Returns a paragraph for each benchmark that was measured on more than one machine."""
    found = []
    for benchmark, rows in by_benchmark(board.rows).items():
        machines = grouped(rows, lambda row: row.machine or "an unknown machine")
        if len(machines) > 1:
            listed = "".join(
                f"\n* {name}: {', '.join(sorted(row.algorithm for row in machines[name]))}"
                for name in sorted(machines)
            )
            found.append(
                f"{benchmark} was measured on different machines. Milliseconds, seconds and memory "
                f"compare within one of them:\n{listed}"
            )
    return found


def summary(board: Leaderboard) -> str:
    """Returns a Markdown table of scores, with the interval of the rank in brackets.

    The rows of the transductive track follow those of the inductive one, and say so. Only rows
    without overridden hyper-parameters are part of it.
    """
    # The README compares recipes; experiments with other settings are on the page.
    rows = [row for row in board.rows if not row.settings]
    benchmarks = list(by_benchmark(rows))
    table = [
        {"algorithm": name[1]}
        | dict.fromkeys(benchmarks, "")
        | {r.benchmark: _score(r) for r in group}
        for name, group in sorted(grouped(rows, _name).items(), key=lambda one: one[0][0])
    ]
    return tabulate(table, headers="keys", tablefmt="pipe")


def _name(row: LeaderboardRow) -> tuple[bool, str]:
    """Returns whether a row is of the transductive track, and its name with the track."""
    if row.track == "transductive":
        return True, f"{row.algorithm} (transductive)"
    return False, row.algorithm


def _score(row: LeaderboardRow) -> str:
    if row.score is None:
        return row.status
    scale, form = (100, ".1f") if row.metric == "accuracy" else (1, ".3f")
    rank = "" if row.rank is None else f" ({rank_text(row)})"
    return f"{scale * row.score:{form}}{rank}"


def write_files(files: Mapping[str, str], folder: Path) -> list[Path]:
    """Write each file atomically, and return the paths.

    Raises:
        ResultsError: If the folder cannot be written.
    """
    paths = []
    for name, text in files.items():
        path = folder / name
        try:
            with atomic_path(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ResultsError(f"'{path}' cannot be written: {error.strerror or error}.") from error
        paths.append(path)
    return paths
