"""The Square attack, which needs no gradient, on many episodes at once."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from metabench.metrics.images import uniform_numbers

SCHEDULE = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""The iterations, of 10,000, after which the squares shrink to half their area."""
FIRST_SHARE = 0.8
"""Of the picture that the first squares cover."""

Objective = Callable[[Tensor], Tensor]
"""Pictures ``[T, N, C, H, W]`` to what is made large: ``[T, N]``, or ``[T, 1]`` for all together."""


def square_attack(
    objective: Objective,
    x: Tensor,
    indices: Tensor,
    radius: float,
    *,
    iterations: int,
    mask: Tensor | None = None,
) -> Tensor:
    """Random search by squares of full strength, L-inf; each is kept where it makes the objective larger.

    Where the pictures of an episode are scored one by one, each keeps its own squares.

    Reference: Andriushchenko et al. 2020, arXiv:1912.00049, algorithms 1 and 2; the schedule of AutoAttack,
    shrunk to the number of iterations.

    Args:
        objective: what is made large.
        x: clean pictures ``[T, N, C, H, W]`` in ``[0, 1]``.
        indices: int64 ``[T]``, the episodes' indices, which seed the search.
        radius: of the ball.
        iterations: how often the predictor is asked, after the start.
        mask: bool ``[T, N]``: the pictures that may be changed; by default all.

    Returns:
        The attacked pictures.
    """
    tasks, count, channels, _, width = x.shape
    allowed = torch.ones_like(x[:, :, 0, 0, 0], dtype=torch.bool) if mask is None else mask
    allowed = allowed.view(tasks, count, 1, 1, 1)

    def within(change: Tensor) -> Tensor:
        return torch.where(allowed, (x + change).clamp(0, 1), x)

    numbers = uniform_numbers(indices, count * channels * width, "square", "stripes")
    stripes = _signs(numbers.view(tasks, count, channels, 1, width)).to(x.dtype) * radius
    best, value = x, objective(x).detach()
    best, value = _better(objective, best, value, within(stripes.expand_as(x)))
    for i in range(iterations):
        numbers = uniform_numbers(indices, count * (2 + channels), "square", i)
        window, signs = _square(x, numbers.view(tasks, count, -1), _side(x, i, iterations))
        proposal = torch.where(window, within(signs * radius), best)
        best, value = _better(objective, best, value, proposal)
    return best


def _better(
    objective: Objective, best: Tensor, value: Tensor, proposal: Tensor
) -> tuple[Tensor, Tensor]:
    found = objective(proposal).detach()
    better = found > value
    return torch.where(better.view(*better.shape, 1, 1, 1), proposal, best), torch.where(
        better, found, value
    )


def _side(x: Tensor, iteration: int, iterations: int) -> int:
    """The side of the squares of an iteration, in pixels."""
    place = iteration / iterations * 10_000
    share = FIRST_SHARE / 2 ** sum(place > mark for mark in SCHEDULE)
    height, width = x.shape[-2:]
    return min(max(1, round(math.sqrt(share * height * width))), height, width)


def _square(x: Tensor, numbers: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """A square at a random place of each picture, bool ``[T, N, 1, H, W]``, and a sign for each channel."""
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
