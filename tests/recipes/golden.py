"""Write the hyper-parameters of every built-in algorithm on every built-in benchmark.

::

    python -m tests.recipes.golden

writes ``golden.json`` from the current recipes. Run it if values change on purpose, and review the
difference: the keys of records depend on these values. The table holds the values that differ from
the defaults of the signature.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metabench.algorithms.base import parameters_of
from metabench.benchmarks.model import Benchmark, collect_benchmarks, load_suites
from metabench.config import DEFAULT_RECIPE
from metabench.plugins import Plugins
from metabench.recipes.load import names_of, recipes_of
from metabench.recipes.model import Facts
from metabench.recipes.resolve import values_for
from metabench.registry import Registry, Spec

GOLDEN = Path(__file__).with_name("golden.json")

Table = dict[str, list[dict[str, Any]]]
"""The distinct values of each algorithm, with the benchmarks that have them."""


def built_in() -> Registry:
    return Plugins(only=()).registry


def benchmarks(registry: Registry) -> list[Benchmark]:
    """Returns every built-in benchmark, and its form with ``--quick``."""
    whole = collect_benchmarks(load_suites(registry).values()).values()
    return [form for benchmark in whole for form in (benchmark, benchmark.quickened())]


def facts_of(benchmark: Benchmark) -> Facts:
    """Returns the facts of a built-in benchmark without opening its data set."""
    return Facts(
        kind="classification" if benchmark.ways else "regression",
        modality="vector" if benchmark.dataset == "sinusoid" else "image",
        ways=benchmark.ways,
        shots=benchmark.shots,
        budget=benchmark.budget,
        dataset=benchmark.dataset,
    )


def resolve(
    registry: Registry, spec: Spec, benchmark: Benchmark, recipe: str = DEFAULT_RECIPE
) -> dict[str, Any]:
    """Returns all hyper-parameters of a cell but the budget, which is the benchmark's.

    Raises:
        NotApplicable: If the algorithm has no such recipe, or it does not apply.
    """
    cls = spec.load()
    known = parameters_of(cls)
    resolved = values_for(
        recipes_of(registry, names_of(cls, spec.name)),
        facts_of(benchmark),
        algorithm=spec.name,
        hyperparameters=known,
        name=recipe,
    )
    return {name: parameter.default for name, parameter in known.items()} | resolved.values


def differences(registry: Registry, spec: Spec, benchmark: Benchmark) -> dict[str, Any]:
    """Returns the resolved values that differ from the defaults of the signature."""
    defaults = {name: p.default for name, p in parameters_of(spec.load()).items()}
    values = resolve(registry, spec, benchmark)
    return {name: value for name, value in values.items() if value != defaults[name]}


def table(registry: Registry) -> Table:
    """Returns the whole table; benchmarks with the same values share a row."""
    rows_by_algorithm: Table = {}
    for spec in registry.specs("algorithm"):
        rows: dict[str, list[str]] = {}
        for benchmark in benchmarks(registry):
            values = json.dumps(differences(registry, spec, benchmark), sort_keys=True)
            rows.setdefault(values, []).append(benchmark.title)
        rows_by_algorithm[spec.name] = [
            {"benchmarks": b, "values": json.loads(v)} for v, b in rows.items()
        ]
    return rows_by_algorithm


def read(path: Path = GOLDEN) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield algorithm, title of the benchmark and differences for each entry of the table."""
    stored: Table = json.loads(path.read_text(encoding="utf-8"))
    for algorithm, rows in stored.items():
        for row in rows:
            for title in row["benchmarks"]:
                yield algorithm, title, row["values"]


def text_of(rows_by_algorithm: Table) -> str:
    """Returns the table as JSON with one line for each row, so that diffs are short."""
    lines = (
        f'"{algorithm}": [\n ' + ",\n ".join(map(json.dumps, rows)) + "\n]"
        for algorithm, rows in rows_by_algorithm.items()
    )
    return "{" + ",\n".join(lines) + "}\n"


if __name__ == "__main__":
    GOLDEN.write_text(text_of(table(built_in())), encoding="utf-8")
