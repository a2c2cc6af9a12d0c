"""Meta-training: validates, writes checkpoints, and keeps the best state."""

from __future__ import annotations

import contextlib
import copy
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm
from metabench.benchmarks.tasks import BenchmarkTasks
from metabench.episodes import NWayKShot, Sampler, TaskBatch, TaskStream
from metabench.errors import DivergedError
from metabench.records.schema import CurvePoint, Training
from metabench.running.checkpoint import Checkpoint
from metabench.running.code_digest import code_digest
from metabench.running.training_flops import training_flops
from metabench.runtime.energy import total_joules
from metabench.runtime.exclusive import timing_lock
from metabench.runtime.interrupts import DeferredInterrupts
from metabench.runtime.rng_state import preserved_random_state, random_state, set_random_state

CHECKPOINT_SECONDS = 60.0
REPORT_SECONDS = 0.5
CUDA_LOSS_CHECK_STEPS = 50
"""Steps between checks that the loss is finite on a GPU, where each check waits for the device."""


@dataclass
class _TrainingDraws:
    """What the stream draws from: it counts episodes and restores the random state of a checkpoint.

    Args:
        tasks: The episodes of the benchmark.
        restore: The random state to restore at the first draw of a resumed training.
        episodes: The number of episodes drawn.
    """

    tasks: BenchmarkTasks
    restore: dict[str, Any] | None = None
    episodes: int = 0

    @property
    def train_classes(self) -> int:
        return self.tasks.train_classes

    def sampler(self, protocol: NWayKShot, stream: int) -> Sampler:
        return self.tasks.sampler(protocol, stream)

    def labelled(self, stream: int, start: int, count: int) -> tuple[Tensor, Tensor]:
        self._restore_random_state()
        return self.tasks.labelled(stream, start, count)

    def on_drawn(self, batch: TaskBatch) -> None:
        self._restore_random_state()
        self.episodes += len(batch)
        self.tasks.on_drawn(batch)

    def _restore_random_state(self) -> None:
        # At the first draw and not on loading: what `meta_train` does before its loop draws random
        # numbers, and in a resumed training it does so again.
        if self.restore is not None:
            set_random_state(self.restore)
            self.restore = None


class Trainer:
    """Runs meta-training; a resumed training ends with the same bits as an uninterrupted one.

    A checkpoint is written after each validation, every ``checkpoint_seconds``, and at the end of
    the outer step in which SIGINT or SIGTERM arrives. That of a finished training holds the chosen
    state, so that metrics which are requested later need no second training.

    Args:
        algorithm: The algorithm, which is trained in place.
        tasks: The episodes of the benchmark.
        budget: The number of examples that it may draw.
        validate: Returns the algorithm's score on the meta-validation episodes.
        direction: Whether a higher or a lower score is better.
        key: The key of the cell; a checkpoint of another cell is not used.
        checkpoint: The file of the checkpoint; ``None`` for none.
        report: Called about twice a second with the examples drawn and the last score.
        checkpoint_seconds: The time between checkpoints.

    Attributes:
        training: What the record says of the training so far.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        tasks: BenchmarkTasks,
        *,
        budget: int,
        validate: Callable[[], float],
        direction: Literal["higher", "lower"],
        key: str,
        checkpoint: Path | None = None,
        report: Callable[[int, float | None], None] | None = None,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
    ) -> None:
        self.algorithm = algorithm
        self.tasks = tasks
        self.training = Training()
        self._validate = validate
        self._sign = 1.0 if direction == "higher" else -1.0
        self._report = report
        self._checkpoint_seconds = checkpoint_seconds
        self._best_score = -math.inf
        self._best: dict[str, Any] = {}
        self._draws = _TrainingDraws(tasks)
        self._validations = tasks.benchmark.validations
        self._start = self._last_checkpoint = self._last_report = 0.0
        self._joules: float | None = None
        identity = {
            "key": key,
            "benchmark": tasks.benchmark.scored.model_dump_json(exclude={"episodes_salt"}),
            "code": code_digest(algorithm) if checkpoint is not None else "",
        }
        self._checkpoint = Checkpoint(checkpoint, identity)
        # Without a checkpoint to write there is no reason to wait for the end of the step.
        self._interrupts = DeferredInterrupts(
            lambda: checkpoint is not None and self.stream.resumable
        )
        self.stream = TaskStream(
            self._draws,
            tasks.benchmark.protocol,
            budget,
            on_step=self._on_step,
            check_every=CUDA_LOSS_CHECK_STEPS if tasks.device.type == "cuda" else 1,
        )

    def run(self) -> Training:
        """Train until the budget is spent, then load the state with the best validation score."""
        if not self.algorithm.offers("meta_train"):
            return self.training
        if self._resume():
            return self.training
        self._last_checkpoint = self._last_report = self._start_clock()
        self.algorithm.train()
        with self._interrupts:
            self.algorithm.meta_train(self.stream)
        self._stop_clock()
        # Steps of unequal size may pass the last validation point before the budget is spent.
        if not self.training.curve or self.training.curve[-1].examples < self.stream.spent:
            self._measure()
        self.algorithm.load_state_dict(self._best)
        self.training.examples = self.stream.spent
        self.training.steps = self.stream.steps
        # After the training and on a copy: nothing that is counted can change what is trained.
        self.training.flops = training_flops(self.algorithm, self.tasks, self.stream.spent)
        self._write({"trained": True, "algorithm": self._best})
        return self.training

    def _on_step(self, stream: TaskStream) -> None:
        self._start += timing_lock.yield_to_writers()  # a pause is not time in training
        now = time.perf_counter()
        if self._report is not None and now - self._last_report > REPORT_SECONDS:
            self._last_report = now
            curve = self.training.curve
            self._report(stream.spent, curve[-1].score if curve else None)
        validates = (
            stream.spent * self._validations >= (len(self.training.curve) + 1) * stream.budget
        )
        if validates:
            self._stop_clock()
            self._measure()
            self._start_clock()
        interrupted = self._interrupts.pending is not None
        due = validates or interrupted or now - self._last_checkpoint > self._checkpoint_seconds
        if due and stream.resumable:
            self._stop_clock()
            self._save()
            self._last_checkpoint = self._start_clock()
        if interrupted:
            self._interrupts.deliver()

    def _start_clock(self) -> float:
        self._joules = total_joules(self.tasks.device)
        self._start = time.perf_counter()
        return self._start

    def _stop_clock(self) -> None:
        """Add the time and the energy since the clock was started to those of the training."""
        if self.tasks.device.type == "cuda":
            torch.cuda.synchronize(self.tasks.device)
        training = self.training
        training.seconds += time.perf_counter() - self._start
        training.tasks = self._draws.episodes
        used = total_joules(self.tasks.device)
        if used is not None and self._joules is not None:
            training.joules = (training.joules or 0.0) + used - self._joules

    def _measure(self) -> None:
        """Validate, and keep the state if it is the best. The training itself is not affected."""
        with _unchanged(self.algorithm), preserved_random_state():
            self.algorithm.eval()
            score = self._validate()
        benchmark = self.tasks.benchmark
        held_out = benchmark.validation_episodes * benchmark.protocol.examples
        self.training.validation_examples += held_out
        if not math.isfinite(score):
            raise DivergedError(
                f"the meta-validation score is {score} at outer step {self.stream.steps}."
            )
        loss = float(self.stream.last_loss)
        self.training.curve.append(
            CurvePoint(
                examples=self.stream.spent,
                steps=self.stream.steps,
                seconds=self.training.seconds,
                loss=loss if math.isfinite(loss) else None,  # nan before the first step
                score=score,
            )
        )
        if self._sign * score >= self._best_score:  # of equal scores the later: it has seen more
            self._best_score = self._sign * score
            self._best = copy.deepcopy(self.algorithm.state_dict())
            self.training.best_examples = self.stream.spent

    def _save(self) -> None:
        self._write(
            {
                "trained": False,
                "algorithm": self.algorithm.state_dict(),
                "stream": self.stream.state_dict(),
                "loss": float(self.stream.last_loss),
                "best": self._best,
                "best_score": self._best_score,
            }
        )

    def _write(self, state: dict[str, Any]) -> None:
        self._checkpoint.write(
            {
                **state,
                "audit": self.tasks.audit.state_dict(),
                "random": random_state(),
                "training": self.training.model_dump(),
            }
        )

    def _resume(self) -> bool:
        """Load the checkpoint, if there is one. Returns whether the training is finished."""
        state = self._checkpoint.read(self.tasks.device)
        if state is None:
            return False
        self.algorithm.load_state_dict(state["algorithm"])
        self.tasks.audit.load_state_dict(state["audit"])
        self.training = Training.model_validate(state["training"])
        set_random_state(state["random"])
        if state.get("trained"):
            return True
        self.stream.load_state_dict(state["stream"])
        self.training.sittings += 1
        self._draws.episodes = self.training.tasks
        self._best, self._best_score = state["best"], state["best_score"]
        self.stream.last_loss = state["loss"]
        self._draws.restore = state["random"]
        return False


@contextlib.contextmanager
def _unchanged(algorithm: Algorithm) -> Iterator[None]:
    """Restore the training modes of all modules, and the gradients, when the block ends."""
    modes = [(module, module.training) for module in algorithm.modules()]
    gradients = [(parameter, parameter.grad) for parameter in algorithm.parameters()]
    for parameter, _ in gradients:
        parameter.grad = None
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, gradient in gradients:
            parameter.grad = gradient
