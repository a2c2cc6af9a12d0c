"""The episodes of a benchmark: its data set, its protocol and its splits together."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metabench.algorithms.problem import BackboneFactory, Problem
from metabench.benchmarks.model import Benchmark
from metabench.datasets.base import SPLITS, ClassDataset, ClassPool, Split, TaskFamily
from metabench.episodes import (
    ClassSampler,
    FamilySampler,
    LeakageAudit,
    NWayKShot,
    Sampler,
    TaskBatch,
)
from metabench.episodes.stream import labelled_examples
from metabench.errors import ConfigError, DataError, MetabenchError, PluginError, UsageError
from metabench.registry import Registry, Spec, describe_error
from metabench.runtime.counter_rng import make_key, random_bits
from metabench.utils.digest import digest_of


def open_dataset(
    registry: Registry, name: str, root: Path | None, options: dict[str, Any]
) -> ClassDataset | TaskFamily:
    """A data set by name.

    Args:
        registry: what is installed.
        name: its name.
        root: the folder that holds one folder per data set.
        options: its keyword arguments.

    Raises:
        UnknownName: there is no such data set.
        ConfigError: it has no such option.
    """
    make = registry.get("dataset", name).load()
    known = [p for p in inspect.signature(make).parameters if p != "root"]
    for option in options:
        if option not in known:
            raise ConfigError(
                f"data set '{name}' has no option '{option}'.",
                hint=f"It has {', '.join(known)}." if known else "It has none at all.",
            )
    try:
        dataset: ClassDataset | TaskFamily = make(root, **options)
    except MetabenchError:
        raise
    except Exception as error:
        raise _broken_dataset(name, error) from error
    return dataset


def open_tasks(
    registry: Registry, benchmark: Benchmark, root: Path | None, device: torch.device, seed: int = 0
) -> BenchmarkTasks:
    """The episodes of a benchmark, with its data sets opened.

    Args:
        registry: what is installed.
        benchmark: the benchmark.
        root: the folder that holds one folder per data set.
        device: where the episodes are made.
        seed: the seed of the cell.

    Raises:
        UnknownName: there is no such data set.
        ConfigError: it has no such option.
    """
    dataset = open_dataset(registry, benchmark.dataset, root, benchmark.dataset_options)
    other = None
    if benchmark.test_dataset:
        other = open_dataset(registry, benchmark.test_dataset, root, benchmark.test_dataset_options)
    return BenchmarkTasks(benchmark, dataset, device, seed, other)


def _broken_dataset(name: str, error: Exception) -> PluginError:
    return PluginError(
        f"data set '{name}' failed: {describe_error(error)}",
        hint="Leave out its benchmarks, or its plugin with --no-plugin.",
    )


def _make_backbone(spec: Spec) -> BackboneFactory:
    """What makes a backbone, imported when it is asked for: a broken one must not harm the others."""
    return lambda *arguments, **options: spec.load()(*arguments, **options)


@dataclass(frozen=True, eq=False)
class BenchmarkTasks:
    """Where the episodes of a benchmark come from.

    Every episode is a pure function of (benchmark and its version, split, seed, index). Those of meta-test
    and meta-validation do not depend on the seed of a cell: they are the same for everybody.

    Args:
        benchmark: the benchmark.
        dataset: its data set.
        device: where the episodes are made.
        seed: the seed of the cell, for its training episodes.
        test_dataset: where the episodes of meta-test come from, if not from the same data set.

    Raises:
        UsageError: the benchmark tests on another data set, and there is none; or the other way round.
    """

    benchmark: Benchmark
    dataset: ClassDataset | TaskFamily
    device: torch.device
    seed: int = 0
    test_dataset: ClassDataset | TaskFamily | None = None
    _pools: dict[Split, ClassPool] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if bool(self.benchmark.test_dataset) != (self.test_dataset is not None):
            raise UsageError(
                f"'{self.benchmark.name}' is tested on '{self.benchmark.test_dataset or self.dataset.name}'.",
                hint="open_tasks opens the data sets of a benchmark.",
            )

    @cached_property
    def pools(self) -> dict[Split, ClassPool]:
        """The labelled examples of each split; empty for a family of functions.

        Raises:
            DataError: the data are missing or damaged.
            ConfigError: meta-test is on another kind of data than meta-training.
        """
        self._check_alike()
        if isinstance(self.dataset, TaskFamily):
            return {}
        return {split: self.pool(split) for split in SPLITS}

    def pool(self, split: Split) -> ClassPool:
        """The labelled examples of one split, which is read at the first asking; see :attr:`pools`."""
        if split not in self._pools:
            self._check_alike()
            self._pools[split] = self._read(split)
        return self._pools[split]

    def _read(self, split: Split) -> ClassPool:
        dataset = self._of(split)
        assert isinstance(dataset, ClassDataset)
        try:
            return dataset.pool(split).to(self.device)
        except MetabenchError:
            raise
        except OSError as error:
            raise DataError(
                f"the {split} split of '{dataset.name}' cannot be read: {error}",
                hint="`metabench data verify` looks at every file.",
            ) from error
        except Exception as error:
            raise _broken_dataset(dataset.name, error) from error

    def _of(self, split: Split) -> ClassDataset | TaskFamily:
        """The data set that a split comes from."""
        return (
            self.test_dataset if split == "test" and self.test_dataset is not None else self.dataset
        )

    @cached_property
    def audit(self) -> LeakageAudit:
        """Counts the training classes that are drawn."""
        origins = self.pools["train"].origins if self.pools else ()
        return LeakageAudit(origins, self.device)

    @cached_property
    def data_digest(self) -> str:
        """The sha256 of all data that the episodes can show."""
        if isinstance(self.dataset, TaskFamily):
            if isinstance(self.test_dataset, TaskFamily):
                return digest_of({"train": self.dataset.digest, "test": self.test_dataset.digest})
            return self.dataset.digest
        return digest_of({split: pool.digest for split, pool in self.pools.items()})

    def check(self) -> None:
        """Raise ProtocolError where the data cannot give the benchmark's episodes.

        Raises:
            ConfigError: meta-test is on another kind of data than meta-training.
        """
        self._check_alike()
        for split in SPLITS:
            self._sampler(self.benchmark.protocol, split, "check")

    def _check_alike(self) -> None:
        other = self.test_dataset
        if other is None:
            return
        one, two = map(_kind, (self.dataset, other))
        if one != two:
            raise ConfigError(
                f"'{self.benchmark.name}' is trained on '{self.dataset.name}' ({one}), and cannot be "
                f"tested on '{other.name}' ({two}).",
                hint="Both must be classification or both regression, with inputs of one shape.",
            )

    def held_out(self, split: Split) -> Sampler:
        """The frozen episodes of meta-validation or meta-test."""
        return self._sampler(self.benchmark.protocol, split, 0)

    def drawn_origins(self, split: Split, classes: Tensor) -> set[str]:
        """What the drawn classes of a split were made from."""
        if not self.pools:
            return set()
        origins = self.pools[split].origins
        return {origins[c] for c in classes.unique().tolist()}

    def problem(self, registry: Registry) -> Problem:
        """What an algorithm is told."""
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
        )

    # What the training stream draws from (metabench.episodes.stream.TaskSource).

    @property
    def train_classes(self) -> int:
        """Rows in the training pool; 0 in regression."""
        return len(self.pools["train"].images) if self.pools else 0

    def sampler(self, protocol: NWayKShot, stream: int) -> Sampler:
        """Training episodes; every seed of a cell and every stream draws others."""
        return self._sampler(protocol, "train", self.seed, stream)

    def labelled(self, stream: int, start: int, count: int) -> tuple[Tensor, Tensor]:
        """Single labelled training examples.

        Raises:
            UsageError: a family of functions has none.
        """
        if not self.pools:
            raise UsageError("a regression family has no labelled examples.")
        key = make_key(self.benchmark.title, "train", self.seed, "labelled", stream)
        index = torch.arange(start, start + count, device=self.device)
        x, rows = labelled_examples(
            self.pools["train"].images, random_bits(key, index, 1).squeeze(1)
        )
        self.audit.add(rows // self.pools["train"].variants)
        return x, rows

    def on_drawn(self, batch: TaskBatch) -> None:
        """Note the training classes of a batch."""
        if self.pools:
            self.audit.add(batch.classes)

    def _sampler(self, protocol: NWayKShot, split: Split, *parts: str | int) -> Sampler:
        key = make_key(self.benchmark.title, split, *parts)
        dataset = self._of(split)
        source = f"the {split} split of '{dataset.name}'"
        if isinstance(dataset, TaskFamily):
            return FamilySampler(dataset, protocol, key, self.device, source=source)
        return ClassSampler(self.pool(split), protocol, key, self.device, source=source)


def _kind(dataset: ClassDataset | TaskFamily) -> str:
    """What two data sets must have in common for one algorithm to meet both, in words."""
    shape = list(dataset.input_shape)
    if isinstance(dataset, TaskFamily):
        return f"regression from {shape} to {dataset.outputs}"
    return f"classes of {shape}"
