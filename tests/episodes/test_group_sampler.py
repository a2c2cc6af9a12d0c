"""Episodes of one group, paired with the mixed ones of the same key."""

import pytest
import torch

from metabench.datasets import ClassPool
from metabench.episodes import ClassSampler, GroupSampler, NWayKShot
from metabench.errors import ProtocolError
from metabench.runtime.counter_rng import make_key
from tests.helpers.coded_pool import coded_pool, decode

INDICES = torch.arange(300)
SHAPE = NWayKShot(4, 2, 3)
KEY = make_key("groups")


def grouped(*, rotations: int = 1, variants: int = 1) -> ClassPool:
    """Groups of 3, 6 and 12 origins, with `rotations` classes of each origin."""
    plain = coded_pool(21 * rotations, 8, variants)
    group = ["small"] * 3 + ["middle"] * 6 + ["large"] * 12
    return ClassPool(
        plain.images,
        plain.class_names,
        tuple(g for g in group for _ in range(rotations)),
        tuple(f"origin {i}" for i in range(21) for _ in range(rotations)),
        variants,
    )


@pytest.mark.parametrize(("rotations", "variants"), [(1, 1), (4, 1), (1, 4)])
def test_all_classes_of_an_episode_are_of_one_group_and_of_different_origin(
    rotations: int, variants: int
) -> None:
    pool = grouped(rotations=rotations, variants=variants)
    classes = GroupSampler(pool, SHAPE, KEY).tasks(INDICES).classes.tolist()
    for episode in classes:
        assert len({pool.groups[c] for c in episode}) == 1
        assert len({pool.origins[c] for c in episode}) == 4
    assert {pool.groups[episode[0]] for episode in classes} == {"middle", "large"}
    assert {c for episode in classes for c in episode} == {
        c for c in range(pool.classes) if pool.groups[c] != "small"
    }


def test_an_episode_shares_its_first_class_and_all_example_numbers_with_the_mixed_one() -> None:
    pool = grouped(variants=2)
    mixed, within = (make(pool, SHAPE, KEY).tasks(INDICES) for make in (ClassSampler, GroupSampler))
    assert torch.equal(mixed.query_y, within.query_y)
    for one, two in ((mixed.support_x, within.support_x), (mixed.query_x, within.query_x)):
        (_, example, variant), (_, same_example, same_variant) = decode(one), decode(two)
        assert torch.equal(example, same_example)
        assert torch.equal(variant, same_variant)
    large_enough = torch.tensor([pool.groups[c] != "small" for c in mixed.classes[:, 0].tolist()])
    assert torch.equal(mixed.classes[large_enough, 0], within.classes[large_enough, 0])
    assert float(large_enough.double().mean()) == pytest.approx(18 / 21, abs=0.06)


def test_the_images_are_those_of_the_classes() -> None:
    batch = GroupSampler(grouped(rotations=2), SHAPE, KEY).tasks(INDICES)
    shown, _, _ = decode(batch.query_x)
    assert torch.equal(shown, batch.classes.gather(1, batch.query_y))
    shown, _, _ = decode(batch.support_x)
    assert torch.equal(shown, batch.classes.gather(1, batch.support_y))


def test_the_other_classes_are_drawn_uniformly() -> None:
    pool = grouped()
    classes = GroupSampler(pool, SHAPE, KEY).tasks(torch.arange(6000)).classes
    for first, size in ((3, 6), (9, 12)):
        chosen = classes[(classes[:, 0] >= first) & (classes[:, 0] < first + size)]
        shares = torch.bincount(chosen[:, 1:].flatten(), minlength=21)[
            first : first + size
        ].double()
        torch.testing.assert_close(
            shares / shares.sum(), torch.full_like(shares, 1 / size), atol=0.15 / size, rtol=0
        )


def test_an_episode_is_the_same_alone_in_any_batch_and_in_a_range() -> None:
    sampler = GroupSampler(grouped(), SHAPE, KEY)
    alone = sampler.tasks(torch.tensor([7]))
    assert torch.equal(sampler.tasks(INDICES).query_x[7:8], alone.query_x)
    assert torch.equal(sampler.range(5, 9).query_x[2:3], alone.query_x)


def test_groups_that_are_too_small_are_rejected_with_their_size() -> None:
    with pytest.raises(
        ProtocolError, match=r"no group of the pool has 13 classes .* the largest has 12"
    ):
        GroupSampler(grouped(rotations=2), NWayKShot(13, 1, 1), KEY)
