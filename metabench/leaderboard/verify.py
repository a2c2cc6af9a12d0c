"""Verify a committed leaderboard: its records, and that its pages follow from them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path

from metabench.errors import ResultsError
from metabench.leaderboard.build import build
from metabench.leaderboard.codes import code_problems, read_rechecks
from metabench.leaderboard.looks import LEDGER, Evaluation, looks_of, read_ledger
from metabench.leaderboard.pages import board_files, title_of
from metabench.leaderboard.record_checks import equal, record_problems
from metabench.records.schema import Record
from metabench.records.store import Unreadable

_NUMBER = re.compile(r"-?[0-9]+\.[0-9]+(?:e[-+]?[0-9]+)?")


def problems_of(
    records: Sequence[Record], unreadable: Iterable[Unreadable], folder: Path
) -> list[str]:
    """Returns each problem of a committed leaderboard as a sentence.

    Checked are: every file is a record and has its name; what follows in a record from other fields
    of it (:data:`metabench.leaderboard.record_checks.CHECKS`); the records of a benchmark are valid
    and consistent; the seeds of a row come from one code; and the pages are those that the records
    generate. :mod:`metabench.leaderboard.installed` compares them with the installed code.

    Args:
        records: The records of the folder.
        unreadable: The files in the folder that are not records.
        folder: The folder of the pages.
    """
    damaged = {file.path: file.reason for file in unreadable}
    problems = [f"{path.name} {reason}" for path, reason in damaged.items()]
    for record in records:
        problems += [f"{record.file_name}: {problem}" for problem in record_problems(record)]
    problems += _name_problems(records, damaged, folder / "records")
    # Without a majority there is no board, and so there are no pages to compare.
    try:
        problems += code_problems(records, read_rechecks(folder))
        ledger = read_ledger(folder)
        board = build(records, looks=looks_of(ledger))
    except ResultsError as error:
        return [*problems, str(error)]
    problems += [
        f"{LEDGER} lacks the record {record.file_name}; `--write` adds it"
        for record in records
        if record.status == "ok" and Evaluation.of(record) not in ledger
    ]
    problems += board.rejected
    for name, text in board_files(board, title_of(folder)).items():
        problems += _page_problems(folder / name, text)
    return problems


def _name_problems(
    records: Sequence[Record], unreadable: Container[Path], root: Path
) -> Iterator[str]:
    """Yield each file below ``root`` that has another name than its record is stored under."""
    paths = {root / record.file_name for record in records}
    # A later failure is stored beside the result.
    failed = (root / record.file_name for record in records if record.status != "ok")
    paths |= {path.with_suffix(".failed.json") for path in failed}
    for path in sorted(root.rglob("*.json")):
        if path not in paths and path not in unreadable and not path.name.startswith("."):
            yield f"{path.relative_to(root).as_posix()}: it was renamed, or is a copy of a record"


def _page_problems(path: Path, expected: str) -> list[str]:
    if not path.is_file():
        return [f"{path.name} is missing; `--write` generates it"]
    found = path.read_text(encoding="utf-8", errors="replace")
    if found == expected or _same_numbers(found, expected):
        return []
    changes = difflib.unified_diff(
        found.splitlines(), expected.splitlines(), "found", "expected", n=0
    )
    first = " | ".join(list(changes)[3:5])  # the first change, without the header of the diff
    return [f"{path.name} does not follow from the records; `--write` generates it. {first}"]


def _same_numbers(found: str, expected: str) -> bool:
    """Returns whether two texts differ in nothing but the last digits of numbers."""
    if _NUMBER.sub("", found) != _NUMBER.sub("", expected):
        return False
    pairs = zip(_NUMBER.findall(found), _NUMBER.findall(expected), strict=False)
    return all(equal(float(a), float(b)) for a, b in pairs)
