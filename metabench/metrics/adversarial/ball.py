"""The norm ball that an adversarial example stays in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from metabench.errors import UsageError

Norm = Literal["linf", "l2"]


@dataclass(frozen=True)
class Ball:
    """Images within a radius of the clean ones, and in ``[0, 1]``.

    Args:
        norm: ``linf`` or ``l2``, over all values of one image.
        radius: Radius above 0.

    Raises:
        UsageError: If the radius is not a positive finite number.
    """

    norm: Norm
    radius: float

    def __post_init__(self) -> None:
        if not 0 < self.radius < float("inf"):
            raise UsageError(
                f"an attack cannot have the radius {self.radius}.",
                hint="A radius is a number above 0.",
            )

    @property
    def name(self) -> str:
        """Name in records, for example ``linf-0.1``."""
        return f"{self.norm}-{self.radius:.4g}"

    def project(self, x: Tensor, clean: Tensor) -> Tensor:
        """Project images ``[T, Q, *input]`` into the ball around ``clean``, then to ``[0, 1]``."""
        change = x - clean
        if self.norm == "linf":
            change = change.clamp(-self.radius, self.radius)
        else:
            change = change * (self.radius / _l2_norms(change).clamp_min(1e-12)).clamp_max(1)
        # Clamping moves values towards the clean image, so the result stays in the ball.
        return (clean + change).clamp(0, 1)

    def distance(self, x: Tensor, clean: Tensor) -> Tensor:
        """Returns the distance of each image from the clean one, ``[T, Q]``."""
        change = (x - clean).flatten(2)
        return change.abs().amax(-1) if self.norm == "linf" else change.norm(dim=-1)

    def steepest(self, gradient: Tensor) -> Tensor:
        """Returns the direction of steepest ascent of norm 1: sign or normalised gradient."""
        if self.norm == "linf":
            return gradient.sign()
        return gradient / _l2_norms(gradient).clamp_min(1e-12)

    def random(self, clean: Tensor, numbers: Tensor) -> Tensor:
        """Returns random images in the ball: uniform in L-inf, on the sphere in L2.

        Args:
            clean: ``[T, Q, *input]``.
            numbers: Standard normal numbers of the same shape.
        """
        if self.norm == "linf":
            # The normal cumulative distribution makes the numbers uniform again.
            uniform = torch.special.ndtr(numbers).mul(2).sub(1)
            return self.project(clean + self.radius * uniform.to(clean.dtype), clean)
        return self.project(clean + self.radius * self.steepest(numbers.to(clean.dtype)), clean)


def _l2_norms(x: Tensor) -> Tensor:
    """Returns the Euclidean norm of each image, ``[T, Q, 1, ...]``."""
    norms: Tensor = x.flatten(2).norm(dim=-1)
    return norms.view(*x.shape[:2], *[1] * (x.ndim - 2))
