"""A trained algorithm in this process."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm, Predictor
from metabench.episodes import Support
from metabench.errors import CellFailed
from metabench.metrics.checks import check_outputs
from metabench.metrics.model import AdaptedPredictor, Model, QueryPredictions, StepPath
from metabench.metrics.resource_use import cost_of
from metabench.runtime import timing
from metabench.runtime.counter_rng import make_key
from metabench.runtime.exclusive import timing_lock
from metabench.runtime.rng_state import preserved_random_state, seed_everything

MAX_PATH_STEPS = 100
"""Inner steps searched for the first one after which predictions are not finite."""


class LocalModel(Model):
    """A trained algorithm in this process, in evaluation mode; see :class:`Model`.

    Args:
        algorithm: The algorithm.
    """

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        self.name = algorithm.name
        self.problem = algorithm.problem
        self.transductive = algorithm.transductive
        self.leaked_state = set()
        # A copy of all values: what adaptation changes is restored, not only reported.
        self._saved = {name: tensor.detach().clone() for name, tensor in _state(algorithm).items()}

    def offers(self, method: Literal["adapt_batch", "adapt_path"]) -> bool:
        """See :class:`Model`."""
        return self.algorithm.offers(method)

    def predict(self, support: Support, query: Tensor, start: int) -> Tensor:
        """See :class:`Model`."""
        return self._adapt_each(support, query, start, lambda predict, x: predict(x))

    def predict_both(
        self, support: Support, query: Tensor, positions: Tensor, start: int
    ) -> QueryPredictions:
        """See :class:`Model`."""
        single: list[Tensor] = []
        failures: list[str] = []

        def both(predict: AdaptedPredictor, x: Tensor) -> Tensor:
            # Before the others are shown: a predictor may remember queries that it has seen. The
            # random numbers of the predictions together stay those of `predict`.
            with preserved_random_state():
                try:
                    one_by_one = x[:, positions.to(x.device)].split(1, dim=1)
                    single.append(torch.cat([predict(one) for one in one_by_one], dim=1))
                except torch.OutOfMemoryError:
                    raise
                # Batch norm in training mode, for example, raises an error on one value.
                except (RuntimeError, ValueError) as error:
                    failures.append(str(error))
            return predict(x)

        together = self._adapt_each(support, query, start, both)
        if failures:
            return QueryPredictions(together, None, failures[0])
        return QueryPredictions(together, torch.cat(single).to(torch.float32))

    @contextlib.contextmanager
    def isolated(self, start: int = 0) -> Iterator[None]:
        """See :class:`Model`."""
        # A cell that measures time may ask all others to wait, which they do here.
        timing_lock.yield_to_writers()
        seed_everything(make_key("adapt", start))
        try:
            yield
        finally:
            self._restore()

    def adapted(self, support: Support) -> AdaptedPredictor:
        """See :class:`Model`."""
        if self.algorithm.offers("adapt_batch"):
            return _Batched(self, self.algorithm.adapt_batch(support))
        x, y = support.x.squeeze(0), support.y.squeeze(0)
        return _single(self, self.algorithm.adapt(dataclasses.replace(support, x=x, y=y)))

    def path(self, support: Support, query: Tensor, steps: Sequence[int]) -> StepPath:
        """See :class:`Model`."""
        path = self.algorithm.adapt_path(support, steps[-1])
        found = StepPath([], [], 0)
        seconds = 0.0
        for step in range(steps[-1] + 1):
            # The time of the inner steps alone: predicting comes after the clock.
            start = _now(query.device)
            predict = next(path, None)
            seconds += _now(query.device) - start
            if predict is None:
                return dataclasses.replace(found, predictors=step)
            if step in steps:
                with torch.no_grad():
                    found.outputs.append(predict(query).float())
                found.ms.append(seconds * 1e3)
        return dataclasses.replace(found, predictors=steps[-1] + 1)

    def first_divergent_step(self, support: Support, query: Tensor, index: int) -> int | None:
        """See :class:`Model`."""
        if not self.offers("adapt_path"):
            return None
        with self.isolated(index):
            path = self.algorithm.adapt_path(support, MAX_PATH_STEPS)
            # A generator: the search ends at the first step that is not finite.
            finite = (_is_finite(predict, query) for predict in path)
            return next((k for k, is_finite in enumerate(finite) if not is_finite), None)

    def time_adaptation(self, support: Support) -> timing.Timing:
        """See :class:`Model`."""
        return timing.measure(
            lambda: self.algorithm.adapt(support),
            device=support.x.device,
            repeats=5,
            warm_up=1,
        )

    def cost(self, support: Support, query: Tensor) -> dict[str, Any]:
        """See :class:`Model`."""
        return cost_of(self.algorithm, support, query)

    def _adapt_each(
        self,
        support: Support,
        query: Tensor,
        start: int,
        ask: Callable[[AdaptedPredictor, Tensor], Tensor],
    ) -> Tensor:
        """Adapt to a batch, at once or task by task, and ask each predictor.

        Returns:
            What ``ask`` returns, in float32, for all tasks.
        """
        timing_lock.yield_to_writers()
        answers: list[Tensor] = []
        for number, part, x in self._parts(support, query):
            # One seed per task where it adapts one by one: the same predictions in any batch.
            seed_everything(make_key("adapt", start + number))
            predictor = self.adapted(part)
            with torch.no_grad():
                # One type for all metrics, whatever precision an algorithm computes in.
                answers.append(ask(predictor, x).to(torch.float32))
            # Before the next task: the algorithm may adapt parameters of its own.
            self._restore()
        return torch.cat(answers)

    def _parts(self, support: Support, query: Tensor) -> Iterator[tuple[int, Support, Tensor]]:
        """Yield what is adapted to at once, with its number: the batch, or each task."""
        if self.algorithm.offers("adapt_batch"):
            yield 0, support, query
            return
        for i in range(len(query)):
            x, y = support.x[i : i + 1], support.y[i : i + 1]
            yield i, dataclasses.replace(support, x=x, y=y), query[i : i + 1]

    def _restore(self) -> None:
        """Undo changes of parameters and buffers, and record their names.

        Raises:
            CellFailed: If parameters or buffers were added, removed or changed in shape.
        """
        state = _state(self.algorithm)
        for name in state.keys() ^ self._saved.keys():
            raise CellFailed(f"adaptation added or removed the parameter or buffer '{name}'.")
        for name, tensor in state.items():
            saved = self._saved[name]
            if tensor.shape != saved.shape:
                raise CellFailed(
                    f"adaptation changed the shape of the parameter or buffer '{name}'."
                )
            # By value: a tensor's version counter misses changes made through its `.data`.
            if not torch.equal(tensor, saved):
                self.leaked_state.add(name)
                with torch.no_grad():
                    tensor.copy_(saved)


@dataclass(frozen=True)
class _Batched:
    """A predictor of a batch of tasks; see :class:`AdaptedPredictor`.

    Args:
        model: The model that adapted.
        predict: Maps ``[T, Q, *input]`` to ``[T, Q, outputs]``.
    """

    model: LocalModel
    predict: Predictor

    def __call__(self, query: Tensor) -> Tensor:
        return self.predict(query)

    def alone(self, query: Tensor) -> Tensor:
        single = query.split(1, dim=1)
        outputs = [self.predict(x) for x in single]
        for x, found in zip(single, outputs, strict=True):  # the shapes may differ: no `cat` yet
            check_outputs(self.model, found, x)
        return torch.cat(outputs, dim=1)


def _single(model: LocalModel, predict: Predictor) -> _Batched:
    """Returns the predictor of one task, called like that of a batch of one."""
    return _Batched(model, lambda query: predict(query.squeeze(0)).unsqueeze(0))


def _is_finite(predict: Predictor, query: Tensor) -> bool:
    with torch.no_grad():
        return bool(predict(query).isfinite().all())


def _now(device: torch.device) -> float:
    # CUDA kernels run asynchronously: without this the launches would be timed.
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _state(algorithm: Algorithm) -> dict[str, Tensor]:
    return dict(algorithm.named_parameters()) | dict(algorithm.named_buffers())
