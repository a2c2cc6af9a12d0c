"""``metabench tune``."""

import csv
from pathlib import Path


def tune(metabench, suite: Path, *arguments: object):
    return metabench(
        "tune", "-a", "learner", "--suite", suite, "--trials", 3, "--episodes", 4,
        "--executor", "in-process", *arguments,
    )  # fmt: skip


def test_it_prints_the_best_trial_and_writes_csv_and_recipes(
    metabench, suite: Path, here: Path
) -> None:
    done = tune(metabench, suite, "--json", "--csv", "trials.csv", "--recipes", "recipes")
    assert done.code == 0
    (row,) = done.document
    assert row["algorithm"] == "learner"
    assert row["best"] >= row["default"]
    with Path("trials.csv").open() as file:
        assert len(list(csv.DictReader(file))) == row["trials"] == 3
    assert Path("recipes/learner.toml").exists()


def test_a_second_run_has_nothing_left_to_do(metabench, suite: Path, here: Path) -> None:
    first = tune(metabench, suite)
    assert "3 trials: 0 stored, 3 to run" in first.err
    again = tune(metabench, suite)
    assert "3 trials: 3 stored, 0 to run" in again.err
    assert again.out == first.out


def test_a_dry_run_lists_the_trials_and_runs_none(metabench, suite: Path, here: Path) -> None:
    done = tune(metabench, suite, "--dry-run", "--json")
    assert [row["trial"] for row in done.document] == [0, 1, 2]
    assert {row["state"] for row in done.document} == {"new"}
    assert not Path("tuning").exists()


def test_errors_name_the_option_and_its_bounds(metabench, suite: Path, here: Path) -> None:
    assert tune(metabench, suite, "--fraction", 2).code == 2
    one = metabench("tune", "--suite", suite, "--trials", 1)
    assert one.code == 2
    assert "trials" in one.err
    missing = tune(metabench, suite, "--space", "nowhere.toml")
    assert missing.code == 2
    assert "search space 'nowhere.toml' cannot be read" in missing.err


def test_an_algorithm_whose_trials_all_fail_leaves_the_results_of_the_others(
    metabench, suite: Path, here: Path
) -> None:
    space = '[factors]\nlr = 2.0\ntasks = 2.0\n[choices]\nhow = ["raise", "memory"]\n'
    Path("space.toml").write_text(space)
    files = ("--space", "space.toml", "--csv", "new/trials.csv", "--recipes", "recipes")
    done = tune(metabench, suite, "-a", "trouble", "--json", *files)
    assert done.code == 1
    assert "error: every trial of trouble on" in done.err
    assert [row["algorithm"] for row in done.document] == ["learner"]
    with Path("new/trials.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 6
    assert [path.name for path in Path("recipes").iterdir()] == ["learner.toml"]


def test_a_csv_file_that_cannot_be_written_is_an_error(metabench, suite: Path, here: Path) -> None:
    Path("trials.csv").mkdir()
    done = tune(metabench, suite, "--csv", "trials.csv")
    assert done.code == 2
    assert "'trials.csv' cannot be written" in done.err
