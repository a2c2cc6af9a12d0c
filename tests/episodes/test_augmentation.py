"""Training images translated and mirrored at random, as pure functions of a key and an index."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from metabench.datasets import ClassPool
from metabench.episodes import ClassSampler, NWayKShot, TaskBatch
from metabench.episodes.augmentation import (
    AugmentedSampler,
    augmented_examples,
    mirrored,
    random_offsets,
    translated,
)
from metabench.runtime.counter_rng import below, make_key, random_bits
from tests.helpers.small_samplers import joined, same, tensors

KEY = make_key("augmentation")
CLASSES, EXAMPLES, SIDE = 12, 6, 7
PROTOCOL = NWayKShot(4, 2, 3)


def pool() -> ClassPool:
    """Returns images without symmetry, so that a mirrored or moved one is another image."""
    generator = torch.Generator().manual_seed(0)
    shape = (CLASSES, EXAMPLES, 1, SIDE, SIDE)
    images = torch.randint(1, 256, shape, generator=generator, dtype=torch.uint8)
    return ClassPool(images, tuple(f"class {i}" for i in range(CLASSES)))


def plain() -> ClassSampler:
    return ClassSampler(pool(), PROTOCOL, make_key("episodes"))


def augmented(*, shift: int = 1, mirror: bool = True, key: int = KEY) -> AugmentedSampler:
    return AugmentedSampler(plain(), key, shift=shift, mirror=mirror, classes=CLASSES)


def bits(batch: TaskBatch, start: int) -> tuple[Tensor, Tensor]:
    """Returns the random bits of the classes and of the examples of episodes from ``start`` on."""
    indices = torch.arange(start, start + len(batch))
    found = random_bits(KEY, indices, PROTOCOL.ways + 2 * PROTOCOL.examples)
    return found[:, : PROTOCOL.ways], found[:, PROTOCOL.ways :].unflatten(1, (-1, 2))


def moved_pixel_by_pixel(image: Tensor, down: int, right: int) -> Tensor:
    """The naive oracle: every pixel is copied to its new place if that is inside the image."""
    out = torch.zeros_like(image)
    height, width = image.shape[-2:]
    for row in range(height):
        for column in range(width):
            if 0 <= row + down < height and 0 <= column + right < width:
                out[..., row + down, column + right] = image[..., row, column]
    return out


class TestTranslation:
    def test_every_pixel_moves_by_the_offset_of_its_image(self) -> None:
        x = torch.rand(3, 2, 2, 5, 6)
        offsets = torch.randint(-3, 4, (3, 2, 2), generator=torch.Generator().manual_seed(1))
        found = translated(x, offsets)
        for i in range(3):
            for j in range(2):
                expected = moved_pixel_by_pixel(x[i, j], *offsets[i, j].tolist())
                assert torch.equal(found[i, j], expected)

    def test_an_offset_of_the_whole_image_leaves_nothing(self) -> None:
        x = torch.ones(1, 1, 3, 3)
        assert not translated(x, torch.tensor([[3, 0]])).any()

    def test_offsets_of_zero_return_the_images_themselves(self) -> None:
        x = torch.rand(2, 1, 3, 3)
        assert translated(x, torch.zeros(2, 2, dtype=torch.int64)) is x

    def test_all_offsets_occur_equally_often(self) -> None:
        offsets = random_offsets(random_bits(KEY, torch.arange(1000), 8), 2)
        assert offsets.shape == (1000, 4, 2)
        assert offsets.abs().max() == 2
        # All 25 offsets equally often: 160 times each, with a standard deviation of 12.4.
        places = ((offsets[..., 0] + 2) * 5 + offsets[..., 1] + 2).flatten()
        assert (torch.bincount(places, minlength=25) - 160).abs().max() < 62


def test_only_the_chosen_images_are_mirrored_from_left_to_right() -> None:
    x = torch.rand(2, 3, 1, 4, 5)
    chosen = torch.tensor([[True, False, True], [False, False, True]])
    found = mirrored(x, chosen)
    for i in range(2):
        for j in range(3):
            expected = x[i, j, :, :, [4, 3, 2, 1, 0]] if chosen[i, j] else x[i, j]
            assert torch.equal(found[i, j], expected)


class TestEpisodes:
    def test_they_are_a_pure_function_of_the_key_and_the_index(self) -> None:
        sampler = augmented()
        whole = sampler.range(0, 9)
        torch.rand(3)  # the global random state has no part in it
        assert same(augmented().range(0, 9), whole)
        assert same(joined([sampler.range(i, i + 1) for i in range(9)]), whole)
        assert same(joined([sampler.range(0, 4), sampler.range(4, 9)]), whole)
        order = torch.tensor([7, 2, 2, 0])
        expected = joined([sampler.range(int(i), int(i) + 1) for i in order])
        assert same(sampler.tasks(order), expected)

    def test_another_key_augments_the_same_episodes_otherwise(self) -> None:
        one, other = augmented().range(0, 9), augmented(key=KEY + 1).range(0, 9)
        assert torch.equal(one.classes % CLASSES, other.classes % CLASSES)
        assert not torch.equal(one.support_x, other.support_x)

    def test_an_image_is_mirrored_with_its_class_and_moved_on_its_own(self) -> None:
        before, after = plain().range(3, 8), augmented(shift=2).range(3, 8)
        by_class, by_example = bits(before, 3)
        flips, offsets = below(by_class, 2) == 1, random_offsets(by_example.flatten(1), 2)
        x = torch.cat([before.support_x, before.query_x], 1)
        y = torch.cat([before.support_y, before.query_y], 1)
        found = torch.cat([after.support_x, after.query_x], 1)
        for t in range(len(before)):
            for i in range(x.shape[1]):
                moved = moved_pixel_by_pixel(x[t, i], *offsets[t, i].tolist())
                expected = moved.flip(-1) if flips[t, y[t, i]] else moved
                assert torch.equal(found[t, i], expected)

    def test_the_mirror_image_of_a_class_is_a_class_of_its_own(self) -> None:
        before, after = plain().range(0, 200), augmented(shift=0).range(0, 200)
        is_mirrored = after.classes >= CLASSES
        assert torch.equal(after.classes % CLASSES, before.classes)
        assert 0.4 < is_mirrored.double().mean() < 0.6
        for x, y, was in (
            (after.support_x, after.support_y, before.support_x),
            (after.query_x, after.query_y, before.query_x),
        ):
            flipped = is_mirrored.gather(1, y)
            expected = torch.where(flipped[:, :, None, None, None], was.flip(-1), was)
            assert torch.equal(x, expected)

    def test_labels_ways_and_protocol_do_not_change(self) -> None:
        before, after = plain().range(0, 5), augmented().range(0, 5)
        assert torch.equal(before.support_y, after.support_y)
        assert torch.equal(before.query_y, after.query_y)
        assert after.ways == before.ways
        assert augmented().protocol == PROTOCOL
        assert augmented().source_digest() == plain().source_digest()

    @pytest.mark.parametrize(("shift", "mirror"), [(1, False), (0, True)])
    def test_translation_and_mirroring_are_chosen_separately(
        self, shift: int, mirror: bool
    ) -> None:
        before, after = plain().range(0, 20), augmented(shift=shift, mirror=mirror).range(0, 20)
        assert not torch.equal(before.support_x, after.support_x)
        assert bool((after.classes >= CLASSES).any()) is mirror

    def test_the_digest_covers_the_augmentation(self) -> None:
        digests = {
            plain().digest(20),
            augmented().digest(20),
            augmented(key=KEY + 1).digest(20),
        }
        assert len(digests) == 3
        assert augmented().digest(20) == augmented().digest(20)

    def test_the_sampler_that_is_augmented_draws_what_it_draws_alone(self) -> None:
        inner = plain()
        sampler = AugmentedSampler(inner, KEY, shift=1, mirror=True, classes=CLASSES)
        before = [t.clone() for t in tensors(inner.range(0, 6))]
        sampler.range(0, 6)
        assert all(map(torch.equal, before, tensors(inner.range(0, 6))))


class TestSingleExamples:
    def test_an_example_has_the_label_of_its_class_or_of_the_mirror_image(self) -> None:
        x = torch.rand(300, 1, 5, 5)
        y = torch.arange(300) % CLASSES
        drawn = random_bits(KEY, torch.arange(300), 3)
        found_x, found_y = augmented_examples(x, y, drawn, shift=1, mirror=True, classes=CLASSES)
        flips = below(drawn[:, 0], 2) == 1
        offsets = random_offsets(drawn[:, 1:], 1)
        assert torch.equal(found_y, y + CLASSES * flips)
        assert 100 < int(flips.sum()) < 200
        for i in range(300):
            moved = moved_pixel_by_pixel(x[i], *offsets[i, 0].tolist())
            assert torch.equal(found_x[i], moved.flip(-1) if flips[i] else moved)

    def test_nothing_changes_without_augmentation(self) -> None:
        x, y = torch.rand(4, 1, 5, 5), torch.arange(4)
        drawn = random_bits(KEY, torch.arange(4), 3)
        found = augmented_examples(x, y, drawn, shift=0, mirror=False, classes=CLASSES)
        assert torch.equal(found[0], x)
        assert torch.equal(found[1], y)
