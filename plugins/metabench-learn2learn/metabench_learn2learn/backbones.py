"""The feature extractors of ``learn2learn.vision.models`` as backbones."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from metabench import Backbone, NotApplicable
from metabench_learn2learn.library import l2l

Norm = Literal["running", "batch"]


class VisionModel(Backbone):
    """A vision model of learn2learn without its classifier.

    Args:
        input_shape: ``(channels, height, width)``.
        norm: ``running`` uses running statistics in evaluation, as the library's models do;
            ``batch`` always uses the statistics of the batch, as the library's examples do.

    Raises:
        NotApplicable: If the model cannot read inputs of this shape.
    """

    def __init__(self, input_shape: tuple[int, ...], *, norm: Norm = "running") -> None:
        super().__init__()
        self.norm = norm
        try:
            self.body = self.make(input_shape)
            self.body.eval()
            with torch.no_grad():
                self.features = int(self.body(torch.zeros(2, *input_shape)).flatten(1).shape[1])
        except (RuntimeError, ValueError, IndexError) as error:
            raise NotApplicable(
                f"learn2learn's {type(self).__name__} cannot read inputs of shape "
                f"{input_shape}: {error}"
            ) from error
        self.body.train()
        if norm == "batch":
            for module in self.body.modules():
                if isinstance(module, _BatchNorm):
                    module.track_running_stats = False
                    module.running_mean = module.running_var = module.num_batches_tracked = None

    @abstractmethod
    def make(self, input_shape: tuple[int, ...]) -> nn.Module:
        """Return the library's feature extractor, which maps ``[B, *input]`` to ``[B, ...]``."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, *input]`` to ``[B, features]``."""
        features: Tensor = self.body(x.contiguous()).flatten(1)
        return features


class CNN4(VisionModel):
    """``CNN4Backbone``: four blocks of convolution, batch norm, ReLU and max pool, 64 channels."""

    def make(self, input_shape: tuple[int, ...]) -> nn.Module:
        """See :class:`VisionModel`."""
        return _module(l2l.vision.models.CNN4Backbone(channels=input_shape[0]))


class OmniglotCNN(VisionModel):
    """The features of ``OmniglotCNN``: four blocks with stride 2, the mean over space; 1x28x28."""

    def make(self, input_shape: tuple[int, ...]) -> nn.Module:
        """See :class:`VisionModel`."""
        if tuple(input_shape) != (1, 28, 28):  # its first layer reshapes anything to that
            raise ValueError("it reads one channel of 28x28")
        return _module(l2l.vision.models.OmniglotCNN().features)


class OmniglotFC(VisionModel):
    """The features of ``OmniglotFC``: 256-128-64-64, always by the batch's statistics."""

    def make(self, input_shape: tuple[int, ...]) -> nn.Module:
        """See :class:`VisionModel`."""
        return _module(l2l.vision.models.OmniglotFC(math.prod(input_shape), 1).features)


class ResNet12(VisionModel):
    """``ResNet12Backbone`` without its average pool (for 84x84 only) and without DropBlock."""

    def make(self, input_shape: tuple[int, ...]) -> nn.Module:
        """See :class:`VisionModel`."""
        make = l2l.vision.models.ResNet12Backbone
        return _module(make(avg_pool=False, dropblock_dropout=0.0, channels=input_shape[0]))


class WRN28(VisionModel):
    """``WRN28Backbone``: 28 layers, ten times as wide; three channels."""

    def make(self, input_shape: tuple[int, ...]) -> nn.Module:
        """See :class:`VisionModel`."""
        return _module(l2l.vision.models.WRN28Backbone())


def _module(made: Any) -> nn.Module:
    assert isinstance(made, nn.Module)
    return made
