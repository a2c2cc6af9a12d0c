"""Small samplers of both kinds, and comparisons of batches of episodes."""

import torch

from metabench.datasets.sinusoid import Sinusoid
from metabench.episodes import ClassSampler, FamilySampler, NWayKShot, TaskBatch
from metabench.runtime.counter_rng import make_key
from tests.helpers.coded_pool import coded_pool

KEY = make_key("test_sampler")
P_VALUE = 0.001
"""Smallest p-value that passes. Keys are fixed, so a test that passes once always passes."""


def class_sampler(
    ways: int = 5,
    shots: int = 2,
    queries: int = 3,
    *,
    classes: int = 12,
    examples: int = 8,
    variants: int = 1,
) -> ClassSampler:
    return ClassSampler(
        coded_pool(classes, examples, variants), NWayKShot(ways, shots, queries), KEY
    )


def family_sampler(shots: int = 5, queries: int = 10, key: int = KEY) -> FamilySampler:
    return FamilySampler(Sinusoid(), NWayKShot(0, shots, queries), key)


def tensors(batch: TaskBatch) -> list[torch.Tensor]:
    return [batch.support_x, batch.support_y, batch.query_x, batch.query_y, batch.classes]


def same(a: TaskBatch, b: TaskBatch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(tensors(a), tensors(b), strict=True))


def joined(parts: list[TaskBatch]) -> TaskBatch:
    support_x, support_y, query_x, query_y, classes = map(
        torch.cat, zip(*map(tensors, parts), strict=True)
    )
    return TaskBatch(support_x, support_y, query_x, query_y, parts[0].ways, classes)
