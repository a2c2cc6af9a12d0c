"""The four-block convolutional network of the few-shot literature, pooled or strided."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metabench.backbones.base import Backbone, Params
from metabench.backbones.engines import Engine
from metabench.backbones.inner_step import current_step
from metabench.backbones.ops.batch_norm import EPS, batch_norm_relu
from metabench.backbones.ops.convolution import convolve
from metabench.backbones.ops.layout import channels_last
from metabench.backbones.ops.max_pool import max_pool
from metabench.backbones.ops.products import outputs
from metabench.backbones.ops.unfold import unfold
from metabench.backbones.order import is_differentiated_twice
from metabench.errors import UsageError

Norm = Literal["running", "batch", "per-step"]

BLOCKS = 4
GROUPED_TASKS = 8
"""So many tasks at most in one grouped convolution, whose maps then stay nearer to the processor.
Milliseconds of one CPU core forward and backward, 28x28 images, 64 channels, in groups of 4, 8 and 16:
pooled, 32 tasks of 5 examples 185, 185 and 190, 16 tasks of 25 examples 396, 386 and 404, 16 tasks of 75
examples 962, 934 and 1138; strided, 32 tasks of 5 examples 79, 68 and 68, 16 tasks of 75 examples 332, 323
and 342."""

UNFOLDED_ROWS = 16_000
"""Unfolded, a task has at most so many places in the second block's maps, nine times which its products hold:
a bound on memory, beyond which nothing was measured. It is 300 examples of 28x28."""


class ConvBlock(nn.Module):
    """3x3 convolution, batch norm, ReLU, and halving by a max pool or by the convolution's stride.

    The pool stands before the ReLU, where it has a quarter of the work left to it: both are monotone, so
    they commute. The convolution has no bias, since batch norm would take it away again.

    Args:
        inputs: input channels.
        outputs: output channels.
        strided: halve by stride 2 in the convolution instead of by a max pool.
        norm: ``running`` keeps running statistics and uses them in evaluation; ``batch`` always uses the
            batch's own, so that a prediction depends on what it is made together with; ``per-step`` is
            ``running`` with statistics for each inner step (Antoniou et al. 2019, arXiv:1810.09502, BNRS).
        scale: whether batch norm has a learned scale (gamma).
        steps: inner steps with statistics of their own, where they are kept for each: after none, after one
            and so on; what comes later shares the last.
    """

    def __init__(
        self, inputs: int, outputs: int, *, strided: bool, norm: Norm, scale: bool, steps: int
    ) -> None:
        super().__init__()
        self.stride = 2 if strided else 1
        weight = torch.empty(outputs, inputs, 3, 3, memory_format=torch.channels_last)
        self.weight = nn.Parameter(nn.init.xavier_uniform_(weight))
        self.gamma = nn.Parameter(torch.ones(outputs)) if scale else None
        self.beta = nn.Parameter(torch.zeros(outputs))
        self.running_mean: Tensor | None
        self.running_var: Tensor | None
        shape = (steps, outputs) if norm == "per-step" else (outputs,)
        self.register_buffer("running_mean", None if norm == "batch" else torch.zeros(shape))
        self.register_buffer("running_var", None if norm == "batch" else torch.ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs, H, W]`` to ``[B, outputs, H', W']``."""
        x = F.conv2d(x, self.weight, stride=self.stride, padding=1)
        own_statistics = self.training or self.running_mean is None
        # Without a scale, PyTorch's double backward fails on the gradient of the shift.
        gamma = torch.ones_like(self.beta) if self.gamma is None else self.gamma
        x = F.batch_norm(x, *self._running(), gamma, self.beta, own_statistics)
        if self.stride == 1:
            x = F.max_pool2d(x, 2)
        return F.relu(x)

    def _running(self) -> tuple[Tensor | None, Tensor | None]:
        """The running mean and variance, of the current inner step where each has its own."""
        mean, var = self.running_mean, self.running_var
        if mean is None or var is None or mean.ndim == 1:
            return mean, var
        row = min(current_step(), len(mean) - 1)
        return mean[row], var[row]

    def forward_grouped(self, params: Params, prefix: str, x: Tensor, counted: int = 0) -> Tensor:
        """All tasks as one grouped convolution, batch norm by the batch's own statistics.

        Args:
            params: parameters ``[T, ...]`` by their full name.
            prefix: what stands before this block's names.
            x: ``[B, T * inputs, H, W]``.
            counted: take the statistics of the first so many images alone; 0 means of all.

        Returns:
            ``[B, T * outputs, H', W']``.
        """
        weight = params[f"{prefix}weight"]
        # Laid out as the images: a convolution of unlike layouts takes twice the time.
        kernels = channels_last(weight.flatten(0, 1))
        beta = params[f"{prefix}beta"].flatten()
        gamma = torch.ones_like(beta) if self.gamma is None else params[f"{prefix}gamma"].flatten()
        x = F.conv2d(x, kernels, stride=self.stride, padding=1, groups=len(weight))
        if counted:
            x = _normalized_by(x[:counted], x, gamma, beta)
        else:
            # Not torch.nn.functional's: that refuses a single value, which is a batch like any other.
            x = torch.batch_norm(x, gamma, beta, None, None, True, 0.0, EPS, True)
        return F.relu(F.max_pool2d(x, 2) if self.stride == 1 else x)

    def forward_twice(self, params: Params, prefix: str, x: Tensor) -> Tensor:
        """All tasks as one grouped convolution that is cheap to differentiate twice, and a max pool.

        Args:
            params: parameters ``[T, ...]`` by their full name.
            prefix: what stands before this block's names.
            x: ``[B, T * inputs, H, W]``, channels last.

        Returns:
            ``[B, T * outputs, H', W']``, channels last.
        """
        weight = params[f"{prefix}weight"]
        y = convolve(x, channels_last(weight.flatten(0, 1)), self.stride, len(weight)).permute(
            0, 2, 3, 1
        )
        gamma = None if self.gamma is None else params[f"{prefix}gamma"].reshape(1, -1)
        rows = y.reshape(1, -1, y.shape[3])
        maps = batch_norm_relu(rows, gamma, params[f"{prefix}beta"].reshape(1, -1)).view(y.shape)
        return max_pool(maps).permute(0, 3, 1, 2)

    def forward_unfolded(self, params: Params, prefix: str, x: Tensor) -> Tensor:
        """All tasks as one batched matrix product, batch norm by the batch's own statistics, no max pool.

        Args:
            params: parameters ``[T, ...]`` by their full name.
            prefix: what stands before this block's names.
            x: ``[T, B, H, W, inputs]``.

        Returns:
            ``[T, B, H', W', outputs]``.
        """
        rows = unfold(x.flatten(0, 1), self.stride)
        weight = params[f"{prefix}weight"].permute(0, 1, 3, 4, 2).flatten(2)
        y = outputs(rows.reshape(len(x), -1, rows.shape[3]), weight)
        gamma = None if self.gamma is None else params[f"{prefix}gamma"]
        maps = batch_norm_relu(y, gamma, params[f"{prefix}beta"])
        return maps.view(*x.shape[:2], *rows.shape[1:3], -1)


def _normalized_by(counted: Tensor, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Batch norm of ``x`` ``[B, C, H, W]`` by the statistics of ``counted``, differentiable in both."""
    variance, mean = torch.var_mean(counted, (0, 2, 3), correction=0)
    scale = gamma * (variance + EPS).rsqrt()
    return torch.addcmul((beta - mean * scale).view(-1, 1, 1), x, scale.view(-1, 1, 1))


GroupedBlock = Callable[[ConvBlock, Params, str, Tensor], Tensor]
"""A way through one block for all tasks, whose maps are ``[B, T * channels, H, W]``."""


class Conv4(Backbone):
    """Four blocks of 3x3 convolution, batch norm, ReLU and 2x2 max pool; the features are the last map.

    64 features from 28x28. Reference: Vinyals et al. 2016, arXiv:1606.04080, section 4.1.1; Snell et al.
    2017, arXiv:1703.05175.

    Args:
        input_shape: ``(channels, height, width)``.
        channels: channels of each block.
        norm: the batch-norm policy, see :class:`ConvBlock`.
        scale: whether batch norm has a learned scale.
        steps: see :class:`ConvBlock`.

    Raises:
        UsageError: the input is no image, or too small to be halved four times.
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
        self.features = channels * self._places(input_shape[1]) * self._places(input_shape[2])

    def _places(self, side: int) -> int:
        """The length of the last map's side."""
        return int(side // 2**BLOCKS)

    def _read_out(self, maps: Tensor) -> Tensor:
        """``[B, channels, H, W]`` to ``[B, features]``."""
        return maps.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, C, H, W]`` to ``[B, features]``."""
        x = channels_last(x)
        for block in self.blocks:
            x = block(x)
        return self._read_out(x)

    def engines(self) -> dict[str, Engine]:
        """See :meth:`Backbone.engines`; but for ``loop``, batch norm is by the batch's own statistics.

        ``grouped``: one convolution for all tasks. ``twice``: the same, made to be differentiated twice,
        for pooled networks. ``unfolded``: batched matrix products, for strided ones.
        """
        known = super().engines()
        if self.norm != "batch":
            return known
        known["grouped"] = functools.partial(self._in_groups, ConvBlock.forward_grouped)
        if self.strided:
            return known | {"unfolded": self._forward_unfolded}
        return known | {"twice": functools.partial(self._in_groups, ConvBlock.forward_twice)}

    def fastest_on_cpu(self, x: Tensor) -> str:
        """See :meth:`Backbone.fastest_on_cpu`: it depends on the derivatives taken.

        Differentiated once, one grouped convolution wins. Milliseconds of one core forward and backward, 16
        tasks, grouped, unfolded and one by one: pooled with 64 channels 5 examples 74, 112 and 98; strided
        5 examples 29, 32 and 55, 25 examples 110, 148 and 134.

        Twice, PyTorch's own second derivative of it is the slowest of all (317 against 129 unfolded, 16
        strided tasks of 5 examples); with derivatives that are grouped convolutions themselves
        (:mod:`metabench.backbones.ops.convolution`) it wins where there is a pool, in 1,170 ms against 2,550
        one by one (8 tasks of 50 examples), 2,357 against 6,375 (100 examples); unfolded products win where
        there is none, in 518 against 701 and 977 against 1,339. A single task gains as much, but for the
        smallest: 25 against 28 ms pooled, 10 against 12 strided (5 examples).
        """
        if self.norm != "batch":
            return "loop"
        if not is_differentiated_twice():
            return "grouped"
        if not self.strided:
            return "twice"
        height, width = x.shape[-2:]
        return "unfolded" if x.shape[1] * (height * width // 16) <= UNFOLDED_ROWS else "loop"

    def forward_tasks_beside(self, params: Params, support: Tensor, x: Tensor) -> Tensor:
        """See :meth:`Backbone.forward_tasks_beside`: exactly so, all examples at once."""
        if self.norm != "batch":
            return self.forward_tasks(params, x)
        counted = support.shape[1]
        forward = functools.partial(ConvBlock.forward_grouped, counted=counted)
        return self._in_groups(forward, params, torch.cat([support, x], 1))[:, counted:]

    def _in_groups(self, forward: GroupedBlock, params: Params, x: Tensor) -> Tensor:
        split = {name: p.split(GROUPED_TASKS) for name, p in params.items()}
        groups = [
            self._forward_grouped(forward, {name: parts[i] for name, parts in split.items()}, group)
            for i, group in enumerate(x.split(GROUPED_TASKS))
        ]
        return groups[0] if len(groups) == 1 else torch.cat(groups)

    def _forward_grouped(self, forward: GroupedBlock, params: Params, x: Tensor) -> Tensor:
        maps = channels_last(x.transpose(0, 1).flatten(1, 2))
        for name, block in self._named_blocks():
            maps = forward(block, params, name, maps)
        maps = maps.unflatten(1, (len(x), -1)).transpose(0, 1)
        return self._read_out(maps.flatten(0, 1)).view(*x.shape[:2], -1)

    def _forward_unfolded(self, params: Params, x: Tensor) -> Tensor:
        maps = x.movedim(2, 4)
        for name, block in self._named_blocks():
            maps = block.forward_unfolded(params, name, maps)
        features = self._read_out(maps.flatten(0, 1).movedim(3, 1))
        return features.view(*x.shape[:2], -1)

    def _named_blocks(self) -> Iterator[tuple[str, ConvBlock]]:
        """The blocks, each with what stands before the names of its parameters."""
        for i, block in enumerate(self.blocks):
            assert isinstance(block, ConvBlock)
            yield f"blocks.{i}.", block


class Conv4Narrow(Conv4):
    """:class:`Conv4` with 32 channels: a third of the time. The MAML paper's miniImageNet network.

    Reference: Finn et al. 2017, arXiv:1703.03400, section 5.2.

    Args:
        input_shape: ``(channels, height, width)``.
        channels: channels of each block.
        norm: the batch-norm policy, see :class:`ConvBlock`.
        scale: whether batch norm has a learned scale.
        steps: see :class:`ConvBlock`.

    Raises:
        UsageError: the input is no image, or too small to be halved four times.
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


class Conv4Strided(Conv4):
    """Four blocks of 3x3 convolution with stride 2, batch norm and ReLU; the features are the spatial mean.

    MAML's Omniglot network. Reference: Finn et al. 2017, arXiv:1703.03400, section 5.2 and its code, where
    batch norm has no scale.

    Args:
        input_shape: ``(channels, height, width)``.
        channels: channels of each block.
        norm: the batch-norm policy, see :class:`ConvBlock`.
        scale: whether batch norm has a learned scale.
        steps: see :class:`ConvBlock`.

    Raises:
        UsageError: the input is no image, or too small to be halved four times.
    """

    strided = True

    def __init__(
        self,
        input_shape: tuple[int, ...],
        *,
        channels: int = 64,
        norm: Norm = "batch",
        scale: bool = False,
        steps: int = 1,
    ) -> None:
        super().__init__(input_shape, channels=channels, norm=norm, scale=scale, steps=steps)

    def _places(self, side: int) -> int:
        del side
        return 1

    def _read_out(self, maps: Tensor) -> Tensor:
        return maps.mean((2, 3))
