"""Corruptions of images, computed for a whole batch on its device.

torchvision has some of them, but not as functions of given random numbers, and is not a dependency;
scipy.ndimage runs on the CPU, one image at a time. A different implementation would also change the
scores of existing records in their last bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from metabench.errors import UsageError
from metabench.metrics.perturbation import ImageTransform, normal_numbers, uniform_numbers

SEVERITIES = (1, 2, 3, 4, 5)
SIDE = 28
"""Image width that lengths in the table of severities refer to; they scale with the width."""

Apply = Callable[[Tensor, float, Tensor], Tensor]
GRID = 5
"""Knots along each side of the displacement field of an elastic transform."""


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption.

    Args:
        levels: Its strength at severities 1 to 5.
        numbers: Maps the image shape ``C, H, W`` to the number of uniform random numbers needed.
        apply: Maps images ``[B, C, H, W]`` in ``[0, 1]``, a level and numbers ``[B, numbers]`` to
            images, which are clamped to ``[0, 1]`` afterwards.
    """

    levels: tuple[float, float, float, float, float]
    numbers: Callable[[int, int, int], int]
    apply: Apply


def corrupt(name: str, severity: int) -> ImageTransform:
    """Returns the image transform of a corruption.

    Args:
        name: One of :data:`CORRUPTIONS`.
        severity: 1 to 5.

    Raises:
        UsageError: If there is no such corruption or severity.
    """
    if name not in CORRUPTIONS or severity not in SEVERITIES:
        raise UsageError(
            f"there is no corruption '{name}' of severity {severity}.",
            hint=f"The corruptions are {', '.join(CORRUPTIONS)}, each with severity 1 to 5.",
        )
    kind = CORRUPTIONS[name]

    def transform(x: Tensor, indices: Tensor, role: str) -> Tensor:
        tasks, examples, *shape = x.shape
        count = kind.numbers(*shape)
        # The key does not hold the severity: an episode gets the same random numbers at all of
        # them, so that a growing drop is the effect of the severity alone.
        numbers = uniform_numbers(indices, examples * count, "corruption", name, role)
        images = x.flatten(0, 1)
        numbers = numbers.view(tasks * examples, count)
        corrupted = kind.apply(images, kind.levels[severity - 1], numbers)
        return corrupted.clamp(0, 1).to(x.dtype).view_as(x)

    return transform


def _gaussian(x: Tensor, sd: float, numbers: Tensor) -> Tensor:
    return x + sd * normal_numbers(numbers).view_as(x)


def _shot(x: Tensor, photons: float, numbers: Tensor) -> Tensor:
    # Poisson noise in its normal limit, which keeps one random number per value.
    return x + (x / photons).sqrt() * normal_numbers(numbers).view_as(x)


def _impulse(x: Tensor, share: float, numbers: Tensor) -> Tensor:
    numbers = numbers.view_as(x)
    # Half of the corrupted values become 1, the other half 0.
    salted = torch.where(numbers < share, 1.0, x)
    return torch.where(numbers < share / 2, 0.0, salted)


def _blur(x: Tensor, sd: float, numbers: Tensor) -> Tensor:
    del numbers
    sd *= x.shape[-1] / SIDE
    radius = min(max(1, round(3 * sd)), *(side - 1 for side in x.shape[-2:]))
    offsets = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-(offsets**2) / (2 * sd**2))
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, -1)
    channels = x.shape[1]
    # A Gaussian is separable: rows, then columns.
    rows = F.conv2d(F.pad(x, (radius, radius, 0, 0), mode="replicate"), kernel, groups=channels)
    column = kernel.transpose(-1, -2)
    return F.conv2d(F.pad(rows, (0, 0, radius, radius), mode="replicate"), column, groups=channels)


def _contrast(x: Tensor, factor: float, numbers: Tensor) -> Tensor:
    del numbers
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * factor + mean


def _brightness(x: Tensor, added: float, numbers: Tensor) -> Tensor:
    del numbers
    return x + added


def _pixelate(x: Tensor, share: float, numbers: Tensor) -> Tensor:
    del numbers
    height, width = x.shape[-2:]
    # Averaging down and nearest up: square blocks, as in ImageNet-C.
    small = F.interpolate(
        x, (max(1, round(height * share)), max(1, round(width * share))), mode="area"
    )
    return F.interpolate(small, (height, width), mode="nearest")


def _occlude(x: Tensor, share: float, numbers: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    tall, wide = max(1, round(height * share)), max(1, round(width * share))
    top = (numbers[:, :1] * (height - tall + 1)).long()
    left = (numbers[:, 1:] * (width - wide + 1)).long()
    rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    in_rows = (rows >= top) & (rows < top + tall)
    in_columns = (columns >= left) & (columns < left + wide)
    # Grey is neither ink nor background, so a hidden part looks like neither.
    hidden = in_rows[:, None, :, None] & in_columns[:, None, None, :]
    return torch.where(hidden, 0.5, x)


def _elastic(x: Tensor, pixels: float, numbers: Tensor) -> Tensor:
    knots = normal_numbers(numbers).to(x.dtype).view(len(x), 2, GRID, GRID)
    # grid_sample's coordinates run from -1 to 1 over the side: a pixel of 28 is 2 / 28.
    field = F.interpolate(knots, x.shape[-2:], mode="bicubic", align_corners=True) * (
        pixels * 2 / SIDE
    )
    identity = torch.eye(2, 3, device=x.device, dtype=x.dtype).expand(len(x), 2, 3)
    grid = F.affine_grid(identity, list(x.shape), align_corners=False) + field.permute(0, 2, 3, 1)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def _no_numbers(channels: int, height: int, width: int) -> int:
    del channels, height, width
    return 0


def _one_per_value(channels: int, height: int, width: int) -> int:
    return channels * height * width


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian": Corruption((0.08, 0.12, 0.18, 0.26, 0.38), _one_per_value, _gaussian),
    "shot": Corruption((60, 25, 12, 5, 3), _one_per_value, _shot),
    "impulse": Corruption((0.03, 0.06, 0.09, 0.17, 0.27), _one_per_value, _impulse),
    "blur": Corruption((0.5, 0.75, 1.0, 1.5, 2.0), _no_numbers, _blur),
    "contrast": Corruption((0.6, 0.45, 0.3, 0.2, 0.1), _no_numbers, _contrast),
    "brightness": Corruption((0.1, 0.2, 0.3, 0.4, 0.5), _no_numbers, _brightness),
    "pixelate": Corruption((0.5, 0.43, 0.36, 0.22, 0.15), _no_numbers, _pixelate),
    "occlusion": Corruption((0.2, 0.3, 0.4, 0.5, 0.6), lambda c, h, w: 2, _occlude),
    "elastic": Corruption((0.5, 0.75, 1.0, 1.5, 2.0), lambda c, h, w: 2 * GRID**2, _elastic),
}
"""The table of severities.

========== ================================================= =====================================
name       level                                             source of the levels
========== ================================================= =====================================
gaussian   standard deviation of added noise                 ImageNet-C
shot       photons of a white pixel; Poisson noise in its    ImageNet-C
           normal limit, ``x + sqrt(x / photons) n``
impulse    share of values that become 0 or 1                ImageNet-C
blur       standard deviation of a Gaussian, in pixels       chosen for 28-pixel images
contrast   factor towards the mean of the image              chosen
brightness added value                                       ImageNet-C
pixelate   side of the downscaled image, as a share          chosen
occlusion  side of a grey square, as a share                 chosen
elastic    standard deviation of a smooth shift, in pixels   chosen
========== ================================================= =====================================

Pixelation averages, and the elastic transform is bilinear: on binary strokes both also blur.

Reference: Hendrycks and Dietterich 2019 (ImageNet-C), arXiv:1903.12261.
"""
