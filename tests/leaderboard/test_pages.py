"""The pages of a committed leaderboard follow from its records; other problems are reported."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from metabench.cli import cli
from metabench.leaderboard.build import build
from metabench.leaderboard.looks import LEDGER
from metabench.leaderboard.pages import README, summary
from metabench.records.schema import Record, key_of
from metabench.records.store import ResultsFolder
from tests.helpers.cells import make_record, with_seeds


def with_key(record: Record) -> Record:
    key = key_of(record.algorithm, record.benchmark, record.seed, record.data_digest)
    return record.model_copy(update={"key": key})


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed leaderboard without problems."""
    monkeypatch.chdir(tmp_path)
    folder = ResultsFolder(Path("board"))
    for name, scores in (("a", (0.25, 0.5)), ("b", (0.75, 1.0))):
        folder.save(with_key(make_record(name, scores)))
    assert metabench("leaderboard", "board", "--write")[0] == 0
    return Path("board")


def metabench(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, arguments, standalone_mode=False)
    return (result.return_value if result.exception is None else 2), result.output


def change(board: Path, **changes: Any) -> None:
    path = next(board.glob("records/*/a-*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_written_pages_verify(board: Path) -> None:
    written = [README, LEDGER, "leaderboard.csv", "records"]
    assert sorted(p.name for p in board.iterdir()) == written
    assert "87.50" in (board / README).read_text()
    assert metabench("leaderboard", "board", "--verify") == (
        0,
        "not compared with the installed code: a ('a' is not installed)\n"
        "not compared with the installed code: b ('b' is not installed)\n"
        "2 records verified; the pages agree with them.\n",
    )


@pytest.mark.parametrize(
    "spelling", ["board", "./board", "board/", "absolute", "board/records/..", "."]
)
def test_the_verdict_does_not_depend_on_how_the_folder_is_spelled(
    board: Path, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Path.cwd()
    if spelling == ".":
        monkeypatch.chdir(board)
    path = str((here / board).resolve()) if spelling == "absolute" else spelling
    before = (here / board / README).read_text()
    assert metabench("leaderboard", path, "--verify")[0] == 0
    assert metabench("leaderboard", path, "--write")[0] == 0
    assert (here / board / README).read_text() == before


def test_a_copied_folder_verifies(board: Path) -> None:
    shutil.copytree(board, "elsewhere/copy")
    assert metabench("leaderboard", "elsewhere/copy", "--verify")[0] == 0


def test_a_title_that_contradicts_the_commands_below_it_is_reported(board: Path) -> None:
    page = board / README
    page.write_text(page.read_text().replace("# board\n", "# Winners\n", 1))
    code, output = metabench("leaderboard", "board", "--verify")
    assert code == 1
    assert f"{README} does not follow from the records" in output


def test_the_page_lists_the_machines_if_there_are_several(board: Path) -> None:
    assert "different machines" not in (board / README).read_text()
    change(board, environment={"cpu": "Old CPU", "threads": 1, "torch": "2.13.0"})
    metabench("leaderboard", "board", "--write")
    page = (board / README).read_text()
    assert "was measured on different machines" in page
    assert "* Old CPU, 1 thread(s), torch 2.13.0: a\n" in page


def test_pages_can_be_written_to_another_folder(board: Path) -> None:
    code, output = metabench("leaderboard", "board", "--write", "public/pages")
    assert (code, output) == (
        0,
        f"wrote public/pages/{README}\nwrote public/pages/leaderboard.csv\n"
        f"wrote public/pages/{LEDGER}\n",
    )
    assert (Path("public/pages") / README).read_text() == (board / README).read_text()


@pytest.mark.parametrize("name", [README, "leaderboard.csv"])
def test_an_edited_table_is_reported(board: Path, name: str) -> None:
    page = board / name
    page.write_text(page.read_text().replace("0.375", "0.975").replace("37.50", "97.50"))
    code, output = metabench("leaderboard", "board", "--verify")
    assert code == 1
    assert f"{name} does not follow from the records" in output


@pytest.mark.parametrize(("factor", "agrees"), [(1 + 1e-10, True), (1 + 1e-5, False)])
def test_only_the_last_digits_of_a_number_may_differ(
    board: Path, factor: float, agrees: bool
) -> None:
    """Another release of SciPy does not make a board invalid, and an edit does."""
    path = board / "leaderboard.csv"
    heading, first, *others = path.read_text().split("\n")
    cells = first.split(",")
    score = heading.split(",").index("score")
    cells[score] = repr(float(cells[score]) * factor)
    path.write_text("\n".join([heading, ",".join(cells), *others]))
    assert (metabench("leaderboard", "board", "--verify")[0] == 0) is agrees


def test_a_missing_page_is_reported(board: Path) -> None:
    (board / README).unlink()
    code, output = metabench("leaderboard", "board", "--verify")
    assert code == 1
    assert f"{README} is missing" in output


def test_a_mean_that_differs_from_its_episodes_is_reported(board: Path) -> None:
    path = next(board.glob("records/*/a-*.json"))
    path.write_text(path.read_text().replace('"mean":0.375', '"mean":0.9'))
    code, output = metabench("leaderboard", "board", "--verify")
    assert code == 1
    assert "its accuracy is stated as 0.9 ±" in output


def test_a_hyper_parameter_that_does_not_match_the_key_is_reported(board: Path) -> None:
    path = next(board.glob("records/*/a-*.json"))
    record = json.loads(path.read_text())
    record["algorithm"]["hyperparameters"] = {"lr": 7}
    path.write_text(json.dumps(record))
    code, output = metabench("leaderboard", "board", "--verify")
    assert code == 1
    assert "its key begins with" in output


def test_episodes_that_do_not_follow_from_their_classes_are_reported(board: Path) -> None:
    path = next(board.glob("records/*/a-*.json"))
    record = json.loads(path.read_text())
    record["metrics"]["accuracy"]["values"] = {
        "classes": [[0, 1, 2]] * 2,
        "class_hits": [[0, 0, 0]] * 2,
    }
    path.write_text(json.dumps(record))
    code, output = metabench("leaderboard", "board", "--verify")
    assert code == 1
    assert "does not follow from their classes" in output


def test_an_invalid_score_is_reported(board: Path) -> None:
    ResultsFolder(board).save(with_key(make_record("z", (7.0, 0.5))))
    code, output = metabench("leaderboard", "board", "--verify")
    assert code == 1
    assert "invalid accuracy 7 of an episode" in output


def test_different_episodes_are_reported(board: Path) -> None:
    change(board, episode_digest="f" * 64)
    code, output = metabench("leaderboard", "board", "--verify")
    assert code == 1
    assert "different test episodes" in output


def test_an_invalid_file_is_reported(board: Path) -> None:
    next(board.glob("records/*/a-*.json")).write_text('{"schema_version": 1')
    code, output = metabench("leaderboard", "board", "--verify")
    assert code == 1
    assert "is not a record" in output


def test_a_quick_record_is_reported(board: Path) -> None:
    quick = make_record("q", (0.5, 0.5), benchmark={"quick": True})
    ResultsFolder(board).save(with_key(quick))
    code, output = metabench("leaderboard", "board", "--verify")
    assert code == 1
    assert "--quick" in output


def test_write_and_verify_refuse_a_part_of_the_records(board: Path) -> None:
    for option in ("--write", "--verify"):
        code, _ = metabench("leaderboard", "board", option, "--quick")
        assert code == 2


def test_the_summary_shows_each_score_with_the_interval_of_its_rank() -> None:
    scores = {"first": 0.9, "second": 0.8}
    records = [
        make_record(name, tuple(score + 0.001 * i for i in range(30)))
        for name, score in scores.items()
    ]
    ranked = summary(build(with_seeds(*records))).splitlines()[2:]
    assert [line.split("|")[2].strip() for line in ranked] == ["91.5 (1)", "81.5 (2)"]
    provisional = summary(build(records))
    assert "91.5" in provisional
    assert "(" not in provisional.splitlines()[2]
