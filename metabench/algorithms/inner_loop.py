"""The inner loop of every gradient-based method: gradient descent on the support set, differentiable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from metabench.episodes import Support

Params = dict[str, Tensor]
Forward = Callable[[Mapping[str, Tensor], Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
Rate = float | Mapping[str, Tensor]


def task_params(module: nn.Module, tasks: int) -> Params:
    """The parameters of a module once for each task, ``[T, ...]``; gradients flow back to the module."""
    return {name: p.unsqueeze(0).expand(tasks, *p.shape) for name, p in module.named_parameters()}


def gradient_steps(
    forward: Forward,
    params: Params,
    support: Support,
    loss: Loss,
    *,
    rate: Rate,
    adapted: Callable[[str], bool] = lambda name: True,
    second_order: bool = False,
    keep_graph: bool = False,
) -> Iterator[Params]:
    r"""Gradient descent on the support loss of ``T`` tasks at once, for as many steps as are taken.

    .. math:: \theta_t \leftarrow \theta_t - \alpha \nabla_{\theta_t} L_t(\theta_t)

    The tasks do not touch each other, so the gradient of the summed loss holds each one's own.

    Args:
        forward: parameters ``[T, ...]`` and inputs ``[T, S, *input]`` to predictions ``[T, S, outputs]``.
        params: the initial parameters, ``[T, ...]``.
        support: ``T`` support sets.
        loss: predictions and targets to one loss a task, ``[T]``.
        rate: the inner learning rate: one for all, or one tensor for each parameter, with or without a
            leading task dimension.
        adapted: which parameters are adapted, by name.
        second_order: keep the graph of the gradients themselves (MAML); else they are constants (FOMAML).
        keep_graph: let gradients flow from the adapted to the initial parameters; without it, as in
            meta-test, every step starts afresh and memory does not grow.

    Yields:
        The parameters after 0, 1, 2, ... steps.
    """
    moving = [name for name in params if adapted(name)]
    while True:
        if not keep_graph:
            params = {k: p.detach().requires_grad_(k in moving) for k, p in params.items()}
        yield params
        with torch.enable_grad():
            total = loss(forward(params, support.x), support.y).sum()
            gradients = torch.autograd.grad(
                total, [params[name] for name in moving], create_graph=second_order and keep_graph
            )
            steps = {
                name: gradient * (rate if isinstance(rate, float) else rate[name])
                for name, gradient in zip(moving, gradients, strict=True)
            }
            params = {k: p - steps[k] if k in steps else p for k, p in params.items()}


def after(steps: int, path: Iterator[Params]) -> Params:
    """The parameters after ``steps`` steps of a path."""
    for _ in range(steps):
        next(path)
    return next(path)
