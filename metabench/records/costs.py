"""The costs that records hold."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from metabench.records.schema import Record
from metabench.utils.finite import number


def median_cost(records: Iterable[Record], name: str) -> float | None:
    """Returns the median over the seeds of a value of the metric ``cost``, or nothing.

    Args:
        records: One record for each seed.
        name: Key of the value, such as ``adapt_ms``.
    """
    values = (number(r.metrics["cost"].values.get(name)) for r in records if "cost" in r.metrics)
    return median(values)


def median(values: Iterable[float | None]) -> float | None:
    """Returns the median of the values that are known; nothing if none is."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
