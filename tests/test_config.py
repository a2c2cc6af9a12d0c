"""The settings of a run: their bounds, the configuration file, and the text forms of options."""

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabench.config import (
    CellSettings,
    Resources,
    RunSettings,
    merge_hyperparameters,
    narrow,
    parse_hyperparameters,
    parse_list,
    parse_seeds,
    read_config,
    validate,
)
from metabench.errors import ConfigError, UnknownName, UsageError


@pytest.fixture
def config(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "run.toml"
        path.write_text(text)
        return path

    return write


class TestSettings:
    def test_defaults_are_valid(self) -> None:
        assert validate(RunSettings, {}) == validate(RunSettings, RunSettings()) == RunSettings()

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("threads", 0),
            ("jobs", -1),
            ("timeout", 0),
            ("seeds", ("x",)),
            ("seeds", (-1,)),
            ("seeds", (1.5,)),
            ("seeds", (True,)),
            ("jobs", 2.5),
            ("jobs", True),
            ("timeout", "60"),
            ("quick", "yes"),
            ("quick", 1),
            ("device", 3),
        ],
    )
    def test_an_invalid_value_is_an_error_with_name_and_value(
        self, name: str, value: object
    ) -> None:
        for values in ({name: value}, RunSettings(**{name: value})):
            with pytest.raises(UsageError, match=rf"{name}.* = .* is not valid"):
                validate(RunSettings, values)

    def test_an_unknown_precision_comes_with_the_known_ones(self) -> None:
        with pytest.raises(UnknownName, match=r"unknown precision 'bf61'\. Did you mean 'bf16'"):
            validate(Resources, {"precision": "bf61"})

    def test_narrow_keeps_the_settings_of_the_smaller_class(self) -> None:
        settings = RunSettings(threads=3, device="cuda", suite="core")
        assert narrow(CellSettings, settings) == CellSettings(threads=3, device="cuda")
        assert narrow(CellSettings, settings, device="cpu").device == "cpu"


class TestFile:
    def test_every_setting_can_be_in_it(self, config, tmp_path: Path) -> None:
        read = read_config(
            config(
                """
                algorithm = ["maml", "proto*"]
                benchmark = ["glyphs-*"]
                suite = "core"
                seeds = [0, 4]
                device = "cpu"
                jobs = 2
                threads = 1
                precision = "bf16"
                timeout = 60
                executor = "in-process"
                results = "out"
                data = "/elsewhere"
                quick = true
                metrics = ["cost"]
                recipe = "paper"
                episodes_salt = "a maintainer's secret"
                [set.maml]
                inner_lr = 0.4
                first_order = true
                """
            )
        )
        assert read.keys() == {f.name for f in fields(RunSettings)}
        assert read["algorithm"] == ("maml", "proto*")
        assert read["seeds"] == (0, 4)
        assert read["timeout"] == 60.0
        assert read["set"] == {"maml": {"inner_lr": 0.4, "first_order": True}}
        assert read["results"] == tmp_path / "out"
        assert read["data"] == Path("/elsewhere")

    def test_the_path_of_a_suite_is_relative_to_it(self, config, tmp_path: Path) -> None:
        read = read_config(config('suite = "mine.toml"'))
        assert read["suite"] == str(tmp_path / "mine.toml")
        assert read_config(config('suite = "core"'))["suite"] == "core"

    def test_an_empty_file_sets_nothing(self, config) -> None:
        assert read_config(config("")) == {}

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("sedes = [1]", "unknown key 'sedes'. Did you mean 'seeds'?"),
            ("colour = 1", "unknown key 'colour'."),
            ("[sett.maml]\nx = 1", "unknown key 'sett'. Did you mean 'set'?"),
            ('jobs = "many"', "jobs = 'many' is not valid"),
            ("jobs = -1", "jobs = -1 is not valid"),
            ("threads = 0", "threads = 0 is not valid"),
            ('precision = "fp16"', "unknown precision 'fp16'"),
            ('algorithm = "maml"', "algorithm = 'maml' is not valid"),
            ('seeds = ["x"]', "seeds.0 = 'x' is not valid: it must be an integer."),
            ("seeds = 2", "seeds = 2 is not valid: it must be an array."),
            ("seeds = [-1]", "seeds.0 = -1 is not valid: it must be greater than or equal to 0."),
            ("seeds = [true]", "seeds.0 = true is not valid: it must be an integer."),
            ("seeds = [1.0]", "seeds.0 = 1.0 is not valid: it must be an integer."),
            ('quick = "yes"', "quick = 'yes' is not valid: it must be true or false."),
            ("quick = 1", "quick = 1 is not valid: it must be true or false."),
            ('timeout = "60"', "timeout = '60' is not valid: it must be a number."),
            ("jobs = true", "jobs = true is not valid: it must be an integer."),
            ("results = 3", "results = 3 is not valid: it must be the path of a file or folder."),
            ("suite = []", "suite = [] is not valid: it must be text."),
            ("[set.maml]\ninner_lr = [1, 2]", "set.maml.inner_lr = [1, 2] is not valid"),
            ("set = 3", "set = 3 is not valid"),
            ("[set]\nmaml = 3", "set.maml = 3 is not valid"),
            ("jobs = ", "cannot be read"),
        ],
    )
    def test_an_invalid_file_is_an_error_with_key_and_value(
        self, config, text: str, says: str
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            read_config(config(text))
        assert says in caught.value.message
        assert "run.toml" in caught.value.message

    def test_an_unknown_key_comes_with_the_known_ones(self, config) -> None:
        with pytest.raises(ConfigError) as caught:
            read_config(config("colour = 1"))
        assert "algorithm, benchmark, data, device" in caught.value.hint

    def test_a_missing_file_is_an_error_with_its_name(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            read_config(tmp_path / "none.toml")
        path = tmp_path / "none.toml"
        assert caught.value.message == (
            f"configuration file '{path}' cannot be read: it does not exist."
        )
        assert "a TOML file with options" in caught.value.hint

    def test_a_folder_is_not_a_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read: it is a folder"):
            read_config(tmp_path)


class TestSeeds:
    @pytest.mark.parametrize(
        ("text", "seeds"),
        [
            ("3", (0, 1, 2)),
            ("1", (0,)),
            ("0", (0,)),
            ("7,", (7,)),
            ("0,5,7", (0, 5, 7)),
            ("2-4", (2, 3, 4)),
            ("0-2,9,1", (0, 1, 2, 9)),
            (" 1 , 2 ", (1, 2)),
        ],
    )
    def test_forms(self, text: str, seeds: tuple[int, ...]) -> None:
        assert parse_seeds(text) == seeds

    @pytest.mark.parametrize(
        "text", ["x", "", ",", "-1", "1-", "4-2", "1.5", "1,,2", "0x3", "٣", "1 2", "--", "1-2-3"]
    )
    def test_another_form_is_an_error_that_shows_the_valid_ones(self, text: str) -> None:
        with pytest.raises(UsageError, match="is not valid") as caught:
            parse_seeds(text)
        assert "0,5,7" in caught.value.hint

    @pytest.mark.parametrize("text", ["100000000", "0-999999999"])
    def test_too_many_are_an_error(self, text: str) -> None:
        with pytest.raises(UsageError, match="seeds"):
            parse_seeds(text)

    @given(st.lists(st.integers(0, 10**9 - 1), min_size=2, max_size=20))
    def test_a_list_keeps_its_order_and_each_seed_once(self, seeds: list[int]) -> None:
        assert parse_seeds(",".join(map(str, seeds))) == tuple(dict.fromkeys(seeds))

    @given(st.text(max_size=12))
    def test_any_text_is_parsed_or_a_usage_error(self, text: str) -> None:
        try:
            seeds = parse_seeds(text)
        except UsageError:
            return
        assert seeds
        assert all(seed >= 0 for seed in seeds)


class TestHyperparameters:
    def test_an_algorithm_may_have_dots_in_its_name_and_a_value_may_be_any_text(self) -> None:
        assert parse_hyperparameters(("a.b.lr=0.1", "c.text=x=y.z", "c.empty=")) == {
            "a.b": {"lr": "0.1"},
            "c": {"text": "x=y.z", "empty": ""},
        }

    @pytest.mark.parametrize(
        "text", ["", "maml", "maml.lr", "lr=3", ".lr=3", "maml.=3", "=3", "maml=lr.3"]
    )
    def test_another_form_is_an_error(self, text: str) -> None:
        with pytest.raises(UsageError, match="is not valid"):
            parse_hyperparameters((text,))

    def test_a_later_layer_has_precedence_and_no_layer_is_changed(self) -> None:
        file, line = {"maml": {"a": 1, "b": 2}}, {"maml": {"b": "3"}, "protonet": {"c": "4"}}
        merged = merge_hyperparameters(file, line)
        assert merged == {"maml": {"a": 1, "b": "3"}, "protonet": {"c": "4"}}
        assert file == {"maml": {"a": 1, "b": 2}}


def test_a_list_ignores_spaces_and_empty_items() -> None:
    assert parse_list(" accuracy, ,cost,") == ("accuracy", "cost")
