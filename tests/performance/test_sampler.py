"""Episodes drawn per second against learn2learn's fastest task set over tensors in memory.

Both sides return 16 images of 28 x 28 for each class as float32 in 0..1, 1 in the support set and
15 in the query set, with int64 labels. learn2learn has its images as float32 and its labels as
Python integers from the start, and does not shuffle the queries.
"""

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor

from metabench.datasets import ClassPool
from metabench.episodes import ClassSampler, NWayKShot
from metabench.episodes.sampler import PREFETCH_EXAMPLES
from tests.performance import recipes
from tests.performance.comparison import Comparison

CLASSES, EXAMPLES = 1000, 20
SHOTS, QUERIES = 1, 15
BATCH_IMAGES = 1280
"""Images in a batch of metabench: 16 tasks of 5 ways or 4 of 20."""
CALLS = PREFETCH_EXAMPLES // BATCH_IMAGES
"""Batches in a round: the number that is prefetched at once, so that each round draws."""
ROUNDS = 200


@pytest.fixture(scope="module")
def images() -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randint(
        0, 256, (CLASSES, EXAMPLES, 1, 28, 28), dtype=torch.uint8, generator=random
    )


Episode = tuple[Tensor, Tensor, Tensor, Tensor]


def learn2learn_task_set(l2l: ModuleType, images: Tensor, ways: int) -> Callable[[], Episode]:
    task_set = recipes.task_set(
        l2l, images, ways, SHOTS + QUERIES, l2l.data.transforms.ConsecutiveLabels
    )

    def draw() -> Episode:
        x, y = task_set.sample()
        x, y = x.view(ways, SHOTS + QUERIES, 1, 28, 28), y.view(ways, SHOTS + QUERIES)
        return x[:, :SHOTS], y[:, :SHOTS], x[:, SHOTS:], y[:, SHOTS:]

    return draw


@pytest.mark.parametrize(("ways", "least"), [(5, 20), (20, 35)])
def test_drawing_episodes_reaches_the_required_speedup_over_learn2learn(
    ways: int, least: float, images: Tensor, l2l: ModuleType, comparison: Comparison
) -> None:
    pool = ClassPool(images.flatten(0, 0), tuple(map(str, range(CLASSES))))
    sampler = ClassSampler(pool, NWayKShot(ways, SHOTS, QUERIES), key=0)
    draw_peer = learn2learn_task_set(l2l, images, ways)
    tasks = BATCH_IMAGES // sampler.protocol.examples
    drawn = 0

    def ours() -> int:
        nonlocal drawn
        for _ in range(CALLS):
            sampler.range(drawn, drawn + tasks)
            drawn += tasks
        return CALLS * tasks

    def peer() -> int:
        for _ in range(40 // ways):
            draw_peer()
        return 40 // ways

    batch = sampler.range(0, 1)
    for mine, theirs in zip(
        (batch.support_x, batch.support_y, batch.query_x, batch.query_y), draw_peer(), strict=True
    ):
        assert mine.dtype == theirs.dtype
        assert mine.numel() == theirs.numel()
    figure = comparison.against_peers(
        f"episodes-{ways}w",
        ours,
        {"learn2learn": peer},
        rounds=ROUNDS,
        warmup=2,
        unit="episodes",
        what=f"episodes drawn, {ways}-way",
        setting=f"{SHOTS + QUERIES} examples a class of 28x28, in memory",
        bar=least,
    )
    assert figure.met, str(figure)
