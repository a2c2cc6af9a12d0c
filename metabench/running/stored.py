"""Which stored record belongs to a cell, and why it is stale if it is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Literal, NamedTuple

from metabench.benchmarks.model import Benchmark
from metabench.errors import PluginError
from metabench.records.schema import FINAL, AlgorithmId, Record
from metabench.running.resolve import ResolvedCell

CellState = Literal["stored", "new", "stale", "skipped"]
"""The state of a cell.

``stored``: its record exists; ``new``: it has none; ``stale``: it has one that is outdated;
``skipped``: its algorithm has no such recipe for the benchmark.
"""


class Finding(NamedTuple):
    """The state of a cell, the reason, and its record with the same key if there is a final one."""

    state: CellState
    why: str
    record: Record | None = None


class StoredRecords:
    """The records of a results folder, indexed by key and by what a user calls the same cell.

    Args:
        records: The records.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self._by_key: dict[str, Record] = {}
        self._by_label: dict[tuple[object, ...], Record] = {}
        for record in sorted(records, key=lambda r: r.finished):  # of equals, the latest counts
            known = self._by_key.get(record.key)
            # A later failure, say on another machine, does not replace a result.
            if known is None or known.status not in FINAL:
                self._by_key[record.key] = record
            label = _label(record.algorithm, record.benchmark, record.seed)
            self._by_label[label] = record

    def find(self, resolved: ResolvedCell) -> Finding:
        """Returns the state of a cell. A ``stale`` finding has a record if its key is unchanged."""
        cell = resolved.cell
        record = self._by_key.get(resolved.key)
        if record is not None:
            if record.status not in FINAL:
                return Finding("new", f"the last attempt ended as {record.status}")
            # The key includes the version of a benchmark but not its definition.
            if record.benchmark.scored != cell.benchmark.scored:
                return Finding("stale", _redefined(record.benchmark, cell.benchmark))
            if record.status == "ok" and (why := _not_measured(record, resolved)):
                return Finding("stale", why, record)
            return Finding("stored", "its record is there", record)
        other = self._by_label.get(_label(resolved.algorithm, cell.benchmark, cell.seed))
        if other is not None and other.status in FINAL:
            return Finding("stale", _difference(other, cell.benchmark, resolved.algorithm))
        return Finding("new", "there is no record of it")


def _label(algorithm: AlgorithmId, benchmark: Benchmark, seed: int) -> tuple[object, ...]:
    return algorithm.label, benchmark.name, benchmark.quick, benchmark.episodes_salt, seed


def _not_measured(record: Record, resolved: ResolvedCell) -> str:
    """Returns why a record lacks a requested metric, or nothing."""
    missing = [m.name for m in resolved.metrics if m.name not in record.metrics]
    if missing:
        return f"it was not measured for {', '.join(missing)}"
    for metric in resolved.metrics:
        was = record.benchmark.metric_options.get(metric.name, {})
        if was != metric.options:
            return f"the options of {metric.name} were {was} and are {metric.options}"
        # A metric that cannot be imported says so in the record when it is measured.
        with contextlib.suppress(PluginError):
            version = record.metrics[metric.name].version
            if version != metric.version:
                return f"{metric.name} was version {version} and is {metric.version}"
    return ""


def _redefined(was: Benchmark, now: Benchmark) -> str:
    """Returns what was changed in a benchmark whose version was not increased."""
    old, new = was.scored.model_dump(), now.scored.model_dump()
    changed = "; ".join(f"{k} was {old[k]} and is {new[k]}" for k in old if old[k] != new[k])
    return f"the benchmark was changed without a new version ({now.version}): {changed}"


def _difference(old: Record, benchmark: Benchmark, algorithm: AlgorithmId) -> str:
    """Returns the first reason why a record has another key than the cell of the same label."""
    was = old.algorithm
    if old.benchmark.version != benchmark.version:
        return f"the benchmark was version {old.benchmark.version} and is {benchmark.version}"
    if was.distribution != algorithm.distribution:
        return f"the distribution was '{was.distribution}' and is '{algorithm.distribution}'"
    if was.version != algorithm.version:
        return f"the algorithm was version {was.version} and is {algorithm.version}"
    before, now = was.hyperparameters, algorithm.hyperparameters
    changed = [
        f"{name} was {before.get(name)} and is {now.get(name)}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]
    return "; ".join(changed) or "the data set has changed"
