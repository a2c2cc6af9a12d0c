"""Write the hyper-parameters that every built-in resolves to on every benchmark that ships.

::

    python -m tests.recipes.golden

writes ``golden.json`` anew from the recipes as they are. Run it where values change on purpose, and
review the difference: the keys of records depend on these values. The table holds what differs from
the defaults of the algorithm's signature, and the budget where it is less than the benchmark's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metabench.algorithms.base import parameters_of
from metabench.benchmarks.model import QUICK_SHRINK, Benchmark, collect_benchmarks, load_suites
from metabench.plugins import Plugins
from metabench.recipes.load import names_of, recipes_of
from metabench.recipes.model import Facts
from metabench.recipes.resolve import BUDGET, values_for
from metabench.registry import Registry, Spec

GOLDEN = Path(__file__).with_name("golden.json")

Table = dict[str, list[dict[str, Any]]]
"""For each algorithm the different values, each with the benchmarks that have them."""


def built_in() -> Registry:
    return Plugins(only=()).registry


def benchmarks(registry: Registry) -> list[Benchmark]:
    """Every benchmark that ships, and its form with ``--quick``."""
    whole = collect_benchmarks(load_suites(registry).values()).values()
    return [form for benchmark in whole for form in (benchmark, benchmark.quickened())]


def facts_of(benchmark: Benchmark) -> Facts:
    """What a recipe is told of a benchmark that ships, without opening its data set."""
    return Facts(
        kind="classification" if benchmark.ways else "regression",
        modality="vector" if benchmark.dataset == "sinusoid" else "image",
        ways=benchmark.ways,
        shots=benchmark.shots,
        budget=benchmark.budget,
        dataset=benchmark.dataset,
    )


def resolve(registry: Registry, spec: Spec, benchmark: Benchmark) -> dict[str, Any]:
    """All hyper-parameters of a cell, with the budget that the harness makes of the recipe's."""
    cls = spec.load()
    known = parameters_of(cls)
    resolved = values_for(
        recipes_of(registry, names_of(cls, spec.name)),
        facts_of(benchmark),
        algorithm=spec.name,
        hyperparameters=known,
    )
    values = {name: parameter.default for name, parameter in known.items()} | resolved.values
    most = int(values.pop(BUDGET, 0))
    if benchmark.quick:
        most = -(-most // QUICK_SHRINK)
    values[BUDGET] = min(most or benchmark.budget, benchmark.budget)
    return values


def differences(registry: Registry, spec: Spec, benchmark: Benchmark) -> dict[str, Any]:
    """The resolved values that are not the defaults of the signature and of the benchmark."""
    defaults = {name: p.default for name, p in parameters_of(spec.load()).items()}
    defaults[BUDGET] = benchmark.budget
    values = resolve(registry, spec, benchmark)
    return {name: value for name, value in values.items() if value != defaults[name]}


def table(registry: Registry) -> Table:
    """Everything, with benchmarks of the same values in one row."""
    made: Table = {}
    for spec in registry.specs("algorithm"):
        rows: dict[str, list[str]] = {}
        for benchmark in benchmarks(registry):
            values = json.dumps(differences(registry, spec, benchmark), sort_keys=True)
            rows.setdefault(values, []).append(benchmark.title)
        made[spec.name] = [{"benchmarks": b, "values": json.loads(v)} for v, b in rows.items()]
    return made


def read(path: Path = GOLDEN) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield algorithm, title of the benchmark and differences for each entry of the table."""
    stored: Table = json.loads(path.read_text(encoding="utf-8"))
    for algorithm, rows in stored.items():
        for row in rows:
            for title in row["benchmarks"]:
                yield algorithm, title, row["values"]


def text_of(made: Table) -> str:
    """The table as JSON with a line for each row, so that a change is a line of a diff."""
    lines = (
        f'"{algorithm}": [\n ' + ",\n ".join(map(json.dumps, rows)) + "\n]"
        for algorithm, rows in made.items()
    )
    return "{" + ",\n".join(lines) + "}\n"


if __name__ == "__main__":
    GOLDEN.write_text(text_of(table(built_in())), encoding="utf-8")
