"""What an algorithm is told about the problem it is built for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor
from torch.nn import functional as F

from metabench.backbones.base import Backbone
from metabench.errors import UnknownName

BackboneFactory = Callable[..., Backbone]


@dataclass(frozen=True)
class Problem:
    """The shape of a benchmark's episodes, its loss, and the backbones that are at hand.

    Args:
        kind: ``classification`` or ``regression``.
        input_shape: the shape of one example.
        ways: classes in a test episode; 0 in regression.
        shots: support examples for each class in a test episode.
        queries: query examples for each class in a test episode.
        outputs: the length of a prediction: ``ways``, or the dimension of a regression target.
        backbone_name: the benchmark's own backbone.
        backbones: what makes a backbone, by name.
        budget: examples that meta-training may draw, which a recipe sizes its steps by; 0 where nobody says.
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

    @property
    def regression(self) -> bool:
        """Whether values are predicted and not classes."""
        return self.kind == "regression"

    @property
    def images(self) -> bool:
        """Whether an example is an image, ``[channels, height, width]``."""
        return len(self.input_shape) == 3

    def backbone(self, name: str = "", **options: Any) -> Backbone:
        """A new backbone for these inputs.

        Args:
            name: its name; by default the benchmark's own.
            options: keyword arguments of that backbone.

        Raises:
            UnknownName: there is no such backbone.
        """
        name = name or self.backbone_name
        if name not in self.backbones:
            raise UnknownName("backbone", name, self.backbones)
        return self.backbones[name](self.input_shape, **options)

    def loss(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """The mean loss over the examples: cross-entropy, or squared error in regression.

        Args:
            predictions: ``[..., B, outputs]``.
            targets: int64 ``[..., B]``, or float ``[..., B, outputs]`` in regression.

        Returns:
            ``[...]``: one loss for each task.
        """
        if self.regression:
            return (predictions - targets).square().mean((-1, -2))
        losses = F.cross_entropy(predictions.flatten(0, -2), targets.flatten(), reduction="none")
        return losses.view(targets.shape).mean(-1)
