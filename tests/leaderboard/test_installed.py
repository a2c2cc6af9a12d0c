"""``--verify`` fails if the installed code would not make a record, and says what changed."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from metabench.cli import cli
from metabench.leaderboard.codes import Recheck
from metabench.leaderboard.installed import compare_with_installed
from metabench.records.schema import Record, key_of
from metabench.records.store import ResultsFolder
from metabench.running.code_digest import code_of
from metabench.running.resolve import resolve
from tests.helpers.cells import blobs, cell, make_record, tasks_of


@pytest.fixture
def current(planted) -> Record:
    """Returns a record of what the installed code would run now."""
    resolved = resolve(cell("maml"), tasks_of(planted, blobs()), planted.registry)
    code = code_of(resolved.make_algorithm())
    return make_record().model_copy(update={"algorithm": resolved.algorithm, "code": code})


def changed(record: Record, **changes: Any) -> Record:
    algorithm = record.algorithm.model_copy(update=changes)
    return record.model_copy(update={"algorithm": algorithm})


def problems(planted, *records: Record) -> list[str]:
    return compare_with_installed(records, planted.registry).problems(Path("a board"))


def problem(planted, record: Record) -> str:
    """Returns the change in a record, without what to do about it."""
    (text,) = problems(planted, record)
    assert text.startswith(f"{record.file_name}: ")
    change, _, _ = text.partition(". Remove the old records, run ")
    return change


def test_a_current_record_has_no_problem(planted, current: Record) -> None:
    assert problems(planted, current) == []
    assert problems(planted, changed(current, recipe="")) == []


def test_constructing_the_algorithm_leaves_the_random_state(planted, current: Record) -> None:
    before = torch.get_rng_state()
    problems(planted, current)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_record_of_another_version_is_listed(planted, current: Record) -> None:
    text = problem(planted, changed(current, version="0"))
    version = current.algorithm.version
    assert text.endswith(f": made with maml@0; installed is maml@{version}")


def test_a_record_of_other_recipe_values_is_listed(planted, current: Record) -> None:
    values = current.algorithm.hyperparameters
    older = changed(current, hyperparameters=values | {"outer_lr": 7.0})
    text = problem(planted, older)
    assert "other values than the recipe 'default' has now" in text
    assert text.endswith(f"outer_lr was 7.0 and is {values['outer_lr']}")


def test_new_and_removed_hyper_parameters_are_named(planted, current: Record) -> None:
    values = current.algorithm.hyperparameters | {"momentum": 0.5}
    rate = values.pop("outer_lr")
    text = problem(planted, changed(current, hyperparameters=values))
    assert text.endswith(f"has now: momentum=0.5 is gone; outer_lr={rate} is new")


def test_an_override_is_no_change_of_the_recipe(planted, current: Record) -> None:
    values = current.algorithm.hyperparameters | {"outer_lr": 7.0}
    own = changed(current, hyperparameters=values, overrides={"outer_lr": 7.0})
    assert problems(planted, own) == []


def test_a_record_that_cannot_be_run_again_says_why(planted, current: Record) -> None:
    gone = changed(current, overrides={"momentum": 0.5})
    text = problem(planted, gone)
    assert "the installed maml cannot run it again" in text
    text = problem(planted, changed(current, recipe="unheard-of"))
    assert "the recipe that it was made with is gone" in text


def test_a_record_of_other_code_is_a_problem(planted, current: Record) -> None:
    text = problem(planted, current.model_copy(update={"code": "0" * 64}))
    version = current.algorithm.version
    assert f"other code of maml@{version} than the installed (code 000000000000 and" in text
    accepts = "`metabench leaderboard 'a board' --recheck` accepts it"
    assert f"{accepts}. Otherwise remove the old records" in text


def test_other_code_with_the_same_numbers_is_no_problem(planted, current: Record) -> None:
    version, older = current.algorithm.version, current.model_copy(update={"code": "0" * 64})
    lines = [
        Recheck("2026-01-02", "maml", version, "1" * 64, current.code, "b"),
        Recheck("2026-01-01", "maml", version, "0" * 64, "1" * 64, "a"),
    ]
    assert compare_with_installed([older], planted.registry, lines).other_code == []
    found = compare_with_installed([older], planted.registry, lines[:1]).other_code
    assert found == [(older, current.code)]


def test_one_problem_says_how_to_run_all_its_records_again(planted, current: Record) -> None:
    older = changed(current, version="0", overrides={"outer_lr": 0.5})
    seeds = [older.model_copy(update={"seed": seed}) for seed in (0, 2)]
    (text,) = problems(planted, *seeds)
    assert text.startswith(f"{seeds[0].file_name} and 1 other record: made with maml@0")
    assert text.endswith(
        "`metabench run --fresh -a maml -b blobs-3w1s --seeds 0,2 --set maml.outer_lr=0.5 "
        "--results 'a board'`, then `metabench leaderboard 'a board' --write`"
    )


def test_the_command_for_one_seed_is_one_that_the_command_line_takes(
    planted, current: Record
) -> None:
    one = changed(current, version="0", recipe="fast").model_copy(update={"seed": 7})
    assert "--seeds 7, --recipe fast --results" in problems(planted, one)[0]


@pytest.mark.parametrize("changes", [{"name": "not-installed"}, {"distribution": "other"}])
def test_algorithms_that_are_not_installed_are_left_out_and_named(
    planted, current: Record, changes: dict[str, str]
) -> None:
    other = changed(current, version="0", **changes)
    comparison = compare_with_installed([other], planted.registry)
    assert comparison.problems(Path("board")) == []
    (notice,) = comparison.notices()
    assert notice.startswith(f"not compared with the installed code: {other.algorithm.name} (")
    assert notice.endswith("is not installed)")


@pytest.fixture
def board(current: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a board with a record of an older version."""
    monkeypatch.chdir(tmp_path)
    older = changed(current, version="0")
    key = key_of(older.algorithm, older.benchmark, older.seed, older.data_digest)
    ResultsFolder(Path("board")).save(older.model_copy(update={"key": key}))
    assert CliRunner().invoke(cli, ["leaderboard", "board", "--write"]).exit_code == 0
    return Path("board")


def test_verify_fails_and_says_what_changed(planted, board: Path) -> None:
    done = CliRunner().invoke(cli, ["leaderboard", "board", "--verify"], standalone_mode=False)
    assert done.return_value == 1
    assert "blobs-3w1s@1/maml-s0-" in done.stderr
    assert "made with maml@0" in done.stderr
    assert "1 problem in 'board'." in done.stderr


def test_without_pytorch_verify_says_what_it_leaves_out(
    planted, board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "metabench.leaderboard.installed", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)  # import raises ModuleNotFoundError
    done = CliRunner().invoke(cli, ["leaderboard", "board", "--verify"], standalone_mode=False)
    assert done.return_value == 0
    assert "not compared with the installed code: that needs PyTorch." in done.stderr
