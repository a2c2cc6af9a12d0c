"""The code that the records of a leaderboard were made with, and which codes give the same numbers.

``code.csv`` beside the records has a line for each change of an algorithm's code after which a
stored cell gave the same numbers again (:mod:`metabench.leaderboard.recheck`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from metabench.leaderboard.csv_files import read_rows
from metabench.leaderboard.pages import write_files
from metabench.records.schema import AlgorithmId, Record
from metabench.utils.csv_text import rows_text
from metabench.utils.text import counted

CODES = "code.csv"


@dataclass(frozen=True, order=True)
class Recheck:
    """A change of an algorithm's code that left the numbers of a cell as they were.

    Attributes:
        date: When the cell was run again, in ISO 8601, UTC.
        algorithm: The name of the algorithm.
        version: Its version.
        old: The code that the record states.
        new: The code that gave the same numbers.
        cell: The file of the record, below the records folder.
    """

    date: str
    algorithm: str
    version: str
    old: str
    new: str
    cell: str


_COLUMNS = [field.name for field in fields(Recheck)]


def read_rechecks(folder: Path) -> tuple[Recheck, ...]:
    """Returns the lines of a folder's ``code.csv``; none if it has no such file.

    Raises:
        ResultsError: If the file is something else.
    """
    rows = read_rows(
        folder / CODES,
        _COLUMNS,
        kind="a list of rechecked code",
        hint="Restore it from version control, or remove it: --recheck makes it anew.",
    )
    return tuple(Recheck(**row) for row in rows)


def add_recheck(folder: Path, line: Recheck) -> None:
    """Add a line to the ``code.csv`` of a folder.

    Raises:
        ResultsError: If the file is something else, or cannot be written.
    """
    lines = sorted({*read_rechecks(folder), line})
    write_files({CODES: rows_text(_COLUMNS, map(asdict, lines))}, folder)


def same_numbers(lines: Iterable[Recheck], algorithm: AlgorithmId, code: str, other: str) -> bool:
    """Returns whether two codes of an algorithm are equal, or connected by lines of ``code.csv``.

    Args:
        lines: The lines.
        algorithm: The algorithm.
        code: One code.
        other: The other code.
    """
    pairs = [
        {line.old, line.new}
        for line in lines
        if (line.algorithm, line.version) == (algorithm.name, algorithm.version)
    ]
    reached, grows = {code}, True
    while grows:
        # Either direction: a change that is undone gives the numbers of before.
        found = reached.union(*(pair for pair in pairs if pair & reached))
        grows, reached = found != reached, found
    return other in reached


def code_problems(records: Sequence[Record], lines: Sequence[Recheck]) -> Iterator[str]:
    """Yield, as a sentence each, what is wrong with the code that the records state.

    Args:
        records: The records of a leaderboard.
        lines: Its ``code.csv``.
    """
    scored = [record for record in records if record.status == "ok"]
    silent = [record.file_name for record in scored if not record.code]
    if silent:
        yield (
            f"{counted(len(silent), 'record')} without the code of the algorithm, the first "
            f"{silent[0]}: older versions of metabench did not state it. Run these cells again "
            "with `metabench run --fresh`, then `metabench leaderboard --write`"
        )
    rows: defaultdict[tuple[str, ...], list[Record]] = defaultdict(list)
    for record in scored:
        # By benchmark and label: they choose the network, whose code counts too.
        was = record.algorithm
        rows[was.distribution, was.label, was.version, record.benchmark.title].append(record)
    for (_, label, version, benchmark), found in rows.items():
        first, *others = [record for record in found if record.code] or found
        for record in others:
            if record.code and not same_numbers(lines, first.algorithm, first.code, record.code):
                yield (
                    f"{record.file_name}: made with other code of {label}@{version} on {benchmark} "
                    f"than {first.file_name} (code {record.code[:12]} and {first.code[:12]}); all "
                    "seeds of a row come from one code"
                )
                break
