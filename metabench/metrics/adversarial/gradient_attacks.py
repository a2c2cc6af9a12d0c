"""Gradient attacks on the queries of many episodes at once.

foolbox and torchattacks attack one model; here every episode has a predictor of its own, and all
are attacked in one batch. Tests compare the attacks with foolbox step by step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from metabench.algorithms.base import Predictor
from metabench.errors import NotApplicable
from metabench.metrics.adversarial.ball import Ball

LossName = Literal["cross-entropy", "margin"]


def attack_loss(name: LossName, logits: Tensor, labels: Tensor) -> Tensor:
    r"""Returns the loss that an attacker maximizes, one value per query, ``[T, Q]``.

    .. math:: -\log p_y \qquad \text{or} \qquad \max_{k \ne y} z_k - z_y

    The margin is positive if the query is classified wrongly. Unlike the gradient of the
    cross-entropy, its gradient does not vanish for a confident predictor.

    Args:
        name: ``cross-entropy`` or ``margin``.
        logits: ``[T, Q, ways]``.
        labels: int64 ``[T, Q]``.
    """
    if name == "cross-entropy":
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        return loss.view(labels.shape)
    is_label = F.one_hot(labels, logits.shape[-1]).bool()
    of_label = logits.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    return logits.masked_fill(is_label, -torch.inf).amax(-1) - of_label


def input_gradient(
    predict: Predictor, x: Tensor, labels: Tensor, loss: LossName = "cross-entropy"
) -> tuple[Tensor, Tensor]:
    """Returns the gradient of each query's loss by its input, and the logits.

    Args:
        predict: Maps ``[T, Q, *input]`` to logits ``[T, Q, ways]``.
        x: Queries.
        labels: int64 ``[T, Q]``.
        loss: The loss.

    Returns:
        ``[T, Q, *input]`` without values that are not finite, and ``[T, Q, ways]``.

    Raises:
        NotApplicable: If no gradient reaches the input.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        logits = predict(x)
        gradient = None
        if logits.requires_grad:
            # The sum over queries: each loss depends on its own query alone, or, if transductive,
            # the joint attack maximizes the total.
            total = attack_loss(loss, logits, labels).sum()
            (gradient,) = torch.autograd.grad(total, x, allow_unused=True)
    if gradient is None:
        raise NotApplicable("the predictor detaches its input: no gradient reaches it.")
    # One query without a finite gradient must not stop the attack on the others.
    return torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0), logits.detach()


def fgsm(predict: Predictor, x: Tensor, labels: Tensor, ball: Ball) -> Tensor:
    r"""Take one step to the border of the ball (fast gradient method).

    .. math:: x' = \Pi\big(x + \epsilon \, \operatorname{sign} \nabla_x L(f(x), y)\big)

    Reference: Goodfellow, Shlens and Szegedy 2015, arXiv:1412.6572, section 4.

    Args:
        predict: Maps ``[T, Q, *input]`` to logits ``[T, Q, ways]``.
        x: Clean queries.
        labels: int64 ``[T, Q]``.
        ball: Constraint on the attacked queries.

    Raises:
        NotApplicable: If no gradient reaches the input.
    """
    gradient, _ = input_gradient(predict, x, labels)
    return ball.project(x + ball.radius * ball.steepest(gradient), x)


def pgd(
    predict: Predictor,
    x: Tensor,
    labels: Tensor,
    ball: Ball,
    *,
    steps: int = 20,
    start: Tensor | None = None,
    loss: LossName = "cross-entropy",
) -> Tensor:
    r"""Run projected gradient ascent and return the last point.

    .. math::
        x_{i+1} = \Pi\big(x_i + \tfrac{\epsilon}{4} \operatorname{sign} \nabla_x L(f(x_i), y)\big)

    Reference: Madry et al. 2018, arXiv:1706.06083, section 2.1.

    Args:
        predict: Maps ``[T, Q, *input]`` to logits ``[T, Q, ways]``.
        x: Clean queries.
        labels: int64 ``[T, Q]``.
        ball: Constraint on the attacked queries.
        steps: Number of gradient steps.
        start: First point; by default the clean queries.
        loss: The loss to maximize.

    Raises:
        NotApplicable: If no gradient reaches the input.
    """
    attacked = x if start is None else start
    for _ in range(steps):
        gradient, _ = input_gradient(predict, attacked, labels, loss)
        # A quarter of the radius: 2/255 in a ball of 8/255, as in the few-shot literature.
        attacked = ball.project(attacked + ball.radius / 4 * ball.steepest(gradient), x)
    return attacked


Attempt = Callable[[int, Tensor | None], Tensor]
"""Maps the number of an attempt and the positions ``[T, K]`` of queries (``None`` for all ``Q``) to
those queries attacked, ``[T, K, *input]``."""


def strongest_of(
    predict: Predictor,
    x: Tensor,
    labels: Tensor,
    attempts: int,
    attempt: Attempt,
    *,
    start: Tensor | None = None,
    joint: bool = True,
) -> Tensor:
    """Returns the strongest of several attempts for each query, by its margin.

    Attempts end when every query is classified wrongly.

    Args:
        predict: Maps ``[T, Q, *input]`` to logits ``[T, Q, ways]``.
        x: Clean queries.
        labels: int64 ``[T, Q]``.
        attempts: Number of attempts.
        attempt: Runs one attempt.
        start: Known attacked queries, such as the strongest of a smaller ball; by default ``x``.
        joint: Attack all queries in each attempt, as a transductive method needs; otherwise only
            those that are still classified correctly.

    Returns:
        ``[T, Q, *input]``.
    """
    best = x if start is None else start
    margin = _margins(predict, best, labels)
    for i in range(attempts):
        # A tie (margin 0) may still be classified correctly.
        correct = margin <= 0
        if not bool(correct.any()):
            break
        positions = None
        if not joint:
            # As many queries per episode as the most that one episode still needs.
            positions = correct.long().argsort(1, descending=True)[:, : correct.sum(1).max()]
        attacked = attempt(i, positions)
        found = _margins(predict, attacked, select(labels, positions))
        old = select(margin, positions)
        stronger = found > old
        shape = (*stronger.shape, *[1] * (x.ndim - 2))
        chosen = torch.where(stronger.view(shape), attacked, select(best, positions))
        best = _put(best, positions, chosen)
        margin = _put(margin, positions, torch.where(stronger, found, old))
    return best


def select(x: Tensor, positions: Tensor | None) -> Tensor:
    """Returns the queries ``[T, K, ...]`` at positions ``[T, K]`` of all ``[T, Q, ...]``.

    ``None`` returns all.
    """
    return x if positions is None else x.take_along_dim(_expand(positions, x), 1)


def _put(x: Tensor, positions: Tensor | None, values: Tensor) -> Tensor:
    """Returns all queries with those at some positions replaced."""
    if positions is None:
        return values
    return x.scatter(1, _expand(positions, values).expand_as(values), values)


def _expand(positions: Tensor, x: Tensor) -> Tensor:
    return positions.view(*positions.shape, *[1] * (x.ndim - 2))


@torch.no_grad()
def _margins(predict: Predictor, x: Tensor, labels: Tensor) -> Tensor:
    return attack_loss("margin", predict(x), labels)
