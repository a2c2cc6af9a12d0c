"""The whole plugin contract: implement any of these with ``@metabench.hookimpl``.

A package declares the module that holds its hooks as an entry point in the group ``metabench``. The hooks
that bring something return a list; an entry is a class or callable, or a :class:`metabench.Spec` that
names one without importing it.
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
    """Classes that derive from :class:`metabench.Algorithm`."""


@hookspec
def metabench_datasets() -> Iterable[Any]:  # type: ignore[empty-body]
    """Classes that derive from ``metabench.ClassDataset`` or ``metabench.TaskFamily``."""


@hookspec
def metabench_backbones() -> Iterable[Any]:  # type: ignore[empty-body]
    """Classes that derive from ``metabench.Backbone``, called with the input shape and options."""


@hookspec
def metabench_metrics() -> Iterable[Any]:  # type: ignore[empty-body]
    """Classes that derive from :class:`metabench.Metric`."""


@hookspec
def metabench_suites() -> Iterable[Path]:  # type: ignore[empty-body]
    """Paths of TOML files, each a suite with its benchmarks; the file is named as the suite."""


@hookspec
def metabench_recipes() -> Iterable[Path]:  # type: ignore[empty-body]
    """Paths of TOML files with hyper-parameters; each file is named as the algorithm it is for."""


@hookspec
def metabench_executors() -> Iterable[Any]:  # type: ignore[empty-body]
    """Classes that derive from ``metabench.Executor``: where cells run (``run --executor``)."""


@hookspec
def metabench_formats() -> Iterable[Any]:  # type: ignore[empty-body]
    """Functions of a leaderboard and the columns asked for that give text (``leaderboard --format``)."""


@hookspec
def metabench_cell_started(cell: dict[str, Any]) -> None:
    """A cell begins; ``cell`` names its algorithm, benchmark and seed. For trackers."""


@hookspec
def metabench_cell_finished(record: dict[str, Any]) -> None:
    """A cell has ended and its record is stored; ``record`` is that record. For trackers.

    A cell that cannot even begin, because its plugin is broken, has a record and so has this call alone.
    """
