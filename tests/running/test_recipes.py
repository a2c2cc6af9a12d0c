"""A run with another recipe than the default one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import metabench
from metabench.config import Resources, Selection
from metabench.errors import UnknownName
from metabench.records.store import ResultsFolder
from metabench.registry import Spec
from metabench.running.plan import plan
from metabench.running.resolve import resolve
from tests.helpers.cells import blobs, cell, run_planned, suite_file, tasks_of

PAPER = """
[[recipe]]
name = "paper"
source = "a paper"
when = { ways = 3 }
values = { lr = 0.25 }

[[recipe]]
name = "default"
source = "by hand"
values = { lr = 0.125 }
"""


@pytest.fixture
def learner_with_recipes(planted, tmp_path: Path) -> Any:
    """The planted algorithm ``learner`` with a default recipe, and one of the name ``paper``."""
    path = tmp_path / "learner.toml"
    path.write_text(PAPER)
    distribution = planted.registry.get("algorithm", "learner").distribution
    planted.registry.add("recipe", Spec("learner", path, distribution=distribution))
    return planted


def lr_of(plugins: Any, **changes: Any) -> Any:
    asked = replace(cell("learner"), **changes)
    tasks = tasks_of(plugins, asked.benchmark)
    return resolve(asked, tasks, plugins.registry).algorithm


def test_the_default_recipe_sets_what_the_user_does_not(learner_with_recipes) -> None:
    algorithm = lr_of(learner_with_recipes)
    assert (algorithm.recipe, algorithm.hyperparameters["lr"]) == ("default", 0.125)
    assert algorithm.label == "learner"
    chosen = lr_of(learner_with_recipes, overrides={"lr": 0.5})
    assert chosen.hyperparameters["lr"] == 0.5


def test_another_recipe_is_in_the_record_and_names_a_row_of_its_own(learner_with_recipes) -> None:
    algorithm = lr_of(learner_with_recipes, recipe="paper")
    assert (algorithm.recipe, algorithm.hyperparameters["lr"]) == ("paper", 0.25)
    assert algorithm.label == "learner[recipe=paper]"
    chosen = lr_of(learner_with_recipes, recipe="paper", overrides={"lr": 0.5})
    assert chosen.label == "learner[recipe=paper,lr=0.5]"


def test_an_algorithm_without_the_recipe_is_skipped_and_says_so(
    learner_with_recipes, tmp_path: Path
) -> None:
    plugins = learner_with_recipes
    suite = suite_file(tmp_path / "tiny.toml", blobs().model_dump())
    selection = Selection(algorithm=("learner", "nearest-mean"), suite=str(suite), recipe="paper")
    planned = plan(plugins.registry, selection, [])
    assert [p.ended is None for p in planned] == [True, False]
    assert [p.state for p in planned] == ["new", "skipped"]
    assert planned[1].why == "nearest-mean has no recipe 'paper'."
    folder = ResultsFolder(tmp_path / "results")
    records = run_planned(planned, plugins, folder, Resources(executor="in-process"))
    assert [r.status for r in records] == ["ok", "skipped"]
    assert records[0].algorithm.recipe == "paper"
    assert records[1].reason == "nearest-mean has no recipe 'paper'."
    again = plan(plugins.registry, selection, folder.load()[0])
    assert again[0].state == "stored"


def test_a_recipe_that_nobody_has_is_an_error_before_anything_runs(
    learner_with_recipes, tmp_path: Path
) -> None:
    suite = suite_file(tmp_path / "tiny.toml", blobs().model_dump())
    selection = Selection(algorithm=("learner",), suite=str(suite), recipe="papr")
    with pytest.raises(UnknownName, match=r"unknown recipe 'papr'\. Did you mean 'paper'"):
        plan(learner_with_recipes.registry, selection, [])


def test_it_is_an_argument_in_python(planted, tmp_path: Path) -> None:
    suite = suite_file(tmp_path / "tiny.toml", blobs().model_dump())
    with pytest.raises(UnknownName, match="unknown recipe 'nobodys'"):
        metabench.run("learner", suite=str(suite), recipe="nobodys", results=tmp_path / "results")
