"""The groups and origins of the classes of test episodes."""

import torch

from metabench.datasets import ClassPool
from metabench.episodes import ClassSampler, NWayKShot
from metabench.metrics.accuracy.clusters import class_clusters


def sampler(**of_classes: tuple[str, ...]) -> ClassSampler:
    pool = ClassPool(
        torch.zeros(4, 3, 1, 2, 2, dtype=torch.uint8), ("a", "b", "c", "d"), **of_classes
    )
    return ClassSampler(pool, NWayKShot(2, 1, 1), key=0)


CLASSES = torch.tensor([[0, 3], [2, 1]])


def test_groups_and_origins_are_numbered_by_their_first_class() -> None:
    found = class_clusters(
        sampler(groups=("g", "h", "g", "h"), origins=("o", "o", "p", "q")), CLASSES
    )
    assert found == {"class_groups": [[0, 1], [0, 1]], "class_origins": [[0, 2], [1, 0]]}


def test_classes_without_groups_and_with_their_own_origins_have_no_clusters() -> None:
    assert class_clusters(sampler(), CLASSES) == {}
