"""A paper's figure stands beside the rows that have the paper's conditions, and no others."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

import metabench.leaderboard
from metabench.benchmarks.model import Benchmark, load_suites
from metabench.errors import NotApplicable
from metabench.leaderboard.build import build
from metabench.leaderboard.pages import board_files, summary
from metabench.leaderboard.published import published_figure
from metabench.records.schema import Record
from metabench.report.columns import columns_of
from metabench.report.data import gather
from tests.helpers.cells import make_record
from tests.recipes import golden

REGISTRY = golden.built_in()
SUITES = load_suites(REGISTRY)
PAPERS = {benchmark.name: benchmark for benchmark in SUITES["papers"].benchmark}

FIGURES = [
    # Finn et al. 2017, table 1; not the lower figures of the ANIL paper.
    ("maml", "papers-maml-omniglot-5w1s", {}, 0.987),
    ("maml", "papers-maml-omniglot-5w5s", {}, 0.999),
    ("maml", "papers-maml-omniglot-20w1s", {}, 0.958),
    ("maml", "papers-maml-omniglot-20w5s", {}, 0.989),
    # Snell et al. 2017, table 1.
    ("protonet", "papers-vinyals-omniglot-5w1s", {}, 0.988),
    ("protonet", "papers-vinyals-omniglot-5w5s", {}, 0.997),
    ("protonet", "papers-vinyals-omniglot-20w1s", {}, 0.960),
    ("protonet", "papers-vinyals-omniglot-20w5s", {}, 0.989),
    # Vinyals et al. 2016, with the cosine.
    ("matchingnet", "papers-vinyals-omniglot-5w1s", {}, 0.981),
    ("matchingnet", "papers-vinyals-omniglot-5w5s", {}, 0.989),
    ("matchingnet", "papers-vinyals-omniglot-20w1s", {}, 0.938),
    ("matchingnet", "papers-vinyals-omniglot-20w5s", {}, 0.985),
    # Finn et al. 2017, table 2: one training, and a row for each number of inner steps.
    ("maml", "papers-maml-sinusoid-5s", {"test_steps": 1}, 0.67),
    ("maml", "papers-maml-sinusoid-5s", {"test_steps": 5}, 0.38),
    ("maml", "papers-maml-sinusoid-5s", {}, 0.35),
]
MAML = FIGURES[0][:2]


def faithful(
    name: str,
    benchmark: str,
    overrides: dict[str, Any] | None = None,
    *,
    recipe: str = "paper",
    **changes: Any,
) -> Record:
    """Returns a record with the conditions of a paper, but for the changes."""
    cell = PAPERS[benchmark]
    spec = REGISTRY.get("algorithm", name)
    values = golden.resolve(REGISTRY, spec, cell, recipe) | {"budget": cell.budget}
    values |= overrides or {}
    batch = values.get("norm") == "batch"
    metric = cell.metrics[0]
    record = make_record(
        name,
        (0.5,) * cell.test_episodes,
        metric=metric,
        direction="higher" if metric == "accuracy" else "lower",
        hyperparameters=values,
        benchmark=cell.model_dump(),
        track="transductive" if batch else "inductive",
    )
    identity = {"recipe": recipe, "overrides": overrides or {}}
    return record.model_copy(
        update=changes | {"algorithm": record.algorithm.model_copy(update=identity)}
    )


@pytest.mark.parametrize(("name", "benchmark", "overrides", "value"), FIGURES)
def test_a_row_with_the_papers_conditions_shows_its_figure(
    name: str, benchmark: str, overrides: dict[str, Any], value: float
) -> None:
    (row,) = build([faithful(name, benchmark, overrides)]).rows
    assert row.paper == value
    assert row.paper_difference == pytest.approx(0.5 - value)
    assert row.paper_source


def test_every_figure_of_the_file_that_may_be_shown_is_shown_here() -> None:
    path = Path(metabench.leaderboard.__file__).with_name("published.csv")
    with path.open(encoding="utf-8") as lines:
        shown = [(row["algorithm"], row["benchmark"]) for row in csv.DictReader(lines)]
    assert sorted(pair for pair in shown if any(pair)) == sorted(row[:2] for row in FIGURES)


@pytest.mark.parametrize(
    "change",
    [
        {"queries": 15},
        {"dataset_options": {"split": "vinyals"}},
        {"ways": 20},
        {"shots": 5},
        {"backbone": "conv4"},
        {"budget": 9_600_000},
        {"test_episodes": 1000},
        {"augmentation": {"shift": 2}},
        {"version": "2"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_definition_of_the_benchmark_takes_the_figure_away(change: dict[str, Any]) -> None:
    record = faithful(*MAML)
    assert published_figure(record, "accuracy")
    other = record.model_copy(
        update={"benchmark": Benchmark(**record.benchmark.model_dump() | change)}
    )
    assert published_figure(other, "accuracy") is None


@pytest.mark.parametrize(
    "override",
    [
        {"budget": 1_000_000},
        {"norm": "support"},
        {"inner_steps": 5},
        {"test_steps": 10},
        {"inner_lr": 0.4},
        {"tasks": 4},
        {"train_queries": 15},
        {"backbone": "conv4"},
        {"anneal": True},
    ],
    ids=lambda override: next(iter(override)),
)
def test_an_override_takes_the_figure_away(override: dict[str, Any]) -> None:
    record = faithful(*MAML, override)
    # The track alone would do for norm: it is measured, and here it is that of the paper.
    assert published_figure(record.model_copy(update={"track": "transductive"}), "accuracy") is None


def test_another_value_takes_the_figure_away_if_no_override_is_named() -> None:
    record = faithful(*MAML)
    changed = record.algorithm.hyperparameters | {"budget": 1_000_000}
    algorithm = record.algorithm.model_copy(update={"hyperparameters": changed})
    other = record.model_copy(update={"algorithm": algorithm})
    assert published_figure(other, "accuracy") is None


def test_another_recipe_takes_the_figure_away() -> None:
    record = faithful(*MAML)
    algorithm = record.algorithm.model_copy(update={"recipe": "default"})
    other = record.model_copy(update={"algorithm": algorithm})
    assert published_figure(other, "accuracy") is None


@pytest.mark.parametrize("identity", [{"distribution": "mine"}, {"pretrained_on": "ImageNet-1k"}])
def test_a_plugin_of_the_same_name_or_with_pretrained_weights_has_no_figure(
    identity: dict[str, str],
) -> None:
    record = faithful(*MAML)
    algorithm = record.algorithm.model_copy(update=identity)
    other = record.model_copy(update={"algorithm": algorithm})
    assert published_figure(record, "accuracy")
    assert published_figure(other, "accuracy") is None


@pytest.mark.parametrize("track", ["inductive", None])
def test_another_track_takes_the_figure_away(track: str | None) -> None:
    assert published_figure(faithful(*MAML, track=track), "accuracy") is None


def test_another_metric_has_no_figure() -> None:
    assert published_figure(faithful(*MAML), "noise") is None
    assert published_figure(faithful(*MAML), "adapt_ms") is None


def test_a_quick_run_has_no_figure() -> None:
    record = faithful(*MAML)
    quick = record.model_copy(update={"benchmark": record.benchmark.quickened()})
    assert published_figure(quick, "accuracy") is None


def test_further_metrics_and_other_test_episodes_keep_the_figure() -> None:
    record = faithful(*MAML)
    metrics = record.benchmark.model_copy(update={"metrics": ("accuracy", "noise")})
    for benchmark in (metrics, record.benchmark.salted("5" * 64)):
        other = record.model_copy(update={"benchmark": benchmark})
        assert published_figure(other, "accuracy")


def test_one_seed_under_other_conditions_takes_the_figure_from_the_row() -> None:
    record = faithful(*MAML)
    other = record.model_copy(update={"seed": 1, "key": "1" * 64, "track": None})
    (row,) = build([record, other]).rows
    assert (row.seeds, row.paper) == (2, None)


@pytest.mark.parametrize("suite", sorted(SUITES.keys() - {"papers"}))
def test_no_benchmark_of_another_suite_has_a_figure(suite: str) -> None:
    for benchmark in SUITES[suite].benchmark:
        for name in ("maml", "protonet", "matchingnet", "reptile", "anil"):
            spec = REGISTRY.get("algorithm", name)
            for recipe in ("default", "paper"):
                try:
                    values = golden.resolve(REGISTRY, spec, benchmark, recipe)
                except NotApplicable:
                    continue
                record = make_record(
                    name,
                    (0.5,) * benchmark.test_episodes,
                    metric=benchmark.metrics[0],
                    hyperparameters=values | {"budget": benchmark.budget},
                    benchmark=benchmark.model_dump(),
                    track="transductive" if values.get("norm") == "batch" else "inductive",
                )
                algorithm = record.algorithm.model_copy(update={"recipe": recipe})
                record = record.model_copy(update={"algorithm": algorithm})
                assert published_figure(record, benchmark.metrics[0]) is None


def test_tables_show_a_figure_and_its_difference() -> None:
    board = build([faithful(*MAML)])
    text = board.render("markdown")
    assert "98.70 %" in text
    assert "-48.70 %" in text
    page = board_files(board, "leaderboards/x")["README.md"]
    assert "Published figures: MAML paper, Finn et al. 2017, Table 1." in page


def test_pages_without_figures_have_no_columns_and_no_footer_for_them() -> None:
    record = make_record("maml", benchmark={"dataset": "omniglot", "ways": 5, "shots": 1})
    board = build([record])
    (row,) = board.rows
    assert (row.paper, row.paper_difference, row.paper_source) == (None, None, "")
    for text in (
        board.render("table"),
        board.render("markdown"),
        board_files(board, "leaderboards/x")["README.md"],
        summary(board),
    ):
        assert "paper" not in text
        assert "difference" not in text
        assert "Published" not in text


@pytest.mark.parametrize("shown", [True, False])
def test_a_report_has_the_column_of_figures_only_if_a_row_has_one(shown: bool) -> None:
    record = faithful(*MAML, track="transductive" if shown else "inductive")
    (results,) = gather([record]).benchmarks
    titles = {column.title for column in columns_of(results)}
    assert ("paper (%)" in titles, "difference (%)" in titles) == (shown, shown)
