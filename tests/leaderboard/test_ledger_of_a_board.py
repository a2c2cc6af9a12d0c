"""The ledger of a committed board: kept by ``--write``, shown as looks, checked by ``--verify``."""

import json
from pathlib import Path

import pytest

from metabench.cli import main
from metabench.leaderboard.looks import LEDGER, read_ledger
from metabench.records.schema import Record
from metabench.records.store import ResultsFolder
from tests.helpers.cells import make_record

FIRST = make_record("maml", hyperparameters={"inner_lr": 0.1})
SECOND = make_record("maml", hyperparameters={"inner_lr": 0.2}, finished="2026-02-01T00:00:00")


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A folder with one record, and its page."""
    (tmp_path / "records").mkdir()
    store(tmp_path, FIRST)
    leaderboard(tmp_path, "--write")
    return tmp_path


def store(folder: Path, record: Record) -> Path:
    ResultsFolder(folder).save(record)
    return folder / "records" / record.file_name


def leaderboard(folder: Path, *arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["leaderboard", str(folder), *arguments])
    return int(left.value.code or 0)


def test_a_replaced_record_stays_in_the_ledger_and_counts_as_a_look(board: Path, capsys) -> None:
    (board / "records" / FIRST.file_name).unlink()
    store(board, SECOND)
    assert leaderboard(board, "--write") == 0
    assert {line.key for line in read_ledger(board)} == {FIRST.key, SECOND.key}
    capsys.readouterr()
    leaderboard(board, "--format", "json")
    assert [row["looks"] for row in json.loads(capsys.readouterr().out)] == [2]


def test_a_record_that_the_ledger_lacks_is_a_problem(board: Path, capsys) -> None:
    text = (board / LEDGER).read_text()
    (board / LEDGER).write_text(text.splitlines()[0] + "\n")
    assert leaderboard(board, "--verify") == 1
    assert f"{LEDGER} lacks the record {FIRST.file_name}" in capsys.readouterr().err
    (board / LEDGER).write_text(text)


def test_a_line_that_was_removed_for_an_older_record_changes_the_page(board: Path) -> None:
    (board / "records" / FIRST.file_name).unlink()
    store(board, SECOND)
    leaderboard(board, "--write")
    lines = (board / LEDGER).read_text().splitlines(keepends=True)
    (board / LEDGER).write_text("".join(line for line in lines if FIRST.key not in line))
    assert leaderboard(board, "--verify") == 1


def test_a_damaged_ledger_is_neither_overwritten_nor_ignored(board: Path, capsys) -> None:
    (board / LEDGER).write_text("something else")
    assert leaderboard(board, "--write") != 0
    assert "is not a ledger of evaluations" in capsys.readouterr().err
    assert (board / LEDGER).read_text() == "something else"


def test_a_results_folder_without_a_ledger_has_no_looks(tmp_path: Path, capsys) -> None:
    (tmp_path / "records").mkdir()
    store(tmp_path, FIRST)
    leaderboard(tmp_path, "--format", "json")
    assert [row["looks"] for row in json.loads(capsys.readouterr().out)] == [None]
