"""What every data set gives: labelled examples in memory, or a family of functions."""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

from metabench.errors import DataError, UsageError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def data_root(root: Path | None = None) -> Path:
    """The folder that holds one folder per data set.

    Args:
        root: the folder that was asked for (``--data``).

    Returns:
        ``root``, else ``$METABENCH_DATA``, else ``data`` in the cache folder.
    """
    if root is not None:
        return root
    if chosen := os.environ.get("METABENCH_DATA"):
        return Path(chosen)
    return cache_root() / "data"


def cache_root() -> Path:
    """The folder for what can be made again: ``$METABENCH_CACHE``, else ``~/.cache/metabench``."""
    if chosen := os.environ.get("METABENCH_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "metabench"


@dataclass(frozen=True, eq=False)
class ClassPool:
    """The labelled examples of one split, in memory.

    Args:
        images: uint8 ``[classes * variants, examples, *input]``; rows ``c * variants`` to
            ``(c + 1) * variants - 1`` show class ``c``.
        class_names: one name for each class, unique in the pool.
        groups: the group (alphabet, super-class) of each class.
        origins: what each class was made from, for the leakage audit: two classes with the same origin
            show the same thing, however it is turned. By default the class names.
        variants: how many rows show one class; an episode draws one of them for each of its classes
            (MAML turns a class at random by a multiple of 90 degrees: four variants).

    Raises:
        DataError: the parts do not fit each other.
    """

    images: Tensor
    class_names: tuple[str, ...]
    groups: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    variants: int = 1

    def __post_init__(self) -> None:
        if not self.groups:
            object.__setattr__(self, "groups", ("",) * len(self.class_names))
        if not self.origins:
            object.__setattr__(self, "origins", self.class_names)
        if self.images.dtype != torch.uint8 or self.images.ndim < 3:
            raise DataError(
                f"a class pool holds uint8 [rows, examples, *input], not "
                f"{self.images.dtype} {list(self.images.shape)}."
            )
        if len(self.images) != len(self.class_names) * self.variants:
            raise DataError(
                f"{len(self.images)} rows of images for {len(self.class_names)} classes "
                f"of {self.variants} variants."
            )
        if len(set(self.class_names)) != len(self.class_names):
            raise DataError("the class names of a pool must be unique.")
        if not len(self.groups) == len(self.origins) == len(self.class_names):
            raise DataError("a class pool has one group and one origin for each class.")

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def examples(self) -> int:
        """How many examples each class has."""
        return int(self.images.shape[1])

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example."""
        return tuple(self.images.shape[2:])

    @cached_property
    def digest(self) -> str:
        """The sha256 of the images and names: the same data give the same digest everywhere."""
        h = hashlib.sha256()
        h.update(repr((tuple(self.images.shape), self.class_names, self.variants)).encode())
        h.update(self.images.cpu().contiguous().numpy().tobytes())
        return h.hexdigest()

    def to(self, device: torch.device | str) -> ClassPool:
        """The same pool with its images on a device."""
        return ClassPool(
            self.images.to(device), self.class_names, self.groups, self.origins, self.variants
        )


class ClassDataset(ABC):
    """A data set of labelled examples, split by class.

    A subclass takes ``root`` (the folder that holds one folder per data set; ``None`` means the default) and,
    as keyword arguments, the options that a benchmark may set in its ``dataset_options``.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    input_shape: ClassVar[tuple[int, ...]]

    def __init__(self, root: Path | None = None) -> None:
        self.root = data_root(root)

    @abstractmethod
    def pool(self, split: Split) -> ClassPool:
        """The examples of one split; the classes of two splits are disjoint.

        Raises:
            DataError: the data are missing or damaged; the hint says how to get them.
        """

    def check_split(self, split: str) -> None:
        """Raise UsageError where there is no such split."""
        if split not in SPLITS:
            raise UsageError(
                f"unknown split '{split}'.", hint=f"The splits are {', '.join(SPLITS)}."
            )


class TaskFamily(ABC):
    """A family of functions to regress: a task is one function.

    A subclass takes ``root`` as every data set does, and leaves it unused.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    input_shape: ClassVar[tuple[int, ...]]
    outputs: ClassVar[int]
    parameters: ClassVar[int]

    def __init__(self, root: Path | None = None) -> None:
        del root

    @property
    def input_size(self) -> int:
        """Random numbers that make an input."""
        size = 1
        for n in self.input_shape:
            size *= n
        return size

    @property
    def digest(self) -> str:
        """Stands for the definition: the name and version."""
        return hashlib.sha256(f"{self.name}@{self.version}".encode()).hexdigest()

    @abstractmethod
    def evaluate(self, parameters: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Turn uniform numbers into tasks.

        Args:
            parameters: float64 ``[T, parameters]`` in ``[0, 1)``.
            inputs: float64 ``[T, B, input_size]`` in ``[0, 1)``.

        Returns:
            ``x`` ``[T, B, *input]`` and ``y`` ``[T, B, outputs]``, float64.
        """
