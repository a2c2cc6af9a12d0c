"""The four-block convolutional network with larger maps, for methods that compare maps."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from metabench.backbones.base import Backbone
from metabench.backbones.ops.layout import channels_last
from metabench.errors import UsageError

LEAST_SIDE = 22
"""The smallest height or width from which the last map can be pooled twice more."""


class Conv4Maps(Backbone):
    """Four blocks of 3x3 convolution, batch norm and ReLU; only the first two have a 2x2 max pool.

    Those two have no padding; the last two keep the size. The features are the last map, 64x5x5
    from 28x28, flattened. Reference: Sung et al. 2018, arXiv:1711.06025, section 3.4 and its code.

    Args:
        input_shape: ``(channels, height, width)``.
        channels: Channels of each block.

    Attributes:
        maps: The shape of the last map, ``(channels, height, width)``.

    Raises:
        UsageError: If the input is not an image, or too small.
    """

    def __init__(self, input_shape: tuple[int, ...], *, channels: int = 64) -> None:
        super().__init__()
        if len(input_shape) != 3 or min(input_shape[1:]) < LEAST_SIDE:
            raise UsageError(
                f"the backbone conv4-maps cannot read inputs of shape {input_shape}.",
                hint=f"It needs (channels, height, width) of at least {LEAST_SIDE}x{LEAST_SIDE}.",
            )
        widths = [input_shape[0]] + [channels] * 4
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=int(i >= 2), bias=False)
            for i, (a, b) in enumerate(pairwise(widths))
        )
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv2d)
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(4))
        height, width = (((side - 2) // 2 - 2) // 2 for side in input_shape[1:])
        self.maps = (channels, height, width)
        self.features = channels * height * width

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` to ``[B, features]``."""
        x = channels_last(x)
        for i, (convolution, norm) in enumerate(zip(self.convolutions, self.norms, strict=True)):
            x = norm(convolution(x))
            x = F.relu(F.max_pool2d(x, 2) if i < 2 else x)
        return x.flatten(1)
