"""Rotation of the support set: several episodes from one pass through the backbone."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from metabench.episodes import Support
from metabench.learning.metric_based import rotate_support, squared_distances


def episode(tasks: int, ways: int, shots: int, queries: int) -> tuple[Support, Tensor, Tensor]:
    """Returns an episode whose embeddings number all examples; the queries are shuffled."""
    name = torch.arange(tasks * ways * (shots + queries), dtype=torch.float64).view(
        tasks, ways, -1, 1
    )
    order = torch.randperm(ways * queries)
    labels = torch.arange(ways)
    support = Support(
        name[:, :, :shots].flatten(1, 2), labels.repeat_interleave(shots).expand(tasks, -1), ways
    )
    return (
        support,
        name[:, :, shots:].flatten(1, 2)[:, order],
        labels.repeat_interleave(queries)[order].expand(tasks, -1),
    )


sizes = st.integers(1, 4)


@given(tasks=sizes, ways=st.integers(2, 5), shots=sizes, queries=sizes)
def test_each_rotation_is_an_episode_of_the_same_classes(
    tasks: int, ways: int, shots: int, queries: int
) -> None:
    support, query, targets = rotate_support(*episode(tasks, ways, shots, queries))
    turns = (shots + queries) // shots
    assert support.x.shape == (turns * tasks, ways * shots, 1)
    assert query.shape == (turns * tasks, ways * queries, 1)
    for turn in range(turns * tasks):
        task = turn % tasks
        shown = torch.cat([support.x[turn], query[turn]]).flatten().long()
        assert shown.sort().values.tolist() == [task * len(shown) + i for i in range(len(shown))]
        labels = torch.cat([support.y[turn], targets[turn]])
        assert torch.equal(labels, shown % len(shown) // (shots + queries))
        assert support.y[turn].bincount().tolist() == [shots] * ways


@given(tasks=sizes, ways=st.integers(2, 5), shots=sizes, queries=sizes)
def test_no_example_is_in_two_support_sets(tasks: int, ways: int, shots: int, queries: int) -> None:
    support, _, _ = rotate_support(*episode(tasks, ways, shots, queries))
    shown = support.x.flatten().tolist()
    assert len(shown) == len(set(shown))


def test_the_first_rotation_is_the_episode_itself() -> None:
    support, query, targets = episode(2, 3, 2, 3)
    rotated, rotated_query, rotated_targets = rotate_support(support, query, targets)
    assert torch.equal(rotated.x[:2], support.x)
    order = targets[0].argsort(stable=True)
    assert torch.equal(rotated_query[:2], query[:, order])
    assert torch.equal(rotated_targets[:2], targets[:, order])


def test_the_loss_is_the_mean_over_the_rotated_episodes() -> None:
    torch.manual_seed(0)
    e = torch.randn(3, 3, 4)  # 3 ways; 1 shot and 2 queries; 4 features
    labels = torch.arange(3)

    def loss(support: Tensor, query: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(-squared_distances(query, support), targets)

    by_hand = [
        loss(e[:, 0], e[:, [1, 2]].flatten(0, 1), labels.repeat_interleave(2)),
        loss(e[:, 1], e[:, [0, 2]].flatten(0, 1), labels.repeat_interleave(2)),
        loss(e[:, 2], e[:, [0, 1]].flatten(0, 1), labels.repeat_interleave(2)),
    ]
    support, query, targets = rotate_support(
        Support(e[None, :, 0], labels[None], 3),
        e[None, :, 1:].flatten(1, 2),
        labels.repeat_interleave(2)[None],
    )
    found = [loss(s, q, t) for s, q, t in zip(support.x, query, targets, strict=True)]
    torch.testing.assert_close(torch.stack(found).mean(), torch.stack(by_hand).mean())
