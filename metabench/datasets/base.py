"""Base classes of data sets: labelled examples in memory, or a family of functions."""

from __future__ import annotations

import hashlib
import math
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

from metabench.errors import DataError, UsageError
from metabench.utils.text import counted

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

EMBEDDED = "embedded"
"""The status of a data set that needs no files."""


def data_root(root: Path | None = None) -> Path:
    """Returns the folder that holds one folder per data set.

    Args:
        root: The folder given by the user (``--data``).

    Returns:
        ``root``, else ``$METABENCH_DATA``, else ``data`` in the cache folder.
    """
    if root is not None:
        return root
    if chosen := os.environ.get("METABENCH_DATA"):
        return Path(chosen)
    return cache_root() / "data"


def cache_root() -> Path:
    """Returns the folder for reproducible files.

    Returns:
        ``$METABENCH_CACHE``, else ``metabench`` in ``$XDG_CACHE_HOME`` or ``~/.cache``.
    """
    if chosen := os.environ.get("METABENCH_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "metabench"


@dataclass(frozen=True, eq=False)
class ClassPool:
    """The labelled examples of one split, in memory.

    Args:
        images: uint8 ``[classes * variants, examples, *input]``; rows ``c * variants`` to
            ``(c + 1) * variants - 1`` are the variants of class ``c``.
        class_names: Name of each class, unique in the pool.
        groups: Group of each class, such as its alphabet or superclass.
        origins: What each class was made from, for the leakage audit: classes with the same origin
            have the same content, for example rotated. By default the class names.
        variants: Rows per class. An episode draws one of them for each of its classes (MAML
            rotates a class at random by a multiple of 90 degrees: four variants).

    Raises:
        DataError: If the arguments are inconsistent.
    """

    images: Tensor
    class_names: tuple[str, ...]
    groups: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    variants: int = 1

    def __post_init__(self) -> None:
        if not self.groups:
            # The dataclass is frozen; its own constructor may still fill in defaults.
            object.__setattr__(self, "groups", ("",) * len(self.class_names))
        if not self.origins:
            object.__setattr__(self, "origins", self.class_names)
        if self.images.dtype != torch.uint8 or self.images.ndim < 3:
            raise DataError(
                f"the images of a class pool are {self.images.dtype} {list(self.images.shape)}, "
                "not uint8 [rows, examples, *input]."
            )
        if len(self.images) != len(self.class_names) * self.variants:
            raise DataError(
                f"a class pool has {len(self.images)} rows of images for {len(self.class_names)} "
                f"classes of {self.variants} variants."
            )
        if len(set(self.class_names)) != len(self.class_names):
            raise DataError("the class names of a pool are not unique.")
        if not len(self.groups) == len(self.origins) == len(self.class_names):
            raise DataError(
                f"a class pool has {len(self.groups)} groups and {len(self.origins)} origins for "
                f"{counted(len(self.class_names), 'class', 'classes')}; it needs one of each per "
                "class."
            )

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def examples(self) -> int:
        """Examples per class."""
        return int(self.images.shape[1])

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(self.images.shape[2:])

    @cached_property
    def digest(self) -> str:
        """sha256 of the images and the class names, the same on every machine."""
        h = hashlib.sha256()
        # Groups and origins are left out: they change no episode of the plain protocol.
        h.update(repr((tuple(self.images.shape), self.class_names, self.variants)).encode())
        h.update(self.images.cpu().contiguous().numpy().tobytes())
        return h.hexdigest()

    def to(self, device: torch.device | str) -> ClassPool:
        """Returns the same pool with its images on a device."""
        return replace(self, images=self.images.to(device))


class ClassDataset(ABC):
    """A data set of labelled examples, split by class.

    A subclass takes ``root`` (the folder that holds one folder per data set; ``None`` for the
    default) and, as keyword arguments, the options that a benchmark may set in its
    ``dataset_options``.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    input_shape: ClassVar[tuple[int, ...]]

    def __init__(self, root: Path | None = None) -> None:
        self.root = data_root(root)

    @abstractmethod
    def pool(self, split: Split) -> ClassPool:
        """Returns the examples of one split; the classes of different splits are disjoint.

        Raises:
            DataError: If the data are missing or damaged; the hint says how to get them.
        """

    def status(self) -> str:
        """Returns what ``metabench data list`` shows: in a word, what is present.

        A subclass overrides it, without reading the data: ``embedded`` if it needs no files, or
        for example ``missing``.
        """
        return "unknown"

    def check_split(self, split: str) -> None:
        """Check the name of a split.

        Raises:
            UsageError: If there is no split of this name.
        """
        if split not in SPLITS:
            raise UsageError(
                f"unknown split '{split}'.", hint=f"The splits are {', '.join(SPLITS)}."
            )


class TaskFamily(ABC):
    """A family of functions for regression: each task is one function.

    A subclass takes ``root`` as every data set does, and ignores it.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    input_shape: ClassVar[tuple[int, ...]]
    outputs: ClassVar[int]
    parameters: ClassVar[int]

    def __init__(self, root: Path | None = None) -> None:
        del root

    def status(self) -> str:
        """Returns what ``metabench data list`` shows: a function needs no files."""
        return EMBEDDED

    @property
    def input_size(self) -> int:
        """Random numbers per input."""
        return math.prod(self.input_shape)

    @property
    def digest(self) -> str:
        """Identifies the definition: sha256 of name and version."""
        return hashlib.sha256(f"{self.name}@{self.version}".encode()).hexdigest()

    @abstractmethod
    def evaluate(self, parameters: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Map uniform numbers to inputs and targets of tasks.

        Args:
            parameters: float64 ``[T, parameters]`` in ``[0, 1)``.
            inputs: float64 ``[T, B, input_size]`` in ``[0, 1)``.

        Returns:
            ``x`` ``[T, B, *input]`` and ``y`` ``[T, B, outputs]``, float64.
        """
