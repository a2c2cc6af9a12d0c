"""An invalid recipe file of a plugin is reported with its file, entry and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from metabench.config import Selection
from metabench.errors import PluginError
from metabench.recipes.load import check_recipe_files
from metabench.running.plan import plan
from metabench.running.selection import named_algorithms
from tests.helpers.plugin_site import Site

ENTRY = """
[[recipe]]
name = "default"
source = "by hand"
values = {{ {values} }}
"""
WRONG = {
    "no TOML": ("recipe = ", "it is not valid TOML"),
    "no text": ("\udcff", "it is not UTF-8 text"),
    "missing": (None, "it does not exist"),
    "unknown key": ("colour = 3", "unknown key 'colour'"),
    "no values": (ENTRY.format(values=""), "entry 1 ('default'): values = {} is not valid"),
    "not a scalar": (ENTRY.format(values="scale = []"), "values.scale = [] is not valid"),
}
# These need the class of the algorithm, which `metabench plugins` does not import.
WRONG_FOR_THE_ALGORITHM = {
    "unknown name": ("scael = 2.0", "'mine' has no hyper-parameter 'scael'. Did you mean 'scale'?"),
    "text for a number": ('scale = "big"', "values.scale = 'big' is not of type float"),
    "digits as text": ('scale = "2.0"', "values.scale = '2.0' is not of type float"),
    "true for a number": ("scale = true", "values.scale = True is not of type float"),
    "a fraction for an integer": ("steps = 2.5", "values.steps = 2.5 is not of type int"),
    "a number for a flag": ("flip = 1", "values.flip = 1 is not of type bool"),
    "a number for text": ("mode = 3", "values.mode = 3 is not one of its values"),
    "another choice": ('mode = "slow"', "values.mode = 'slow' is not one of its values"),
    "a budget": ("budget = 10", "sets 'budget', which is the benchmark's, the same for all"),
    "a budget as text": ('budget = "all"', "sets 'budget', which is the benchmark's"),
}


def add_mine(site: Site, text: str | None) -> Path:
    """Install a plugin with the algorithm ``mine`` and this recipe file; returns its path."""
    site.add(
        "mine",
        """
        from pathlib import Path
        from typing import Literal
        from metabench import hookimpl
        from metabench.algorithms.nearest_mean import NearestMean

        class Mine(NearestMean):
            name = "mine"
            def __init__(
                self, problem, *, scale: float = 1.0, steps: int = 1, flip: bool = False,
                mode: Literal["fast", "exact"] = "fast",
            ):
                super().__init__(problem)

        @hookimpl
        def metabench_algorithms():
            return [Mine]

        @hookimpl
        def metabench_recipes():
            return [Path(__file__).with_name("mine.toml")]
        """,
    )
    path = site.path / "mine.toml"
    if text is not None:
        path.write_text(text, errors="surrogateescape")
    return path


def planned_reason(site: Site, benchmark: str) -> str:
    """Returns why the cell of ``mine`` cannot run."""
    selection = Selection(algorithm=("mine", "protonet"), benchmark=(benchmark,))
    mine, protonet = plan(site.load().registry, selection, [])
    assert protonet.ended is None
    assert mine.ended is not None
    status, reason = mine.ended
    assert status == "broken-plugin"
    assert mine.why == f"its plugin is broken: {reason}"
    return reason


@pytest.mark.parametrize("wrong", WRONG)
def test_the_list_of_plugins_shows_it(
    site: Site, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, says = WRONG[wrong]
    path = add_mine(site, text)
    plugins = site.load()
    check_recipe_files(plugins.registry)
    (info,) = [i for i in plugins.infos if i.name == "mine"]
    assert info.status == "broken"
    assert f"recipe file '{path}'" in info.reason
    assert says in info.reason
    assert says in capsys.readouterr().err
    with pytest.raises(PluginError):
        plugins.check()


@pytest.mark.parametrize("wrong", WRONG | WRONG_FOR_THE_ALGORITHM)
def test_its_cells_do_not_run_and_say_why(site: Site, tiny: str, wrong: str) -> None:
    text, says = WRONG.get(wrong) or ("", "")
    if wrong in WRONG_FOR_THE_ALGORITHM:
        values, says = WRONG_FOR_THE_ALGORITHM[wrong]
        text = ENTRY.format(values=values)
    path = add_mine(site, text)
    reason = planned_reason(site, tiny)
    assert f"recipe file '{path}'" in reason
    assert says in reason
    if wrong in WRONG_FOR_THE_ALGORITHM:
        assert "entry 1 ('default')" in reason


def test_the_reason_says_what_would_be_right(site: Site, tiny: str) -> None:
    add_mine(site, ENTRY.format(values='scale = "big"'))
    assert planned_reason(site, tiny).endswith(
        "values.scale = 'big' is not of type float. Its default is 1.0."
    )


def test_a_whole_number_is_a_valid_float(site: Site, tiny: str) -> None:
    add_mine(site, ENTRY.format(values="scale = 2, steps = 3, flip = true, mode = 'exact'"))
    selection = Selection(algorithm=("mine",), benchmark=(tiny,))
    (planned,) = plan(site.load().registry, selection, [])
    assert planned.ended is None


def test_an_algorithm_is_named_by_its_name_or_by_a_glob_that_selects_it_alone(site: Site) -> None:
    add_mine(site, None)
    registry = site.load().registry

    def named(*patterns: str) -> set[str]:
        return named_algorithms(registry, Selection(algorithm=patterns))

    assert named("mine", "maml") == {"mine", "maml"}
    assert named("min*") == {"mine"}
    assert named("zoo-mine:mine") == {"mine"}
    assert named("*") == named() == set()


def test_a_run_that_names_the_algorithm_exits_with_4(site: Site, tiny: str, tmp_path: Path) -> None:
    path = add_mine(site, "colour = 3")
    run = ("run", "-a", "mine", "-a", "random", "-b", tiny, "--results", tmp_path / "results")
    run = (*run, "--jobs", "1")

    rows = site.json(*run, "--dry-run", code=4)
    whys = {row["algorithm"]: row["why"] for row in rows}
    assert f"recipe file '{path}': unknown key 'colour'" in whys["mine"]

    done = site.metabench(*run, code=4)
    assert f"recipe file '{path}': unknown key 'colour'" in done.stderr
    assert "random" in done.stdout, "the others run"


def test_a_run_that_does_not_name_the_algorithm_exits_with_1(
    site: Site, tiny: str, tmp_path: Path
) -> None:
    add_mine(site, "colour = 3")
    run = ("run", "-a", "[mr][ia]n*", "-b", tiny, "--results", tmp_path / "results", "--jobs", "1")
    rows = site.json(*run, "--dry-run")
    assert {"mine", "random"} <= {row["algorithm"] for row in rows}
    site.metabench("--strict", *run, "--dry-run", code=4)
    assert "unknown key 'colour'" in site.metabench(*run, code=1).stderr


def test_the_commands_show_it_and_strict_fails(site: Site) -> None:
    path = add_mine(site, None)
    (row,) = [r for r in site.json("plugins") if r["name"] == "mine"]
    assert row["status"] == "broken"
    assert f"recipe file '{path}' cannot be read: it does not exist" in row["reason"]
    site.metabench("--strict", "plugins", code=4)
    site.metabench("--strict", "env", code=4)
