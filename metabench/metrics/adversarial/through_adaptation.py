"""Attacks whose gradient runs through the adaptation itself: on the support, or on support and query."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import torch
from torch import Tensor

from metabench.episodes import TaskBatch
from metabench.errors import NotApplicable
from metabench.metrics.adversarial.attacks import Ball, losses
from metabench.metrics.base import part
from metabench.metrics.images import Where
from metabench.metrics.scoring import at_once, first, score_changed, score_episodes, summary
from metabench.metrics.trial import Trial


def pgd_through(
    trial: Trial,
    batch: TaskBatch,
    indices: Tensor,
    ball: Ball,
    *,
    steps: int,
    query: bool = False,
    mask: Tensor | None = None,
) -> TaskBatch | None:
    r"""Projected gradient ascent on what a method adapts to.

    .. math:: \max_{\lVert \delta \rVert, \lVert \eta \rVert \le \epsilon}
        \sum_{(x, y) \in Q} L\big(f_{S + \delta}(x + \eta), y\big)

    In steps of a quarter of the radius from the clean pictures; the last point counts. It moves every picture
    of the support at once, so it is one joint attack on all queries of an episode.

    Reference: Madry et al. 2018, arXiv:1706.06083, section 2.1; Oldewage, Bronskill and Turner 2020,
    arXiv:2012.08255 (the support).

    Args:
        trial: the trained algorithm.
        batch: some episodes; 1 where the algorithm has no ``adapt_batch``.
        indices: int64 ``[T]``, their indices.
        ball: where each picture may go.
        steps: gradient steps.
        query: move the queries too.
        mask: bool ``[T, S]``: the support pictures that may be moved; by default all.

    Returns:
        The attacked episodes; nothing where no gradient reaches the support.
    """
    allowed: Tensor | float = 1.0
    if mask is not None:
        allowed = mask.view(*mask.shape, *[1] * (batch.support_x.ndim - 2))
    moved = batch
    for _ in range(steps):
        with trial.isolated(int(indices[0])), torch.enable_grad():
            found = _gradients(trial, moved, query=query)
        if found is None or not bool(found[0].any()):
            return None

        def step(x: Tensor, clean: Tensor, gradient: Tensor) -> Tensor:
            gradient = torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
            return ball.project(x + ball.radius / 4 * ball.steepest(gradient), clean)

        support_x = step(moved.support_x, batch.support_x, found[0] * allowed)
        query_x = step(moved.query_x, batch.query_x, found[1]) if query else moved.query_x
        moved = dataclasses.replace(moved, support_x=support_x, query_x=query_x)
    return moved


def attack_adaptation(
    trial: Trial, episodes: int, balls: list[Ball], where: Where, *, steps: int, batch_size: int
) -> dict[str, Any]:
    """What is left of the score in each ball, for the values of a metric.

    Args:
        trial: the trained algorithm.
        episodes: the first so many test episodes.
        balls: where each picture may go.
        where: ``support`` or ``both``.
        steps: gradient steps.
        batch_size: episodes attacked at once.

    Returns:
        By the name of the ball, a :func:`~metabench.metrics.scoring.summary` or why there is none.
    """
    clean = score_changed(trial, episodes)

    def left(ball: Ball) -> dict[str, Any]:
        scores = []
        for indices, batch in first(trial, episodes, batch=at_once(trial, batch_size)):
            found = pgd_through(trial, batch, indices, ball, steps=steps, query=where == "both")
            if found is None:
                raise NotApplicable(
                    f"no gradient runs through the adaptation of '{trial.algorithm.name}'."
                )
            scores.append(
                score_episodes(trial.predict(found, start=int(indices[0])), found.query_y)
            )
        return summary(clean, torch.cat(scores)) | {"episodes": len(clean)}

    return {f"pgd-{ball.name}": part(functools.partial(left, ball)) for ball in balls}


def _gradients(trial: Trial, batch: TaskBatch, *, query: bool) -> tuple[Tensor, ...] | None:
    """The gradients of the queries' loss by the support (and by the queries); nothing without a graph."""
    support_x = batch.support_x.detach().requires_grad_()
    query_x = batch.query_x.detach().requires_grad_(query)
    try:
        support = dataclasses.replace(batch.support, x=support_x, keep_graph=True)
        predict = trial.adapted(support)
        loss = losses("cross-entropy", predict(query_x), batch.query_y).sum()
        return torch.autograd.grad(loss, [support_x, query_x] if query else [support_x])
    except torch.OutOfMemoryError:
        raise
    except RuntimeError:
        # PyTorch says so of every adaptation that it cannot differentiate, each in its own words.
        return None
