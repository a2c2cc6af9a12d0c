"""Support sets, tasks and batches of tasks."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metabench.episodes import ClassSampler, NWayKShot, Support, TaskBatch
from metabench.errors import NotApplicable
from tests.helpers.coded_pool import coded_pool


def some_batch(tasks: int = 4) -> TaskBatch:
    return ClassSampler(coded_pool(6, 5), NWayKShot(3, 2, 3), 0).range(0, tasks)


def test_iterating_over_a_batch_yields_its_episodes_in_order() -> None:
    batch = some_batch(4)
    tasks = list(batch)
    assert len(tasks) == len(batch) == 4
    assert torch.equal(torch.stack([task.support.x for task in tasks]), batch.support_x)
    assert torch.equal(torch.stack([task.support.y for task in tasks]), batch.support_y)
    assert torch.equal(torch.stack([task.query_x for task in tasks]), batch.query_x)
    assert torch.equal(torch.stack([task.query_y for task in tasks]), batch.query_y)
    assert {task.support.ways for task in tasks} == {3}


@given(st.integers(0, 4), st.integers(0, 4))
def test_a_slice_of_a_batch_is_a_view_of_those_episodes(start: int, stop: int) -> None:
    batch = some_batch(4)
    view = batch[start:stop]
    assert len(view) == max(0, stop - start)
    assert torch.equal(view.query_x, batch.query_x[start:stop])
    assert torch.equal(view.classes, batch.classes[start:stop])
    assert view.ways == 3
    view.query_x.fill_(7)
    assert (batch.query_x[start:stop] == 7).all()


def test_a_batch_costs_every_support_and_query_example_once() -> None:
    assert some_batch(4).examples == 4 * 3 * (2 + 3)


def test_the_support_of_a_batch_has_a_leading_task_dimension() -> None:
    support = some_batch(4).support
    assert support.x.shape == (4, 6, 1, 2, 2)
    assert support.one_hot.shape == (4, 6, 3)


def test_one_hot_labels_are_one_at_the_label() -> None:
    support = Support(torch.zeros(3, 1), torch.tensor([2, 0, 2]), 3)
    assert support.one_hot.dtype == torch.float32
    assert support.one_hot.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1]]


@given(st.integers(2, 5), st.integers(1, 4), st.integers(1, 3), st.integers(0, 1000))
def test_class_means_are_the_mean_of_each_class_for_one_task_and_for_a_batch(
    ways: int, shots: int, tasks: int, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    y = torch.stack([torch.randperm(ways * shots, generator=random) % ways for _ in range(tasks)])
    features = torch.randn(tasks, ways * shots, 6, generator=random, dtype=torch.float64)
    expected = torch.stack(
        [
            torch.stack([f[labels == k].mean(0) for k in range(ways)])
            for f, labels in zip(features, y, strict=True)
        ]
    )
    together = Support(features, y, ways).class_means(features)
    alone = Support(features[0], y[0], ways).class_means(features[0])
    torch.testing.assert_close(together, expected)
    torch.testing.assert_close(alone, expected[0])


def test_class_means_do_not_apply_to_regression() -> None:
    support = Support(torch.zeros(5, 1), torch.zeros(5, 1), 0)
    with pytest.raises(
        NotApplicable, match="it asks for classes, and this benchmark is regression"
    ):
        support.class_means(support.x)


def test_class_means_divide_by_the_size_of_each_class() -> None:
    support = Support(torch.zeros(3, 1), torch.tensor([0, 0, 1]), 2)
    means = support.class_means(torch.tensor([[1.0], [3.0], [10.0]]))
    assert means.tolist() == [[2.0], [10.0]]


def test_a_batch_on_a_device_is_the_same_batch() -> None:
    batch = some_batch()
    moved = batch.to("cpu")
    assert torch.equal(moved.support_x, batch.support_x)
    assert torch.equal(moved.classes, batch.classes)
    assert moved.ways == batch.ways


def test_the_graph_is_not_kept_by_default() -> None:
    assert not some_batch().support.keep_graph
    assert not any(task.support.keep_graph for task in some_batch())


def test_a_copy_of_a_support_set_keeps_keep_graph() -> None:
    support = dataclasses.replace(some_batch().support, keep_graph=True)
    assert dataclasses.replace(support, x=support.x + 1).keep_graph
