"""Reading recipe files, and the errors of invalid ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from metabench.errors import ConfigError, PluginError
from metabench.recipes.read import read_recipes

ENTRY = '[[recipe]]\nname = "default"\nsource = "by hand"\n'
VALUES = "values = { lr = 0.1 }\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    return path


def test_values_keep_the_types_of_the_file(tmp_path: Path) -> None:
    text = ENTRY + 'values = { a = 1, b = 1.0, c = true, d = "x" }\n' + ENTRY + VALUES
    file = read_recipes(write(tmp_path, text))
    first, second = (recipe for _, recipe in file.entries())
    assert [(type(v), v) for v in first.values.values()] == [
        (int, 1),
        (float, 1.0),
        (bool, True),
        (str, "x"),
    ]
    assert second.values == {"lr": 0.1}
    assert file.algorithm == "mine"


def test_a_file_without_entries_is_valid(tmp_path: Path) -> None:
    assert not list(read_recipes(write(tmp_path, "")).entries())


WRONG = {
    "no TOML": ("name = ", "cannot be read", ""),
    "not text": ("\udcff", "cannot be read", ""),
    "unknown key": ("extend = 'maml'", "unknown key 'extend'. Did you mean 'extends'?", "recipe"),
    "no list": ("recipe = 3", "recipe = 3 is not valid", "[[recipe]]"),
    "no table": ("recipe = [3]", "entry 1 is 3", "a table with name, source, when and values"),
    "no name of an algorithm": ("extends = 1", "extends = 1 is not valid", "another algorithm"),
    "unknown key of an entry": (
        ENTRY + VALUES + "wen = {}",
        "entry 1 ('default'): unknown key 'wen'. Did you mean 'when'?",
        "name, source, when, values",
    ),
    "the second entry": (ENTRY + VALUES + ENTRY, "entry 2 ('default'): 'values' is missing", "lr"),
    "no source": ('[[recipe]]\nname = "x"\n' + VALUES, "('x'): 'source' is missing", "says where"),
    "empty source": (
        "[[recipe]]\nname='x'\nsource=' '\n" + VALUES,
        "source = ' ' is not valid",
        "",
    ),
    "no name": ("[[recipe]]\nsource = 'x'\n" + VALUES, "entry 1: 'name' is missing", "default"),
    "name of an entry": (
        "[[recipe]]\nname = ' '\nsource = 'x'\n" + VALUES,
        "name = ' '",
        "letters",
    ),
    "no values": (ENTRY + "values = {}", "values = {} is not valid", "at least one"),
    "values that are no table": (ENTRY + "values = 3", "values = 3 is not valid", "a table"),
    "a list as a value": (ENTRY + "values = { lr = [1] }", "values.lr = [1]", "a finite number"),
    "infinity as a value": (ENTRY + "values = { lr = inf }", "values.lr = inf", "a finite number"),
    "a date as a value": (
        ENTRY + "values = { lr = 2026-01-01 }",
        "values.lr = ",
        "a finite number",
    ),
    "condition that is no table": (ENTRY + VALUES + "when = 3", "when = 3 is not valid", "kind"),
    "unknown condition": (
        ENTRY + VALUES + "when = { way = 5 }",
        "unknown key 'when.way'. Did you mean 'ways'?",
        "kind, modality, dataset, ways, shots, budget",
    ),
    "kind": (ENTRY + VALUES + "when = { kind = 'control' }", "when.kind = 'control'", "regression"),
    "modality": (ENTRY + VALUES + "when = { modality = 'x' }", "when.modality = 'x'", "image"),
    "data set": (
        ENTRY + VALUES + "when = { dataset = [1] }",
        "when.dataset = [1]",
        "list of names",
    ),
    "comparison": (ENTRY + VALUES + "when = { ways = '=>5' }", "when.ways = '=>5'", '">=5,<20"'),
    "nothing": (ENTRY + VALUES + "when = { shots = '>5,<3' }", "when.shots", "No number satisfies"),
    "truth": (ENTRY + VALUES + "when = { budget = true }", "when.budget = True", "an integer"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_error_names_the_file_the_entry_the_key_and_a_valid_value(
    wrong: str, tmp_path: Path
) -> None:
    text, message, hint = WRONG[wrong]
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        read_recipes(path)
    assert str(path) in caught.value.message
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_recipes(tmp_path / "mine.toml")


def test_an_invalid_file_of_a_plugin_is_a_plugin_error(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"mine\.toml"):
        read_recipes(write(tmp_path, "recipe = 3"), "theirs")
