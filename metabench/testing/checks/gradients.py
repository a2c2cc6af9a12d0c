"""Whether an algorithm says rightly how it is differentiated."""

from __future__ import annotations

import torch
from torch import Tensor

from metabench.testing.check import Check, CheckFailed
from metabench.testing.subject import STEPS, Subject
from metabench.testing.watch import watch_gradients

SLOPE_TOLERANCE = 1e-3
STRIDE = 1e-6


def differentiable(subject: Subject) -> None:
    """Whether a gradient reaches the queries, and is that of the predictions, is as `differentiable` says."""
    said = subject.trained().differentiable
    task = subject.task
    query = task.query_x.clone().requires_grad_()
    outputs = subject.trained().adapt(task.support)(query)
    weights = _weights(outputs)
    reached = outputs.requires_grad
    gradient = None
    if reached:
        (gradient,) = torch.autograd.grad((weights * outputs).sum(), query, allow_unused=True)
    reached = gradient is not None and bool((gradient != 0).any())
    if reached and not said:
        raise CheckFailed("`differentiable` is False, and a gradient reaches the queries.")
    if said and not reached:
        raise CheckFailed(
            "no gradient reaches the queries, so it cannot be attacked white-box. Say "
            "`differentiable = False` where that lies in the method."
        )
    if gradient is not None and said:
        _check_slope(subject, gradient, weights)


def _check_slope(subject: Subject, gradient: Tensor, weights: Tensor) -> None:
    """Hold the gradient against a difference of predictions, where these are exact enough and not random."""
    if not bool(gradient.isfinite().all()):
        raise CheckFailed("the gradient of its predictions by the queries is not finite.")
    if subject.dtype != torch.float64 or subject.random:
        return
    task = subject.task
    direction = gradient.sign()
    up, down = (
        (weights * subject.predict(task.support, task.query_x + sign * STRIDE * direction)).sum()
        for sign in (1, -1)
    )
    expected = float(up - down) / (2 * STRIDE)
    found = float((gradient * direction).sum())
    if abs(found - expected) > SLOPE_TOLERANCE * max(abs(expected), abs(found)):
        raise CheckFailed(
            f"along its gradient the predictions rise by {expected:.4g}, and the gradient says {found:.4g}: "
            "some of their dependence on the queries is cut off."
        )


def _weights(outputs: Tensor) -> Tensor:
    """Uneven weights, so that nothing cancels as the sum of a softmax does."""
    return torch.linspace(0.5, 1.5, outputs.numel(), dtype=outputs.dtype).view(outputs.shape)


def gradient_order(subject: Subject) -> None:
    """The order of the outer gradient is as `gradient_order` says: 2, 1, or None without an inner loop."""
    said = subject.trained().gradient_order
    if said not in (None, 1, 2):
        raise CheckFailed(f"`gradient_order` is {said!r}; it can be None, 1 and 2.")
    measured = measured_order(subject)
    if measured != said:
        raise CheckFailed(
            f"`gradient_order` is {said}, and measured it is {measured}: {_MEANING[measured]}"
        )


_MEANING = {
    None: "meta-training does not run an inner loop of gradient steps.",
    1: "the outer gradient takes the gradients of the inner loop as constants.",
    2: "the outer gradient flows through the gradients of the inner loop.",
}


def measured_order(subject: Subject) -> int | None:
    """The order of the outer gradient, seen by watching the gradients that are computed.

    It is 2 where the outer gradient flows through an inner one; 1 where adapting takes gradients and an outer
    step takes more than one; else there is no inner loop in meta-training.
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
    return 1 if adapting.computed and training.computed > STEPS else None


CHECKS = (Check.of(differentiable), Check.of(gradient_order, precision="single"))
