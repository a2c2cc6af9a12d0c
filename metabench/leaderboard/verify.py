"""Verify a committed leaderboard: its records, and that its pages follow from them."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from metabench.errors import ResultsError
from metabench.leaderboard.build import build
from metabench.leaderboard.looks import LEDGER, Evaluation, looks_of, read_ledger
from metabench.leaderboard.pages import board_files
from metabench.leaderboard.scores import class_hits_of
from metabench.records.schema import Record, key_of
from metabench.records.store import Unreadable
from metabench.stats import t_interval

# Processors sum in different orders, and quantiles of Student's t differ by 4e-9 between releases
# of SciPy (1.11 and 1.17).
_TOLERANCE = 1e-7

_NUMBER = re.compile(r"-?[0-9]+\.[0-9]+(?:e[-+]?[0-9]+)?")


def problems_of(
    records: Sequence[Record], unreadable: Iterable[Unreadable], folder: Path, title: str
) -> list[str]:
    """Returns each problem of a committed leaderboard as a sentence.

    Checked are: every file is a record; the key of a record is the digest of what it ran; its
    means and intervals follow from its episodes, and these from its classes; the records of a
    benchmark are valid and consistent; and the pages are those that the records generate.

    Args:
        records: The records of the folder.
        unreadable: The files in the folder that are not records.
        folder: The folder of the pages.
        title: The title of the page.
    """
    problems = [f"{file.path.name} {file.reason}" for file in unreadable]
    for record in records:
        problems += [f"{record.file_name}: {problem}" for problem in _record_problems(record)]
    # Without a majority there is no board, and so there are no pages to compare.
    try:
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
    for name, text in board_files(board, title).items():
        problems += _page_problems(folder / name, text)
    return problems


def _record_problems(record: Record) -> list[str]:
    problems = []
    if record.benchmark.quick:
        problems.append("it is a record of a --quick run, which a leaderboard never contains")
    # The key of a record that failed before its data were opened has no data digest.
    key = key_of(record.algorithm, record.benchmark, record.seed, record.data_digest)
    if record.status == "ok" and record.key != key:
        problems.append(
            f"its key begins with {record.key[:10]}, but the key of what it ran with {key[:10]}"
        )
    for name, metric in record.metrics.items():
        if not metric.episodes:
            continue
        if "class_hits" in metric.values and class_hits_of(record, name) is None:
            problems.append(f"its {name} of the episodes does not follow from their classes")
        mean, half_width = t_interval(metric.episodes)
        if not _equal(metric.mean, mean) or not _equal(metric.ci95, half_width):
            stated, computed = f"{metric.mean} ± {metric.ci95}", f"{mean} ± {half_width}"
            problems.append(f"its {name} is stated as {stated}, but its episodes have {computed}")
    return problems


def _equal(stated: float | None, computed: float) -> bool:
    if stated is None:
        return math.isnan(computed)
    return math.isclose(stated, computed, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


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
    return all(_equal(float(a), float(b)) for a, b in pairs)
