"""Attacks whose gradient flows through the adaptation: on the support set, or on both sets."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import torch
from torch import Tensor

from metabench.episodes import TaskBatch
from metabench.errors import NotApplicable
from metabench.metrics.adversarial.ball import Ball
from metabench.metrics.adversarial.gradient_attacks import attack_loss
from metabench.metrics.base import values_or_reason
from metabench.metrics.perturbation import PerturbedSet
from metabench.metrics.scoring import (
    adaptable_batch_size,
    iter_episodes,
    score_episodes,
    score_perturbed,
    summarize_drop,
)
from metabench.metrics.trial import Trial


def pgd_through_adaptation(
    trial: Trial,
    batch: TaskBatch,
    indices: Tensor,
    ball: Ball,
    *,
    steps: int,
    query: bool = False,
    mask: Tensor | None = None,
) -> TaskBatch | None:
    r"""Run projected gradient ascent on the support set that a method adapts to.

    .. math:: \max_{\lVert \delta \rVert, \lVert \eta \rVert \le \epsilon}
        \sum_{(x, y) \in Q} L\big(f_{S + \delta}(x + \eta), y\big)

    Steps of a quarter of the radius from the clean images; the last point counts. All images of the
    support set move together: it is one joint attack on all queries of an episode.

    Reference: Madry et al. 2018, arXiv:1706.06083, section 2.1; Oldewage, Bronskill and Turner
    2020, arXiv:2012.08255 (the support set).

    Args:
        trial: The trained algorithm.
        batch: The episodes; 1 if the algorithm has no ``adapt_batch``.
        indices: Their indices, int64 ``[T]``.
        ball: Constraint on each image.
        steps: Gradient steps.
        query: Whether to attack the queries too.
        mask: Support images that may change, bool ``[T, S]``; by default all.

    Returns:
        The attacked episodes; ``None`` if no gradient reaches the support set.
    """
    allowed: Tensor | float = 1.0
    if mask is not None:
        allowed = mask.view(*mask.shape, *[1] * (batch.support_x.ndim - 2))
    attacked = batch
    for _ in range(steps):
        # Isolated in each step: every adaptation draws the same random numbers, so that the
        # gradients are those of one function.
        with trial.isolated(int(indices[0])), torch.enable_grad():
            gradients = _gradients(trial, attacked, query=query)
        if gradients is None or not bool(gradients[0].any()):
            return None

        def step(x: Tensor, clean: Tensor, gradient: Tensor) -> Tensor:
            gradient = torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
            return ball.project(x + ball.radius / 4 * ball.steepest(gradient), clean)

        support_x = step(attacked.support_x, batch.support_x, gradients[0] * allowed)
        query_x = attacked.query_x
        if query:
            query_x = step(query_x, batch.query_x, gradients[1])
        attacked = dataclasses.replace(attacked, support_x=support_x, query_x=query_x)
    return attacked


def attack_adaptation(
    trial: Trial,
    episodes: int,
    balls: list[Ball],
    perturbed: PerturbedSet,
    *,
    steps: int,
    batch_size: int,
) -> dict[str, Any]:
    """Returns the score under attack in each ball, for the values of a metric.

    Args:
        trial: The trained algorithm.
        episodes: Number of test episodes, from the first on.
        balls: Constraints on each image.
        perturbed: ``support`` or ``both``.
        steps: Gradient steps.
        batch_size: Episodes attacked together.

    Returns:
        By the name of the ball, :func:`~metabench.metrics.scoring.summarize_drop` or the reason
        why there is none.
    """
    clean = score_perturbed(trial, episodes)
    batch_size = adaptable_batch_size(trial, batch_size)

    def attack_in(ball: Ball) -> dict[str, Any]:
        scores = []
        for indices, batch in iter_episodes(trial, episodes, batch_size=batch_size):
            attacked = pgd_through_adaptation(
                trial, batch, indices, ball, steps=steps, query=perturbed == "both"
            )
            if attacked is None:
                raise NotApplicable(
                    f"no gradient runs through the adaptation of '{trial.model.name}'."
                )
            outputs = trial.predict(attacked, start=int(indices[0]))
            scores.append(score_episodes(outputs, attacked.query_y))
        return summarize_drop(clean, torch.cat(scores)) | {"episodes": len(clean)}

    return {
        f"pgd-{ball.name}": values_or_reason(functools.partial(attack_in, ball)) for ball in balls
    }


def _gradients(trial: Trial, batch: TaskBatch, *, query: bool) -> tuple[Tensor, ...] | None:
    """Returns the gradients of the queries' loss by the support inputs (and the queries).

    ``None`` if the adaptation has no graph to the support inputs.
    """
    support_x = batch.support_x.detach().requires_grad_()
    query_x = batch.query_x.detach().requires_grad_(query)
    try:
        support = dataclasses.replace(batch.support, x=support_x, keep_graph=True)
        predict = trial.adapted(support)
        loss = attack_loss("cross-entropy", predict(query_x), batch.query_y).sum()
        return torch.autograd.grad(loss, [support_x, query_x] if query else [support_x])
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        # PyTorch reports every adaptation that it cannot differentiate with its own message:
        # no graph, an operation without a derivative, a tensor changed in place.
        return None
