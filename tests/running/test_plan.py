"""The plan: broken algorithms, data sets, and suites."""

from pathlib import Path
from typing import Any

import pytest

from metabench.algorithms.base import Algorithm
from metabench.benchmarks.model import Suite
from metabench.config import Selection
from metabench.errors import ConfigError
from metabench.registry import Spec
from metabench.running.plan import plan
from tests.helpers.cells import BLOBS, blobs, suite_file, waves


@pytest.fixture
def suite(tmp_path: Path) -> str:
    return str(suite_file(tmp_path / "tiny.toml"))


class TestBroken:
    def test_an_algorithm_whose_recipe_raises_is_a_row_with_the_reason(
        self, planted, suite: str
    ) -> None:
        class Explosive(Algorithm):
            name = "explosive"

            def __init__(self, problem: Any, *, rate: float = 0.1) -> None: ...

            @classmethod
            def recipe(cls, problem: Any) -> Any:
                raise RuntimeError("planted")

            def adapt(self, support: Any) -> Any: ...

        planted.registry.add("algorithm", Spec("explosive", Explosive))
        planned = plan(
            planted.registry, Selection(algorithm=("explosive", "learner"), suite=suite), []
        )
        assert [bool(p.broken) for p in planned] == [True, False]
        assert "RuntimeError: planted" in planned[0].broken

    def test_the_algorithms_of_a_broken_plugin_are_rows_with_the_reason(
        self, planted, suite: str
    ) -> None:
        planned = plan(
            planted.registry,
            Selection(algorithm=("learner",), suite=suite),
            [],
            broken={"gone": "no such module"},
        )
        assert [(p.cell.algorithm, p.broken) for p in planned] == [
            ("learner", ""),
            ("gone", "no such module"),
        ]


def test_each_data_set_is_announced_before_it_is_read(planted, tmp_path: Path) -> None:
    suite = suite_file(tmp_path / "two.toml", blobs().model_dump(), waves().model_dump())
    opened: list[str] = []
    plan(
        planted.registry,
        Selection(algorithm=("maml",), suite=str(suite)),
        [],
        on_open=opened.append,
    )
    assert opened == ["blobs", "sinusoid"]


def test_two_benchmarks_of_one_name_are_an_error(planted, tmp_path: Path) -> None:
    suite = suite_file(tmp_path / "twice.toml", BLOBS, BLOBS | {"shots": 2})
    with pytest.raises(ConfigError, match="differently"):
        plan(planted.registry, Selection(algorithm=("learner",), suite=str(suite)), [])
    assert Suite(name="x", benchmark=(blobs(), blobs())).benchmark
