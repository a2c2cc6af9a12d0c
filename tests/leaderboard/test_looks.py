"""The ledger of evaluations, and the number of looks at meta-test."""

from pathlib import Path

import pytest

from metabench.errors import ResultsError
from metabench.leaderboard.looks import LEDGER, ledger_text, looks_of, read_ledger, with_records
from tests.helpers.cells import make_record

FIRST = make_record("maml", hyperparameters={"inner_lr": 0.1})
SECOND = make_record("maml", hyperparameters={"inner_lr": 0.2})
OTHER_SEED = make_record("maml", hyperparameters={"inner_lr": 0.1}, seed=1)
PLACE = ("maml", FIRST.benchmark.title)


def test_a_second_configuration_is_a_second_look() -> None:
    assert looks_of(with_records([], [FIRST]))[PLACE] == 1
    assert looks_of(with_records([], [FIRST, SECOND]))[PLACE] == 2


def test_another_seed_of_the_same_configuration_is_no_further_look() -> None:
    assert looks_of(with_records([], [FIRST, OTHER_SEED]))[PLACE] == 1


def test_a_record_that_was_scored_again_with_the_same_key_is_one_look_and_two_lines() -> None:
    again = FIRST.model_copy(update={"finished": "2026-02-01T00:00:00+00:00"})
    ledger = with_records([], [FIRST, again])
    assert len(ledger) == 2
    assert looks_of(ledger)[PLACE] == 1


def test_a_removed_record_still_counts(tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_text(ledger_text(with_records([], [FIRST])))
    ledger = with_records(read_ledger(tmp_path), [SECOND])
    assert looks_of(ledger)[PLACE] == 2


def test_failed_cells_are_no_looks() -> None:
    assert not with_records([], [make_record(scores=None)])


def test_a_new_version_of_a_benchmark_starts_from_zero() -> None:
    new = make_record("maml", benchmark={"version": "2"})
    looks = looks_of(with_records([], [FIRST, new]))
    assert looks == {PLACE: 1, ("maml", new.benchmark.title): 1}


def test_a_ledger_is_read_as_it_was_written_and_sorted_by_date(tmp_path: Path) -> None:
    ledger = with_records([], [SECOND, FIRST, OTHER_SEED])
    text = ledger_text(ledger)
    (tmp_path / LEDGER).write_text(text)
    assert read_ledger(tmp_path) == ledger
    assert ledger_text(read_ledger(tmp_path)) == text


def test_a_folder_without_a_ledger_has_an_empty_one(tmp_path: Path) -> None:
    assert read_ledger(tmp_path) == frozenset()


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", ledger_text([]) + "x,y\n"])
def test_a_damaged_ledger_is_reported_and_not_replaced(text: str, tmp_path: Path) -> None:
    (tmp_path / LEDGER).write_text(text)
    with pytest.raises(ResultsError, match="is not a ledger of evaluations"):
        read_ledger(tmp_path)
    assert (tmp_path / LEDGER).read_text() == text
