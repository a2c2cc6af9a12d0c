"""Meta-training: the stream's companion that validates, checkpoints and keeps the best state."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm
from metabench.episodes import TaskStream
from metabench.results import CurvePoint, Training, atomic_path
from metabench.tasks import BenchmarkTasks

CHECKPOINT_SECONDS = 60.0
REPORT_SECONDS = 0.5
CUDA_LOSS_CHECK_STEPS = 50

_NumpyState = tuple[str, "np.ndarray[Any, Any]", int, int, float]


class Trainer:
    """Meta-trains an algorithm; goes on from a checkpoint to the same bits as if never interrupted.

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
        self._best: dict[str, Tensor] = {}
        self._validations = tasks.benchmark.validations
        self._began = self._last_checkpoint = self._last_report = 0.0
        self.stream = TaskStream(
            tasks,
            tasks.benchmark.protocol,
            budget,
            on_step=self._on_step,
            check_every=CUDA_LOSS_CHECK_STEPS if tasks.device.type == "cuda" else 1,
        )

    def run(self) -> Training:
        """Train until the budget is spent, and load the state that validated best."""
        if not self.algorithm.offers("meta_train"):
            return self.training
        self._resume()
        self._began = self._last_checkpoint = self._last_report = time.perf_counter()
        self.algorithm.train()
        self.algorithm.meta_train(self.stream)
        self._count_time()
        if not self.training.curve or self.training.curve[-1].examples < self.stream.spent:
            self._measure()
        self.algorithm.load_state_dict(self._best)
        self.training.examples = self.stream.spent
        self.training.steps = self.stream.steps
        if self._checkpoint is not None:
            self._checkpoint.unlink(missing_ok=True)
        return self.training

    def _on_step(self, stream: TaskStream) -> None:
        now = time.perf_counter()
        if self._report is not None and now - self._last_report > REPORT_SECONDS:
            self._last_report = now
            curve = self.training.curve
            self._report(stream.spent, curve[-1].score if curve else None)
        if stream.spent * self._validations >= (len(self.training.curve) + 1) * stream.budget:
            self._count_time()
            self._measure()
            self._began = time.perf_counter()
        if now - self._last_checkpoint > self._checkpoint_seconds and stream.resumable:
            self._count_time()
            self._save()
            self._began = self._last_checkpoint = time.perf_counter()

    def _count_time(self) -> None:
        """Add the time since the clock was last set to the time in training."""
        if self.tasks.device.type == "cuda":
            torch.cuda.synchronize(self.tasks.device)
        self.training.seconds += time.perf_counter() - self._began

    def _measure(self) -> None:
        """Validate, without leaving a trace in the algorithm or in the random numbers."""
        state = _random_state()
        self.algorithm.eval()
        score = self._validate()
        self.algorithm.train()
        _set_random_state(state)
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
            self._best = {k: v.detach().clone() for k, v in self.algorithm.state_dict().items()}
            self.training.best_examples = self.stream.spent

    def _save(self) -> None:
        if self._checkpoint is None:
            return
        state = {
            "key": self._key,
            "algorithm": self.algorithm.state_dict(),
            "stream": self.stream.state_dict(),
            "audit": self.tasks.audit.state_dict(),
            "random": _random_state(),
            "training": self.training.model_dump(),
            "best": self._best,
            "best_score": self._best_score,
        }
        with atomic_path(self._checkpoint) as path:
            torch.save(state, path)

    def _resume(self) -> None:
        state = self._read()
        if state is None:
            return
        self.algorithm.load_state_dict(state["algorithm"])
        self.stream.load_state_dict(state["stream"])
        self.tasks.audit.load_state_dict(state["audit"])
        self.training = Training.model_validate(state["training"])
        self.training.sittings += 1
        self._best, self._best_score = state["best"], state["best_score"]
        _set_random_state(state["random"])

    def _read(self) -> dict[str, Any] | None:
        """The checkpoint of this cell; nothing where there is none or it is damaged, to start again."""
        if self._checkpoint is None or not self._checkpoint.exists():
            return None
        try:
            state = torch.load(self._checkpoint, map_location=self.tasks.device, weights_only=True)
        except Exception:  # torch raises many kinds for a truncated or foreign file
            return None
        return state if isinstance(state, dict) and state.get("key") == self._key else None


def _random_state() -> dict[str, Any]:
    """The state of every generator that an algorithm may draw from, in types that a checkpoint can hold."""
    name, keys, position, has_gauss, gauss = cast(_NumpyState, np.random.get_state())
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), int(position), int(has_gauss), float(gauss)],
        "python": random.getstate(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def _set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"].cpu())
    name, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), position, has_gauss, gauss))
    random.setstate(state["python"])
    if "cuda" in state:
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])
