"""Gradient steps from a head of zeros, which take one pass less than any others."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from metabench.backbones.network import Network
from metabench.episodes import Support
from metabench.learning.inner_loop import (
    Loss,
    Params,
    Rate,
    gradient_steps,
    start_graph,
    update,
)


def zero_head_steps(
    network: Network,
    params: Params,
    support: Support,
    loss: Loss,
    *,
    rate: Rate,
    adapted: Callable[[str], bool] = lambda name: True,
    second_order: bool = False,
    keep_graph: bool = False,
) -> Iterator[Params]:
    r"""Yield what :func:`gradient_steps` yields, for a head whose weights are zeros.

    Such a head passes no gradient to the features :math:`f`, so the first step moves the head only,
    and the second finds the body where it was, with the features that the first has computed:

    .. math::
        w_1 = -\alpha \nabla_w L(w, f) |_{w = 0}, \quad \theta_1 = \theta_0, \qquad
        \nabla_\theta L =
        \left(\frac{\partial f}{\partial \theta}\right)^{\!\top} \nabla_f L(w_1, f)

    All numbers and derivatives are those of :func:`gradient_steps`, but for the derivative in the
    zeros, which are not learned. Measured: see docs/algorithms/maml.md.

    Args:
        network: The body, and the head of zeros on it.
        params: The initial parameters, ``[T, ...]``.
        support: ``T`` support sets.
        loss: See :func:`gradient_steps`, as all that follows.
        rate: The learning rate; a rule with a state is not allowed.
        adapted: Which parameters are adapted, by name.
        second_order: Whether to differentiate through the gradients.
        keep_graph: Whether gradients flow from the adapted to the initial parameters.
    """
    names = [name for name in params if adapted(name)]
    head_names = [name for name in names if name.startswith(network.HEAD)]
    body_names = [name for name in names if name not in head_names]
    keep = keep_graph or support.keep_graph
    twice = support.keep_graph or (second_order and keep_graph)

    def head_gradients(params: Params, features: Tensor, *also: Tensor) -> tuple[Tensor, ...]:
        outputs = network.forward_head(params, features, twice=twice)
        wanted = [*(params[name] for name in head_names), *also]
        return torch.autograd.grad(loss(outputs, support.y).sum(), wanted, create_graph=twice)

    if not keep:
        params = start_graph(params, names)
    yield params
    with torch.enable_grad():
        body = [params[name] for name in body_names]
        features = network.forward_backbone(params, support.x, twice=twice)
        gradients = head_gradients(params, features)
        params = update(params, rate, dict(zip(head_names, gradients, strict=True)))
    if not keep:
        params = start_graph(params, names)
    yield params
    with torch.enable_grad():
        # The head was computed from the features, and the gradient of this step does not flow
        # through it: differentiate by a view.
        seen = features.view_as(features)
        if body:
            *slopes, to_features = head_gradients(params, seen, seen)
            slopes += torch.autograd.grad(features, body, to_features, create_graph=twice)
        else:
            slopes = list(head_gradients(params, seen))
        names_in_order = head_names + body_names
        params = update(params, rate, dict(zip(names_in_order, slopes, strict=True)))
    yield from gradient_steps(
        network.forward_tasks,
        params,
        support,
        loss,
        rate=rate,
        adapted=adapted,
        second_order=second_order,
        keep_graph=keep_graph,
    )
