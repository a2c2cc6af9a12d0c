"""Rows as CSV text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence


def rows_text(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Returns rows as CSV with a line of headings, the same bytes on every system."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
