"""Leakage by content."""

from pathlib import Path
from typing import Any

import pytest
import torch

from metabench.benchmarks.leakage import (
    check_contents,
    count_repeated,
    fingerprints,
    repeats_examples,
)
from metabench.datasets.base import ClassDataset, ClassPool
from metabench.episodes import ClassSampler, NWayKShot
from metabench.errors import LeakageError
from metabench.executors.processes import ProcessExecutor
from metabench.registry import Spec
from metabench.running.job import Job, Terms
from metabench.running.run_cell import Conditions
from tests.helpers.cells import blobs, cell, run_here

CLASSES, EXAMPLES = 6, 8


def pool(seed: int, name: str = "class") -> ClassPool:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(
        0, 256, (CLASSES, EXAMPLES, 1, 16, 16), generator=generator, dtype=torch.uint8
    )
    return ClassPool(images, tuple(f"{name}-{seed}-{i}" for i in range(CLASSES)))


def pools() -> dict[Any, ClassPool]:
    return {split: pool(seed) for seed, split in enumerate(("train", "validation", "test"))}


class Copied(ClassDataset):
    """Its test split has one picture of another split, or a picture twice in one class."""

    name, version, input_shape = "copied", "1", (1, 16, 16)

    def __init__(self, root: Path | None = None, *, of: str = "") -> None:
        super().__init__(root)
        self.of = of

    def pool(self, split: Any) -> ClassPool:
        found = pools()[split]
        if split == "test" and self.of:
            found.images[2, 3] = pools()[self.of].images[4 if self.of != "test" else 2, 5]
        if split == "validation" and self.of == "validation-of-train":
            found.images[0, 0] = pools()["train"].images[0, 0]
        return found


class TestSplits:
    def test_different_examples_are_no_leak(self) -> None:
        assert check_contents(pools()) == []

    @pytest.mark.parametrize("other", ["train", "validation"])
    def test_a_picture_of_meta_test_in_another_split_is_an_error(self, other: str) -> None:
        found = pools()
        found["test"].images[2, 3] = found[other].images[4, 5]
        index = {"train": 0, "validation": 1}[other]
        with pytest.raises(LeakageError) as caught:
            check_contents(found)
        assert caught.value.message == (
            f"the {other} and the test split share 1 example(s), such as one of "
            f"'class-{index}-4' of the {other} split that is also one of 'class-2-2' of the test "
            "split."
        )

    def test_one_of_meta_training_in_meta_validation_is_a_remark(self) -> None:
        found = pools()
        found["validation"].images[0, 0] = found["train"].images[1, 1]
        (remark,) = check_contents(found)
        assert remark.startswith("the train and the validation split share 1 example(s)")

    def test_a_rotated_variant_counts_too(self) -> None:
        found = pools()
        images = torch.stack([found["train"].images.rot90(k, (-2, -1)) for k in range(4)], 1)
        variants = ClassPool(
            images.flatten(0, 1), tuple(f"v{i}" for i in range(CLASSES)), variants=4
        )
        found["train"] = variants
        found["test"].images[0, 0] = images[3, 2, 6]
        with pytest.raises(LeakageError, match="one of 'v3' of the train split"):
            check_contents(found)


class TestEpisodes:
    def test_a_query_that_shows_a_support_picture_is_counted(self) -> None:
        one = pool(0)
        assert not repeats_examples(one)
        one.images[:] = one.images[:, :1]  # each class has one picture, eight times
        assert repeats_examples(one)
        batch = ClassSampler(one, NWayKShot(3, 1, 2), 5).range(0, 4)
        assert count_repeated(batch) == 4 * 3 * 2

    def test_other_queries_are_not(self) -> None:
        batch = ClassSampler(pool(0), NWayKShot(3, 2, 4), 5).range(0, 10)
        assert count_repeated(batch) == 0


class TestFingerprints:
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.int64])
    def test_equal_examples_have_equal_ones(self, dtype: torch.dtype) -> None:
        x = torch.randint(0, 200, (50, 3, 7), generator=torch.Generator().manual_seed(0)).to(dtype)
        prints = fingerprints(torch.cat([x, x]))
        assert (prints[:50] == prints[50:]).all()
        assert len(set(prints.tolist())) == 50

    @pytest.mark.parametrize("change", [1, 128, 255])
    def test_a_change_of_one_byte_changes_it(self, change: int) -> None:
        x = torch.zeros(28 * 28 + 1, 28, 28, dtype=torch.uint8)
        for i in range(28 * 28):
            x[i].view(-1)[i] = change
        assert len(set(fingerprints(x).tolist())) == len(x)

    def test_it_does_not_depend_on_the_other_examples(self, monkeypatch) -> None:
        x = torch.randint(0, 256, (30, 40), dtype=torch.uint8)
        all_at_once = fingerprints(x)
        monkeypatch.setattr("metabench.benchmarks.leakage._CHUNK_BYTES", 100)
        assert (fingerprints(x) == all_at_once).all()

    def test_the_largest_sum_is_exact(self) -> None:
        x = torch.full((2, 84 * 84 * 3), 255, dtype=torch.uint8)
        x[1, 0] = 254
        a, b = fingerprints(x)
        assert a != b
        assert a.real == int(a.real) < 2**53


class TestCells:
    @pytest.fixture
    def world(self, planted) -> Any:
        planted.registry.add("dataset", Spec("copied", Copied))
        return planted

    @pytest.mark.parametrize("of", ["train", "validation"])
    def test_a_cell_with_a_leak_fails_before_it_trains(self, world, of: str) -> None:
        record = run_here(
            world, cell("learner", blobs(dataset="copied", dataset_options={"of": of}))
        )
        assert record.status == "failed"
        assert f"the {of} and the test split share 1 example(s)" in record.reason
        assert record.training.steps == 0

    def test_repeated_queries_are_a_note(self, world) -> None:
        benchmark = blobs(dataset="copied", dataset_options={"of": "test"})
        record = run_here(world, cell("learner", benchmark))
        assert record.status == "ok", record.reason
        (note,) = record.notes
        assert note.endswith("test queries repeat an example of their support set")
        clean = run_here(world, cell("learner", blobs(dataset="copied")))
        assert clean.notes == []

    def test_a_sealed_cell_with_a_leak_fails_too(self, planted) -> None:
        benchmark = blobs(dataset_options={"copy": True})
        job = Job(cell("learner", benchmark), "a" * 64, Conditions(), ("metabench-planted",))
        (record,) = ProcessExecutor(Terms(planted.registry)).run([job])
        assert record.status == "failed"
        assert "the train and the test split share" in record.reason
