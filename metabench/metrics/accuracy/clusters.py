"""What the classes of the test episodes belong to, for statistics over new classes."""

from __future__ import annotations

from torch import Tensor

from metabench.datasets.base import ClassPool
from metabench.episodes import ClassSampler, Sampler


def class_clusters(sampler: Sampler, classes: Tensor) -> dict[str, list[list[int]]]:
    """Returns the group and the origin of each class of the episodes, as numbers.

    Args:
        sampler: The source of the episodes.
        classes: The class of the pool behind each label, int64 ``[E, ways]``.

    Returns:
        ``class_groups`` and ``class_origins``, each ``[E, ways]``; only those that the data set
        has. An origin is left out if every class has one of its own.
    """
    pool = sampler.pool if isinstance(sampler, ClassSampler) else None
    if not isinstance(pool, ClassPool):
        return {}
    found = {}
    if any(pool.groups):
        found["class_groups"] = _numbers(pool.groups, classes)
    # Origins are class names by default, and would only repeat the classes.
    if len(set(pool.origins)) < pool.classes:
        found["class_origins"] = _numbers(pool.origins, classes)
    return found


def _numbers(names: tuple[str, ...], classes: Tensor) -> list[list[int]]:
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
    of_class = [numbers[name] for name in names]
    return [[of_class[c] for c in episode] for episode in classes.tolist()]
