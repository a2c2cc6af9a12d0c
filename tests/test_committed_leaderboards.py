"""What is committed under ``leaderboards/`` is what its records make, and so is what the README says."""

import re
from pathlib import Path

import pytest

from metabench.leaderboard import build
from metabench.pages import problems_of, summary
from metabench.results import ResultsFolder

ROOT = Path(__file__).parents[1]
BOARDS = sorted(path.parent for path in (ROOT / "leaderboards").glob("*/records"))


def test_there_are_some() -> None:
    assert "omniglot" in {board.name for board in BOARDS}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_the_records_are_sound_and_the_pages_follow_from_them(board: Path) -> None:
    records, unreadable = ResultsFolder(board).load()
    assert records
    assert problems_of(records, unreadable, board, board.relative_to(ROOT).as_posix()) == []


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_the_records_were_made_by_a_committed_version(board: Path) -> None:
    for record in ResultsFolder(board).load()[0]:
        assert record.environment["git_dirty"] is False, record.file_name


def test_the_figures_in_the_readme_are_those_of_the_records() -> None:
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"<!-- leaderboard (\S+) -->\n(.*?)\n<!-- end -->", readme, re.DOTALL)
    assert [name for name, _ in blocks] == ["omniglot"]
    for name, text in blocks:
        assert text == summary(build(ResultsFolder(ROOT / "leaderboards" / name).load()[0]))
