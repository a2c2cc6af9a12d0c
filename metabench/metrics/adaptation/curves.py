"""Summaries of an adaptation curve."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def area(steps: Sequence[int], scores: Tensor) -> Tensor:
    r"""Returns the mean height of a curve over ``log(1 + steps)``, by the trapezoid rule.

    .. math:: A = \frac{1}{\log(1 + K)} \int_0^K s(k) \, d \log(1 + k)

    A curve that starts at its final height has that area; late gains count little.

    Args:
        steps: Ascending numbers of inner steps, the first 0.
        scores: Score after each, ``[..., len(steps)]``.

    Returns:
        ``[...]``, in the unit of the scores.

    >>> area([0, 1, 3], torch.tensor([0.0, 1.0, 1.0]))
    tensor(0.7500)
    """
    time = torch.tensor([math.log1p(k) for k in steps], dtype=scores.dtype, device=scores.device)
    return torch.trapezoid(scores, time, dim=-1) / time[-1]


def steps_to(steps: Sequence[int], scores: Sequence[float], threshold: float) -> int | None:
    """Returns the first number of steps whose score reaches the threshold, or ``None``.

    >>> steps_to([0, 1, 5], [0.2, 0.8, 0.9], 0.8)
    1
    """
    return next((k for k, score in zip(steps, scores, strict=True) if score >= threshold), None)


def nearly_best(scores: Sequence[float], *, share: float = 0.95, regression: bool = False) -> float:
    """Returns 95 % of a curve's best score.

    In regression, where a score is minus an error, it is 95 % of the way from the first to the
    best score.

    >>> nearly_best([0.2, 0.8, 1.0])
    0.95
    """
    best = max(scores)
    return scores[0] + share * (best - scores[0]) if regression else share * best
