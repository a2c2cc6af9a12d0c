"""Which recipe files an algorithm reads, and the rows of ``metabench list recipes``."""

from __future__ import annotations

import subprocess
import sys

import pytest

from metabench.algorithms.base import Algorithm
from metabench.algorithms.maml import MAML
from metabench.errors import ConfigError, PluginError, UnknownName
from metabench.plugins import Plugins
from metabench.recipes.load import check_recipe_name, names_of, recipe_rows, recipes_of
from metabench.registry import Registry, Spec
from tests.helpers.plugin_site import Site

ENTRY = '[[recipe]]\nname = "{name}"\nsource = "theirs"\nvalues = {{ inner_lr = 0.7 }}\n'


def add_recipes(site: Site, plugin: str = "theirs", **files: str) -> None:
    """Install a plugin with a recipe file for each algorithm."""
    for algorithm, text in files.items():
        (site.path / plugin).mkdir(exist_ok=True)
        (site.path / plugin / f"{algorithm}.toml").write_text(text)
    source = f"""
        from pathlib import Path
        from metabench import hookimpl

        @hookimpl
        def metabench_recipes():
            return sorted(Path(__file__).with_name("{plugin}").glob("*.toml"))
        """
    site.add(plugin, source)


def algorithms_of(registry: Registry, *names: str, distribution: str = "metabench") -> list[str]:
    return [file.algorithm for file in recipes_of(registry, names, distribution)]


@pytest.fixture
def built_in() -> Registry:
    return Plugins(only=()).registry


class Library(Algorithm):
    """A mixin that has no name of its own."""


class LibraryMAML(Library, MAML):
    name = "library-maml"


class Renamed(LibraryMAML):
    """A class that inherits its name."""


def test_the_names_are_those_of_the_class_and_its_bases_in_order() -> None:
    assert names_of(LibraryMAML, "library-maml") == ["library-maml", "maml"]
    assert names_of(Renamed, "renamed") == ["renamed", "library-maml", "maml"]
    assert names_of(Library, "library") == ["library"]


def test_a_class_that_is_installed_under_another_name_inherits_from_its_own() -> None:
    assert names_of(MAML, "mine") == ["mine", "maml"]


def test_an_algorithm_under_a_qualified_name_does_not_inherit_from_its_own_name(
    built_in: Registry,
) -> None:
    class Theirs(Algorithm):
        name = "maml"

    names = names_of(Theirs, "theirs:maml")
    assert names == ["theirs:maml"]
    assert recipes_of(built_in, names, "theirs") == ()


def test_an_algorithm_reads_the_file_of_its_name(built_in: Registry) -> None:
    assert algorithms_of(built_in, "maml") == ["maml"]


def test_an_algorithm_without_a_file_inherits_that_of_the_first_base_that_has_one(
    built_in: Registry,
) -> None:
    names = ("l2l-maml", "base", "maml", "protonet")
    assert algorithms_of(built_in, *names, distribution="theirs") == ["maml"]


def test_an_algorithm_without_any_file_has_no_recipes(built_in: Registry) -> None:
    assert recipes_of(built_in, ["random"]) == ()


def test_a_file_that_extends_another_comes_after_it(built_in: Registry) -> None:
    assert algorithms_of(built_in, "fomaml", "maml") == ["maml", "fomaml"]


def test_a_plugin_can_ship_recipes_with_its_algorithm(site: Site) -> None:
    add_recipes(site, mine=ENTRY.format(name="default"))
    registry = site.load().registry
    (file,) = recipes_of(registry, ["mine", "maml"], "zoo-theirs")
    assert file.document.recipe[0].values == {"inner_lr": 0.7}
    assert file.distribution == "zoo-theirs"


def test_a_plugin_can_extend_the_recipes_of_a_built_in(site: Site) -> None:
    add_recipes(site, mine='extends = "maml"\n' + ENTRY.format(name="default"))
    names = algorithms_of(site.load().registry, "mine", distribution="zoo-theirs")
    assert names == ["maml", "mine"]


def test_algorithms_of_one_name_in_two_distributions_do_not_share_recipes(
    site: Site,
) -> None:
    add_recipes(site, maml=ENTRY.format(name="default"))
    registry = site.load().registry
    (theirs,) = recipes_of(registry, ["zoo-theirs:maml"], "zoo-theirs")
    (ours,) = recipes_of(registry, ["maml"])
    assert (theirs.distribution, ours.distribution) == ("zoo-theirs", "metabench")
    assert recipes_of(registry, ["maml"], "somebody-else") == ()


def test_an_algorithm_that_shares_the_name_of_its_base_inherits_from_it(
    built_in: Registry,
) -> None:
    assert algorithms_of(built_in, "maml", "maml", distribution="theirs") == ["maml"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"mine": 'extends = "nobody"'}, "extends = 'nobody', which has no recipes"),
        ({"mine": 'extends = "mine"'}, "extends = 'mine', which extends this file"),
        (
            {"mine": 'extends = "other"', "other": 'extends = "mine"'},
            "extends = 'mine', which extends this file",
        ),
        ({"mine": "recipe = 3"}, "recipe = 3 is not valid"),
    ],
)
def test_an_invalid_file_of_a_plugin_breaks_its_algorithm_and_is_left_out_of_the_list(
    files: dict[str, str], message: str, site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    add_recipes(site, **files)
    plugins = site.load()
    with pytest.raises(PluginError) as caught:
        recipes_of(plugins.registry, ["mine"], "zoo-theirs")
    assert message in caught.value.message
    assert "mine.toml" in caught.value.message or "other.toml" in caught.value.message

    listed = {row["algorithm"] for row in recipe_rows(plugins.registry)}
    assert "maml" in listed
    assert "mine" not in listed
    (info,) = [i for i in plugins.infos if i.name == "theirs"]
    assert info.status == "broken"
    assert message in capsys.readouterr().err


def test_an_invalid_built_in_file_is_a_configuration_error(site: Site) -> None:
    path = site.path / "broken.toml"
    path.write_text("recipe = 3")
    registry = Registry()
    registry.add("recipe", Spec("broken", path, distribution="metabench"))
    with pytest.raises(ConfigError, match=r"broken\.toml"):
        recipe_rows(registry)


def test_a_row_has_name_algorithm_condition_values_and_source(site: Site) -> None:
    entry = ENTRY.format(name="study") + "when = { kind = 'classification', ways = '>=20' }"
    add_recipes(site, mine=entry)
    (row,) = [r for r in recipe_rows(site.load().registry) if r["algorithm"] == "mine"]
    assert row == {
        "name": "study",
        "algorithm": "mine",
        "condition": "classification ways>=20",
        "values": {"inner_lr": 0.7},
        "source": "theirs",
    }


def test_the_rows_of_an_algorithm_include_those_of_the_file_that_it_extends(
    built_in: Registry,
) -> None:
    rows = recipe_rows(built_in)
    of = {
        n: [r | {"algorithm": ""} for r in rows if r["algorithm"] == n] for n in ("maml", "fomaml")
    }
    assert of["maml"]
    assert of["fomaml"][: len(of["maml"])] == of["maml"]  # its own entries follow


def test_a_name_that_no_algorithm_has_is_unknown(site: Site) -> None:
    add_recipes(site, mine=ENTRY.format(name="study"))
    registry = site.load().registry
    for name in ("default", "paper", "study"):
        check_recipe_name(registry, name)
    with pytest.raises(UnknownName, match=r"unknown recipe 'papr'. Did you mean 'paper'") as caught:
        check_recipe_name(registry, "papr")
    assert caught.value.hint.startswith("The recipes are default, paper, study; ")


def test_a_hook_that_returns_no_paths_breaks_its_plugin(site: Site) -> None:
    source = """
        from metabench import hookimpl

        @hookimpl
        def metabench_recipes():
            return [3]
        """
    site.add("theirs", source)
    (info,) = [i for i in site.load().infos if i.name == "theirs"]
    assert info.reason == "metabench_recipes returned 3, which is not the path of a TOML file"


def test_listing_recipes_imports_no_torch() -> None:
    code = """
import sys
from metabench.plugins import Plugins
from metabench.recipes.load import recipe_rows
from metabench.recipes.resolve import values_for
assert recipe_rows(Plugins(only=()).registry)
assert not {"torch", "numpy", "pandas", "scipy"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
