"""Exactly the stated share of support labels is flipped."""

import pytest
import torch

from metabench.episodes import TaskBatch
from metabench.metrics.noise.labels import flip_labels
from tests.helpers.small_trials import Means, image_trial


def episodes(ways: int, shots: int, tasks: int = 50) -> TaskBatch:
    trial = image_trial(Means, ways=ways, shots=shots, queries=2, episodes=tasks)
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


def test_flips_are_the_same_for_an_episode_alone_and_in_a_batch() -> None:
    batch = episodes(5, 5, tasks=6)
    together, _ = flip_labels(batch, torch.arange(6), 0.4)
    alone, _ = flip_labels(batch[4:5], torch.tensor([4]), 0.4)
    assert torch.equal(alone.support_y, together.support_y[4:5])
    other, _ = flip_labels(batch[4:5], torch.tensor([5]), 0.4)
    assert not torch.equal(other.support_y, alone.support_y)
