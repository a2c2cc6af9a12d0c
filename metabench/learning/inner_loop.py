"""The inner loop of gradient-based methods: differentiable steps for many tasks at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from metabench.backbones.inner_step import inner_step
from metabench.episodes import Support

Params = dict[str, Tensor]
"""Parameters by name, each with a leading task dimension, ``[T, ...]``."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""Predictions and targets to one loss a task, ``[T]``."""

UpdateRule = Callable[[Params], Params]
"""Gradients to what is subtracted from the parameters: an optimiser, which may keep state."""

Rate = float | Mapping[str, Tensor] | UpdateRule
"""A learning rate, one tensor of rates for each parameter, or a rule such as
:class:`~metabench.learning.adam.Adam`."""


class Forward(Protocol):
    """A network with given parameters, such as :meth:`Backbone.forward_tasks`."""

    def __call__(
        self, params: Mapping[str, Tensor], x: Tensor, /, *, twice: bool = False
    ) -> Tensor:
        """Map parameters ``[T, ...]`` and inputs ``[T, B, *input]`` to ``[T, B, outputs]``."""


def gradient_steps(
    forward: Forward,
    params: Params,
    support: Support | Iterator[Support],
    loss: Loss,
    *,
    rate: Rate,
    adapted: Callable[[str], bool] = lambda name: True,
    second_order: bool = False,
    keep_graph: bool = False,
) -> Iterator[Params]:
    r"""Yield the parameters of ``T`` tasks after 0, 1, 2, ... steps of gradient descent.

    .. math:: \theta_t \leftarrow \theta_t - \alpha \nabla_{\theta_t} L_t(\theta_t)

    Args:
        forward: The network.
        params: The initial parameters, ``[T, ...]``.
        support: ``T`` support sets, or an iterator with a mini-batch of each for every step. If
            their ``keep_graph`` is set, the graph is kept whatever the other arguments say.
        loss: The loss of each task.
        rate: The learning rate or update rule. A tensor may have a leading task dimension or not.
        adapted: Which parameters are adapted, by name.
        second_order: Whether to differentiate through the gradients (MAML) or to treat them as
            constants (FOMAML).
        keep_graph: Whether gradients flow from the adapted to the initial parameters. Without it,
            as at meta-test, each step starts a new graph and memory does not grow.
    """
    names = [name for name in params if adapted(name)]
    batches = itertools.repeat(support) if isinstance(support, Support) else support
    for step, batch in enumerate(batches):
        keep = keep_graph or batch.keep_graph
        twice = batch.keep_graph or (second_order and keep_graph)
        if not keep:
            params = start_graph(params, names)
        yield params
        with torch.enable_grad(), inner_step(step):
            predictions = forward(params, batch.x, twice=twice)
            # The tasks are independent: the gradient of the sum holds the gradient of each.
            total = loss(predictions, batch.y).sum()
            gradients = torch.autograd.grad(
                total, [params[name] for name in names], create_graph=twice
            )
            params = update(params, rate, dict(zip(names, gradients, strict=True)))


def start_graph(params: Mapping[str, Tensor], names: list[str]) -> Params:
    """Returns the parameters without their history, as leaves of a new graph those that adapt."""
    return {k: p.detach().requires_grad_(k in names) for k, p in params.items()}


def update(params: Mapping[str, Tensor], rate: Rate, gradients: Params) -> Params:
    """Returns the parameters after one step down the gradients."""
    if callable(rate):
        steps = rate(gradients)
    elif isinstance(rate, Mapping):
        steps = {name: gradient * rate[name] for name, gradient in gradients.items()}
    else:
        steps = {name: gradient * rate for name, gradient in gradients.items()}
    return {k: p - steps[k] if k in steps else p for k, p in params.items()}


def task_params(module: nn.Module, tasks: int) -> Params:
    """Returns the parameters of a module once for each task; gradients flow back to the module."""
    return {name: p.unsqueeze(0).expand(tasks, *p.shape) for name, p in module.named_parameters()}
