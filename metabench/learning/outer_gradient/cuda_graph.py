"""Outer steps as one CUDA graph: thousands of small kernels, launched at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from metabench.episodes import TaskBatch
from metabench.learning.outer_gradient.shard import Gradients, Losses, Part

WARM_UP = 3
"""Runs before the capture, in which libraries choose their kernels and allocate their workspaces."""

Step = Callable[[], Gradients]
"""From tensors that stay where they are to the loss and the gradients."""


class Captured:
    """The outer step on one shape of batches, captured once and replayed on each.

    An outer step of a small network is bound by the launching of its kernels, not by their work; a graph
    launches them all at once. Reference: PyTorch's notes on CUDA graphs, whole-network capture.

    What cannot be captured, such as a value that Python looks at, runs as it would without.

    Args:
        module: the parameters are its own.
        losses: see :data:`metabench.learning.outer_gradient.shard.Losses`.
        batch: a batch of the shape that all have.
        capture: what makes a graph of a step.

    Attributes:
        why_not: why the step runs without a graph; empty where it has one.
    """

    def __init__(
        self,
        module: nn.Module,
        losses: Losses,
        batch: TaskBatch,
        *,
        capture: Callable[[Step], Step] | None = None,
    ) -> None:
        self._parameters = [p for p in module.parameters() if p.requires_grad]
        self._batch = batch.map(torch.clone)
        self._step = Part(self._parameters, losses, self._batch, len(batch)).gradients
        self.why_not = ""
        try:
            self._replay = (capture or captured)(self._step)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._replay, self.why_not = self._step, str(error).partition("\n")[0]

    def __call__(self, batch: TaskBatch) -> Tensor:
        """See :class:`metabench.learning.outer_gradient.select.Engine`."""
        self._batch.copy_(batch)
        loss, gradients = self._replay()
        for p, gradient in zip(self._parameters, gradients, strict=True):
            p.grad = gradient
        return loss.clone()  # the next replay writes over it

    def close(self) -> None:
        """Give back the graph and its memory."""
        self._replay = self._step


def captured(step: Step) -> Step:
    """A step as a CUDA graph; its results lie where they lay, and are written over by the next replay."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph: Any = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = step()

    def replay() -> Gradients:
        graph.replay()
        return result

    return replay
