"""The hyper-parameters that a recipe sets for a benchmark."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from metabench.config import DEFAULT_RECIPE
from metabench.errors import NotApplicable, UsageError
from metabench.recipes.model import Facts, Recipe, RecipeFile, Value, fault

BUDGET = "budget"
"""The examples that meta-training may draw: no recipe may set it."""

NOT_ITS_OWN = "which is the benchmark's, the same for all algorithms."
"""Why a recipe may not set the budget, for messages."""


@dataclass(frozen=True)
class Resolved:
    """What a recipe comes to for one benchmark.

    Attributes:
        name: the name of the recipe.
        values: hyper-parameters by name.
        sources: where the entries that apply come from, each once, in the order of the files.
    """

    name: str
    values: dict[str, Value]
    sources: tuple[str, ...]


def values_for(
    files: Sequence[RecipeFile],
    facts: Facts,
    *,
    algorithm: str,
    hyperparameters: Collection[str],
    name: str = DEFAULT_RECIPE,
    convert: Callable[[str, Value], Value] = lambda key, value: value,
) -> Resolved:
    """Returns the hyper-parameters that a recipe sets for a benchmark.

    The entries of that name whose condition holds apply in order, and each overrides the values of
    those before it. The recipe ``default`` may have none, which leaves the defaults of the
    algorithm's signature.

    Args:
        files: the recipe files of the algorithm, see :func:`metabench.recipes.load.recipes_of`.
        facts: the benchmark.
        algorithm: the name of the algorithm, for messages.
        hyperparameters: the names that the algorithm has.
        name: the name of the recipe.
        convert: Returns a value by its name as the type of the hyper-parameter, or raises
            UsageError; by default values are not checked.

    Raises:
        NotApplicable: If the algorithm has no other recipe of that name, or none of its entries
            applies to the benchmark.
        ConfigError: If an entry that applies sets a hyper-parameter that the algorithm lacks, or a
            value is not of its type.
        PluginError: The same in the file of a plugin.
    """
    values: dict[str, Value] = {}
    sources: dict[str, None] = {}
    names = {DEFAULT_RECIPE: None}  # a dict keeps the order of the file for the hint
    for file in files:
        for place, recipe in file.entries():
            names[recipe.name] = None
            if recipe.name == name and recipe.when.matches(facts):
                # Only here: a subclass may inherit entries for benchmarks that it never runs on.
                _check(file, place, recipe, algorithm, hyperparameters)
                values |= _converted(file, place, recipe, convert)
                sources[recipe.source] = None
    if name not in names:
        raise NotApplicable(
            f"{algorithm} has no recipe '{name}'.", hint=f"It has {', '.join(names)}."
        )
    if name != DEFAULT_RECIPE and not sources:
        raise NotApplicable(
            f"the recipe '{name}' of {algorithm} does not apply to this benchmark ({facts}).",
            hint="`metabench list recipes` shows the condition of each entry.",
        )
    return Resolved(name, values, tuple(sources))


def _converted(
    file: RecipeFile, place: str, recipe: Recipe, convert: Callable[[str, Value], Value]
) -> dict[str, Value]:
    try:
        return {key: convert(key, value) for key, value in recipe.values.items()}
    except UsageError as error:
        raise fault(file.distribution, f"{place}: {error.message}", hint=error.hint) from error


def _check(
    file: RecipeFile,
    place: str,
    recipe: Recipe,
    algorithm: str,
    hyperparameters: Collection[str],
) -> None:
    known = list(hyperparameters)
    for key in recipe.values:
        if key in known:
            continue
        hint = f"It has {', '.join(known)}."
        close = difflib.get_close_matches(key, known, n=1)
        guess = f" Did you mean '{close[0]}'?" if close else ""
        if key == BUDGET:
            text = f"{place} sets '{BUDGET}', {NOT_ITS_OWN}"
            raise fault(file.distribution, text, hint=budget_hint(algorithm))
        raise fault(
            file.distribution,
            f"{place}: '{algorithm}' has no hyper-parameter '{key}'.{guess}",
            hint=hint,
        )


def budget_hint(algorithm: str) -> str:
    """Returns what to do instead of setting the budget in a recipe."""
    return f"Remove it; `--set {algorithm}.{BUDGET}=N` lowers it for one run."
