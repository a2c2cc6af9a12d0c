"""The problem that an algorithm is made for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor
from torch.nn import functional as F

from metabench.backbones.base import Backbone
from metabench.errors import UnknownName

BackboneFactory = Callable[..., Backbone]
"""Makes a backbone, given the shape of an input and options."""


@dataclass(frozen=True)
class Problem:
    """The shape of a benchmark's episodes, its loss, and the backbones that are installed.

    Args:
        kind: ``classification`` or ``regression``.
        input_shape: The shape of one example.
        ways: Classes in a test episode; 0 in regression.
        shots: Support examples for each class in a test episode.
        queries: Query examples for each class in a test episode.
        outputs: The length of a prediction: ``ways``, or the dimension of a regression target.
        backbone_name: The benchmark's own backbone.
        backbones: Factories of backbones by name.
        budget: Examples that meta-training may draw, on which recipes may depend; 0 if unknown.
        dataset: The data set of meta-training, on which recipes may depend; empty if unknown.
    """

    kind: Literal["classification", "regression"]
    input_shape: tuple[int, ...]
    ways: int
    shots: int
    queries: int
    outputs: int
    backbone_name: str
    backbones: dict[str, BackboneFactory] = field(default_factory=dict, repr=False)
    budget: int = 0
    dataset: str = ""

    @property
    def regression(self) -> bool:
        """Whether targets are values and not classes."""
        return self.kind == "regression"

    @property
    def modality(self) -> Literal["image", "vector"]:
        """The kind of an example: images have the shape ``[channels, height, width]``."""
        return "image" if len(self.input_shape) == 3 else "vector"

    @property
    def images(self) -> bool:
        """Whether an example is an image, ``[channels, height, width]``."""
        return self.modality == "image"

    def backbone(self, name: str = "", **options: Any) -> Backbone:
        """Returns a new backbone for these inputs.

        Args:
            name: The name of the backbone; by default the benchmark's own.
            options: Keyword arguments of the backbone.

        Raises:
            UnknownName: If there is no such backbone.
        """
        name = name or self.backbone_name
        if name not in self.backbones:
            raise UnknownName("backbone", name, self.backbones)
        return self.backbones[name](self.input_shape, **options)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Returns the mean loss of each task: cross-entropy, or squared error in regression.

        Args:
            predictions: ``[..., B, outputs]``.
            targets: int64 ``[..., B]``, or float ``[..., B, outputs]`` in regression.

        Returns:
            ``[...]``, one loss for each task.
        """
        if self.regression:
            return (predictions - targets).square().mean((-1, -2))
        losses = F.cross_entropy(predictions.flatten(0, -2), targets.flatten(), reduction="none")
        return losses.view(targets.shape).mean(-1)
