"""The committed leaderboards and the README follow from the committed records."""

import re
import statistics
from pathlib import Path

import pytest

from metabench.leaderboard.backends import BACKENDS, render
from metabench.leaderboard.build import build
from metabench.leaderboard.pages import board_files, summary, title_of
from metabench.leaderboard.verify import problems_of
from metabench.records.schema import Record
from metabench.records.store import ResultsFolder

ROOT = Path(__file__).parents[2]
BOARDS = sorted(path.parent for path in (ROOT / "leaderboards").glob("*/records"))


def test_the_omniglot_board_is_committed() -> None:
    assert "omniglot" in {board.name for board in BOARDS}


def records_of(board: str) -> list[Record]:
    records, unreadable = ResultsFolder(ROOT / "leaderboards" / board).load()
    assert not unreadable
    return records


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_the_records_are_valid_and_the_pages_follow_from_them(board: Path) -> None:
    records, unreadable = ResultsFolder(board).load()
    assert records
    assert problems_of(records, unreadable, board) == []
    assert title_of(board) == board.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_the_records_were_made_by_a_committed_version(board: Path) -> None:
    for record in ResultsFolder(board).load()[0]:
        assert record.environment["git_dirty"] is False, record.file_name


@pytest.mark.parametrize("board", BOARDS, ids=lambda p: p.name)
def test_all_records_of_a_board_come_from_one_commit(board: Path) -> None:
    commits = {record.environment["git_commit"] for record in ResultsFolder(board).load()[0]}
    assert len(commits) == 1


def test_the_table_in_the_readme_follows_from_the_records() -> None:
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"<!-- leaderboard (\S+) -->\n(.*?)\n<!-- end -->", readme, re.DOTALL)
    assert [name for name, _ in blocks] == ["omniglot"]
    for name, text in blocks:
        assert text == summary(build(records_of(name)))


def test_the_page_of_backends_follows_from_its_records() -> None:
    records = records_of("backends")
    assert {record.algorithm.name for record in records} == set(BACKENDS)
    page = (ROOT / "leaderboards" / "backends.md").read_text()
    assert page == render(records, folder="leaderboards/backends") + "\n"


def test_one_method_has_the_same_accuracy_by_five_libraries() -> None:
    """The intervals over the episodes overlap with that of the first algorithm."""
    board = build(records_of("backends"), any_budget=True)  # a lower one, the same for all
    rows = {row.algorithm.partition("[")[0]: row for row in board.rows}
    native = rows[BACKENDS[0]]
    for name in BACKENDS:
        assert abs(rows[name].score - native.score) <= rows[name].ci95 + native.ci95, name


def test_the_errors_of_maml_in_the_readme_follow_from_the_records() -> None:
    curves = [
        record.metrics["adaptation"].values["curve"]
        for record in records_of("sinusoid")
        if record.algorithm.name == "maml"
    ]
    errors = [
        statistics.fmean(-dict(zip(c["steps"], c["score"], strict=True))[step] for c in curves)
        for step in (1, 5, 10)
    ]
    said = "{:.2f}, {:.2f} and {:.2f} after 1, 5 and 10 inner steps".format(*errors)
    assert said in " ".join((ROOT / "README.md").read_text().split())


def test_the_summary_shows_recipes_only_and_the_page_every_row() -> None:
    records = records_of("core")
    other = next(r for r in records if r.algorithm.name == "protonet").model_copy(deep=True)
    other.algorithm.overrides = {"lr": 0.5}
    board = build([*records, other])
    assert "protonet[lr=0.5]" not in summary(board)
    assert "protonet" in summary(board)
    assert "protonet[lr=0.5]" in board_files(board, "leaderboards/core")["README.md"]
