from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabench.config import merge_settings, parse_seeds, parse_settings, read_config
from metabench.errors import ConfigError, UsageError


@pytest.fixture
def config(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "run.toml"
        path.write_text(text)
        return path

    return write


class TestFile:
    def test_every_option_can_stand_in_it(self, config, tmp_path: Path) -> None:
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
                timeout = 60
                results = "out"
                data = "/elsewhere"
                quick = true
                [set.maml]
                inner_lr = 0.4
                first_order = true
                """
            )
        )
        assert read.algorithm == ("maml", "proto*")
        assert read.seeds == (0, 4)
        assert read.timeout == 60.0
        assert read.set == {"maml": {"inner_lr": 0.4, "first_order": True}}
        assert read.results == tmp_path / "out"
        assert read.data == Path("/elsewhere")

    def test_a_suite_file_is_looked_for_beside_it_and_a_suite_by_name_is_not(
        self, config, tmp_path: Path
    ) -> None:
        assert read_config(config('suite = "mine.toml"')).suite == str(tmp_path / "mine.toml")
        assert read_config(config('suite = "core"')).suite == "core"

    def test_an_empty_file_changes_nothing(self, config) -> None:
        assert read_config(config("")).model_dump(exclude_defaults=True) == {}

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("sedes = [1]", "unknown key 'sedes'. Did you mean 'seeds'?"),
            ("colour = 1", "unknown key 'colour'."),
            ("[sett.maml]\nx = 1", "unknown key 'sett'. Did you mean 'set'?"),
            ('jobs = "many"', "jobs = 'many' cannot be"),
            ("jobs = -1", "jobs = -1 cannot be"),
            ("threads = 0", "threads = 0 cannot be"),
            ('algorithm = "maml"', "algorithm = 'maml' cannot be"),
            ('seeds = ["x"]', "seeds.0 = 'x' cannot be"),
            ("[set.maml]\ninner_lr = [1, 2]", "set.maml.inner_lr = [1, 2] cannot be"),
            ("set = 3", "set = 3 cannot be"),
            ("[set]\nmaml = 3", "set.maml = 3 cannot be"),
            ("jobs = ", "cannot be read"),
        ],
    )
    def test_what_cannot_be_is_told_with_its_key_and_value(
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

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"none\.toml' cannot be read"):
            read_config(tmp_path / "none.toml")


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
    def test_anything_else_is_an_error_that_shows_the_forms(self, text: str) -> None:
        with pytest.raises(UsageError, match="cannot be read") as caught:
            parse_seeds(text)
        assert "0,5,7" in caught.value.hint

    @pytest.mark.parametrize("text", ["100000000", "0-999999999"])
    def test_absurdly_many_are_refused_at_once(self, text: str) -> None:
        with pytest.raises(UsageError, match="seeds"):
            parse_seeds(text)

    @given(st.lists(st.integers(0, 10**9 - 1), min_size=2, max_size=20))
    def test_a_list_is_read_as_it_is_written_each_once(self, seeds: list[int]) -> None:
        assert parse_seeds(",".join(map(str, seeds))) == tuple(dict.fromkeys(seeds))

    @given(st.text(max_size=12))
    def test_no_text_does_anything_but_parse_or_tell(self, text: str) -> None:
        try:
            seeds = parse_seeds(text)
        except UsageError:
            return
        assert seeds
        assert all(seed >= 0 for seed in seeds)


class TestSettings:
    def test_an_algorithm_may_have_dots_in_its_name_and_a_value_may_have_anything(self) -> None:
        assert parse_settings(("a.b.lr=0.1", "c.text=x=y.z", "c.empty=")) == {
            "a.b": {"lr": "0.1"},
            "c": {"text": "x=y.z", "empty": ""},
        }

    @pytest.mark.parametrize(
        "text", ["", "maml", "maml.lr", "lr=3", ".lr=3", "maml.=3", "=3", "maml=lr.3"]
    )
    def test_another_form_is_an_error(self, text: str) -> None:
        with pytest.raises(UsageError, match="cannot be read"):
            parse_settings((text,))

    def test_the_later_goes_before_the_earlier_and_neither_is_changed(self) -> None:
        file, line = {"maml": {"a": 1, "b": 2}}, {"maml": {"b": "3"}, "protonet": {"c": "4"}}
        assert merge_settings(file, line) == {"maml": {"a": 1, "b": "3"}, "protonet": {"c": "4"}}
        assert file == {"maml": {"a": 1, "b": 2}}
