"""The declared derivatives: `differentiable` and `gradient_order`."""

from __future__ import annotations

import torch
from torch import Tensor

from metabench.testing.check import Check, CheckFailed
from metabench.testing.instruments.gradients import watch_gradients
from metabench.testing.subject import STEPS, Subject

SLOPE_TOLERANCE = 1e-3
STEP_SIZE = 1e-6
"""Step of the finite difference."""


def differentiable(subject: Subject) -> None:
    """Gradients reach the queries as `differentiable` declares, and match the predictions."""
    declared = subject.trained().differentiable
    task = subject.task
    query = task.query_x.clone().requires_grad_()
    outputs = subject.trained().adapt(task.support)(query)
    weights = _weights(outputs)
    gradient = None
    if outputs.requires_grad:
        (gradient,) = torch.autograd.grad((weights * outputs).sum(), query, allow_unused=True)
    reached = gradient is not None and bool((gradient != 0).any())
    if reached and not declared:
        raise CheckFailed("`differentiable` is False, but a gradient reaches the queries.")
    if declared and not reached:
        raise CheckFailed(
            "no gradient reaches the queries, so it cannot be attacked white-box. Declare "
            "`differentiable = False` if that is inherent to the method."
        )
    if gradient is not None and declared:
        _check_slope(subject, gradient, weights)


def _check_slope(subject: Subject, gradient: Tensor, weights: Tensor) -> None:
    """Compare the gradient with a finite difference, if predictions are float64 and not random."""
    if not bool(gradient.isfinite().all()):
        raise CheckFailed("the gradient of its predictions by the queries is not finite.")
    if subject.dtype != torch.float64 or subject.random:
        return
    task = subject.task
    # One direction for all queries: a sum of absolute values, in which no error cancels.
    direction = gradient.sign()
    up, down = (
        (weights * subject.predict(task.support, task.query_x + sign * STEP_SIZE * direction)).sum()
        for sign in (1, -1)
    )
    expected = float(up - down) / (2 * STEP_SIZE)
    found = float((gradient * direction).sum())
    if abs(found - expected) > SLOPE_TOLERANCE * max(abs(expected), abs(found)):
        raise CheckFailed(
            f"along its gradient the predictions rise by {expected:.4g}, but the gradient says "
            f"{found:.4g}: part of their dependence on the queries is detached."
        )


def _weights(outputs: Tensor) -> Tensor:
    """Returns unequal weights, because the sum of a softmax is constant."""
    return torch.linspace(0.5, 1.5, outputs.numel(), dtype=outputs.dtype).view(outputs.shape)


def gradient_order(subject: Subject) -> None:
    """The outer gradient has the order that `gradient_order` declares: 2, 1, or None."""
    declared = subject.trained().gradient_order
    if declared not in (None, 1, 2):
        raise CheckFailed(f"`gradient_order` is {declared!r}; it can be None, 1 and 2.")
    measured = measured_order(subject)
    if measured != declared:
        raise CheckFailed(
            f"`gradient_order` is {declared}, but the measured order is {measured}: "
            f"{_MEANING[measured]}"
        )


_MEANING = {
    None: "meta-training does not run an inner loop of gradient steps.",
    1: "the outer gradient treats the gradients of the inner loop as constants.",
    2: "the outer gradient flows through the gradients of the inner loop.",
}


def measured_order(subject: Subject) -> int | None:
    """Returns the order of the outer gradient, measured by watching gradient computations.

    Returns:
        2 if the outer gradient flows through an inner one; 1 if adaptation computes gradients and
        an outer step computes more than one; ``None`` if meta-training has no inner loop.
    """
    if not subject.cls.offers("meta_train"):
        return None
    task = subject.task
    algorithm = subject.trained()
    with watch_gradients() as adapting:
        algorithm.adapt(task.support)
    with watch_gradients() as training:
        subject.train(subject.new())
    if training.flowed_through:
        return 2
    # One gradient per outer step is the outer one; more are those of an inner loop.
    return 1 if adapting.computed and training.computed > STEPS else None


CHECKS = (Check.of(differentiable), Check.of(gradient_order, precision="single"))
