"""The hyper-parameters that an algorithm runs with on a problem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from metabench.algorithms.base import Value, parameters_of, resolve_hyperparameters
from metabench.config import DEFAULT_RECIPE
from metabench.plugins import OWN_DISTRIBUTION
from metabench.recipes.load import names_of, recipes_of
from metabench.recipes.model import Facts
from metabench.recipes.resolve import Resolved, values_for

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
        ConfigError: If a recipe file is not valid or sets an unknown hyper-parameter.
        PluginError: The same for the file of a plugin.
    """
    name = name or cls.name
    found = values_for(
        recipes_of(registry, names_of(cls, name), distribution),
        facts_of(problem),
        algorithm=name,
        hyperparameters=list(parameters_of(cls)),
        name=recipe,
    )
    by_code = cls.recipe(problem) if recipe == DEFAULT_RECIPE else {}
    return Resolved(found.name, {**by_code, **found.values}, found.sources)


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
