"""Small few-shot problems, and meta-training on a pool or a family without a benchmark."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm, resolve_hyperparameters
from metabench.algorithms.problem import Problem
from metabench.backbones.conv4 import Conv4
from metabench.backbones.conv4_maps import Conv4Maps
from metabench.backbones.mlp import MLP
from metabench.datasets.base import ClassPool, TaskFamily
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
from tests.helpers.hand_recipes import hand_recipe

IMAGE = (1, 28, 28)
VECTOR = (16,)
CHANNELS = 8
BACKBONES: dict[str, Callable[..., Any]] = {
    "conv4": partial(Conv4, channels=CHANNELS),
    "conv4-maps": partial(Conv4Maps, channels=CHANNELS),
    "mlp": MLP,
}


def classification(
    ways: int = 5, shots: int = 1, shape: tuple[int, ...] = IMAGE, backbone: str = "conv4"
) -> Problem:
    """Returns a classification problem with narrow backbones."""
    return Problem("classification", shape, ways, shots, 5, ways, backbone, BACKBONES)


def regression(shots: int = 5) -> Problem:
    """Returns the problem of the sinusoid tasks."""
    return Problem("regression", (1,), 0, shots, 10, 1, "mlp", BACKBONES)


@dataclass
class Draws:
    """The source of a task stream: a pool or a family, without a benchmark."""

    source: ClassPool | TaskFamily

    @property
    def train_classes(self) -> int:
        return len(self.source.images) if isinstance(self.source, ClassPool) else 0

    def sampler(self, protocol: NWayKShot, stream: int) -> Sampler:
        return sampler_of(self.source, protocol, "train", stream)

    def labelled(self, stream: int, start: int, count: int) -> tuple[Tensor, Tensor]:
        bits = random_bits(make_key("labelled", stream), torch.arange(start, start + count), 1)
        assert isinstance(self.source, ClassPool)
        return labelled_examples(self.source.images, bits.squeeze(1))

    def on_drawn(self, batch: TaskBatch) -> None:
        del batch


def sampler_of(source: ClassPool | TaskFamily, protocol: NWayKShot, *key: str | int) -> Sampler:
    if isinstance(source, TaskFamily):
        return FamilySampler(source, protocol, make_key(*key))
    return ClassSampler(source, protocol, make_key(*key))


def train(algorithm: Algorithm, source: ClassPool | TaskFamily, budget: int) -> TaskStream:
    """Meta-train an algorithm on ``budget`` examples, and put it in evaluation mode."""
    problem = algorithm.problem
    protocol = NWayKShot(problem.ways, problem.shots, problem.queries)
    stream = TaskStream(Draws(source), protocol, budget)
    algorithm.train()
    algorithm.meta_train(stream)
    algorithm.eval()
    return stream


def make(cls: type[Algorithm], problem: Problem, seed: int = 0, **chosen: Any) -> Algorithm:
    """Returns a new algorithm with its recipe by hand; ``chosen`` values override it."""
    torch.manual_seed(seed)
    return cls(problem, **resolve_hyperparameters(cls, chosen, hand_recipe(cls, problem)))


def blobs(classes: int, seed: int) -> ClassPool:
    """Returns classes that differ in four of sixteen numbers; the others are larger noise."""
    generator = torch.Generator().manual_seed(seed)
    signal = torch.rand(classes, 1, 4, generator=generator).expand(-1, 20, -1)
    signal = 0.35 + 0.3 * signal + 0.015 * torch.randn(classes, 20, 4, generator=generator)
    noise = 0.5 + 0.15 * torch.randn(classes, 20, 12, generator=generator)
    images = torch.cat([signal, noise], -1).mul(255).clamp(0, 255).to(torch.uint8)
    return ClassPool(images, tuple(f"{seed}-{i}" for i in range(classes)))


def accuracy(algorithm: Algorithm, batch: TaskBatch) -> float:
    """Returns the share of the queries that are classified correctly."""
    outputs = [algorithm.adapt(task.support)(task.query_x) for task in batch]
    return float((torch.stack(outputs).argmax(-1) == batch.query_y).float().mean())
