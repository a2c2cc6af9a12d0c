"""Methods whose inner loop takes one task at a time, as the inner loops of most libraries do."""

from __future__ import annotations

import functools
import itertools
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metabench.algorithms.base import Predictor
from metabench.backbones.inner_step import inner_step
from metabench.episodes import Support, TaskBatch
from metabench.learning.gradient_based import GradientBased
from metabench.learning.inner_loop import Params
from metabench.learning.learner import Learner
from metabench.learning.predictors import after


class TaskByTask(GradientBased):
    """A method whose inner loop adapts one task; the rest is that of a native algorithm.

    Put before a native algorithm, as in ``class LibraryMAML(TaskByTask, MAML)``, it takes that
    algorithm's hyper-parameters, recipes and learner, and leaves the inner loop to a library. From
    one seed both start from the same parameters and see the same tasks. The outer gradient is
    accumulated task by task, so one task's graph is in memory at a time.

    A task works on buffers of its own, which :meth:`inner_loop` sees to. In meta-training the next
    task starts from them, so that running statistics run; in evaluation they are discarded.

    Attributes:
        learner: The network that is adapted.
    """

    if TYPE_CHECKING:
        learner: Learner

    @abstractmethod
    def inner_loop(self, support: Support) -> Iterator[nn.Module]:
        """Yield the learner of one task after 0, 1, 2, ... inner steps, without end.

        It has the learner's parameters and buffers by name, also those that are not adapted, and
        maps ``[B, *input]`` to ``[B, outputs]``. The same object may be yielded after each step. In
        training mode it is differentiable in the parameters of the method, through all steps.

        Args:
            support: ``x`` ``[S, *input]`` and ``y`` ``[S]``.
        """

    def outer_gradient(self) -> AbstractContextManager[Callable[[TaskBatch], Tensor]]:
        """See :meth:`GradientBased.outer_gradient`."""
        return nullcontext(self._accumulate_gradients)

    def _accumulate_gradients(self, batch: TaskBatch) -> Tensor:
        self.zero_grad()
        losses = []
        for task in batch:
            learner = after(self.inner_steps, _at_inner_steps(self.inner_loop(task.support)))
            with inner_step(self.inner_steps):
                predictions = self._predict_queries(learner, task.support, task.query_x)
                loss = self.problem.loss(predictions, task.query_y) / len(batch)
            loss.backward()
            losses.append(loss.detach())
            self._keep_buffers(learner)
        return torch.stack(losses).sum()

    def trajectory(self, support: Support) -> Iterator[Predictor]:
        """See :meth:`GradientBased.trajectory`."""
        each = [
            Support(x, y, support.ways, keep_graph=support.keep_graph)
            for x, y in zip(support.x, support.y, strict=True)
        ]
        loops = [_at_inner_steps(self.inner_loop(support)) for support in each]
        for steps, learners in enumerate(zip(*loops, strict=True)):
            states = [_state(learner) for learner in learners]
            yield functools.partial(self._predict, each, states, steps)

    def _predict(
        self, supports: list[Support], states: list[Params], steps: int, query: Tensor
    ) -> Tensor:
        with inner_step(steps):
            tasks = zip(states, supports, query, strict=True)
            return torch.stack([self._forward(*task) for task in tasks])

    def _predict_queries(self, learner: nn.Module, support: Support, x: Tensor) -> Tensor:
        """Returns a library's predictions, or ours where its module knows no support statistics."""
        if not self.learner.by_support:
            predictions: Tensor = learner(x)
            return predictions
        return self._by_support(_state(learner), support, x)

    def _by_support(self, state: Params, support: Support, x: Tensor) -> Tensor:
        of_one_task = {name: t.unsqueeze(0) for name, t in state.items()}
        return self.learner.forward_queries(of_one_task, support.x[None], x[None]).squeeze(0)

    def _forward(self, state: Params, support: Support, x: Tensor) -> Tensor:
        """Returns the predictions for one task; updates of buffers are discarded."""
        if self.learner.by_support:
            return self._by_support(state, support, x)
        buffers = {name for name, _ in self.learner.named_buffers()}
        own = {name: t.clone() if name in buffers else t for name, t in state.items()}
        out: Tensor = functional_call(self.learner, own, (x,))
        return out

    def _keep_buffers(self, learner: nn.Module) -> None:
        """Copy the buffers of a task's learner, from which the next task starts."""
        state = _state(learner)
        with torch.no_grad():
            for name, buffer in self.learner.named_buffers():
                buffer.copy_(state[name])


def _at_inner_steps(learners: Iterator[nn.Module]) -> Iterator[nn.Module]:
    """Yield the same learners; each is computed as part of the inner step before it."""
    for step in itertools.count():
        with inner_step(max(step - 1, 0)):
            learner = next(learners, None)
        if learner is None:
            return
        yield learner


def _state(learner: nn.Module) -> Params:
    """Returns parameters and copies of buffers by name: a forward pass may update buffers."""
    buffers = {name: t.clone() for name, t in learner.named_buffers(remove_duplicate=False)}
    return dict(learner.named_parameters(remove_duplicate=False)) | buffers
