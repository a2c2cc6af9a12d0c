"""Find the cells of the baseline whose new records are unreadable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from metabench.compare.verdicts import ComparisonRow
from metabench.records.schema import Record


def add_unreadable(
    rows: Sequence[ComparisonRow],
    base: Iterable[Record],
    new: Iterable[Record],
    unreadable: Iterable[Path],
) -> list[ComparisonRow]:
    """Returns the rows with a row that is ``gone`` for each seed that has an unreadable record.

    A cell that has no other record is ``gone`` already; its row gets the reason.

    Args:
        rows: The rows of the readable records.
        base: The records of the baseline.
        new: The readable new records.
        unreadable: The new files that are not valid records.
    """
    files = {(path.parent.name, path.name): path for path in unreadable}
    readable = {_place(record) for record in new}
    found = list(rows)
    # In a dict, because the baseline may hold several records of one cell and seed.
    for record in {_place(r): r for r in base}.values():
        file = _file_of(record, files)
        if file is None or _place(record) in readable:
            continue
        row = ComparisonRow(
            record.algorithm.label,
            record.benchmark.title,
            "gone",
            seeds=(record.seed,),
            metric=record.metric,
            reason=f"its record {file.name} is unreadable",
        )
        # A cell without any readable record has one row for all its seeds.
        whole = [i for i, one in enumerate(found) if _is_gone(one, record)]
        if whole:
            found[whole[0]] = replace(found[whole[0]], reason=row.reason)
        else:
            found.append(row)
    return found


def _is_gone(row: ComparisonRow, record: Record) -> bool:
    cell = (record.algorithm.label, record.benchmark.title)
    return (
        row.verdict == "gone"
        and (row.algorithm, row.benchmark) == cell
        and (record.seed in row.seeds)
    )


def _place(record: Record) -> tuple[str, str, int]:
    return (record.benchmark.title, record.algorithm.label, record.seed)


def _file_of(record: Record, files: dict[tuple[str, str], Path]) -> Path | None:
    """Returns the unreadable file of the same algorithm, benchmark and seed."""
    path = Path(record.file_name)
    # Without the key, which differs if a hyper-parameter or a version has changed.
    start = path.name.rpartition("-")[0] + "-"
    for (folder, name), file in files.items():
        if folder == path.parent.name and name.startswith(start):
            return file
    return None
