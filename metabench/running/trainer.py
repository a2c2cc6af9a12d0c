"""Meta-training: the stream's companion that validates, checkpoints and keeps the best state."""

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
from metabench.running.code_digest import code_digest
from metabench.runtime.energy import total_joules
from metabench.runtime.exclusive import give_way
from metabench.runtime.rng_state import random_state, random_state_kept, set_random_state
from metabench.utils.files import atomic_path

CHECKPOINT_SECONDS = 60.0
REPORT_SECONDS = 0.5
CUDA_LOSS_CHECK_STEPS = 50


@dataclass
class _Draws:
    """What the stream draws from, with the random numbers put right at the first draw of a resumed run.

    By then whatever ``meta_train`` does before its loop has drawn random numbers a second time.
    """

    tasks: BenchmarkTasks
    resumed: dict[str, Any] | None = None
    episodes: int = 0

    @property
    def train_classes(self) -> int:
        return self.tasks.train_classes

    def sampler(self, protocol: NWayKShot, stream: int) -> Sampler:
        return self.tasks.sampler(protocol, stream)

    def labelled(self, stream: int, start: int, count: int) -> tuple[Tensor, Tensor]:
        self._go_on()
        return self.tasks.labelled(stream, start, count)

    def on_drawn(self, batch: TaskBatch) -> None:
        self._go_on()
        self.episodes += len(batch)
        self.tasks.on_drawn(batch)

    def _go_on(self) -> None:
        if self.resumed is not None:
            set_random_state(self.resumed)
            self.resumed = None


class Trainer:
    """Meta-trains an algorithm; goes on from a checkpoint to the same bits as if never interrupted.

    The checkpoint of a training that ended holds the chosen state: what is measured later needs no second
    training. Whoever has stored a failure removes it.

    Args:
        algorithm: what is trained.
        tasks: where its episodes come from.
        budget: examples it may draw.
        validate: the algorithm's score on the meta-validation episodes.
        direction: whether a higher or a lower score is better.
        key: the key of the cell; a checkpoint of another cell is not touched.
        checkpoint: where checkpoints are written; ``None`` for none.
        report: called about twice a second with the examples drawn and the last score.
        checkpoint_seconds: time between checkpoints.
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
        self._key = key
        self._checkpoint = checkpoint
        self._report = report
        self._checkpoint_seconds = checkpoint_seconds
        self._best_score = -math.inf
        self._best: dict[str, Any] = {}
        self._draws = _Draws(tasks)
        self._validations = tasks.benchmark.validations
        self._began = self._last_checkpoint = self._last_report = 0.0
        self._joules: float | None = None
        self._code = code_digest(algorithm) if checkpoint is not None else ""
        self.stream = TaskStream(
            self._draws,
            tasks.benchmark.protocol,
            budget,
            on_step=self._on_step,
            check_every=CUDA_LOSS_CHECK_STEPS if tasks.device.type == "cuda" else 1,
        )

    def run(self) -> Training:
        """Train until the budget is spent, and load the state that validated best."""
        if not self.algorithm.offers("meta_train"):
            return self.training
        if self._resume():
            return self.training
        self._last_checkpoint = self._last_report = self._start_clock()
        self.algorithm.train()
        self.algorithm.meta_train(self.stream)
        self._count_time()
        if not self.training.curve or self.training.curve[-1].examples < self.stream.spent:
            self._measure()
        self.algorithm.load_state_dict(self._best)
        self.training.examples = self.stream.spent
        self.training.steps = self.stream.steps
        self._write({"trained": True, "algorithm": self._best})
        return self.training

    def _on_step(self, stream: TaskStream) -> None:
        self._began += give_way()  # what was waited for is not time in training
        now = time.perf_counter()
        if self._report is not None and now - self._last_report > REPORT_SECONDS:
            self._last_report = now
            curve = self.training.curve
            self._report(stream.spent, curve[-1].score if curve else None)
        if stream.spent * self._validations >= (len(self.training.curve) + 1) * stream.budget:
            self._count_time()
            self._measure()
            self._start_clock()
        if now - self._last_checkpoint > self._checkpoint_seconds and stream.resumable:
            self._count_time()
            self._save()
            self._last_checkpoint = self._start_clock()

    def _start_clock(self) -> float:
        self._joules = total_joules(self.tasks.device)
        self._began = time.perf_counter()
        return self._began

    def _count_time(self) -> None:
        """Add the time and the energy since the clock was last set to those of training."""
        if self.tasks.device.type == "cuda":
            torch.cuda.synchronize(self.tasks.device)
        training = self.training
        training.seconds += time.perf_counter() - self._began
        training.tasks = self._draws.episodes
        used = total_joules(self.tasks.device)
        if used is not None and self._joules is not None:
            training.joules = (training.joules or 0.0) + used - self._joules

    def _measure(self) -> None:
        """Validate, without leaving a trace in the algorithm or in the random numbers."""
        with _untouched(self.algorithm), random_state_kept():
            self.algorithm.eval()
            score = self._validate()
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
                loss=loss if math.isfinite(loss) else None,
                score=score,
            )
        )
        if self._sign * score >= self._best_score:  # of equals the later: it has seen more
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
        if self._checkpoint is None:
            return
        state |= {
            "key": self._key,
            "benchmark": self.tasks.benchmark.scored.model_dump_json(),
            "code": self._code,
            "audit": self.tasks.audit.state_dict(),
            "random": random_state(),
            "training": self.training.model_dump(),
        }
        with atomic_path(self._checkpoint) as path:
            torch.save(state, path)

    def _resume(self) -> bool:
        """Load the checkpoint, where there is one; whether nothing is left to train."""
        state = self._read()
        if state is None:
            return False
        self.algorithm.load_state_dict(state["algorithm"])
        self.tasks.audit.load_state_dict(state["audit"])
        self.training = Training.model_validate(state["training"])
        if state.get("trained"):
            set_random_state(state["random"])
            return True
        self.stream.load_state_dict(state["stream"])
        self.training.sittings += 1
        self._draws.episodes = self.training.tasks
        self._best, self._best_score = state["best"], state["best_score"]
        self.stream.last_loss = state["loss"]
        set_random_state(state["random"])
        self._draws.resumed = state["random"]
        return False

    def _read(self) -> dict[str, Any] | None:
        """The checkpoint of this cell; nothing where there is none or it is damaged, to start again."""
        if self._checkpoint is None or not self._checkpoint.exists():
            return None
        try:
            state = torch.load(self._checkpoint, map_location=self.tasks.device, weights_only=True)
        except Exception:  # torch raises many kinds for a truncated or foreign file
            return None
        if not isinstance(state, dict) or state.get("key") != self._key:
            return None
        if state.get("benchmark") != self.tasks.benchmark.scored.model_dump_json():
            return None
        return state if state.get("code") == self._code else None


@contextlib.contextmanager
def _untouched(algorithm: Algorithm) -> Iterator[None]:
    """Put back afterwards which modules train, and the gradients that are being collected."""
    training = [(module, module.training) for module in algorithm.modules()]
    gradients = [(parameter, parameter.grad) for parameter in algorithm.parameters()]
    for parameter, _ in gradients:
        parameter.grad = None
    try:
        yield
    finally:
        for module, mode in training:
            module.training = mode
        for parameter, gradient in gradients:
            parameter.grad = gradient
