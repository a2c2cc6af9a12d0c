"""The committed studies: every method has the same trials, and the recipes are their best ones."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest

from metabench.recipes.model import Recipe
from metabench.recipes.read import read_recipes
from metabench.utils.grouping import grouped
from tests.helpers.repository import ROOT
from tests.recipes.golden import built_in

STUDIES = ROOT / "leaderboards" / "studies"
RECIPES = ROOT / "metabench" / "recipes"
TRIALS = 16

Row = dict[str, str]


def trials() -> dict[tuple[str, str], list[Row]]:
    """Returns the trials by benchmark and algorithm."""
    rows: list[Row] = []
    for path in sorted(STUDIES.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as lines:
            rows += csv.DictReader(lines)
    return grouped(rows, lambda row: (row["benchmark"], row["algorithm"]))


STUDIED = trials()


def best(benchmark: str, rows: list[Row]) -> Row:
    scored = [row for row in rows if row["score"]]
    sign = -1 if benchmark.startswith("sinusoid") else 1
    return max(scored, key=lambda row: sign * float(row["score"]))


def entry_of(benchmark: str, algorithm: str) -> Recipe:
    """Returns the entry that the study of a benchmark wrote for an algorithm."""
    kind = "regression" if benchmark.startswith("sinusoid") else "classification"
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
