"""The committed studies: every method has the same trials, and the recipes are their best ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from metabench.recipes.model import Recipe
from metabench.recipes.read import read_recipes
from tests.helpers.repository import ROOT
from tests.helpers.studies import best, is_regression, trials
from tests.recipes.golden import built_in

RECIPES = ROOT / "metabench" / "recipes"
TRIALS = 16

STUDIED = trials()


def entry_of(benchmark: str, algorithm: str) -> Recipe:
    """Returns the entry that the study of a benchmark wrote for an algorithm."""
    kind = "regression" if is_regression(benchmark) else "classification"
    entries = read_recipes(RECIPES / f"{algorithm}.toml").document.recipe
    (found,) = (
        entry for entry in entries if entry.source.startswith("study: ") and str(entry.when) == kind
    )
    return found


def test_every_built_in_method_with_hyper_parameters_has_trials() -> None:
    without = {"random", "nearest-mean"}  # nothing to vary
    studied = {algorithm for _, algorithm in STUDIED}
    assert studied == set(built_in().names("algorithm")) - without


@pytest.mark.parametrize("key", STUDIED, ids="-".join)
def test_every_method_has_the_same_trials(key: tuple[str, str]) -> None:
    rows = STUDIED[key]
    assert [int(row["trial"]) for row in rows] == list(range(TRIALS))
    for name in ("budget", "episodes", "seed"):
        alike = {row[name] for (benchmark, _), group in STUDIED.items() if benchmark == key[0]
                 for row in group}  # fmt: skip
        assert {row[name] for row in rows} == alike
    assert rows[0]["changed"] == "{}"


@pytest.mark.parametrize("key", STUDIED, ids="-".join)
def test_the_recipe_has_the_values_of_the_best_trial(key: tuple[str, str]) -> None:
    chosen = best(key[0], STUDIED[key])
    entry = entry_of(*key)
    assert entry.source.endswith(f"trial {chosen['trial']}")
    changed: dict[str, Any] = json.loads(chosen["changed"])
    assert {name: entry.values[name] for name in changed} == changed


def test_no_recipe_names_a_study_that_is_not_committed() -> None:
    for path in RECIPES.glob("*.toml"):
        named = [e for e in read_recipes(path).document.recipe if e.source.startswith("study: ")]
        assert len(named) == sum(algorithm == path.stem for _, algorithm in STUDIED)
