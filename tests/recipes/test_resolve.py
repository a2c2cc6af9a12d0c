"""The values that a recipe sets for a benchmark."""

from __future__ import annotations

from pathlib import Path

import pytest

from metabench.errors import ConfigError, NotApplicable, PluginError
from metabench.recipes.model import Facts
from metabench.recipes.read import read_recipes
from metabench.recipes.resolve import Resolved, values_for

FIVE = Facts("classification", "image", 5, 1, 24_000, "glyphs")
TWENTY = Facts("classification", "image", 20, 1, 24_000, "glyphs")
RECIPES = """
[[recipe]]
name = "default"
source = "one"
values = { lr = 0.1, steps = 3 }

[[recipe]]
name = "paper"
source = "a paper"
when = { ways = 20 }
values = { lr = 0.5 }

[[recipe]]
name = "default"
source = "two"
when = { ways = ">=20" }
values = { lr = 0.2, budget = 100 }

[[recipe]]
name = "default"
source = "one"
when = { ways = 20 }
values = { steps = 5 }
"""


def resolve(
    folder: Path, facts: Facts, *more: str, name: str = "default", distribution: str = "metabench"
) -> Resolved:
    files = []
    for number, text in enumerate((RECIPES, *more)):
        path = folder / f"file{number}.toml"
        path.write_text(text)
        files.append(read_recipes(path, distribution))
    known = ("lr", "steps")
    return values_for(files, facts, algorithm="mine", hyperparameters=known, name=name)


def test_entries_whose_condition_fails_do_not_apply(tmp_path: Path) -> None:
    assert resolve(tmp_path, FIVE) == Resolved("default", {"lr": 0.1, "steps": 3}, ("one",))


def test_later_entries_override_earlier_ones_value_by_value(tmp_path: Path) -> None:
    resolved = resolve(tmp_path, TWENTY)
    assert resolved.values == {"lr": 0.2, "steps": 5, "budget": 100}
    assert resolved.sources == ("one", "two")


def test_later_files_override_earlier_ones(tmp_path: Path) -> None:
    more = '[[recipe]]\nname = "default"\nsource = "three"\nvalues = { lr = 0.3 }'
    assert resolve(tmp_path, FIVE, more).values == {"lr": 0.3, "steps": 3}


def test_another_recipe_does_not_inherit_from_the_default(tmp_path: Path) -> None:
    assert resolve(tmp_path, TWENTY, name="paper") == Resolved("paper", {"lr": 0.5}, ("a paper",))


def test_a_recipe_without_a_matching_entry_is_not_applicable(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="'paper' of mine does not apply") as caught:
        resolve(tmp_path, FIVE, name="paper")
    assert "5-way 1-shot" in caught.value.message


def test_an_unknown_recipe_is_not_applicable(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="mine has no recipe 'study'") as caught:
        resolve(tmp_path, FIVE, name="study")
    assert caught.value.hint == "It has default, paper."


def test_the_default_recipe_can_have_no_entry() -> None:
    resolved = values_for((), FIVE, algorithm="random", hyperparameters=())
    assert resolved == Resolved("default", {}, ())


WRONG = '[[recipe]]\nname = "default"\nsource = "x"\nwhen = { ways = 20 }\nvalues = { stepz = 3 }'


def test_an_unknown_hyper_parameter_is_reported_with_its_file_and_entry(
    tmp_path: Path,
) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(tmp_path, TWENTY, WRONG)
    place = f"recipe file '{tmp_path / 'file1.toml'}', entry 1 ('default')"
    wrong = "'mine' has no hyper-parameter 'stepz'. Did you mean 'steps'?"
    assert caught.value.message == f"{place}: {wrong}"
    assert caught.value.hint == "It has lr, steps, budget."


def test_an_unknown_hyper_parameter_in_a_file_of_a_plugin_is_a_plugin_error(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="stepz"):
        resolve(tmp_path, TWENTY, WRONG, distribution="theirs")
    assert resolve(tmp_path, FIVE, WRONG, distribution="theirs").values == {"lr": 0.1, "steps": 3}
