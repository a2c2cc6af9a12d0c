"""The augmentation of a benchmark: in the stream of training data, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from metabench.algorithms.base import Algorithm
from metabench.algorithms.finetune import FineTune
from metabench.algorithms.multi_task import MultiTask
from metabench.algorithms.problem import Problem
from metabench.algorithms.protonet import ProtoNet
from metabench.benchmarks.model import Benchmark
from metabench.benchmarks.tasks import BenchmarkTasks
from metabench.datasets.base import ClassDataset, ClassPool, Split
from metabench.episodes import ClassSampler, NWayKShot, TaskBatch, TaskStream
from metabench.errors import ConfigError
from metabench.plugins import Plugins
from metabench.runtime.counter_rng import make_key
from tests.helpers.small_samplers import same

CLASSES, EXAMPLES, SHAPE = 8, 6, (1, 16, 16)
PROTOCOL = NWayKShot(3, 1, 2)
BOTH = {"shift": 1, "mirror": True}


class Pictures(ClassDataset):
    """Random pictures, some of whose classes are two variants of one character."""

    name = "pictures"
    version = "1"
    input_shape = SHAPE

    def __init__(self, variants: int = 1) -> None:
        super().__init__()
        self.variants = variants

    def pool(self, split: Split) -> ClassPool:
        seed = ("train", "validation", "test").index(split)
        generator = torch.Generator().manual_seed(seed)
        shape = (CLASSES * self.variants, EXAMPLES, *SHAPE)
        images = torch.randint(1, 256, shape, generator=generator, dtype=torch.uint8)
        names = tuple(f"{split} {i}" for i in range(CLASSES))
        return ClassPool(images, names, variants=self.variants)


def tasks_with(
    augmentation: dict[str, Any] | None = None, *, seed: int = 0, variants: int = 1, **changes: Any
) -> BenchmarkTasks:
    fields: dict[str, Any] = {
        "name": "pictures",
        "dataset": "pictures",
        "ways": 3,
        "shots": 1,
        "queries": 2,
        "backbone": "conv4-strided",
        "budget": 180,
        "metrics": ("accuracy",),
        "augmentation": augmentation or {},
    }
    benchmark = Benchmark(**fields | changes)
    return BenchmarkTasks(benchmark, Pictures(variants), torch.device("cpu"), seed)


def test_without_augmentation_the_stream_is_that_of_the_data_set_to_the_bit() -> None:
    tasks = tasks_with(seed=3)
    expected = ClassSampler(tasks.pool("train"), PROTOCOL, make_key("pictures@1", "train", 3, 5))
    assert same(tasks.sampler(PROTOCOL, 5).range(0, 20), expected.range(0, 20))
    assert tasks.sampler(PROTOCOL, 5).digest(20) == expected.digest(20)
    x, y = tasks.labelled(0, 0, 20)
    images = tasks.pool("train").images
    for picture, label in zip(x, y, strict=True):
        assert any(torch.equal((picture * 255).round().byte(), row) for row in images[label])
    assert tasks.train_classes == CLASSES


def test_meta_training_is_augmented_and_keeps_its_classes() -> None:
    plain, augmented = (tasks_with(a).sampler(PROTOCOL, 0).range(0, 50) for a in ({}, BOTH))
    assert torch.equal(augmented.classes % CLASSES, plain.classes)
    assert (augmented.classes >= CLASSES).any()
    changed = (augmented.support_x != plain.support_x).flatten(2).any(2)
    assert changed.double().mean() > 0.8


@pytest.mark.parametrize("split", ["validation", "test"])
def test_meta_validation_and_meta_test_are_never_augmented(split: Split) -> None:
    plain, augmented = (tasks_with(a).held_out(split) for a in ({}, BOTH))
    assert type(augmented) is ClassSampler
    assert same(plain.range(0, 50), augmented.range(0, 50))
    assert plain.digest(50) == augmented.digest(50)


def test_seeds_and_streams_are_augmented_differently() -> None:
    def moves(seed: int, stream: int) -> tuple[int, ...]:
        batch = tasks_with(BOTH, seed=seed).sampler(PROTOCOL, stream).range(0, 30)
        return tuple((batch.classes >= CLASSES).flatten().tolist())

    assert len({moves(0, 0), moves(0, 1), moves(1, 0)}) == 3
    assert moves(0, 0) == moves(0, 0)


def test_single_examples_are_augmented_and_mirror_images_have_labels_of_their_own() -> None:
    tasks, plain = tasks_with(BOTH, variants=2), tasks_with(variants=2)
    x, y = tasks.labelled(0, 0, 200)
    plain_x, plain_y = plain.labelled(0, 0, 200)
    assert torch.equal(y % (2 * CLASSES), plain_y)
    assert tasks.train_classes == 2 * plain.train_classes == 4 * CLASSES
    assert int(y.max()) < tasks.train_classes
    assert 60 < int((y >= 2 * CLASSES).sum()) < 140
    assert (x != plain_x).flatten(1).any(1).double().mean() > 0.8
    # Whatever the size of a call.
    pieces = [tasks.labelled(0, start, 50) for start in range(0, 200, 50)]
    assert torch.equal(torch.cat([piece[0] for piece in pieces]), x)
    assert torch.equal(torch.cat([piece[1] for piece in pieces]), y)


@pytest.mark.parametrize("variants", [1, 2])
def test_the_audit_counts_a_mirrored_class_as_the_class_it_comes_from(variants: int) -> None:
    tasks = tasks_with(BOTH, variants=variants)
    batch = tasks.sampler(PROTOCOL, 0).range(0, 1)
    tasks.on_drawn(batch)
    names = {f"train {c % CLASSES}" for c in batch.classes.flatten().tolist()}
    assert tasks.audit.seen == names
    tasks.labelled(0, 0, 200)
    assert tasks.audit.seen == {f"train {i}" for i in range(CLASSES)}


@pytest.mark.parametrize("cls", [MultiTask, FineTune, ProtoNet])
def test_algorithms_with_a_row_for_each_class_train_on_augmented_data(cls: Any) -> None:
    tasks = tasks_with(BOTH)
    algorithm = meta_trained(cls, tasks)
    batch = tasks.held_out("test").range(0, 2)
    outputs = algorithm.adapt(next(iter(batch)).support)(batch.query_x[0])
    assert outputs.isfinite().all()
    assert tasks.audit.seen


def meta_trained(cls: type[Algorithm], tasks: BenchmarkTasks) -> Algorithm:
    problem: Problem = tasks.problem(Plugins(only=()).registry)
    torch.manual_seed(0)
    options = {"train_ways": 3, "train_queries": 2} if cls is ProtoNet else {}
    options |= {"tasks": 2, "train_shots": 2} if cls is MultiTask else {}
    algorithm = cls(problem, **options)
    algorithm.train()
    algorithm.meta_train(TaskStream(tasks, PROTOCOL, tasks.benchmark.budget))
    return algorithm.eval()


def test_the_images_of_the_stream_are_those_of_the_sampler() -> None:
    tasks = tasks_with(BOTH)
    seen: list[TaskBatch] = []
    stream = TaskStream(tasks, PROTOCOL, 180)
    for batch in stream.batches(2):
        seen.append(batch)
        stream.log(torch.zeros(()))
    expected = tasks.sampler(PROTOCOL, 0).range(0, 2)
    assert same(seen[0], expected)


def test_augmentation_of_anything_but_images_is_an_error() -> None:
    tasks = tasks_with(BOTH)
    tasks.check()
    tasks.dataset.input_shape = (16,)
    with pytest.raises(ConfigError, match=r"augments images, and 'pictures' has inputs of shape"):
        tasks.check()


def test_a_shift_of_the_whole_image_is_an_error() -> None:
    with pytest.raises(ConfigError, match="translates by up to 16 pixels") as caught:
        tasks_with({"shift": 16}).check()
    assert caught.value.hint == "Choose a shift below the height and the width."
    tasks_with({"shift": 15}).check()
