"""Gradient-based methods whose inner loop takes one task at a time, as those of most libraries do."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metabench.algorithms.base import Predictor
from metabench.backbones.inner_step import inner_step
from metabench.episodes import Support, TaskBatch
from metabench.learning.inner_loop import Params, after
from metabench.learning.outer_loop import MetaGradient


class TaskByTask(MetaGradient):
    """A method that says what its inner loop does with one support set; the rest follows.

    Put before a native algorithm, as in ``class LibraryMAML(TaskByTask, MAML)``, it takes that algorithm's
    hyper-parameters, recipe and learner, and leaves the inner loop to somebody else's code. From one seed
    the two then start from the same parameters and see the same tasks.

    The outer loop is that of the native algorithms, but for the gradient being gathered task by task, so that
    no more than one task's graph is in memory.

    Buffers: a task works on buffers of its own, which is for :meth:`inner_loop` to see to. In meta-training
    they are what the next task starts with, so that running statistics run; in evaluation they are forgotten.
    """

    @abstractmethod
    def inner_loop(self, support: Support) -> Iterator[nn.Module]:
        """The learner of one task after 0, 1, 2, ... inner steps, without end.

        It has the learner's parameters and buffers by name, those that are not adapted among them, and maps
        ``[B, *input]`` to ``[B, outputs]``. The same object may come back after each step. In training mode
        it is differentiable in the method's own parameters, through all steps.

        Args:
            support: ``x`` ``[S, *input]`` and ``y`` ``[S]``.
        """

    def outer_gradient(self) -> AbstractContextManager[Callable[[TaskBatch], Tensor]]:
        """See :class:`MetaGradient`."""
        return nullcontext(self._gradient)

    def _gradient(self, batch: TaskBatch) -> Tensor:
        self.zero_grad()
        losses = []
        for task in batch:
            learner = after(self.inner_steps, _told(self.inner_loop(task.support)))
            with inner_step(self.inner_steps):
                loss = self.problem.loss(learner(task.query_x), task.query_y) / len(batch)
            loss.backward()
            losses.append(loss.detach())
            self._carry_over(learner)
        return torch.stack(losses).sum()

    def path(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`."""
        each = [Support(x, y, support.ways) for x, y in zip(support.x, support.y, strict=True)]
        loops = [_told(self.inner_loop(support)) for support in each]
        for steps, learners in enumerate(zip(*loops, strict=True)):
            yield self._predictor([_state(learner) for learner in learners], steps)

    def _predictor(self, states: list[Params], steps: int) -> Predictor:
        def predict(query: Tensor) -> Tensor:
            with inner_step(steps):
                return torch.stack(
                    [self._forward(s, x) for s, x in zip(states, query, strict=True)]
                )

        return predict

    def _forward(self, state: Params, x: Tensor) -> Tensor:
        """One task's predictions; whatever the forward pass does to buffers is forgotten."""
        buffers = {name for name, _ in self.learner.named_buffers()}
        own = {name: t.clone() if name in buffers else t for name, t in state.items()}
        out: Tensor = functional_call(self.learner, own, (x,))
        return out

    def _carry_over(self, learner: nn.Module) -> None:
        """Let the next task start with the buffers that this one leaves."""
        state = _state(learner)
        with torch.no_grad():
            for name, buffer in self.learner.named_buffers():
                buffer.copy_(state[name])


def _told(learners: Iterator[nn.Module]) -> Iterator[nn.Module]:
    """The same learners; whatever is asked on the way to one knows that it is that of the step before."""
    for taken in itertools.count():
        with inner_step(max(taken - 1, 0)):
            learner = next(learners, None)
        if learner is None:
            return
        yield learner


def _state(learner: nn.Module) -> Params:
    """Parameters and buffers by name, as they are now: a forward pass may write to buffers."""
    buffers = {name: t.clone() for name, t in learner.named_buffers(remove_duplicate=False)}
    return dict(learner.named_parameters(remove_duplicate=False)) | buffers
