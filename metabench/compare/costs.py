"""Warnings about time and memory, within one machine only."""

from __future__ import annotations

from collections.abc import Sequence

from metabench.records.costs import median_cost
from metabench.records.schema import Record
from metabench.runtime.provenance import machine_facts

SLOWER = 1.3
"""A timing warns from this ratio on, if it also exceeds the sum of both interquartile ranges."""

LARGER = 1.2
"""A peak of memory warns from this ratio on."""

_TIMINGS = ("adapt_ms", "predict_ms")
_LEAST_MS = 0.1  # the scheduler alone changes a timing by this much


def other_machine(base: Sequence[Record], new: Sequence[Record]) -> str:
    """Returns why the costs of some records are not comparable; empty if they are."""
    first = machine_facts(base[0].environment)
    for record in [*base, *new]:
        facts = machine_facts(record.environment)
        for fact, was in first.items():
            if was != facts[fact]:
                return f"{fact} was {was} and is {facts[fact]}"
    return ""


def warnings(base: Sequence[Record], new: Sequence[Record]) -> list[str]:
    """Returns what became slower or larger; nothing between two machines."""
    if other_machine(base, new):
        return []
    found = []
    for name in _TIMINGS:
        was, now = median_cost(base, name), median_cost(new, name)
        if was is None or now is None:
            continue
        iqr = f"{name}_iqr"
        spread = (median_cost(base, iqr) or 0.0) + (median_cost(new, iqr) or 0.0)
        if now > was * SLOWER and now - was > max(spread, _LEAST_MS):
            found.append(f"slower: {name} was {was:.3g} and is {now:.3g}")
    for name in ("peak_device_mb", "peak_process_mb"):
        was, now = median_cost(base, name), median_cost(new, name)
        if was is not None and now is not None:
            if now > was * LARGER:
                found.append(f"larger: {name} was {was:.0f} and is {now:.0f}")
            break  # on a GPU the memory of the process says nothing
    return found
