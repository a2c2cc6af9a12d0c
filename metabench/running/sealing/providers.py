"""Which plugins the scorer of a cell imports."""

from __future__ import annotations

import contextlib

from metabench.errors import MetabenchError
from metabench.registry import Registry
from metabench.running.cell import Cell
from metabench.running.resolve import resolve_metrics


def providers_of(cell: Cell, registry: Registry) -> tuple[str, ...]:
    """Returns the distributions that provide the data sets and metrics of a cell.

    Args:
        cell: The cell.
        registry: What is installed.
    """
    datasets = [cell.benchmark.dataset, cell.benchmark.test_dataset]
    owners = [registry.owner("metric", name) for name in cell.measured]
    # A broken or unknown metric is reported where it is measured.
    with contextlib.suppress(MetabenchError):
        for metric in resolve_metrics(cell, registry):
            if cell.benchmark.metric_options.get(metric.name):  # without options, none has any
                datasets += metric.make().datasets
    owners += [registry.owner("dataset", name) for name in datasets if name]
    return tuple(sorted(set(filter(None, owners))))
