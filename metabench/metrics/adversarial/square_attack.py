"""The Square attack on many episodes at once; it needs no gradient."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from metabench.metrics.perturbation import uniform_numbers

# The schedule and the first share are those of AutoAttack's implementation.
SCHEDULE = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""Iterations, of 10,000, after which the area of the squares is halved."""
FIRST_SHARE = 0.8
"""Share of the image that the first squares cover."""

Objective = Callable[[Tensor], Tensor]
"""Maps images ``[T, N, C, H, W]`` to the objective: ``[T, N]``, or ``[T, 1]`` for all jointly."""


def square_attack(
    objective: Objective,
    x: Tensor,
    indices: Tensor,
    radius: float,
    *,
    iterations: int,
    mask: Tensor | None = None,
) -> Tensor:
    """Maximize an objective in an L-inf ball by random search with squares.

    A square is kept if the objective rises; per image if the objective is, else for all images of
    an episode.

    Reference: Andriushchenko et al. 2020, arXiv:1912.00049, algorithms 1 and 2; the schedule of
    AutoAttack, scaled to the number of iterations.

    Args:
        objective: The objective.
        x: Clean images ``[T, N, C, H, W]`` in ``[0, 1]``.
        indices: Indices of the episodes, int64 ``[T]``, which seed the search.
        radius: Radius of the ball.
        iterations: Evaluations of the objective after the first two.
        mask: Images that may change, bool ``[T, N]``; by default all.

    Returns:
        The attacked images.
    """
    tasks, count, channels, _, width = x.shape
    allowed = torch.ones_like(x[:, :, 0, 0, 0], dtype=torch.bool) if mask is None else mask
    allowed = allowed.view(tasks, count, 1, 1, 1)

    def within(change: Tensor) -> Tensor:
        return torch.where(allowed, (x + change).clamp(0, 1), x)

    # The paper's start: vertical stripes of random sign.
    numbers = uniform_numbers(indices, count * channels * width, "square", "stripes")
    stripes = _signs(numbers.view(tasks, count, channels, 1, width)).to(x.dtype) * radius
    best, value = x, objective(x).detach()
    best, value = _accept(objective, best, value, within(stripes.expand_as(x)))
    for i in range(iterations):
        numbers = uniform_numbers(indices, count * (2 + channels), "square", i)
        window, signs = _square(x, numbers.view(tasks, count, -1), _side(x, i, iterations))
        proposal = torch.where(window, within(signs * radius), best)
        best, value = _accept(objective, best, value, proposal)
    return best


def _accept(
    objective: Objective, best: Tensor, value: Tensor, proposal: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns the better of the best images and a proposal, with its objective."""
    found = objective(proposal).detach()
    better = found > value
    images = torch.where(better.view(*better.shape, 1, 1, 1), proposal, best)
    return images, torch.where(better, found, value)


def _side(x: Tensor, iteration: int, iterations: int) -> int:
    """Returns the side of the squares of an iteration, in pixels."""
    of_10_000 = iteration / iterations * 10_000
    share = FIRST_SHARE / 2 ** sum(of_10_000 > mark for mark in SCHEDULE)
    height, width = x.shape[-2:]
    return min(max(1, round(math.sqrt(share * height * width))), height, width)


def _square(x: Tensor, numbers: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Draw a square in each image, bool ``[T, N, 1, H, W]``, and a sign for each channel."""
    height, width = x.shape[-2:]
    top = (numbers[..., :1] * (height - side + 1)).long()
    left = (numbers[..., 1:2] * (width - side + 1)).long()
    rows, columns = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    in_rows = (rows >= top) & (rows < top + side)
    in_columns = (columns >= left) & (columns < left + side)
    window = (in_rows.unsqueeze(-1) & in_columns.unsqueeze(-2)).unsqueeze(2)
    return window, _signs(numbers[..., 2:, None, None]).to(x.dtype)


def _signs(numbers: Tensor) -> Tensor:
    return (numbers < 0.5) * 2 - 1
