"""The tasks that the kit tests algorithms on: generated in milliseconds, the same everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor

from metabench.algorithms.problem import Problem
from metabench.datasets.base import ClassPool
from metabench.datasets.sinusoid import Sinusoid
from metabench.episodes import (
    ClassSampler,
    FamilySampler,
    NWayKShot,
    Sampler,
    TaskBatch,
    TaskStream,
)
from metabench.episodes.stream import labelled_examples
from metabench.runtime.counter_rng import make_key, random_bits

TRAIN_CLASSES, TEST_CLASSES, EXAMPLES = 24, 8, 24
EPISODES = 4


# Cached for all subjects: nothing writes into a pool.
@lru_cache(maxsize=4)
def _pool(split: str, shape: tuple[int, ...]) -> ClassPool:
    """Returns classes of noisy copies of one random image each."""
    classes = TRAIN_CLASSES if split == "train" else TEST_CLASSES
    # The number of classes as the seed: training and test patterns differ.
    generator = torch.Generator().manual_seed(classes)
    patterns = torch.rand(classes, 1, *shape, generator=generator, dtype=torch.float64)
    noise = torch.rand(classes, EXAMPLES, *shape, generator=generator, dtype=torch.float64)
    # No value is black or white, so that ties are rare.
    images = (255 * (0.1 + 0.5 * patterns + 0.3 * noise)).to(torch.uint8)
    return ClassPool(images, tuple(f"{split} {i}" for i in range(classes)))


class SmallTasks:
    """Training and test tasks of a problem, in a floating-point type.

    Args:
        problem: The problem.
        dtype: Type of inputs and of regression targets.
    """

    def __init__(self, problem: Problem, dtype: torch.dtype) -> None:
        self.problem = problem
        self.dtype = dtype
        self.protocol = NWayKShot(problem.ways, problem.shots, problem.queries)

    def test(self, episodes: int = EPISODES) -> TaskBatch:
        """Returns the first test episodes, of classes that are not in training."""
        return self._sampler("test", self.protocol, "test").range(0, episodes)

    def stream(self, steps: int) -> ShortStream:
        """Returns a stream of training tasks for a number of outer steps."""
        return ShortStream(self, self.protocol, steps)

    # The methods of metabench.episodes.stream.TaskSource, which a stream calls.

    @property
    def train_classes(self) -> int:
        """Classes in the training split; 0 in regression."""
        return 0 if self.problem.regression else TRAIN_CLASSES

    def sampler(self, protocol: NWayKShot, stream: int) -> Sampler:
        """Returns a sampler of training episodes."""
        return self._sampler("train", protocol, stream)

    def labelled(self, stream: int, start: int, count: int) -> tuple[Tensor, Tensor]:
        """Returns labelled training examples."""
        indices = torch.arange(start, start + count)
        bits = random_bits(make_key("kit", stream), indices, 1).squeeze(1)
        x, rows = labelled_examples(_pool("train", self.problem.input_shape).images, bits)
        return x.to(self.dtype), rows

    def on_drawn(self, batch: TaskBatch) -> None:
        """Ignore the batch."""

    def _sampler(self, split: str, protocol: NWayKShot, *key: str | int) -> Sampler:
        number = make_key("kit", split, *key)
        if self.problem.regression:
            return _CastSampler(FamilySampler(Sinusoid(), protocol, number), self.dtype)
        pool = _pool(split, self.problem.input_shape)
        return _CastSampler(ClassSampler(pool, protocol, number), self.dtype)


class _CastSampler(Sampler):
    """The episodes of another sampler in a floating-point type."""

    def __init__(self, sampler: Sampler, dtype: torch.dtype) -> None:
        super().__init__(sampler.protocol, sampler.key, sampler.device)
        self._sampler = sampler
        self._dtype = dtype

    def tasks(self, indices: Tensor) -> TaskBatch:
        """Returns the episodes with these indices; see :class:`Sampler`."""
        return self._sampler.tasks(indices).map(
            lambda tensor: tensor.to(self._dtype) if tensor.is_floating_point() else tensor
        )

    def fingerprint(self, indices: Tensor) -> bytes:
        """Returns the drawn indices as bytes; see :class:`Sampler`."""
        return self._sampler.fingerprint(indices)

    def source_digest(self) -> str:
        """Returns the digest of the data; see :class:`Sampler`."""
        return self._sampler.source_digest()


class ShortStream(TaskStream):
    """A stream whose budget covers a number of batches of the first requested shape.

    Args:
        source: Where the episodes are drawn.
        protocol: Shape of the test episodes.
        limit: Number of outer steps.
    """

    def __init__(self, source: SmallTasks, protocol: NWayKShot, limit: int) -> None:
        super().__init__(source, protocol, limit * protocol.examples)
        self._limit = limit
        self._requested = False

    def batches(
        self,
        tasks: int,
        *,
        ways: int | None = None,
        shots: int | None = None,
        queries: int | None = None,
        share: float = 1.0,
    ) -> Iterator[TaskBatch]:
        """Yield batches of training episodes; see :class:`TaskStream`."""
        self._set_budget(tasks * self._shape(ways, shots, queries).examples, share)
        return super().batches(tasks, ways=ways, shots=shots, queries=queries, share=share)

    def examples(self, count: int, *, share: float = 1.0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches of labelled examples; see :class:`TaskStream`."""
        self._set_budget(count, share)
        return super().examples(count, share=share)

    def _set_budget(self, cost: int, share: float) -> None:
        # Once: an algorithm that opens loops until the budget is spent must come to an end.
        if not self._requested:
            self._requested = True
            self.budget = round(self._limit * cost / share)
