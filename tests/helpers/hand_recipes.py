"""The default recipes without what a study wrote: a new study must not change what tests test."""

from __future__ import annotations

import dataclasses

from metabench.algorithms.base import Algorithm, Value, parameters_of
from metabench.algorithms.problem import Problem
from metabench.config import DEFAULT_RECIPE
from metabench.plugins import installed_plugins
from metabench.recipes.hyperparameters import facts_of
from metabench.recipes.load import names_of, recipes_of
from metabench.recipes.model import RecipeFile
from metabench.recipes.resolve import values_for


def hand_recipe(cls: type[Algorithm], problem: Problem) -> dict[str, Value]:
    """Returns the values that the entries by hand set for a problem."""
    files = recipes_of(installed_plugins().registry, names_of(cls, cls.name))
    found = values_for(
        [_by_hand(file) for file in files],
        facts_of(problem),
        algorithm=cls.name,
        hyperparameters=parameters_of(cls),
        name=DEFAULT_RECIPE,
    )
    return dict(found.values)


def _by_hand(file: RecipeFile) -> RecipeFile:
    written = ("study: ", "rule of ")
    kept = tuple(e for e in file.document.recipe if not e.source.startswith(written))
    return dataclasses.replace(file, document=file.document.model_copy(update={"recipe": kept}))
