"""The four-block convolutional network of the few-shot literature, pooled or strided."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn

from metabench.backbones.base import Backbone, Params
from metabench.backbones.conv_block import ConvBlock, Norm
from metabench.backbones.implementations import Implementation
from metabench.backbones.ops.layout import channels_last
from metabench.errors import UsageError

BLOCKS = 4

GROUPED_TASKS = 8
"""The most tasks in one grouped convolution, so that their maps fit the cache.

Milliseconds of one core, forward and backward, 28x28 images, 64 channels, in groups of 4, 8, 16:
pooled, 32 tasks of 5 examples 185, 185, 190; 16 tasks of 25 examples 396, 386, 404; 16 tasks of 75
examples 962, 934, 1138; strided, 32 tasks of 5 examples 79, 68, 68; 16 tasks of 75 examples 332,
323, 342.
"""

UNFOLDED_ROWS = 16_000
"""The most positions of a task in the second block's maps for which ``unfolded`` is chosen.

A bound on memory: the products hold nine times as many values. It is 300 examples of 28x28; larger
inputs were not measured.
"""

GroupedBlock = Callable[[ConvBlock, Params, str, Tensor], Tensor]
"""A form of a block for all tasks, whose maps are ``[B, T * channels, H, W]``."""


class Conv4(Backbone):
    """Four blocks of 3x3 convolution, batch norm, ReLU and 2x2 max pool; features: the last map.

    64 features from 28x28. Reference: Vinyals et al. 2016, arXiv:1606.04080, section 4.1.1; Snell
    et al. 2017, arXiv:1703.05175.

    Args:
        input_shape: ``(channels, height, width)``.
        channels: Channels of each block.
        norm: The batch norm policy, see :data:`~metabench.backbones.conv_block.Norm`.
        scale: Whether batch norm has a learned scale.
        steps: See :class:`~metabench.backbones.conv_block.ConvBlock`.

    Raises:
        UsageError: If the input is not an image, or too small to be halved four times.
    """

    strided = False

    def __init__(
        self,
        input_shape: tuple[int, ...],
        *,
        channels: int = 64,
        norm: Norm = "running",
        scale: bool = True,
        steps: int = 1,
    ) -> None:
        super().__init__()
        if len(input_shape) != 3 or min(input_shape[1:]) < 2**BLOCKS:
            raise UsageError(
                f"a four-block convolutional backbone cannot read inputs of shape {input_shape}.",
                hint=f"It needs (channels, height, width) of at least {2**BLOCKS}x{2**BLOCKS}; "
                "the backbone `mlp` reads any shape.",
            )
        widths = [input_shape[0]] + [channels] * BLOCKS
        self.norm = norm
        self.blocks = nn.ModuleList(
            ConvBlock(a, b, strided=self.strided, norm=norm, scale=scale, steps=steps)
            for a, b in pairwise(widths)
        )
        self.features = (
            channels * self._final_size(input_shape[1]) * self._final_size(input_shape[2])
        )

    def _final_size(self, size: int) -> int:
        """Returns the height or width that the features keep of an input of this size."""
        return int(size // 2**BLOCKS)

    def _features(self, maps: Tensor) -> Tensor:
        """Map ``[B, channels, H, W]`` to ``[B, features]``."""
        return maps.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, H, W]`` to ``[B, features]``."""
        x = channels_last(x)
        for block in self.blocks:
            x = block(x)
        return self._features(x)

    def implementations(self) -> dict[str, Implementation]:
        """See :meth:`Backbone.implementations`; all but ``loop`` need ``norm="batch"``.

        ``grouped`` is one convolution for all tasks, ``twice`` the same with fast second
        derivatives (pooled networks), ``unfolded`` batched matrix products (strided networks).
        """
        known = super().implementations()
        if self.norm != "batch":
            return known
        known["grouped"] = functools.partial(self._forward_grouped, ConvBlock.forward_grouped)
        if self.strided:
            known["unfolded"] = self._forward_unfolded
        else:
            known["twice"] = functools.partial(self._forward_grouped, ConvBlock.forward_twice)
        return known

    def fastest_on_cpu(self, x: Tensor, *, twice: bool) -> str:
        """See :meth:`Backbone.fastest_on_cpu`; measured times stand at the lines."""
        if self.norm != "batch":
            return "loop"
        # Milliseconds of one core, forward and backward, 16 tasks, grouped, unfolded, loop: pooled
        # with 64 channels, 5 examples: 74, 112, 98; strided, 5 examples: 29, 32, 55; 25: 110, 148,
        # 134.
        if not twice:
            return "grouped"
        # Twice: PyTorch's own second derivative of a grouped convolution is the slowest of all (317
        # against 129 unfolded, 16 strided tasks of 5 examples). With derivatives that are grouped
        # convolutions themselves it takes 1,170 against 2,550 in a loop (8 pooled tasks of 50
        # examples) and 2,357 against 6,375 (100 examples).
        if not self.strided:
            return "twice"
        # Strided, unfolded products win: 518 against 701 and 977 against 1,339. A single task gains
        # as much, but for the smallest (10 against 12, 5 examples).
        height, width = x.shape[-2:]
        return "unfolded" if x.shape[1] * (height * width // 16) <= UNFOLDED_ROWS else "loop"

    def forward_by_support(self, params: Params, support: Tensor, x: Tensor) -> Tensor:
        """See :meth:`Backbone.forward_by_support`; here exact, and all examples at once."""
        if self.norm != "batch":
            return self.forward_tasks(params, x)
        shots = support.shape[1]
        block = functools.partial(ConvBlock.forward_grouped, statistics_of=shots)
        return self._forward_grouped(block, params, torch.cat([support, x], 1))[:, shots:]

    def _forward_grouped(self, block: GroupedBlock, params: Params, x: Tensor) -> Tensor:
        split = {name: p.split(GROUPED_TASKS) for name, p in params.items()}
        groups = [
            self._forward_group(block, {name: parts[i] for name, parts in split.items()}, group)
            for i, group in enumerate(x.split(GROUPED_TASKS))
        ]
        return groups[0] if len(groups) == 1 else torch.cat(groups)

    def _forward_group(self, block: GroupedBlock, params: Params, x: Tensor) -> Tensor:
        maps = channels_last(x.transpose(0, 1).flatten(1, 2))
        for prefix, module in self._named_blocks():
            maps = block(module, params, prefix, maps)
        maps = maps.unflatten(1, (len(x), -1)).transpose(0, 1)
        return self._features(maps.flatten(0, 1)).view(*x.shape[:2], -1)

    def _forward_unfolded(self, params: Params, x: Tensor) -> Tensor:
        maps = x.movedim(2, 4)
        for prefix, module in self._named_blocks():
            maps = module.forward_unfolded(params, prefix, maps)
        features = self._features(maps.flatten(0, 1).movedim(3, 1))
        return features.view(*x.shape[:2], -1)

    def _named_blocks(self) -> Iterator[tuple[str, ConvBlock]]:
        """Yield each block with the prefix of its parameters."""
        for i, block in enumerate(self.blocks):
            assert isinstance(block, ConvBlock)
            yield f"blocks.{i}.", block


class Conv4Narrow(Conv4):
    """:class:`Conv4` with 32 channels, a third of the time: the MAML paper's miniImageNet network.

    Reference: Finn et al. 2017, arXiv:1703.03400, section 5.2.

    Args:
        input_shape: See :class:`Conv4`, as all that follows.
        channels: Channels of each block.
        norm: The batch norm policy.
        scale: Whether batch norm has a learned scale.
        steps: Inner steps with statistics of their own.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        *,
        channels: int = 32,
        norm: Norm = "running",
        scale: bool = True,
        steps: int = 1,
    ) -> None:
        super().__init__(input_shape, channels=channels, norm=norm, scale=scale, steps=steps)


class Conv4Small(Conv4):
    """:class:`Conv4` with 16 channels, for benchmarks that take minutes for all algorithms.

    Args:
        input_shape: See :class:`Conv4`, as all that follows.
        channels: Channels of each block.
        norm: The batch norm policy.
        scale: Whether batch norm has a learned scale.
        steps: Inner steps with statistics of their own.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        *,
        channels: int = 16,
        norm: Norm = "running",
        scale: bool = True,
        steps: int = 1,
    ) -> None:
        super().__init__(input_shape, channels=channels, norm=norm, scale=scale, steps=steps)


class Conv4Strided(Conv4):
    """Four blocks with stride 2 and no max pool; features: the mean of the last map.

    The MAML paper's Omniglot network. Reference: Finn et al. 2017, arXiv:1703.03400, section 5.2
    and its code, whose batch norm has no scale and takes the statistics of the batch.

    Args:
        input_shape: See :class:`Conv4`, as all that follows.
        channels: Channels of each block.
        norm: The batch norm policy.
        scale: Whether batch norm has a learned scale.
        steps: Inner steps with statistics of their own.
    """

    strided = True

    def __init__(
        self,
        input_shape: tuple[int, ...],
        *,
        channels: int = 64,
        norm: Norm = "running",
        scale: bool = True,
        steps: int = 1,
    ) -> None:
        super().__init__(input_shape, channels=channels, norm=norm, scale=scale, steps=steps)

    def _final_size(self, size: int) -> int:
        del size
        return 1

    def _features(self, maps: Tensor) -> Tensor:
        return maps.mean((2, 3))
