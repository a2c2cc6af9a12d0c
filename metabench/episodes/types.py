"""Episodes as tensors: the support set, one task, a batch of tasks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from metabench.errors import NotApplicable


@dataclass(frozen=True, eq=False)
class Support:
    """The support set of one task, or of a batch of tasks.

    Args:
        x: Inputs, float32 ``[S, *input]``; ``[T, S, *input]`` in :meth:`Algorithm.adapt_batch`.
        y: Labels, int64 ``[S]`` in ``0..ways-1``, or targets, float32 ``[S, outputs]``, in
            regression; with the leading task dimension of ``x``.
        ways: Number of classes; 0 in regression.
        keep_graph: Whether the caller differentiates the adapted predictor with respect to the
            support inputs, so adaptation must keep its graph (and take its inner gradients with
            ``create_graph=True``). Metrics set it to attack the support set. To copy a support set
            use :func:`dataclasses.replace`, which keeps this field.
    """

    x: Tensor
    y: Tensor
    ways: int
    keep_graph: bool = field(default=False, kw_only=True)

    @property
    def is_batch(self) -> bool:
        """Whether there is a leading task dimension."""
        return self.y.ndim == (2 if self.ways else 3)

    def as_batch(self) -> Support:
        """Returns the same with a leading task dimension, which is of length 1 if it is new."""
        if self.is_batch:
            return self
        return dataclasses.replace(self, x=self.x.unsqueeze(0), y=self.y.unsqueeze(0))

    @cached_property
    def one_hot(self) -> Tensor:
        """The labels as float32 ``[..., S, ways]``.

        Raises:
            NotApplicable: If this is regression, which has no classes.
        """
        if not self.ways:
            raise NotApplicable("it asks for classes, and this benchmark is regression.")
        return F.one_hot(self.y, self.ways).to(torch.float32)

    def class_means(self, features: Tensor) -> Tensor:
        """Returns the mean feature vector of each class.

        Args:
            features: ``[..., S, features]``, one row per support example.

        Returns:
            ``[..., ways, features]``.

        Raises:
            NotApplicable: If this is regression, which has no classes.
        """
        membership = self.one_hot.to(features.dtype)
        sums = membership.transpose(-1, -2) @ features
        # Divided by each class's own count: label noise leaves classes of unequal size.
        return sums / membership.sum(-2).unsqueeze(-1)


@dataclass(frozen=True, eq=False)
class Task:
    """One episode: a support set to adapt on and a query set to be scored on.

    Args:
        support: The support set.
        query_x: Query inputs, float32 ``[Q, *input]``, in an order independent of their labels.
        query_y: Query labels, int64 ``[Q]``, or targets, float32 ``[Q, outputs]``, in regression.
    """

    support: Support
    query_x: Tensor
    query_y: Tensor


@dataclass(frozen=True, eq=False)
class TaskBatch:
    """``T`` episodes of one shape, stacked.

    Args:
        support_x: float32 ``[T, S, *input]``.
        support_y: int64 ``[T, S]``, or float32 ``[T, S, outputs]`` in regression.
        query_x: float32 ``[T, Q, *input]``.
        query_y: int64 ``[T, Q]``, or float32 ``[T, Q, outputs]`` in regression.
        ways: Classes in each episode; 0 in regression.
        classes: The class of the pool behind each label, int64 ``[T, ways]``; ``[T, 0]`` in
            regression. The mirror image of class ``c`` of ``C`` is class ``c + C``
            (:class:`~metabench.episodes.augmentation.AugmentedSampler`).
    """

    support_x: Tensor
    support_y: Tensor
    query_x: Tensor
    query_y: Tensor
    ways: int
    classes: Tensor

    def __len__(self) -> int:
        return len(self.support_x)

    def __iter__(self) -> Iterator[Task]:
        """Iterate over the episodes one by one."""
        for i in range(len(self)):
            support = Support(self.support_x[i], self.support_y[i], self.ways)
            yield Task(support, self.query_x[i], self.query_y[i])

    @property
    def support(self) -> Support:
        """All support sets, with a leading task dimension."""
        return Support(self.support_x, self.support_y, self.ways)

    @property
    def examples(self) -> int:
        """Cost of the batch in examples: each support and query example counts once."""
        return len(self) * (self.support_x.shape[1] + self.query_x.shape[1])

    def __getitem__(self, tasks: slice) -> TaskBatch:
        """Returns the episodes of a slice, as views."""
        return self.map(lambda tensor: tensor[tasks])

    def to(self, device: torch.device | str) -> TaskBatch:
        """Returns the same episodes on a device."""
        return self.map(lambda tensor: tensor.to(device))

    def map(self, function: Callable[[Tensor], Tensor]) -> TaskBatch:
        """Returns a batch with ``function`` applied to every tensor."""
        return TaskBatch(
            function(self.support_x),
            function(self.support_y),
            function(self.query_x),
            function(self.query_y),
            self.ways,
            function(self.classes),
        )

    def copy_(self, other: TaskBatch) -> None:
        """Overwrite the tensors with those of a batch of the same shape, in place."""
        self.support_x.copy_(other.support_x)
        self.support_y.copy_(other.support_y)
        self.query_x.copy_(other.query_x)
        self.query_y.copy_(other.query_y)
        self.classes.copy_(other.classes)
