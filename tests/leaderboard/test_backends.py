"""The page that compares one method by several libraries."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from metabench.cli import cli
from metabench.errors import NothingSelected, ResultsError
from metabench.leaderboard.backends import BACKENDS, render, tasks_per_second
from metabench.records.schema import Record, Training
from metabench.records.store import ResultsFolder
from tests.helpers.cells import make_record

HERE = {"cpu": "Some CPU", "threads": 1, "torch": "2.13.0"}


def record(
    name: str, *, seconds: float, mb: float = 300.0, seed: int = 0, **changes: Any
) -> Record:
    """A record of 100 outer steps of 32 tasks."""
    given: dict[str, Any] = {
        "hyperparameters": {"tasks": 32},
        "cost": {"peak_process_mb": mb},
        "benchmark": {"metrics": ("accuracy", "cost")} | changes.pop("benchmark", {}),
        "training": Training(steps=100, seconds=seconds),
        "environment": HERE,
    }
    made = make_record(name, changes.pop("scores", (0.9, 0.94)), seed=seed, **given | changes)
    made.algorithm.library = f"{name.partition('-')[0]} 1.0" if "-" in name else ""
    return made


def cells(page: str, name: str) -> dict[str, str]:
    """Returns the cells of an algorithm by column."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    columns = [c.strip() for c in lines[0].strip("|").split("|")]
    (row,) = [line for line in lines if line.startswith(f"| {name} ")]
    return dict(zip(columns, (c.strip() for c in row.strip("|").split("|")), strict=True))


def test_a_row_shows_accuracy_speed_and_memory_of_its_library() -> None:
    page = render([record("maml", seconds=32), record("l2l-maml", seconds=64, mb=512.4)])
    assert cells(page, "l2l-maml") == {
        "algorithm": "l2l-maml",
        "library": "l2l 1.0",
        "accuracy": "92.00 ± 25.41 %",
        "seeds": "1",
        "tasks/s": "50",
        "relative": "0.50",
        "peak MB": "512",
        "status": "ok",
    }
    assert (cells(page, "maml")["tasks/s"], cells(page, "maml")["relative"]) == ("100", "1.00")


def test_the_speed_counts_the_time_of_meta_training_only() -> None:
    assert tasks_per_second(record("maml", seconds=16)) == 200
    assert tasks_per_second(record("maml", seconds=0)) is None
    assert tasks_per_second(record("maml", seconds=16, hyperparameters={})) is None


def test_the_speed_counts_the_tasks_that_were_drawn() -> None:
    """A budget too small for a whole batch draws fewer tasks than the hyper-parameter says."""
    counted = Training(steps=100, tasks=3190, seconds=10)
    assert tasks_per_second(record("maml", seconds=0, training=counted)) == 319
    by_another_name = record("maml", seconds=0, training=counted, hyperparameters={"batch": 32})
    assert tasks_per_second(by_another_name) == 319


def test_records_without_a_task_count_use_the_steps_and_the_hyper_parameter() -> None:
    older = record("maml", seconds=16)
    assert older.training.tasks == 0
    assert tasks_per_second(older) == 100 * 32 / 16


def test_speed_is_the_median_over_the_seeds() -> None:
    page = render([record("maml", seconds=s, seed=i) for i, s in enumerate((32, 16, 3200))])
    assert (cells(page, "maml")["tasks/s"], cells(page, "maml")["seeds"]) == ("100", "3")


def test_rows_follow_the_order_of_the_libraries_and_a_missing_one_is_shown() -> None:
    page = render(
        [
            record("torchopt-maml", seconds=9),
            record("maml", seconds=8),
            record("protonet", seconds=1),
        ]
    )
    found = [line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| ")][1:]
    assert found == ["maml", "torchopt-maml", "l2l-maml", "higher-maml", "torchfunc-maml"]
    assert cells(page, "higher-maml")["status"] == "no record"


def test_a_failed_row_has_its_reason_and_no_numbers() -> None:
    with_cost = {"metrics": ("accuracy", "cost")}
    failed = make_record("higher-maml", None, reason="it broke | badly", benchmark=with_cost)
    page = render([record("maml", seconds=8), failed])
    line = next(line for line in page.splitlines() if line.startswith("| higher-maml"))
    assert "failed: it broke \\| badly" in line
    assert "nan" not in line


def test_a_superseded_record_does_not_count() -> None:
    later = "2026-02-01T00:00:00+00:00"
    old = record("maml", seconds=3200)
    new = record("maml", seconds=32, hyperparameters={"tasks": 32, "lr": 1.0}, finished=later)
    assert cells(render([old, new]), "maml")["tasks/s"] == "100"


def test_quick_records_are_left_out() -> None:
    with pytest.raises(NothingSelected, match="no record of maml, l2l-maml"):
        render([record("maml", seconds=8, benchmark={"quick": True})])


def test_a_page_of_two_machines_lists_them() -> None:
    one, other = (
        record("maml", seconds=8),
        record("l2l-maml", seconds=8, environment=HERE | {"cpu": "Other"}),
    )
    assert "different machines" in render([one, other])
    assert "Measured on Some CPU, 1 thread(s), torch 2.13.0." in render([one])


def test_hyper_parameters_that_differ_are_listed() -> None:
    one, other = (
        record("maml", seconds=8),
        record("l2l-maml", seconds=8, hyperparameters={"tasks": 16}),
    )
    assert "differ between the rows: tasks." in render([one, other])
    assert "All rows have the same hyper-parameters." in render([one])


def test_the_page_does_not_depend_on_the_order_of_the_records() -> None:
    sizes = ({"name": "glyphs-5w1s"}, {"name": "glyphs-20w1s"})
    records = [
        record(name, seconds=8 + i + seed, seed=seed, benchmark=size)
        for i, name in enumerate(BACKENDS)
        for seed in range(2)
        for size in sizes
    ]
    pages = set()
    for mixed in range(5):
        random.Random(mixed).shuffle(records)
        pages.add(render(records))
    (page,) = pages
    assert page.index("## glyphs-5w1s@1") < page.index("## glyphs-20w1s@1")


def test_the_command_prints_the_page_of_a_folder(tmp_path: Path) -> None:
    records = [record(name, seconds=8) for name in BACKENDS]
    for each in records:
        ResultsFolder(tmp_path).save(each)
    run = CliRunner(catch_exceptions=False).invoke(
        cli, ["backends", str(tmp_path)], standalone_mode=False
    )
    assert run.stdout == render(records, folder=tmp_path.as_posix()) + "\n"
    chosen = ["backends", str(tmp_path), "-a", "l2l-maml", "-a", "maml"]
    run = CliRunner(catch_exceptions=False).invoke(cli, chosen, standalone_mode=False)
    assert "higher-maml" not in run.stdout
    missing = CliRunner().invoke(cli, ["backends", str(tmp_path / "none")], standalone_mode=False)
    assert isinstance(missing.exception, ResultsError)
