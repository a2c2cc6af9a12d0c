"""The figures of papers in the rows of a leaderboard."""

from typing import Any

import pytest

from metabench.benchmarks.model import Benchmark
from metabench.leaderboard.build import build
from metabench.leaderboard.published import published_figure
from tests.helpers.cells import make_record


def omniglot(ways: int, shots: int) -> Benchmark:
    return Benchmark(
        name="b",
        dataset="omniglot",
        ways=ways,
        shots=shots,
        backbone="c",
        budget=1,
        metrics=("accuracy",),
    )


@pytest.mark.parametrize(
    ("algorithm", "ways", "shots", "options", "value"),
    [
        ("protonet", 5, 1, {}, 0.988),  # Snell et al. 2017, table 1
        ("protonet", 20, 5, {}, 0.989),
        # Finn et al. 2017, table 1; not the lower figure of the ANIL paper
        ("maml", 20, 1, {}, 0.958),
        ("anil", 20, 1, {}, 0.962),
        ("matchingnet", 5, 1, {"distance": "cosine"}, 0.981),
        ("matchingnet", 5, 1, {"distance": "l2"}, 0.983),
        ("reptile", 5, 1, {}, 0.9768),  # with the batch statistics of the queries
        ("fomaml", 5, 1, {}, 0.983),
    ],
)
def test_the_figure_is_from_the_methods_own_paper(
    algorithm: str, ways: int, shots: int, options: dict[str, Any], value: float
) -> None:
    figure = published_figure(omniglot(ways, shots), "accuracy", algorithm, options)
    assert figure is not None
    assert figure.value == value
    assert figure.source


def test_a_squared_error_is_the_figure_after_as_many_steps() -> None:
    sinusoid = Benchmark(
        name="s", dataset="sinusoid", ways=0, shots=5, backbone="mlp", budget=1, metrics=("mse",)
    )
    figures = [
        published_figure(sinusoid, "mse", "maml", {"test_steps": steps}) for steps in (1, 5, 10, 2)
    ]
    assert [figure and figure.value for figure in figures] == [0.67, 0.38, 0.35, None]


def test_an_unreported_figure_is_none() -> None:
    assert published_figure(omniglot(7, 1), "accuracy", "protonet", {}) is None
    assert published_figure(omniglot(5, 1), "accuracy", "my-own", {}) is None
    assert published_figure(omniglot(5, 1), "macro-f1", "protonet", {}) is None


def test_a_row_shows_the_figure_and_the_difference() -> None:
    task = {"dataset": "omniglot", "ways": 5, "shots": 1}
    record = make_record("protonet", (0.99, 0.97), benchmark=task)
    (row,) = build([record]).rows
    assert row.paper == 0.988
    assert row.paper_difference == pytest.approx(-0.008)
    assert "Snell" in row.paper_source
    text = build([record]).render("markdown")
    assert "98.80 %" in text
    assert "-0.80 %" in text


def test_a_table_without_figures_has_no_columns_for_them() -> None:
    assert "paper" not in build([make_record()]).render("table")
