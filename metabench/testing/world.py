"""The small problems that the kit tries an algorithm on: made in no time, and the same everywhere."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from metabench.algorithms.problem import BackboneFactory, Problem
from metabench.backbones.base import Backbone
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
from metabench.plugins import installed_plugins
from metabench.registry import Spec
from metabench.runtime.counter_rng import make_key, random_bits

IMAGE = (1, 28, 28)
CHANNELS = 8
"""Convolutional backbones are made this narrow, unless an algorithm asks for a width of its own."""

TRAIN_CLASSES, TEST_CLASSES, EXAMPLES = 24, 8, 24
EPISODES = 4


def small_problems() -> tuple[Problem, Problem]:
    """3-way 2-shot classification of 28x28 images, and 5-shot regression of sine waves."""
    specs = installed_plugins().registry.specs("backbone")
    backbones = {spec.name: _narrow(spec) for spec in specs}
    return (
        Problem("classification", IMAGE, 3, 2, 3, 3, "conv4", backbones),
        Problem("regression", (1,), 0, 5, 8, 1, "mlp", backbones),
    )


def _narrow(spec: Spec) -> BackboneFactory:
    def make(input_shape: tuple[int, ...], **options: Any) -> Backbone:
        factory = spec.load()
        if "channels" in inspect.signature(factory).parameters:
            options.setdefault("channels", CHANNELS)
        backbone: Backbone = factory(input_shape, **options)
        return backbone

    return make


@lru_cache(maxsize=4)
def _pool(split: str, shape: tuple[int, ...]) -> ClassPool:
    """Noisy copies of a random picture for each class, nowhere black or white: ties are rare."""
    classes = TRAIN_CLASSES if split == "train" else TEST_CLASSES
    generator = torch.Generator().manual_seed(classes)
    pictures = torch.rand(classes, 1, *shape, generator=generator, dtype=torch.float64)
    noise = torch.rand(classes, EXAMPLES, *shape, generator=generator, dtype=torch.float64)
    images = (255 * (0.1 + 0.5 * pictures + 0.3 * noise)).to(torch.uint8)
    return ClassPool(images, tuple(f"{split} {i}" for i in range(classes)))


class World:
    """Where the episodes of a problem come from, in a floating-point type.

    Args:
        problem: the problem.
        dtype: of inputs and of regression targets.
    """

    def __init__(self, problem: Problem, dtype: torch.dtype) -> None:
        self.problem = problem
        self.dtype = dtype
        self.protocol = NWayKShot(problem.ways, problem.shots, problem.queries)

    def test(self, episodes: int = EPISODES) -> TaskBatch:
        """The first test episodes, of classes that training does not show."""
        return self._sampler("test", self.protocol, "test").range(0, episodes)

    def stream(self, steps: int) -> ShortStream:
        """Training tasks for so many outer steps."""
        return ShortStream(self, self.protocol, steps)

    # What a TaskStream draws from (metabench.episodes.stream.TaskSource).

    @property
    def train_classes(self) -> int:
        """Classes in the training split; 0 in regression."""
        return 0 if self.problem.regression else TRAIN_CLASSES

    def sampler(self, protocol: NWayKShot, stream: int) -> Sampler:
        """Training episodes."""
        return self._sampler("train", protocol, stream)

    def labelled(self, stream: int, start: int, count: int) -> tuple[Tensor, Tensor]:
        """Single labelled training examples."""
        bits = random_bits(make_key("kit", stream), torch.arange(start, start + count), 1).squeeze(
            1
        )
        x, rows = labelled_examples(_pool("train", self.problem.input_shape).images, bits)
        return x.to(self.dtype), rows

    def on_drawn(self, batch: TaskBatch) -> None:
        """Nothing is noted."""

    def _sampler(self, split: str, protocol: NWayKShot, *key: str | int) -> Sampler:
        number = make_key("kit", split, *key)
        if self.problem.regression:
            return _Cast(FamilySampler(Sinusoid(), protocol, number), self.dtype)
        return _Cast(
            ClassSampler(_pool(split, self.problem.input_shape), protocol, number), self.dtype
        )


class _Cast(Sampler):
    """The episodes of another sampler in a floating-point type."""

    def __init__(self, sampler: Sampler, dtype: torch.dtype) -> None:
        super().__init__(sampler.protocol, sampler.key, sampler.device)
        self._sampler = sampler
        self._dtype = dtype

    def tasks(self, indices: Tensor) -> TaskBatch:
        """The episodes with these indices; see :class:`Sampler`."""
        batch = self._sampler.tasks(indices)
        y = (batch.support_y, batch.query_y)
        support_y, query_y = (t.to(self._dtype) if t.is_floating_point() else t for t in y)
        support_x, query_x = batch.support_x.to(self._dtype), batch.query_x.to(self._dtype)
        return TaskBatch(support_x, support_y, query_x, query_y, batch.ways, batch.classes)

    def fingerprint(self, indices: Tensor) -> bytes:
        """The drawn indices as bytes; see :class:`Sampler`."""
        return self._sampler.fingerprint(indices)

    def source_digest(self) -> str:
        """Stands for the data; see :class:`Sampler`."""
        return self._sampler.source_digest()


class ShortStream(TaskStream):
    """A stream whose budget is so many batches of whatever shape is asked for first.

    Args:
        world: where its tasks come from.
        protocol: the shape of the test's episodes.
        limit: outer steps.
    """

    def __init__(self, world: World, protocol: NWayKShot, limit: int) -> None:
        super().__init__(world, protocol, limit * protocol.examples)
        self._limit = limit
        self._asked = False

    def batches(
        self,
        tasks: int,
        *,
        ways: int | None = None,
        shots: int | None = None,
        queries: int | None = None,
        share: float = 1.0,
    ) -> Iterator[TaskBatch]:
        """See :class:`TaskStream`."""
        self._afford(tasks * self._shape(ways, shots, queries).examples, share)
        return super().batches(tasks, ways=ways, shots=shots, queries=queries, share=share)

    def examples(self, count: int, *, share: float = 1.0) -> Iterator[tuple[Tensor, Tensor]]:
        """See :class:`TaskStream`."""
        self._afford(count, share)
        return super().examples(count, share=share)

    def _afford(self, cost: int, share: float) -> None:
        # Only once: a loop that is opened again and again until the budget is spent must come to an end.
        if not self._asked:
            self._asked = True
            self.budget = round(self._limit * cost / share)
