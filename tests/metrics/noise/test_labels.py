"""Labels are flipped in exactly the stated share, and shots are nested."""

import pytest
import torch

from metabench.episodes import TaskBatch
from metabench.metrics.noise.labels import fewer_shots, flip_labels
from tests.helpers.small_world import Means, picture_trial


def episodes(ways: int, shots: int, tasks: int = 50) -> TaskBatch:
    trial = picture_trial(Means, ways=ways, shots=shots, queries=2, episodes=tasks)
    return trial.sampler.range(0, tasks)


@pytest.mark.parametrize(("ways", "shots"), [(5, 5), (5, 10), (12, 5), (3, 7), (2, 20)])
@pytest.mark.parametrize("share", [0.2, 0.4, 0.6])
def test_exactly_the_stated_share_is_flipped_to_other_classes(
    ways: int, shots: int, share: float
) -> None:
    batch = episodes(ways, shots)
    noisy, flipped = flip_labels(batch, torch.arange(50), share)
    assert torch.equal(noisy.support_y != batch.support_y, flipped)
    assert flipped.sum(1).tolist() == [round(share * ways * shots)] * 50
    assert bool(((noisy.support_y >= 0) & (noisy.support_y < ways)).all())
    of_class = torch.zeros(50, ways, dtype=torch.int64).scatter_add_(
        1, batch.support_y, flipped.long()
    )
    assert int((of_class.amax(1) - of_class.amin(1)).max()) <= 1


def test_flips_are_symmetric_and_nested() -> None:
    batch = episodes(4, 10, tasks=300)
    few, many = (flip_labels(batch, torch.arange(300), share) for share in (0.2, 0.6))
    assert bool((many[1] | ~few[1]).all())
    assert torch.equal(few[0].support_y[few[1]], many[0].support_y[few[1]])
    jump = (many[0].support_y - batch.support_y)[many[1]] % 4
    shares = torch.bincount(jump, minlength=4).double() / len(jump)
    torch.testing.assert_close(
        shares, torch.tensor([0, 1 / 3, 1 / 3, 1 / 3]).double(), atol=0.02, rtol=0
    )


def test_an_episode_is_flipped_alike_alone_and_in_a_batch() -> None:
    batch = episodes(5, 5, tasks=6)
    together, _ = flip_labels(batch, torch.arange(6), 0.4)
    alone, _ = flip_labels(batch[4:5], torch.tensor([4]), 0.4)
    assert torch.equal(alone.support_y, together.support_y[4:5])
    other, _ = flip_labels(batch[4:5], torch.tensor([5]), 0.4)
    assert not torch.equal(other.support_y, alone.support_y)


def test_fewer_shots_are_the_first_of_each_class_whatever_their_order() -> None:
    batch = episodes(5, 4, tasks=3)
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
        kept = fewer_shots(mixed, shots)
        assert kept.support_x.shape[1] == 5 * shots
        assert torch.equal(torch.bincount(kept.support_y.flatten()), torch.full((5,), 3 * shots))
    one = fewer_shots(mixed, 1)
    place = int((mixed.support_y[0] == one.support_y[0, 0]).nonzero()[0])
    assert torch.equal(one.support_x[0, 0], mixed.support_x[0, place])
