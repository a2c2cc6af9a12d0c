"""An outer step as one CUDA graph: thousands of small kernels in one launch.

Experimental and off by default: no GPU has measured it. ``METABENCH_CUDA_GRAPHS=1`` switches it on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from metabench.episodes import TaskBatch
from metabench.learning.outer_gradient.shard import Gradients, Losses, TaskShard

WARM_UP = 3
"""Runs before the capture, in which libraries choose kernels and allocate workspaces."""

Step = Callable[[], Gradients]
"""Computes loss and gradients from tensors that stay at their addresses."""


class CudaGraph:
    """The outer step on one shape of batches, captured once and replayed for each batch.

    An outer step of a small network is bound by launching its kernels; a graph launches them all
    at once. Reference: PyTorch's notes on CUDA graphs, whole-network capture. A step that cannot be
    captured, for example because Python reads a value, runs without a graph.

    Args:
        module: The module whose parameters are differentiated by.
        losses: The outer loss of each task.
        batch: A batch of the shape that all have.
        capture: Turns a step into its replay.

    Attributes:
        why_not: Why the step runs without a graph; empty if it has one.
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
        self._step = TaskShard(self._parameters, losses, self._batch, len(batch)).gradients
        self.why_not = ""
        try:
            self._replay = (capture or capture_step)(self._step)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._replay, self.why_not = self._step, str(error).partition("\n")[0]

    def __call__(self, batch: TaskBatch) -> Tensor:
        """Put the gradients into ``.grad`` and return the mean loss."""
        self._batch.copy_(batch)
        loss, gradients = self._replay()
        for p, gradient in zip(self._parameters, gradients, strict=True):
            p.grad = gradient
        return loss.clone()  # the next replay overwrites it

    def close(self) -> None:
        """Release the graph and its memory."""
        self._replay = self._step


def capture_step(step: Step) -> Step:
    """Capture a step as a CUDA graph; each replay overwrites the results of the one before."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph: Any = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = step()

    def replay() -> Gradients:
        graph.replay()
        return results

    return replay
