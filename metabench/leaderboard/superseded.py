"""Find the records of algorithms and recipes that have changed since."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch

from metabench.benchmarks.tasks import open_tasks
from metabench.config import DEFAULT_RECIPE
from metabench.errors import MetabenchError, NotApplicable, PluginError, UnknownName
from metabench.records.schema import Record
from metabench.registry import Registry
from metabench.running.cell import Cell
from metabench.running.resolve import algorithm_class, hyperparameters_of
from metabench.utils.values import Value


def superseded(records: Iterable[Record], registry: Registry) -> list[str]:
    """Returns, as a sentence each, the records that the installed code would not make.

    They are valid results of what they name: another version of the algorithm, or other values of
    its recipe. Those of algorithms that are not installed are left out.

    Args:
        records: The records of a leaderboard.
        registry: What is installed.
    """
    return [
        f"{record.file_name}: {change}"
        for record in records
        if record.status == "ok"
        for change in _changes(record, registry)
    ]


def _changes(record: Record, registry: Registry) -> Iterator[str]:
    was = record.algorithm
    try:
        spec = registry.get("algorithm", was.name)
        if spec.distribution != was.distribution:  # another algorithm of the same name
            return
        cls = algorithm_class(spec)
        if str(cls.version) != was.version:
            yield f"made with {was.name}@{was.version}; installed is {was.name}@{cls.version}"
            return
        recipe = was.recipe or DEFAULT_RECIPE
        cell = Cell(was.name, record.benchmark, record.seed, was.overrides, recipe=recipe)
        # The shapes of the data are enough; the data need not be here.
        tasks = open_tasks(registry, record.benchmark, None, torch.device("cpu"))
        now = hyperparameters_of(spec, cls, tasks.problem(registry), cell, registry)
    except (UnknownName, PluginError):
        return
    except NotApplicable as error:
        yield f"the recipe that it was made with is gone: {error.message}"
        return
    except MetabenchError as error:
        yield f"the installed {was.name} cannot run it again: {error.message}"
        return
    old = was.hyperparameters
    changes = [_change(name, old, now) for name in sorted({*old, *now}) if _differs(name, old, now)]
    if changes:
        yield f"made with other values than the recipe '{recipe}' has now: {'; '.join(changes)}"


def _differs(name: str, old: Mapping[str, Value], now: Mapping[str, Value]) -> bool:
    return name not in old or name not in now or old[name] != now[name]


def _change(name: str, old: Mapping[str, Value], now: Mapping[str, Value]) -> str:
    if name not in old:
        return f"{name}={now[name]} is new"
    if name not in now:
        return f"{name}={old[name]} is gone"
    return f"{name} was {old[name]} and is {now[name]}"
