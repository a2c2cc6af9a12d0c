"""Checkpoints: a resumed training ends with the bits of an uninterrupted one."""

import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from metabench.benchmarks.model import Benchmark
from metabench.episodes import TaskStream
from metabench.learning.outer_gradient import shared as shared_tasks
from metabench.runtime.interrupts import SIGNALS
from tests.helpers.cells import (
    blobs,
    cell,
    child_environment,
    curve_of,
    run_here,
    scores_of,
    waves,
)
from tests.helpers.threads import torch_threads
from tests.helpers.trainers import assert_same, state_of, trainer_of


class Killed(Exception):
    """Simulates the end of the process: nothing in training catches it."""


@pytest.fixture
def kill_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], None]:
    """Make the process die in an outer step, after its loss was computed."""
    log = TaskStream.log
    at: int | None = None

    def dying(self: TaskStream, loss: Tensor | float) -> None:
        log(self, loss)
        if self.steps == at:
            raise Killed

    def choose(step: int | None) -> None:
        nonlocal at
        at = step

    monkeypatch.setattr(TaskStream, "log", dying)
    return choose


CASES = [
    pytest.param("learner", blobs(), {}, id="learner"),
    pytest.param(
        "protonet",
        blobs(backbone="conv4", budget=480),
        {"train_ways": 4, "train_queries": 2},
        id="protonet",
    ),
    pytest.param("maml", waves(), {"tasks": 25}, id="maml on waves"),
    pytest.param(
        "maml",
        blobs(backbone="conv4-strided", budget=480),
        {"tasks": 2, "backbone": "conv4-strided"},
        id="maml",
    ),
]


@pytest.mark.parametrize(("algorithm", "definition", "hyperparameters"), CASES)
def test_a_resumed_training_ends_with_the_bits_of_an_uninterrupted_one(
    planted, tmp_path: Path, kill_at, algorithm: str, definition: Benchmark, hyperparameters: dict
) -> None:
    deaths = (5, 9, 14)
    whole = trainer_of(planted, algorithm, definition, **hyperparameters)
    whole.run()
    assert whole.training.steps > max(deaths)

    checkpoint = tmp_path / "checkpoint.pt"
    for death in deaths:
        kill_at(death)
        with pytest.raises(Killed):
            trainer_of(planted, algorithm, definition, checkpoint, **hyperparameters).run()
        assert checkpoint.exists()
    kill_at(None)
    resumed = trainer_of(planted, algorithm, definition, checkpoint, **hyperparameters)
    resumed.run()

    assert_same(state_of(whole), state_of(resumed))
    without = {"curve": {"__all__": {"seconds"}}, "seconds": True, "sittings": True}
    assert whole.training.model_dump(exclude=without) == resumed.training.model_dump(
        exclude=without
    )
    assert resumed.training.sittings == len(deaths) + 1
    assert resumed.tasks.audit.seen == whole.tasks.audit.seen


@pytest.fixture
def signal_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, signal.Signals], None]]:
    """Send a signal in the middle of an outer step, handled as by the command line."""
    log = TaskStream.log
    chosen: list[tuple[int, signal.Signals]] = []

    def signalling(self: TaskStream, loss: Tensor | float) -> None:
        for step, number in chosen:
            if self.steps == step:
                chosen.clear()
                signal.raise_signal(number)
        log(self, loss)

    monkeypatch.setattr(TaskStream, "log", signalling)
    before = {n: signal.signal(n, signal.default_int_handler) for n in SIGNALS}
    yield lambda step, number: chosen.append((step, number))
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize(("algorithm", "definition", "hyperparameters"), CASES)
def test_an_interrupted_training_resumes_from_the_step_in_which_it_was_interrupted(
    planted,
    tmp_path: Path,
    signal_at,
    number: signal.Signals,
    algorithm: str,
    definition: Benchmark,
    hyperparameters: dict,
) -> None:
    whole = trainer_of(planted, algorithm, definition, **hyperparameters)
    whole.run()
    arguments = planted, algorithm, definition, tmp_path / "c.pt"
    rarely: Any = {"checkpoint_seconds": math.inf, **hyperparameters}
    for step in (2, 7):  # a validation is due after five steps
        signal_at(step, number)
        stopped = trainer_of(*arguments, **rarely)
        with pytest.raises(KeyboardInterrupt):
            stopped.run()
        assert stopped.stream.steps == step + 1, "the step is finished"
        assert torch.load(tmp_path / "c.pt", weights_only=True)["stream"]["steps"] == step + 1
    resumed = trainer_of(*arguments, **rarely)
    resumed.run()
    assert resumed.training.sittings == 3
    assert_same(state_of(whole), state_of(resumed))
    assert [p.score for p in resumed.training.curve] == [p.score for p in whole.training.curve]


def test_a_validation_writes_a_checkpoint(planted, tmp_path: Path, kill_at) -> None:
    whole = trainer_of(planted, "learner", blobs())
    whole.run()
    kill_at(8)
    with pytest.raises(Killed):
        trainer_of(
            planted, "learner", blobs(), tmp_path / "c.pt", checkpoint_seconds=math.inf
        ).run()
    assert torch.load(tmp_path / "c.pt", weights_only=True)["stream"]["steps"] == 5
    kill_at(None)
    resumed = trainer_of(planted, "learner", blobs(), tmp_path / "c.pt")
    resumed.run()
    assert resumed.training.sittings == 2
    assert_same(state_of(whole), state_of(resumed))


@pytest.mark.parametrize("algorithm", ["forgetful", "learner"])
def test_a_training_without_a_checkpoint_to_write_is_interrupted_at_once(
    planted, tmp_path: Path, signal_at, algorithm: str
) -> None:
    path = tmp_path / "c.pt" if algorithm == "forgetful" else None
    trainer = trainer_of(planted, algorithm, blobs(), path, checkpoint_seconds=math.inf)
    signal_at(2, signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert trainer.stream.steps == 2
    assert not (tmp_path / "c.pt").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere outer steps are not shared")
def test_a_resumed_training_with_shared_outer_steps_has_the_same_bits(
    planted, tmp_path: Path, kill_at, monkeypatch
) -> None:
    monkeypatch.setattr(shared_tasks, "LEAST_VALUES", 1)
    _, definition, hyperparameters = CASES[-1].values
    with torch_threads(2):
        test_a_resumed_training_ends_with_the_bits_of_an_uninterrupted_one(
            planted, tmp_path, kill_at, "maml", definition, hyperparameters
        )


@pytest.mark.parametrize("death", [0, 1, 19])
def test_a_training_killed_in_its_first_or_last_step_can_be_resumed(
    planted, tmp_path: Path, kill_at, death: int
) -> None:
    whole = trainer_of(planted, "learner", blobs())
    whole.run()
    kill_at(death)
    with pytest.raises(Killed):
        trainer_of(planted, "learner", blobs(), tmp_path / "c.pt").run()
    kill_at(None)
    resumed = trainer_of(planted, "learner", blobs(), tmp_path / "c.pt")
    resumed.run()
    assert_same(state_of(whole), state_of(resumed))
    assert [p.loss for p in resumed.training.curve] == [p.loss for p in whole.training.curve]


@pytest.mark.parametrize("budget", [480, 500])  # the last validation on the last step, and after it
def test_a_finished_training_is_not_repeated(planted, tmp_path: Path, budget: int) -> None:
    whole = trainer_of(planted, "learner", blobs(budget=budget), tmp_path / "c.pt")
    whole.run()
    again = trainer_of(planted, "learner", blobs(budget=budget), tmp_path / "c.pt")
    logged: list[float] = []
    again.stream.log = logged.append  # type: ignore[method-assign]
    again.run()
    assert logged == []
    assert_same(state_of(whole), state_of(again))
    seconds = {"seconds"}
    assert [p.model_dump(exclude=seconds) for p in again.training.curve] == [
        p.model_dump(exclude=seconds) for p in whole.training.curve
    ]
    assert again.tasks.audit.seen == whole.tasks.audit.seen != set()


def test_an_algorithm_without_registered_state_starts_again(
    planted, tmp_path: Path, kill_at
) -> None:
    whole = trainer_of(planted, "forgetful", blobs())
    whole.run()
    kill_at(10)
    with pytest.raises(Killed):
        trainer_of(planted, "forgetful", blobs(), tmp_path / "c.pt").run()
    assert not (tmp_path / "c.pt").exists()
    kill_at(None)
    again = trainer_of(planted, "forgetful", blobs(), tmp_path / "c.pt")
    again.run()
    assert again.training.sittings == 1
    assert_same(state_of(whole), state_of(again))


def _truncated(checkpoint: Path) -> None:
    checkpoint.write_bytes(checkpoint.read_bytes()[:-200])


def _foreign(checkpoint: Path) -> None:
    checkpoint.write_text("not a checkpoint")


def _of_another_cell(checkpoint: Path) -> None:
    state = torch.load(checkpoint, weights_only=True)
    torch.save(state | {"key": "x" * 64}, checkpoint)


def _of_other_code(checkpoint: Path) -> None:
    state = torch.load(checkpoint, weights_only=True)
    torch.save(state | {"code": "other"}, checkpoint)


def _of_another_kind(checkpoint: Path) -> None:
    torch.save([1, 2], checkpoint)


@pytest.mark.parametrize(
    "spoil", [_truncated, _foreign, _of_another_cell, _of_other_code, _of_another_kind]
)
def test_a_damaged_or_foreign_checkpoint_is_ignored(
    planted, tmp_path: Path, kill_at, spoil
) -> None:
    whole = trainer_of(planted, "learner", blobs())
    whole.run()
    kill_at(10)
    with pytest.raises(Killed):
        trainer_of(planted, "learner", blobs(), tmp_path / "c.pt").run()
    spoil(tmp_path / "c.pt")
    kill_at(None)
    again = trainer_of(planted, "learner", blobs(), tmp_path / "c.pt")
    again.run()
    assert again.training.sittings == 1
    assert_same(state_of(whole), state_of(again))


def test_a_checkpoint_cannot_run_code(planted, tmp_path: Path) -> None:
    """A pickle could: only tensors and plain values are read."""

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "exploded",)

    torch.save({"key": "k" * 64, "bomb": Bomb()}, tmp_path / "c.pt")
    trainer_of(planted, "learner", blobs(), tmp_path / "c.pt").run()
    assert not (tmp_path / "exploded").exists()


def test_a_checkpoint_is_written_atomically(planted, tmp_path: Path, monkeypatch) -> None:
    trainer_of(planted, "learner", blobs(), tmp_path / "c.pt").run()
    before = (tmp_path / "c.pt").read_bytes()

    def die(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise Killed

    monkeypatch.setattr(torch, "save", die)
    with pytest.raises(Killed):
        trainer_of(planted, "learner", blobs(budget=960), tmp_path / "c.pt").run()
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]
    assert (tmp_path / "c.pt").read_bytes() == before


KILLED_CELL = """
import os, signal, sys
from pathlib import Path
from cells import cell, run_here
from metabench.episodes import TaskStream
from metabench.plugins import installed_plugins
from metabench.running.trainer import Trainer

log = TaskStream.log
def dying(self, loss):
    log(self, loss)
    if self.steps == 11:
        os.kill(os.getpid(), signal.SIGKILL)
TaskStream.log = dying
Trainer.__init__.__kwdefaults__["checkpoint_seconds"] = 0.0
run_here(installed_plugins(), cell("learner"), Path(sys.argv[1]))
"""


def test_a_cell_whose_process_is_killed_resumes_to_the_same_record(planted, tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.pt"
    command = [sys.executable, "-c", KILLED_CELL, str(checkpoint)]
    done = subprocess.run(
        command, env=child_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]

    resumed = run_here(planted, cell("learner"), checkpoint)
    whole = run_here(planted, cell("learner"))
    assert resumed.status == whole.status == "ok", resumed.reason
    assert resumed.training.sittings == 2
    assert scores_of(resumed) == scores_of(whole)
    assert curve_of(resumed) == curve_of(whole)
    assert json.loads(resumed.model_dump_json())["key"] == whole.key
