"""Episodes with fewer shots keep the first support examples of each class."""

import torch

from metabench.episodes import TaskBatch
from metabench.metrics.shots import with_fewer_shots
from tests.helpers.small_trials import Means, image_trial


def test_fewer_shots_are_the_first_of_each_class_in_any_order() -> None:
    batch = image_trial(Means, ways=5, shots=4, queries=2).sampler.range(0, 3)
    order = torch.randperm(20)
    mixed = TaskBatch(
        batch.support_x[:, order],
        batch.support_y[:, order],
        batch.query_x,
        batch.query_y,
        5,
        batch.classes,
    )
    for shots in (1, 2, 4):
        kept = with_fewer_shots(mixed, shots)
        assert kept.support_x.shape[1] == 5 * shots
        assert torch.equal(torch.bincount(kept.support_y.flatten()), torch.full((5,), 3 * shots))
    one = with_fewer_shots(mixed, 1)
    position = int((mixed.support_y[0] == one.support_y[0, 0]).nonzero()[0])
    assert torch.equal(one.support_x[0, 0], mixed.support_x[0, position])
