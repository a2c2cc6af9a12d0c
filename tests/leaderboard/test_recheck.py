"""``--recheck`` accepts other code with the same numbers, and refuses other numbers."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from metabench.cli import cli
from metabench.leaderboard import recheck
from metabench.leaderboard.codes import CODES, read_rechecks
from metabench.leaderboard.recheck import cheapest, first_difference
from metabench.plugins import installed_plugins
from metabench.records.schema import Record
from metabench.records.store import ResultsFolder
from metabench.registry import Registry
from metabench.running.cell import Cell
from metabench.running.job import Job, Terms
from metabench.running.run_cell import Conditions
from tests.helpers.cells import make_record, waves
from tests.helpers.plugin_site import Site

SOURCE = """
import torch
from torch import nn
from metabench import Algorithm, hookimpl

RATE = 0.01
OFFSET = 0.0

class Fitted(Algorithm):
    name = "fitted"

    def __init__(self, problem):
        super().__init__(problem)
        self.net = nn.Linear(1, 1)

    def meta_train(self, tasks):
        for batch in tasks.batches(2):
            loss = sum((self.net(t.query_x) - t.query_y).square().mean() for t in batch)
            gradients = torch.autograd.grad(loss, list(self.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(self.parameters(), gradients):
                    parameter.sub_(RATE * gradient)
            tasks.log(loss)

    def adapt(self, support):
        return lambda query: self.net(query) + OFFSET

@hookimpl
def metabench_algorithms():
    return [Fitted]
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site with the plugin, which this process and those that it starts import."""
    place = Site(tmp_path / "site", tmp_path)
    place.add("fitted", SOURCE)
    monkeypatch.syspath_prepend(str(place.path))
    monkeypatch.setenv("PYTHONPATH", str(place.path))
    monkeypatch.setenv("METABENCH_PLUGINS", "fitted")
    # An edit within a second that keeps the length of a file would leave its .pyc valid.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)
    installed_plugins.cache_clear()
    yield place
    installed_plugins.cache_clear()
    sys.modules.pop("zoo_fitted", None)


@pytest.fixture
def board(site: Site) -> Path:
    """The folder of a board with one record of the plugin's algorithm."""
    registry = installed_plugins().registry
    job = Job(Cell("fitted", waves(), 0, {}), "0" * 64, Conditions())
    executor = registry.get("executor", "processes").load()(Terms(registry=registry, jobs=1))
    (record,) = executor.run([job])
    assert (record.status, len(record.code)) == ("ok", 64), record.traceback
    ResultsFolder(Path("board")).save(record)
    assert leaderboard("--write").return_value == 0
    assert leaderboard("--verify").return_value == 0
    return Path("board")


def leaderboard(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["leaderboard", "board", *arguments], standalone_mode=False)


def edit(site: Site, *changes: tuple[str, str]) -> None:
    """Edit the installed plugin."""
    path = site.path / "zoo_fitted.py"
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def test_two_refactorings_are_accepted_one_after_the_other(site: Site, board: Path) -> None:
    (record,) = ResultsFolder(board).load()[0]
    edit(site, ("RATE", "OUTER_RATE"))
    done = leaderboard("--verify")
    assert done.return_value == 1
    assert f"{record.file_name}: made with other code of fitted@1 than the installed" in done.stderr

    done = leaderboard("--recheck")
    assert done.return_value == 0, done.output
    assert done.stdout == (
        f"{record.file_name}: the same 30 scores and its learning curve; added to {CODES}\n"
    )
    assert leaderboard("--verify").return_value == 0

    edit(site, ("self.net", "self.line"))
    assert leaderboard("--verify").return_value == 1
    assert leaderboard("--recheck").return_value == 0
    assert leaderboard("--verify").return_value == 0
    lines = read_rechecks(board)
    assert [(one.old, one.cell) for one in lines] == [(record.code, record.file_name)] * 2
    assert len({one.new for one in lines}) == 2

    edit(site, ("self.line", "self.net"))  # as after the first
    assert leaderboard("--verify").return_value == 0
    # The board itself is as it was: all records verify after --write too.
    assert leaderboard("--write").return_value == 0
    assert leaderboard("--verify").return_value == 0


def test_an_edit_of_words_needs_no_recheck(site: Site, board: Path) -> None:
    edit(site, ("RATE = 0.01", "RATE = 0.01  # of the outer steps"))
    assert leaderboard("--verify").return_value == 0
    done = leaderboard("--recheck")
    assert done.return_value == 0
    assert "nothing to do: 'board' has no record of other code alone" in done.stderr


@pytest.mark.parametrize(
    ("change", "first"),
    [
        (("OFFSET = 0.0", "OFFSET = 1e-6"), "the mse of episode 0 was "),
        (("RATE = 0.01", "RATE = 0.01 + 1e-9"), "the mse of episode "),
        (("RATE * gradient)", "RATE * missing)"), "the new run ended as failed: NameError"),
    ],
)
def test_other_numbers_are_refused(
    site: Site, board: Path, change: tuple[str, str], first: str
) -> None:
    edit(site, change)
    done = leaderboard("--recheck")
    assert done.return_value == 1
    assert first in done.stderr
    assert not (board / CODES).exists()
    assert leaderboard("--verify").return_value == 1


def test_the_folder_of_the_data_is_passed_on(
    site: Site, board: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = list[Path | None]()

    def ran(record: Record, registry: Registry, data: Path | None) -> Record:
        folders.append(data)
        return record

    monkeypatch.setattr(recheck, "run_again", ran)
    edit(site, ("RATE", "OUTER_RATE"))
    # A run of the old code, as of a process that an edit overtook, shows nothing of the new.
    done = leaderboard("--recheck", "--data", "my-data")
    assert "the installed code changed during the run" in done.stderr
    assert folders == [Path("my-data")]


@pytest.mark.parametrize("option", ["--write", "--verify"])
def test_it_is_an_action_of_its_own(site: Site, option: str) -> None:
    Path("board").mkdir()
    assert "--recheck excludes" in str(leaderboard("--recheck", option).exception)


def seconds(record: Record, value: float, **changes: Any) -> Record:
    training = record.training.model_copy(update={"seconds": value})
    return record.model_copy(update={"training": training, **changes})


def test_the_shortest_training_of_each_change_is_chosen() -> None:
    record = make_record("maml")
    slow, fast = seconds(record, 9.0), seconds(record, 2.0, seed=1)
    other_network = seconds(record, 5.0, code="d" * 64)
    found = [(slow, "n" * 64), (fast, "n" * 64), (other_network, "o" * 64)]
    assert cheapest(found) == [(fast, "n" * 64), (other_network, "o" * 64)]


CURVE = [
    {"examples": 120, "steps": 5, "seconds": 1.0, "loss": 0.5, "score": 0.5},
    {"examples": 240, "steps": 10, "seconds": 2.0, "loss": 0.5, "score": 0.75},
]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"training": {"curve": [CURVE[0], CURVE[1] | {"seconds": 9.0, "loss": 0.4}]}}, ""),
        (
            {"training": {"curve": [CURVE[0], CURVE[1] | {"score": 0.76}]}},
            "the score of point 1 of the learning curve was 0.75 and is 0.76",
        ),
        (
            {"training": {"curve": [CURVE[0] | {"steps": 6}, CURVE[1]]}},
            "the steps of point 0 of the learning curve was 5 and is 6",
        ),
        (
            {"training": {"curve": CURVE[:1]}},
            "the learning curve had 2 points and has 1",
        ),
        ({"scores": (0.25, 0.5)}, "the accuracy of episode 1 was 0.75 and is 0.5"),
        ({"episode_digest": "f" * 64}, "the data set or the test episodes are not those"),
        ({"key": "f" * 64}, "the data set or the test episodes are not those"),
        ({"code": "f" * 64}, "the installed code changed during the run"),
        (
            {"scores": (0.25, 0.5), "environment": {"cpu": "another"}},
            "whose last digits may differ",
        ),
    ],
)
def test_the_first_difference_is_named(changes: dict[str, Any], text: str) -> None:
    record = make_record("maml", training={"curve": CURVE})
    again = make_record("maml", **({"training": {"curve": CURVE}} | changes))
    found = first_difference(record, again, "c" * 64)
    assert text in found
    assert bool(found) == bool(text)
