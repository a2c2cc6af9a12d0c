"""Compare the records of a leaderboard with what the installed code would run now."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

import torch

from metabench.algorithms.base import Algorithm
from metabench.algorithms.problem import Problem
from metabench.benchmarks.tasks import open_tasks
from metabench.config import DEFAULT_RECIPE
from metabench.errors import CellFailed, MetabenchError, NotApplicable, PluginError, UnknownName
from metabench.leaderboard.codes import Recheck, same_numbers
from metabench.recipes.resolve import BUDGET
from metabench.records.schema import Record
from metabench.registry import Registry, describe_error
from metabench.running.cell import Cell
from metabench.running.code_digest import code_of
from metabench.running.resolve import algorithm_class, hyperparameters_of
from metabench.runtime.rng_state import preserved_random_state
from metabench.utils.text import counted
from metabench.utils.values import Value


@dataclass
class Comparison:
    """What the installed code says of the records of a leaderboard.

    Attributes:
        changes: The changes, each with the records that it concerns.
        other_code: The records that were made with other code of the same version and recipe, each
            with the installed code.
        left_out: The algorithms that were not compared, each with the reason.
    """

    changes: dict[str, list[Record]] = field(default_factory=lambda: defaultdict(list))
    other_code: list[tuple[Record, str]] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def problems(self, folder: Path) -> list[str]:
        """Returns each change as a sentence that says what to do.

        Args:
            folder: The folder of the leaderboard.
        """
        other_code: defaultdict[str, list[Record]] = defaultdict(list)
        for record, code in self.other_code:
            was = record.algorithm
            text = (
                f"made with other code of {was.name}@{was.version} than the installed (code "
                f"{record.code[:12]} and {code[:12]}); if the numbers are the same, `metabench "
                f"leaderboard {quote(str(folder))} --recheck` accepts it"
            )
            other_code[text].append(record)
        return [
            *(_problem(change, group, folder) for change, group in self.changes.items()),
            *(
                _problem(change, group, folder, remedy="Otherwise remove the old records")
                for change, group in other_code.items()
            ),
        ]

    def notices(self) -> list[str]:
        """Returns, as a sentence each, what was not compared."""
        return [
            f"not compared with the installed code: {name} ({why})"
            for name, why in sorted(self.left_out.items())
        ]


class _Installed(NamedTuple):
    """What is installed of an algorithm: its code, or how it differs, or why it is unknown."""

    code: str = ""
    change: str = ""
    unknown: str = ""


def compare_with_installed(
    records: Iterable[Record], registry: Registry, lines: Sequence[Recheck] = ()
) -> Comparison:
    """Compare each record that is ok with what the installed algorithm would run now.

    Args:
        records: The records of a leaderboard.
        registry: What is installed.
        lines: The lines of its ``code.csv``.
    """
    comparison = Comparison()
    groups: defaultdict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in records:
        if record.status == "ok":  # all seeds of a row run the same code
            what = record.algorithm.model_dump_json(), record.benchmark.model_dump_json()
            groups[what].append(record)
    for group in groups.values():
        now = _installed(group[0], registry)
        if now.unknown:
            comparison.left_out[group[0].algorithm.name] = now.unknown
        elif now.change:
            comparison.changes[now.change] += group
        else:
            comparison.other_code += [
                (record, now.code)
                for record in group
                # Records without a code are a problem of their own.
                if record.code and not same_numbers(lines, record.algorithm, record.code, now.code)
            ]
    return comparison


def cell_of(record: Record) -> Cell:
    """Returns the cell of a record, with the metric that ranks alone."""
    was = record.algorithm
    return Cell(
        was.name,
        record.benchmark,
        record.seed,
        was.overrides,
        metrics=(record.metric,),
        recipe=was.recipe or DEFAULT_RECIPE,
    )


def _installed(record: Record, registry: Registry) -> _Installed:
    """Returns what the installed algorithm would run the cell of a record with."""
    was = record.algorithm
    try:
        spec = registry.get("algorithm", was.name)
        if spec.distribution != was.distribution:  # another algorithm of the same name
            return _Installed(unknown=f"that of '{was.distribution}' is not installed")
        cls = algorithm_class(spec)
        if str(cls.version) != was.version:
            made = f"made with {was.name}@{was.version}"
            return _Installed(change=f"{made}; installed is {was.name}@{cls.version}")
        # The shapes of the data are enough; the data need not be here.
        tasks = open_tasks(registry, record.benchmark, None, torch.device("cpu"))
        problem, cell = tasks.problem(registry), cell_of(record)
        values = hyperparameters_of(spec, cls, problem, cell, registry)
        if changes := _changes(was.hyperparameters, values):
            made = f"made with other values than the recipe '{cell.recipe}' has now"
            return _Installed(change=f"{made}: {'; '.join(changes)}")
        code = code_of(_make(cls, problem, values))
    except UnknownName as error:
        return _Installed(unknown=f"'{error.name}' is not installed")
    except PluginError as error:
        return _Installed(unknown=error.one_line)
    except NotApplicable as error:
        return _Installed(change=f"the recipe that it was made with is gone: {error.message}")
    except MetabenchError as error:
        return _Installed(change=f"the installed {was.name} cannot run it again: {error.message}")
    return _Installed(code) if code else _Installed(unknown="its code is not Python source")


def _make(cls: type[Algorithm], problem: Problem, values: Mapping[str, Value]) -> Algorithm:
    """Construct an algorithm.

    Raises:
        CellFailed: If that raises an error.
    """
    arguments: dict[str, Any] = {name: v for name, v in values.items() if name != BUDGET}
    try:
        with preserved_random_state():
            return cls(problem, **arguments)
    except MetabenchError:
        raise
    except Exception as error:
        raise CellFailed(describe_error(error)) from error


def _changes(old: Mapping[str, Value], now: Mapping[str, Value]) -> list[str]:
    return [_change(name, old, now) for name in sorted({*old, *now}) if _differs(name, old, now)]


def _differs(name: str, old: Mapping[str, Value], now: Mapping[str, Value]) -> bool:
    return name not in old or name not in now or old[name] != now[name]


def _change(name: str, old: Mapping[str, Value], now: Mapping[str, Value]) -> str:
    if name not in old:
        return f"{name}={now[name]} is new"
    if name not in now:
        return f"{name}={old[name]} is gone"
    return f"{name} was {old[name]} and is {now[name]}"


def _problem(
    change: str,
    records: Sequence[Record],
    folder: Path,
    *,
    remedy: str = "Remove the old records",
) -> str:
    others = f" and {counted(len(records) - 1, 'other record')}" if records[1:] else ""
    commands = " && ".join(dict.fromkeys(_commands(records, folder)))
    # A new version or recipe has another key, so that its record replaces no file.
    return (
        f"{records[0].file_name}{others}: {change}. {remedy}, run `{commands}`, then "
        f"`metabench leaderboard {quote(str(folder))} --write`"
    )


def _commands(records: Sequence[Record], folder: Path) -> Iterator[str]:
    """Yield commands that run all cells of some records again."""
    rows: defaultdict[tuple[str, str, str], list[Record]] = defaultdict(list)
    for record in records:
        was = record.algorithm
        rows[was.name, was.recipe, json.dumps(was.overrides, sort_keys=True)].append(record)
    for (name, recipe, _), found in rows.items():
        words = ["metabench", "run", "--fresh", "-a", name]
        for benchmark in sorted({record.benchmark.name for record in found}):
            words += ["-b", benchmark]
        seeds = sorted({record.seed for record in found})
        words += ["--seeds", ",".join(map(str, seeds)) + ("," if len(seeds) == 1 else "")]
        if recipe not in ("", DEFAULT_RECIPE):
            words += ["--recipe", recipe]
        for parameter, value in sorted(found[0].algorithm.overrides.items()):
            words += ["--set", f"{name}.{parameter}={value}"]
        yield " ".join(map(quote, [*words, "--results", str(folder)]))
