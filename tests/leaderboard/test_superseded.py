"""``--verify`` lists the records that the installed code would not make, and passes them."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from metabench.cli import cli
from metabench.leaderboard.superseded import superseded
from metabench.records.schema import Record, key_of
from metabench.records.store import ResultsFolder
from metabench.running.resolve import resolve
from tests.helpers.cells import blobs, cell, make_record, tasks_of


@pytest.fixture
def current(planted) -> Record:
    """Returns a record of what the installed code would run now."""
    resolved = resolve(cell("maml"), tasks_of(planted, blobs()), planted.registry)
    return make_record().model_copy(update={"algorithm": resolved.algorithm})


def changed(record: Record, **changes: Any) -> Record:
    algorithm = record.algorithm.model_copy(update=changes)
    return record.model_copy(update={"algorithm": algorithm})


def test_a_current_record_is_not_listed(planted, current: Record) -> None:
    assert superseded([current], planted.registry) == []
    assert superseded([changed(current, recipe="")], planted.registry) == []


def test_a_record_of_another_version_is_listed(planted, current: Record) -> None:
    (text,) = superseded([changed(current, version="0")], planted.registry)
    version = current.algorithm.version
    assert text.endswith(f": made with maml@0; installed is maml@{version}")
    assert text.startswith(current.file_name)


def test_a_record_of_other_recipe_values_is_listed(planted, current: Record) -> None:
    values = current.algorithm.hyperparameters
    older = changed(current, hyperparameters=values | {"outer_lr": 7.0})
    (text,) = superseded([older], planted.registry)
    assert "other values than the recipe 'default' has now" in text
    assert text.endswith(f"outer_lr was 7.0 and is {values['outer_lr']}")


def test_new_and_removed_hyper_parameters_are_named(planted, current: Record) -> None:
    values = current.algorithm.hyperparameters | {"momentum": 0.5}
    rate = values.pop("outer_lr")
    (text,) = superseded([changed(current, hyperparameters=values)], planted.registry)
    assert text.endswith(f"has now: momentum=0.5 is gone; outer_lr={rate} is new")


def test_an_override_is_no_change_of_the_recipe(planted, current: Record) -> None:
    values = current.algorithm.hyperparameters | {"outer_lr": 7.0}
    own = changed(current, hyperparameters=values, overrides={"outer_lr": 7.0})
    assert superseded([own], planted.registry) == []


def test_a_record_that_cannot_be_run_again_says_why(planted, current: Record) -> None:
    gone = changed(current, overrides={"momentum": 0.5})
    (text,) = superseded([gone], planted.registry)
    assert "the installed maml cannot run it again" in text
    (text,) = superseded([changed(current, recipe="unheard-of")], planted.registry)
    assert "the recipe that it was made with is gone" in text


@pytest.mark.parametrize("changes", [{"name": "not-installed"}, {"distribution": "other"}])
def test_algorithms_that_are_not_installed_are_left_out(
    planted, current: Record, changes: dict[str, str]
) -> None:
    assert superseded([changed(current, version="0", **changes)], planted.registry) == []


def test_verify_lists_it_and_passes(
    planted, current: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    older = changed(current, version="0")
    key = key_of(older.algorithm, older.benchmark, older.seed, older.data_digest)
    ResultsFolder(Path("board")).save(older.model_copy(update={"key": key}))
    assert CliRunner().invoke(cli, ["leaderboard", "board", "--write"]).exit_code == 0
    done = CliRunner().invoke(cli, ["leaderboard", "board", "--verify"])
    assert "superseded: blobs-3w1s@1/maml-s0-" in done.stderr
    assert "made with maml@0" in done.stderr
    assert done.stdout == "1 record verified; the pages agree with them.\n"
