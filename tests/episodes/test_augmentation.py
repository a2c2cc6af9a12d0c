"""Training images translated and mirrored at random."""

import torch

from metabench.episodes import TaskBatch
from metabench.episodes.augmentation import mirrored, translated, with_mirrored_classes


def dots(count: int) -> torch.Tensor:
    """Images of 7 x 7 pixels in two channels with one dot in the middle."""
    x = torch.zeros(2, count // 2, 2, 7, 7)
    x[..., 3, 3] = torch.tensor([1.0, 2.0])
    return x


def test_an_image_is_translated_as_a_whole_by_at_most_the_given_pixels() -> None:
    torch.manual_seed(0)
    found = translated(dots(4000), 2)
    assert found.shape == (2, 2000, 2, 7, 7)
    assert torch.equal(found[:, :, 0] * 2, found[:, :, 1])
    assert (found[:, :, 0].sum((-1, -2)) == 1).all()
    offsets = found[:, :, 0].flatten(0, 1).nonzero()[:, 1:] - 3
    assert offsets.abs().max() == 2
    # All 25 offsets equally often: 160 times each, with a standard deviation of 12.4.
    counts = torch.bincount((offsets[:, 0] + 2) * 5 + offsets[:, 1] + 2, minlength=25)
    assert len(counts) == 25
    assert (counts - 160).abs().max() < 62


def test_translation_pads_with_zeros_and_cuts_off_what_leaves() -> None:
    torch.manual_seed(0)
    found = translated(torch.ones(64, 1, 3, 3), 3)
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert (found.sum((1, 2, 3)) <= 9).all()
    assert found.sum((1, 2, 3)).min() == 0


def test_no_random_number_is_drawn_for_a_translation_of_zero() -> None:
    x, before = dots(2), torch.get_rng_state()
    assert translated(x, 0) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_either_all_images_of_a_class_are_mirrored_or_none() -> None:
    torch.manual_seed(0)
    y = torch.randint(0, 3, (500, 8))
    x = torch.arange(4.0).expand(500, 8, 1, 2, 4)
    found = mirrored(x, y, 3)
    flipped = (found == x.flip(-1)).all((-1, -2, -3))
    assert torch.equal(flipped, ~(found == x).all((-1, -2, -3)))
    for way in range(3):
        of_class = y == way
        some, every = (flipped & of_class).any(1), (flipped | ~of_class).all(1)
        assert torch.equal(some, every & of_class.any(1))
        assert 200 < (every & of_class.any(1)).sum() < 300


def test_support_and_query_of_a_class_are_mirrored_together() -> None:
    torch.manual_seed(0)
    y = torch.arange(3).repeat_interleave(2).expand(50, 6)
    x = torch.rand(50, 1, 1, 2, 4).expand(50, 6, 1, 2, 4)
    batch = TaskBatch(
        x[:, :3], y[:, ::2], x[:, 3:], y[:, 1::2], 3, torch.zeros(50, 3, dtype=torch.int64)
    )
    found = with_mirrored_classes(batch)
    assert torch.equal(found.support_x, found.query_x)
    changed = (found.support_x != batch.support_x).flatten(2).any(2)
    assert 0.3 < changed.float().mean() < 0.7
    assert found.support_y is batch.support_y
