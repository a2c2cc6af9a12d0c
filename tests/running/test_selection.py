"""Selections: the cells that names and globs stand for, and the errors of invalid ones."""

from pathlib import Path

import pytest

from metabench.config import Selection
from metabench.errors import ConfigError, NothingSelected, ProtocolError, UnknownName, UsageError
from metabench.running.plan import plan
from tests.helpers.cells import BLOBS, suite_file


@pytest.fixture
def suite(tmp_path: Path) -> str:
    return str(suite_file(tmp_path / "tiny.toml"))


class TestSelection:
    def test_each_benchmark_algorithm_and_seed_is_one_cell(self, planted, tmp_path: Path) -> None:
        suite = suite_file(tmp_path / "two.toml", BLOBS, BLOBS | {"name": "blobs-2w1s", "ways": 2})
        asked = Selection(
            algorithm=("learner", "drifter", "learn*"), suite=str(suite), seeds=(0, 1, 0)
        )
        cells = [p.cell for p in plan(planted.registry, asked, [])]
        assert len(cells) == len({c.title for c in cells}) == 2 * 2 * 2

    def test_a_missing_suite_file_is_an_error_that_lists_the_suites(
        self, planted, tmp_path: Path
    ) -> None:
        path = tmp_path / "core.toml"
        with pytest.raises(ConfigError) as caught:
            plan(planted.registry, Selection(suite=str(path)), [])
        assert caught.value.message == f"suite file '{path}' cannot be read: it does not exist."
        assert caught.value.hint.startswith("The installed suites are backends, ci, core, ")
        assert caught.value.hint.endswith("Did you mean 'core'?")

    def test_globs_select_benchmarks(self, planted, tmp_path: Path) -> None:
        suite = suite_file(tmp_path / "two.toml", BLOBS, BLOBS | {"name": "blobs-2w1s", "ways": 2})
        asked = Selection(algorithm=("learner",), benchmark=("*-2w*",), suite=str(suite))
        assert [p.cell.benchmark.name for p in plan(planted.registry, asked, [])] == ["blobs-2w1s"]

    def test_a_benchmark_of_another_suite_is_an_error_that_names_both(self, planted) -> None:
        asked = Selection(suite="core", benchmark=("omniglot*",))
        with pytest.raises(UnknownName) as caught:
            plan(planted.registry, asked, [])
        assert caught.value.message.startswith("unknown benchmark 'omniglot*' in suite 'core'.")
        names, other = caught.value.hint.splitlines()
        assert names == "It has sinusoid-5s, glyphs-5w1s, glyphs-5w5s."
        assert other == "Suite 'omniglot' has it: leave --suite out, or give --suite omniglot."

    def test_a_benchmark_that_no_suite_has_comes_with_those_of_the_suite(
        self, planted, suite: str
    ) -> None:
        with pytest.raises(UnknownName) as caught:
            plan(planted.registry, Selection(suite=suite, benchmark=("blobs-3w2s",)), [])
        where = f"in suite '{suite}'. Did you mean 'blobs-3w1s'?"
        assert caught.value.message == f"unknown benchmark 'blobs-3w2s' {where}"
        assert caught.value.hint == "It has blobs-3w1s."

    def test_an_empty_list_of_seeds_is_an_error(self, planted, suite: str) -> None:
        with pytest.raises(NothingSelected):
            plan(planted.registry, Selection(algorithm=("learner",), suite=suite, seeds=()), [])

    def test_hyperparameters_of_an_unselected_algorithm_are_an_error(
        self, planted, suite: str
    ) -> None:
        with pytest.raises(UsageError, match="'drifter', which is not selected"):
            plan(
                planted.registry,
                Selection(algorithm=("learner",), suite=suite, set={"drifter": {"x": 1}}),
                [],
            )
        with pytest.raises(UnknownName, match="Did you mean 'drifter'"):
            plan(
                planted.registry,
                Selection(algorithm=("learner",), suite=suite, set={"drfter": {"x": 1}}),
                [],
            )

    @pytest.mark.parametrize(
        ("change", "error", "says"),
        [
            (
                {"metrics": ("acuracy",)},
                UnknownName,
                "unknown metric 'acuracy'. Did you mean 'accuracy'?",
            ),
            ({"dataset": "blob"}, UnknownName, "unknown dataset 'blob'. Did you mean 'blobs'?"),
            ({"backbone": "mpl"}, UnknownName, "unknown backbone 'mpl'. Did you mean 'mlp'?"),
            ({"metrics": ("cost", "accuracy")}, ConfigError, "cannot be ranked by 'cost'"),
            (
                {"metrics": ("mse",)},
                ConfigError,
                "is classification, and cannot be ranked by 'mse', which applies to regression.",
            ),
            (
                {"dataset": "sinusoid", "ways": 0},
                ConfigError,
                "is regression, and cannot be ranked by 'accuracy', which applies to "
                "classification.",
            ),
            (
                {"metric_options": {"noise": {"severities": [9]}}},
                ConfigError,
                "benchmark 'blobs-3w1s': invalid value for the metric option noise.severities",
            ),
            (
                {"dataset_options": {"leek": True}},
                ConfigError,
                "data set 'blobs' has no option 'leek'",
            ),
            (
                {"ways": 9},
                ProtocolError,
                "9-way episodes cannot be drawn from the 6 classes of the validation split",
            ),
            ({"shots": 8}, ProtocolError, "8 shots and 3 queries need 11 examples of a class"),
            (
                {"ways": 0},
                ProtocolError,
                "holds labelled classes, and a protocol with 0 ways is for regression",
            ),
            (
                {"dataset": "sinusoid"},
                ProtocolError,
                "is a regression family, and 3-way episodes are for classes",
            ),
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_an_invalid_benchmark_is_an_error_before_anything_runs(
        self, planted, tmp_path, change, error, says
    ) -> None:
        suite = suite_file(tmp_path / "bad.toml", BLOBS | change)
        with pytest.raises(error) as caught:
            plan(planted.registry, Selection(algorithm=("learner",), suite=str(suite)), [])
        assert says in str(caught.value)
