"""The plugin contract: implement any of these hooks with ``@metabench.hookimpl``.

A package declares the module with its hooks as an entry point in the group ``metabench``. All hooks
but the last two return a list, whose entries are classes or callables, or instances of
:class:`metabench.Spec`, which name one without importing it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pluggy

hookspec = pluggy.HookspecMarker("metabench")
hookimpl = pluggy.HookimplMarker("metabench")


@hookspec
def metabench_algorithms() -> Iterable[Any]:  # type: ignore[empty-body]
    """Returns classes that derive from :class:`metabench.Algorithm`."""


@hookspec
def metabench_datasets() -> Iterable[Any]:  # type: ignore[empty-body]
    """Returns classes that derive from ``metabench.ClassDataset`` or ``metabench.TaskFamily``."""


@hookspec
def metabench_backbones() -> Iterable[Any]:  # type: ignore[empty-body]
    """Returns classes that derive from ``metabench.Backbone``; made from a shape and options."""


@hookspec
def metabench_metrics() -> Iterable[Any]:  # type: ignore[empty-body]
    """Returns classes that derive from :class:`metabench.Metric`."""


@hookspec
def metabench_suites() -> Iterable[Path]:  # type: ignore[empty-body]
    """Returns paths of TOML files, each a suite with its benchmarks, named like the suite."""


@hookspec
def metabench_recipes() -> Iterable[Path]:  # type: ignore[empty-body]
    """Returns paths of TOML files with hyper-parameters, each named as the algorithm it is for."""


@hookspec
def metabench_executors() -> Iterable[Any]:  # type: ignore[empty-body]
    """Returns classes that derive from ``metabench.Executor``, for ``metabench run --executor``."""


@hookspec
def metabench_formats() -> Iterable[Any]:  # type: ignore[empty-body]
    """Returns functions from a leaderboard and columns to text, for ``leaderboard --format``."""


@hookspec
def metabench_cell_started(cell: dict[str, Any]) -> None:
    """Called when a cell starts; ``cell`` has its algorithm, benchmark and seed. For trackers."""


@hookspec
def metabench_cell_finished(record: dict[str, Any]) -> None:
    """Called when the record of a cell is stored; ``record`` is that record. For trackers.

    For a cell that never starts, because its plugin is broken, this is the only call.
    """
