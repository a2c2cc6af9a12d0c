"""The hyper-parameters that an algorithm runs with on a problem."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING

from metabench.algorithms.base import (
    Value,
    convert_value,
    parameters_of,
    resolve_hyperparameters,
)
from metabench.config import DEFAULT_RECIPE
from metabench.errors import PluginError, UsageError
from metabench.plugins import OWN_DISTRIBUTION
from metabench.recipes.load import names_of, recipes_of
from metabench.recipes.model import Facts
from metabench.recipes.resolve import BUDGET, NOT_ITS_OWN, Resolved, budget_hint, values_for

if TYPE_CHECKING:
    from metabench.algorithms.base import Algorithm
    from metabench.algorithms.problem import Problem
    from metabench.registry import Registry


def facts_of(problem: Problem) -> Facts:
    """Returns what the condition of a recipe may ask of a problem."""
    return Facts(
        kind=problem.kind,
        modality=problem.modality,
        ways=problem.ways,
        shots=problem.shots,
        budget=problem.budget,
        dataset=problem.dataset,
    )


def recipe_for(
    registry: Registry,
    cls: type[Algorithm],
    problem: Problem,
    *,
    recipe: str = DEFAULT_RECIPE,
    name: str = "",
    distribution: str = OWN_DISTRIBUTION,
) -> Resolved:
    """Returns the values that a recipe sets for a problem.

    Those of :meth:`Algorithm.recipe` come before the entries of the recipe files.

    Args:
        registry: What is installed.
        cls: The algorithm.
        problem: The problem.
        recipe: The name of the recipe.
        name: The name under which the algorithm is installed; by default its own.
        distribution: The distribution that brings the algorithm.

    Raises:
        NotApplicable: If the algorithm has no such recipe for the problem.
        ConfigError: If a recipe file is not valid, sets an unknown hyper-parameter, or has a value
            of another type.
        PluginError: The same for the file of a plugin, and for :meth:`Algorithm.recipe`.
    """
    name = name or cls.name
    known = parameters_of(cls)

    def convert(key: str, value: Value) -> Value:
        return convert_value(f"values.{key}", known[key], value, text=False)

    found = values_for(
        recipes_of(registry, names_of(cls, name), distribution),
        facts_of(problem),
        algorithm=name,
        hyperparameters=list(known),
        name=recipe,
        convert=convert,
    )
    by_code: dict[str, Value] = {}
    if recipe == DEFAULT_RECIPE:
        by_code = _from_code(cls, known, problem)
    return Resolved(found.name, {**by_code, **found.values}, found.sources)


def _from_code(
    cls: type[Algorithm], known: Mapping[str, inspect.Parameter], problem: Problem
) -> dict[str, Value]:
    """Returns the values of :meth:`Algorithm.recipe`, converted to their types."""
    values: dict[str, Value] = {}
    for key, value in cls.recipe(problem).items():
        where = f"the recipe method of '{cls.name}'"
        if key == BUDGET and key not in known:
            raise PluginError(f"{where} sets '{BUDGET}', {NOT_ITS_OWN}", hint=budget_hint(cls.name))
        if key not in known:
            raise PluginError(f"{where} sets '{key}', which is not a hyper-parameter of it.")
        try:
            values[key] = convert_value(key, known[key], value)
        except UsageError as error:
            raise PluginError(f"{where}: {error.message}", hint=error.hint) from error
    return values


def hyperparameters_for(
    registry: Registry,
    cls: type[Algorithm],
    problem: Problem,
    chosen: Mapping[str, Value | str],
    *,
    recipe: str = DEFAULT_RECIPE,
) -> dict[str, Value]:
    """Returns the hyper-parameters of an algorithm: chosen, else its recipe's, else the defaults.

    Args:
        registry: What is installed.
        cls: The algorithm.
        problem: The problem.
        chosen: Values by name; text is read as the hyper-parameter's type.
        recipe: The name of the recipe.

    Raises:
        UsageError: If there is no such hyper-parameter, or a value is not of its type.
        NotApplicable: If the algorithm has no such recipe for the problem.
    """
    resolved = recipe_for(registry, cls, problem, recipe=recipe)
    return resolve_hyperparameters(cls, chosen, resolved.values)
