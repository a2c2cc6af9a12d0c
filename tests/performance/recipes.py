"""ProtoNet of learn2learn's ``examples/vision/protonet_miniimagenet.py``, with data in memory."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.performance.networks import Body


class InMemory(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Images as float32 and labels as Python integers, converted once.

    Args:
        images: Images, uint8 ``[classes, examples, 1, H, W]``.
    """

    def __init__(self, images: Tensor) -> None:
        self.images = images.flatten(0, 1) / 255
        self.labels = torch.arange(len(images)).repeat_interleave(images.shape[1]).tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.images[i], self.labels[i]


def task_set(l2l: ModuleType, images: Tensor, ways: int, per_class: int, *transforms: Any) -> Any:
    """Returns learn2learn's fastest task set; ``sample()`` returns images and labels by class."""
    dataset = l2l.data.MetaDataset(InMemory(images))
    steps: list[Any] = [
        l2l.data.transforms.FusedNWaysKShots(dataset, n=ways, k=per_class),
        l2l.data.transforms.LoadData(dataset),
        l2l.data.transforms.RemapLabels(dataset),
        *(transform(dataset) for transform in transforms),
    ]
    return l2l.data.Taskset(dataset, steps, num_tasks=-1)


def pairwise_distances_logits(a: Tensor, b: Tensor) -> Tensor:
    """Map ``[A, features]`` and ``[B, features]`` to negative squared distances ``[A, B]``."""
    return -((a.unsqueeze(1) - b.unsqueeze(0)) ** 2).sum(dim=2)


def prototypical_logits(
    model: nn.Module, data: Tensor, labels: Tensor, ways: int, shots: int, queries: int
) -> tuple[Tensor, Tensor]:
    """Returns logits and labels of the queries of an episode, as ``fast_adapt`` of the example.

    Args:
        model: The embedding.
        data: Images ``[ways * (shots + queries), 1, H, W]``.
        labels: Labels, int64 ``[ways * (shots + queries)]``.
        ways: The number of classes.
        shots: Support examples per class.
        queries: Queries per class.
    """
    order = torch.sort(labels, stable=True).indices
    data, labels = data[order], labels[order]
    embeddings = model(data)
    is_support = torch.zeros(len(data), dtype=torch.bool)
    selection = torch.arange(ways) * (shots + queries)
    for offset in range(shots):
        is_support[selection + offset] = True
    support = embeddings[is_support].reshape(ways, shots, -1).mean(dim=1)
    return pairwise_distances_logits(embeddings[~is_support], support), labels[~is_support]


def prototypical_training(
    tasks: Any, model: nn.Module, ways: int, shots: int, queries: int, lr: float
) -> Callable[[int], None]:
    """Returns the training loop of the example as a function of the number of steps."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)

    def train(steps: int) -> None:
        model.train()
        for _ in range(steps):
            logits, labels = prototypical_logits(model, *tasks.sample(), ways, shots, queries)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    return train


def embedding() -> nn.Module:
    """Returns Conv4-64 with running statistics and without a head."""
    return Body(running=True)
