"""Time and memory: they warn, and only within one machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metabench.records.schema import Record, Value
from metabench.runtime.provenance import machine_facts

SLOWER = 1.3
"""A timing warns from this ratio on, if the distance is also more than both distances of quartiles."""

LARGER = 1.2
"""A peak of memory warns from this ratio on."""

_TIMINGS = ("adapt_ms", "predict_ms")
_LEAST_MS = 0.1  # what a clock and a busy machine make of nothing


def other_machine(base: Sequence[Record], new: Sequence[Record]) -> str:
    """Why the costs of some records cannot be compared, in words; empty where they can."""
    first = machine_facts(base[0].environment)
    for record in [*base, *new]:
        facts = machine_facts(record.environment)
        for fact, was in first.items():
            if was != facts[fact]:
                return f"{fact} was {was} and is {facts[fact]}"
    return ""


def warnings(base: Sequence[Record], new: Sequence[Record]) -> list[str]:
    """What got slower or larger, in words; nothing where the machine is another."""
    if other_machine(base, new):
        return []
    found = []
    for name in _TIMINGS:
        was, now = _median(base, name), _median(new, name)
        if was is None or now is None:
            continue
        spread = (_median(base, f"{name}_iqr") or 0.0) + (_median(new, f"{name}_iqr") or 0.0)
        if now > was * SLOWER and now - was > max(spread, _LEAST_MS):
            found.append(f"slower: {name} was {was:.3g} and is {now:.3g}")
    for name in ("peak_device_mb", "peak_process_mb"):
        was, now = _median(base, name), _median(new, name)
        if was is not None and now is not None:
            if now > was * LARGER:
                found.append(f"larger: {name} was {was:.0f} and is {now:.0f}")
            break
    return found


def _median(records: Sequence[Record], name: str) -> float | None:
    """The median over the seeds of a cost that they have."""
    values: list[Value | None] = [
        r.metrics["cost"].values.get(name) for r in records if "cost" in r.metrics
    ]
    numbers = [float(v) for v in values if isinstance(v, (int, float))]
    return float(np.median(numbers)) if numbers else None
