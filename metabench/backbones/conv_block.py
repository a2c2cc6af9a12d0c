"""The block of the four-block convolutional networks, in forms for one task and for many."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metabench.backbones.base import Params
from metabench.backbones.inner_step import current_step
from metabench.backbones.ops.batch_norm import EPS, batch_norm_relu
from metabench.backbones.ops.convolution import convolve
from metabench.backbones.ops.layout import channels_last
from metabench.backbones.ops.max_pool import max_pool
from metabench.backbones.ops.products import outputs
from metabench.backbones.ops.unfold import unfold
from metabench.runtime.precision import raised

Norm = Literal["running", "batch", "per-step"]
"""``running``: running statistics in evaluation; ``batch``: always the statistics of the batch, so
that predictions depend on each other; ``per-step``: running statistics for each inner step."""


class ConvBlock(nn.Module):
    """3x3 convolution, batch norm, ReLU, and halving by a max pool or by the convolution's stride.

    Args:
        inputs: Input channels.
        outputs: Output channels.
        strided: Whether to halve by stride 2 in the convolution instead of by a max pool.
        norm: The batch norm policy, see :data:`Norm`.
        scale: Whether batch norm has a learned scale (gamma).
        steps: With ``per-step``, the number of inner steps with statistics of their own; later
            steps share the last.
    """

    def __init__(
        self, inputs: int, outputs: int, *, strided: bool, norm: Norm, scale: bool, steps: int
    ) -> None:
        super().__init__()
        self.stride = 2 if strided else 1
        # No bias: batch norm would remove it.
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
        """Map ``[B, inputs, H, W]`` to ``[B, outputs, H', W']``."""
        x = F.conv2d(x, self.weight, stride=self.stride, padding=1)
        own_statistics = self.training or self.running_mean is None
        # Without a scale, PyTorch's double backward fails on the gradient of the shift.
        gamma = torch.ones_like(self.beta) if self.gamma is None else self.gamma
        x = F.batch_norm(x, *self._running(), gamma, self.beta, own_statistics)
        return self._pool_and_relu(x)

    def _running(self) -> tuple[Tensor | None, Tensor | None]:
        """Returns the running mean and variance; with ``per-step``, of the current inner step."""
        mean, var = self.running_mean, self.running_var
        if mean is None or var is None or mean.ndim == 1:
            return mean, var
        row = min(current_step(), len(mean) - 1)
        return mean[row], var[row]

    def _pool_and_relu(self, x: Tensor) -> Tensor:
        # The pool first, which leaves a quarter of the values to the ReLU: both are monotone, so
        # they commute.
        return F.relu(F.max_pool2d(x, 2) if self.stride == 1 else x)

    def forward_grouped(
        self, params: Params, prefix: str, x: Tensor, statistics_of: int = 0
    ) -> Tensor:
        """Map all tasks by one grouped convolution, with batch norm by the batch's statistics.

        Args:
            params: Parameters ``[T, ...]`` by their full name.
            prefix: The prefix of this block's parameters.
            x: ``[B, T * inputs, H, W]``.
            statistics_of: Take the statistics of the first so many images only; 0 means of all.

        Returns:
            ``[B, T * outputs, H', W']``.
        """
        weight = params[f"{prefix}weight"]
        # In the layout of the images: a convolution of unlike layouts takes twice the time.
        kernels = channels_last(weight.flatten(0, 1))
        beta = params[f"{prefix}beta"].flatten()
        gamma = torch.ones_like(beta) if self.gamma is None else params[f"{prefix}gamma"].flatten()
        x = F.conv2d(x, kernels, stride=self.stride, padding=1, groups=len(weight))
        if statistics_of:
            x = _normalize(x, gamma, beta, like=x[:statistics_of])
        else:
            # Not functional.batch_norm, which refuses a batch of a single value.
            x = torch.batch_norm(x, gamma, beta, None, None, True, 0.0, EPS, True)
        return self._pool_and_relu(x)

    def forward_twice(self, params: Params, prefix: str, x: Tensor) -> Tensor:
        """Map all tasks by a grouped convolution whose second derivative is fast; needs a max pool.

        Args:
            params: Parameters ``[T, ...]`` by their full name.
            prefix: The prefix of this block's parameters.
            x: ``[B, T * inputs, H, W]``, channels last.

        Returns:
            ``[B, T * outputs, H', W']``, channels last.
        """
        weight = params[f"{prefix}weight"]
        kernels = channels_last(weight.flatten(0, 1))
        y = convolve(x, kernels, self.stride, len(weight)).permute(0, 2, 3, 1)
        gamma = None if self.gamma is None else params[f"{prefix}gamma"].reshape(1, -1)
        rows = y.reshape(1, -1, y.shape[3])
        maps = batch_norm_relu(rows, gamma, params[f"{prefix}beta"].reshape(1, -1)).view(y.shape)
        return max_pool(maps).permute(0, 3, 1, 2)

    def forward_unfolded(self, params: Params, prefix: str, x: Tensor) -> Tensor:
        """Map all tasks by one batched matrix product; needs a stride instead of a max pool.

        Args:
            params: Parameters ``[T, ...]`` by their full name.
            prefix: The prefix of this block's parameters.
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


def _normalize(x: Tensor, gamma: Tensor, beta: Tensor, *, like: Tensor) -> Tensor:
    """Normalise ``x`` ``[B, C, H, W]`` by the statistics of ``like``; differentiable in both."""
    variance, mean = torch.var_mean(raised(like), (0, 2, 3), correction=0)
    inverse = (variance + EPS).rsqrt()
    # PyTorch's fused function passes no derivative to its running statistics, so it is that of
    # weight and bias, whose values are gamma and beta. Elementwise functions take longer: 873 ms
    # against 761 an outer step of ANIL (Conv4-64, 4 tasks of 75 queries).
    fixed_mean, fixed_variance = mean.detach(), variance.detach()
    weight = gamma * inverse * (fixed_variance + EPS).sqrt()
    bias = beta - (mean - fixed_mean) * gamma * inverse
    return F.batch_norm(x, fixed_mean, fixed_variance, weight, bias, False, 0.0, EPS)
