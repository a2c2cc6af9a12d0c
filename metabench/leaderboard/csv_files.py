"""CSV files beside the records of a leaderboard, which hold what the records do not."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from metabench.errors import ResultsError


def read_rows(path: Path, columns: Sequence[str], *, kind: str, hint: str) -> list[dict[str, str]]:
    """Returns the rows of a CSV file; none if there is no such file.

    Args:
        path: The file.
        columns: Its columns.
        kind: What it should be, for the message.
        hint: What to do if it is not.

    Raises:
        ResultsError: If it cannot be read, or has other columns or an incomplete row.
    """
    if not path.exists():
        return []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if reader.fieldnames != list(columns):
                raise ValueError(f"its columns are {reader.fieldnames}")
            rows = list(reader)
        for number, row in enumerate(rows, 1):
            if None in row or None in row.values():
                raise ValueError(f"row {number} has not {len(columns)} values")
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise ResultsError(f"'{path}' is not {kind}: {error}.", hint=hint) from error
    return rows
