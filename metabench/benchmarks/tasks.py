"""The episodes of a benchmark, from its data sets, protocol and splits."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metabench.algorithms.problem import BackboneFactory, Problem
from metabench.benchmarks.model import Benchmark
from metabench.benchmarks.salt import salt_digest
from metabench.datasets.base import SPLITS, ClassDataset, ClassPool, Split, TaskFamily
from metabench.datasets.download import Downloadable
from metabench.episodes import (
    ClassSampler,
    FamilySampler,
    LeakageAudit,
    NWayKShot,
    Sampler,
    TaskBatch,
)
from metabench.episodes.augmentation import AugmentedSampler, augmented_examples
from metabench.episodes.stream import labelled_examples
from metabench.errors import ConfigError, DataError, MetabenchError, PluginError, UsageError
from metabench.registry import Registry, Spec, describe_error
from metabench.runtime.counter_rng import make_key, random_bits
from metabench.utils.digest import digest_of


def open_dataset(
    registry: Registry, name: str, root: Path | None, options: dict[str, Any]
) -> ClassDataset | TaskFamily:
    """Open a data set.

    Args:
        registry: The installed data sets.
        name: Its name.
        root: The folder with one folder for each data set.
        options: Its keyword arguments.

    Raises:
        UnknownName: If there is no such data set.
        ConfigError: If it has no such option.
        PluginError: If its constructor raises an unexpected error.
    """
    make = registry.get("dataset", name).load()
    # Checked here: the TypeError of a call would not say which options there are.
    known = [p for p in inspect.signature(make).parameters if p != "root"]
    for option in options:
        if option not in known:
            raise ConfigError(
                f"data set '{name}' has no option '{option}'.",
                hint=f"Its options are {', '.join(known)}." if known else "It has no options.",
            )
    try:
        dataset: ClassDataset | TaskFamily = make(root, **options)
    except MetabenchError:
        raise
    except Exception as error:
        raise PluginError(
            f"data set '{name}' failed: {describe_error(error)}",
            hint="Run other benchmarks, or exclude its plugin with --no-plugin.",
        ) from error
    return dataset


def open_tasks(
    registry: Registry,
    benchmark: Benchmark,
    root: Path | None,
    device: torch.device,
    seed: int = 0,
    *,
    salt: str = "",
) -> BenchmarkTasks:
    """Open the data sets of a benchmark.

    Args:
        registry: The installed data sets.
        benchmark: The benchmark.
        root: The folder with one folder for each data set.
        device: The device that episodes are created on.
        seed: The seed of the cell.
        salt: The secret of the test episodes, if the benchmark is salted.

    Returns:
        The episodes of the benchmark.

    Raises:
        UnknownName: If there is no such data set.
        ConfigError: If a data set has no such option.
        PluginError: If a data set's constructor raises an unexpected error.
    """
    dataset = open_dataset(registry, benchmark.dataset, root, benchmark.dataset_options)
    other = None
    if benchmark.test_dataset:
        other = open_dataset(registry, benchmark.test_dataset, root, benchmark.test_dataset_options)
    return BenchmarkTasks(benchmark, dataset, device, seed, other, salt=salt)


def _make_backbone(spec: Spec) -> BackboneFactory:
    """Returns a factory that imports the backbone on its first call."""
    # A broken backbone must fail only the cells that use it.
    return lambda *arguments, **options: spec.load()(*arguments, **options)


@dataclass(frozen=True, eq=False)
class BenchmarkTasks:
    """The episodes of a benchmark.

    Every episode is a pure function of (benchmark and its version, split, seed, index). Those of
    meta-test and meta-validation do not depend on the seed of the cell: all cells share them.

    Args:
        benchmark: The benchmark.
        dataset: Its data set.
        device: The device that episodes are created on.
        seed: The seed of the cell, for its training episodes.
        test_dataset: The data set of meta-test, if it is another one.
        salt: The secret of the test episodes, if the benchmark is salted.
        splits: The splits that may be opened; see :meth:`without_test`.
        given_digest: Returns the digest of all data where not all of them may be opened.

    Raises:
        UsageError: If the benchmark names a test data set and ``test_dataset`` is missing, or the
            other way round.
    """

    benchmark: Benchmark
    dataset: ClassDataset | TaskFamily
    device: torch.device
    seed: int = 0
    test_dataset: ClassDataset | TaskFamily | None = None
    salt: str = field(default="", repr=False)
    splits: tuple[Split, ...] = SPLITS
    given_digest: Callable[[], str] | None = None
    _pools: dict[Split, ClassPool] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if bool(self.benchmark.test_dataset) != (self.test_dataset is not None):
            raise UsageError(
                f"'{self.benchmark.name}' is tested on "
                f"'{self.benchmark.test_dataset or self.dataset.name}'.",
                hint="Use open_tasks, which opens the data sets that a benchmark names.",
            )

    def without_test(self, data_digest: Callable[[], str]) -> BenchmarkTasks:
        """Returns the same without the test split, for the process where an algorithm runs.

        Args:
            data_digest: Returns the digest of all data, which needs the test split too.
        """
        return replace(self, splits=("train", "validation"), salt="", given_digest=data_digest)

    @cached_property
    def pools(self) -> dict[Split, ClassPool]:
        """The labelled examples of each split; empty for a family of functions.

        Raises:
            DataError: If files are missing or damaged.
            ConfigError: If the data sets of meta-training and meta-test do not match.
        """
        self._check_datasets_match()
        if isinstance(self.dataset, TaskFamily):
            return {}
        return {split: self.pool(split) for split in self.splits}

    def pool(self, split: Split) -> ClassPool:
        """Returns the labelled examples of one split, read on first use; see :attr:`pools`."""
        self._check_opened(split)
        if split not in self._pools:  # test on another data set reads that one's test split only
            self._check_datasets_match()
            self._pools[split] = self._read(split)
        return self._pools[split]

    def _read(self, split: Split) -> ClassPool:
        dataset = self._dataset_of(split)
        assert isinstance(dataset, ClassDataset)
        try:
            return dataset.pool(split).to(self.device)
        except MetabenchError:
            raise
        except OSError as error:
            raise DataError(
                f"the {split} split of '{dataset.name}' cannot be read: {error}",
                hint=f"`metabench data verify {dataset.name}` checks every file."
                if isinstance(dataset, Downloadable)
                else "Replace the file: this data set has no download.",
            ) from error
        except Exception as error:
            raise PluginError(
                f"the {split} split of '{dataset.name}' failed: {describe_error(error)}",
                hint="`pool` must return a ClassPool: all classes have equally many examples, all "
                "of one shape.",
            ) from error

    def _check_opened(self, split: Split) -> None:
        if split not in self.splits:
            raise UsageError(
                f"the {split} split of '{self.benchmark.name}' is not opened in this process.",
                hint="Meta-test runs in another process than the algorithm: docs/threats.md.",
            )

    def _dataset_of(self, split: Split) -> ClassDataset | TaskFamily:
        if split == "test" and self.test_dataset is not None:
            return self.test_dataset
        return self.dataset

    @cached_property
    def audit(self) -> LeakageAudit:
        """Records which training classes are drawn."""
        origins = self.pools["train"].origins if self.pools else ()
        return LeakageAudit(origins, self.device)

    @cached_property
    def data_digest(self) -> str:
        """The sha256 of all data that episodes are drawn from."""
        if self.given_digest is not None:
            return self.given_digest()
        if isinstance(self.dataset, TaskFamily):
            if isinstance(self.test_dataset, TaskFamily):
                return digest_of({"train": self.dataset.digest, "test": self.test_dataset.digest})
            return self.dataset.digest
        return digest_of({split: pool.digest for split, pool in self.pools.items()})

    def check(self) -> None:
        """Check that every split is large enough for the benchmark's episodes.

        Raises:
            ProtocolError: If a split has too few classes or examples.
            ConfigError: If the data sets of meta-training and meta-test do not match.
        """
        self._check_datasets_match()
        self._check_augmentation()
        for split in self.splits:
            self._sampler(self.benchmark.protocol, split, "check")

    def _check_augmentation(self) -> None:
        augmentation, shape = self.benchmark.augmentation, list(self.dataset.input_shape)
        if augmentation and len(shape) != 3:
            raise ConfigError(
                f"'{self.benchmark.name}' augments images, and '{self.dataset.name}' has inputs of "
                f"shape {shape}.",
                hint="Remove its augmentation.",
            )
        if augmentation.shift >= min(shape[1:], default=1) and augmentation.shift:
            raise ConfigError(
                f"'{self.benchmark.name}' translates by up to {augmentation.shift} pixels, and "
                f"'{self.dataset.name}' has images of shape {shape}.",
                hint="Choose a shift below the height and the width.",
            )

    def _check_datasets_match(self) -> None:
        other = self.test_dataset
        if other is None:
            return
        train, test = map(_task_type, (self.dataset, other))
        if train != test:
            raise ConfigError(
                f"'{self.benchmark.name}' is trained on '{self.dataset.name}' ({train}), and "
                f"cannot be tested on '{other.name}' ({test}).",
                hint="Both must be classification or both regression, with inputs of one shape.",
            )

    def held_out(self, split: Split) -> Sampler:
        """Returns the frozen episodes of meta-validation or meta-test.

        Raises:
            UsageError: If the test episodes are drawn with a salt, and this is not that salt.
        """
        parts: list[str | int] = [0]  # 0, not the seed of the cell
        if split == "test" and self.benchmark.episodes_salt:
            if not self.salt or salt_digest(self.salt) != self.benchmark.episodes_salt:
                raise UsageError(
                    f"the test episodes of {self.benchmark.title} are drawn with a secret salt.",
                    hint="Give the salt with --episodes-salt.",
                )
            parts += ["salt", self.salt]
        return self._sampler(self.benchmark.protocol, split, *parts)

    def drawn_origins(self, split: Split, classes: Tensor) -> set[str]:
        """Returns the origins of some classes of a split.

        Args:
            split: The split.
            classes: int64, any shape: indices of classes in the split.
        """
        if not self.pools:
            return set()
        origins = self.pools[split].origins
        return {origins[c] for c in classes.unique().tolist()}

    def problem(self, registry: Registry) -> Problem:
        """Returns the description of the benchmark that algorithms are constructed with."""
        regression = isinstance(self.dataset, TaskFamily)
        ways = self.benchmark.ways
        return Problem(
            kind="regression" if regression else "classification",
            input_shape=tuple(self.dataset.input_shape),
            ways=ways,
            shots=self.benchmark.shots,
            queries=self.benchmark.queries,
            outputs=self.dataset.outputs if isinstance(self.dataset, TaskFamily) else ways,
            backbone_name=self.benchmark.backbone,
            backbones={spec.name: _make_backbone(spec) for spec in registry.specs("backbone")},
            budget=self.benchmark.budget,
            dataset=self.benchmark.dataset,
        )

    # The rest is the interface that a TaskStream draws from (metabench.episodes.stream.TaskSource).

    @property
    def train_classes(self) -> int:
        """The training classes: rows of the pool and their mirror images; 0 in regression."""
        return self._train_rows * (2 if self.benchmark.augmentation.mirror else 1)

    @property
    def _train_rows(self) -> int:
        """The number of rows in the training pool: classes times variants; 0 in regression."""
        return len(self.pools["train"].images) if self.pools else 0

    def sampler(self, protocol: NWayKShot, stream: int) -> Sampler:
        """Returns training episodes, which differ between seeds of a cell and between streams."""
        sampler = self._sampler(protocol, "train", self.seed, stream)
        augmentation = self.benchmark.augmentation
        if not augmentation:
            return sampler
        return AugmentedSampler(
            sampler,
            self._augmentation_key("episodes", stream),
            shift=augmentation.shift,
            mirror=augmentation.mirror,
            classes=self.pool("train").classes,
        )

    def _augmentation_key(self, kind: str, stream: int) -> int:
        return make_key(self.benchmark.public.title, "augmentation", kind, self.seed, stream)

    def labelled(self, stream: int, start: int, count: int) -> tuple[Tensor, Tensor]:
        """Returns single labelled training examples.

        Returns:
            Inputs ``[count, *input]`` and their classes, int64 ``[count]``, below
            :attr:`train_classes`.

        Raises:
            UsageError: If the data set is a family of functions.
        """
        if not self.pools:
            raise UsageError("a regression family has no labelled examples.")
        key = make_key(self.benchmark.public.title, "train", self.seed, "labelled", stream)
        index = torch.arange(start, start + count, device=self.device)
        x, rows = labelled_examples(
            self.pools["train"].images, random_bits(key, index, 1).squeeze(1)
        )
        # The audit counts classes; the rows of a class are its variants, such as rotations.
        self.audit.add(rows // self.pools["train"].variants)
        augmentation = self.benchmark.augmentation
        if not augmentation:
            return x, rows
        return augmented_examples(
            x,
            rows,
            random_bits(self._augmentation_key("labelled", stream), index, 3),
            shift=augmentation.shift,
            mirror=augmentation.mirror,
            classes=self._train_rows,
        )

    def on_drawn(self, batch: TaskBatch) -> None:
        """Record the training classes of a batch as drawn."""
        if self.pools:
            # A mirrored class follows all others, and comes from the same origin.
            self.audit.add(batch.classes % self.pools["train"].classes)

    def _sampler(self, protocol: NWayKShot, split: Split, *parts: str | int) -> Sampler:
        self._check_opened(split)
        # The title has the version: a new version of a benchmark draws other episodes.
        key = make_key(self.benchmark.public.title, split, *parts)
        dataset = self._dataset_of(split)
        source = f"the {split} split of '{dataset.name}'"
        if isinstance(dataset, TaskFamily):
            return FamilySampler(dataset, protocol, key, self.device, source=source)
        return ClassSampler(self.pool(split), protocol, key, self.device, source=source)


def _task_type(dataset: ClassDataset | TaskFamily) -> str:
    """Returns, in words, what the data sets of meta-training and meta-test must share."""
    shape = list(dataset.input_shape)
    if isinstance(dataset, TaskFamily):
        return f"regression from {shape} to {dataset.outputs}"
    return f"classes of {shape}"
