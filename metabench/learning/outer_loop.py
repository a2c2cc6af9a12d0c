"""The outer loop of methods that differentiate through their inner loop."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from metabench.episodes import TaskBatch, TaskStream
from metabench.learning.divergence import locate_divergence
from metabench.learning.gradient_based import GradientBased
from metabench.learning.schedules import cosine


def descend_query_loss(
    method: GradientBased,
    tasks: TaskStream,
    batches: Iterable[TaskBatch],
    parameters: Iterable[nn.Parameter],
    *,
    lr: float,
    anneal: bool = True,
    clip: float = 0.0,
) -> None:
    r"""Descend the query loss after the inner loop with Adam.

    .. math::
        \theta \leftarrow \theta - \beta \nabla_\theta \tfrac1T \textstyle\sum_t
        L^\text{query}_t(\theta'_t)

    Reference: Finn, Abbeel and Levine 2017, arXiv:1703.03400, algorithm 2, lines 10 and 11.

    Args:
        method: The method whose trajectory gives the adapted parameters :math:`\theta'_t`.
        tasks: The stream, which is told of the loss.
        batches: The tasks of each outer step.
        parameters: What is learned.
        lr: The learning rate :math:`\beta`.
        anneal: Whether the learning rate falls to 0 along half a cosine.
        clip: The norm to which the outer gradient is clipped; 0 for no clipping.

    Raises:
        DivergedError: If the loss is not finite; it names the inner step.
    """
    optimizer = tasks.keep(torch.optim.Adam(parameters, lr=lr))
    with method.outer_gradient() as outer_gradient:
        for batch in batches:
            loss = outer_gradient(batch)
            # Before the outer step, after which no parameter would be finite.
            with locate_divergence(method.query_losses_by_step(batch), steps=method.inner_steps):
                tasks.log(loss)
            outer_step(optimizer, lr=lr * (cosine(tasks.progress) if anneal else 1), clip=clip)


def outer_step(optimizer: torch.optim.Optimizer, *, lr: float, clip: float = 0.0) -> None:
    """Take one step down the gradients in ``.grad``.

    Args:
        optimizer: The optimiser of the outer loop.
        lr: The learning rate of this step.
        clip: The norm to which the gradient is clipped; 0 for no clipping.
    """
    for group in optimizer.param_groups:
        group["lr"] = lr
        if clip:
            nn.utils.clip_grad_norm_(group["params"], clip)
    optimizer.step()
