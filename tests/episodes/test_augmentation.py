"""Training images that are moved at random."""

import torch

from metabench.episodes import TaskBatch
from metabench.episodes.augmentation import mirrored, moved, with_mirrored_classes


def dots(count: int) -> torch.Tensor:
    """Images of 7 x 7 pixels in two channels with one dot in the middle."""
    x = torch.zeros(2, count // 2, 2, 7, 7)
    x[..., 3, 3] = torch.tensor([1.0, 2.0])
    return x


def test_an_image_is_moved_as_a_whole_by_no_more_than_was_asked_for() -> None:
    torch.manual_seed(0)
    found = moved(dots(4000), 2)
    assert found.shape == (2, 2000, 2, 7, 7)
    assert torch.equal(found[:, :, 0] * 2, found[:, :, 1])
    assert (found[:, :, 0].sum((-1, -2)) == 1).all()
    places = found[:, :, 0].flatten(0, 1).nonzero()[:, 1:] - 3
    assert places.abs().max() == 2
    # Every one of the 25 places equally often: 160 times, with a standard deviation of 12.4.
    counts = torch.bincount((places[:, 0] + 2) * 5 + places[:, 1] + 2, minlength=25)
    assert len(counts) == 25
    assert (counts - 160).abs().max() < 62


def test_what_comes_in_at_the_border_is_nothing_and_what_leaves_is_gone() -> None:
    torch.manual_seed(0)
    found = moved(torch.ones(64, 1, 3, 3), 3)
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert (found.sum((1, 2, 3)) <= 9).all()
    assert found.sum((1, 2, 3)).min() == 0


def test_nothing_is_drawn_where_nothing_is_moved() -> None:
    x, before = dots(2), torch.get_rng_state()
    assert moved(x, 0) is x
    assert torch.equal(torch.get_rng_state(), before)


def test_all_images_of_a_class_are_mirrored_or_none() -> None:
    torch.manual_seed(0)
    y = torch.randint(0, 3, (500, 8))
    x = torch.arange(4.0).expand(500, 8, 1, 2, 4)
    found = mirrored(x, y, 3)
    turned = (found == x.flip(-1)).all((-1, -2, -3))
    assert torch.equal(turned, ~(found == x).all((-1, -2, -3)))
    for way in range(3):
        of_class = y == way
        some, every = (turned & of_class).any(1), (turned | ~of_class).all(1)
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
