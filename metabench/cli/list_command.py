"""``metabench list``: list what is installed."""

from __future__ import annotations

from typing import Any

import click

from metabench.cli.output import print_json, print_table
from metabench.cli.records import json_option

KINDS = (
    "algorithms",
    "benchmarks",
    "suites",
    "recipes",
    "datasets",
    "backbones",
    "metrics",
    "executors",
    "formats",
)


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS), default="algorithms")
@json_option
def command(kind: str, as_json: bool) -> None:
    """List algorithms, benchmarks, suites, recipes, datasets, backbones and the like."""
    # Suites and recipes are files in the registry, and benchmarks are in suites.
    makers = {"benchmarks": _benchmarks, "suites": _suites, "recipes": _recipes}
    rows = makers[kind]() if kind in makers else _specs(kind)
    if as_json:
        print_json(rows)
    else:
        print_table([{key: _text(value) for key, value in row.items()} for row in rows])


def _text(value: Any) -> Any:
    if isinstance(value, dict):
        return ", ".join(f"{name}={setting}" for name, setting in value.items())
    return value


def _recipes() -> list[dict[str, Any]]:
    from metabench.plugins import installed_plugins
    from metabench.recipes.load import recipe_rows

    return recipe_rows(installed_plugins().registry)


def _specs(kind: str) -> list[dict[str, Any]]:
    from metabench.plugins import installed_plugins
    from metabench.registry import KINDS as REGISTRY_KINDS

    (singular,) = (k for k in REGISTRY_KINDS if f"{k}s" == kind)
    return [
        {
            "name": spec.name,
            "version": spec.version,
            "library": spec.library or spec.distribution,  # without one, its own code does the work
            "distribution": spec.distribution,
            "summary": spec.summary,
        }
        for spec in installed_plugins().registry.specs(singular)
    ]


def _suites() -> list[dict[str, Any]]:
    from metabench.benchmarks.model import load_suites
    from metabench.plugins import installed_plugins

    return [
        {
            "name": suite.name,
            "version": suite.version,
            "benchmarks": ", ".join(b.name for b in suite.benchmark),
            "summary": suite.summary,
        }
        for suite in load_suites(installed_plugins().registry).values()
    ]


def _benchmarks() -> list[dict[str, Any]]:
    from metabench.benchmarks.model import load_suites
    from metabench.plugins import installed_plugins

    return [
        {
            "name": b.name,
            "version": b.version,
            "suite": suite.name,
            "dataset": b.dataset,
            "ways": b.ways,
            "shots": b.shots,
            "queries": b.queries,
            "backbone": b.backbone,
            "budget": b.budget,
            "test_episodes": b.test_episodes,
        }
        for suite in load_suites(installed_plugins().registry).values()
        for b in suite.benchmark
    ]
