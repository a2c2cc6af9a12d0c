"""The inner loop from a head of zeros: the same steps as any, the first of them for next to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from metabench.backbones.network import Network
from metabench.backbones.order import differentiated_twice
from metabench.episodes import Support
from metabench.learning.inner_loop import (
    Loss,
    Params,
    Rate,
    cut_off,
    gradient_steps,
    steps_of,
    taken_off,
)


def steps_from_zeros(
    learner: Network,
    params: Params,
    support: Support,
    loss: Loss,
    *,
    rate: Rate,
    adapted: Callable[[str], bool] = lambda name: True,
    second_order: bool = False,
    keep_graph: bool = False,
) -> Iterator[Params]:
    r"""What :func:`gradient_steps` gives for a head whose weights are zeros.

    Such a head passes no gradient on, whatever the features :math:`f` are, so the first step moves nothing
    but the head, and the second finds the body where it was, with the features that the first one has seen:

    .. math::
        w_1 = -\alpha \nabla_w L(w, f) |_{w = 0}, \quad \theta_1 = \theta_0, \qquad
        \nabla_\theta L = \left(\frac{\partial f}{\partial \theta}\right)^{\!\top} \nabla_f L(w_1, f)

    The two steps take one pass through the body, and the first one leaves nothing in it to be differentiated
    twice. The numbers are those of :func:`gradient_steps`, and so are all derivatives but the one in the
    zeros themselves, which are not learned. An outer step of the recipes for 5-way 1-shot images takes 0.78
    to 0.82 of the time that it takes with :func:`gradient_steps` for MAML and FOMAML, and 0.65 to 0.69 for
    Meta-SGD (64 channels, one core with others at work, sides in turns).

    Args:
        learner: the body, and the head of zeros on it.
        params: the initial parameters, ``[T, ...]``.
        support: ``T`` support sets.
        loss: see :func:`gradient_steps`, as all that follows.
        rate: the inner learning rate, no rule with a memory.
        adapted: which parameters are adapted, by name.
        second_order: keep the graph of the gradients themselves.
        keep_graph: let gradients flow from the adapted to the initial parameters.

    Yields:
        The parameters after 0, 1, 2, ... steps.
    """
    moving = [name for name in params if adapted(name)]
    of_head = [name for name in moving if name.startswith(learner.HEAD)]
    of_body = [name for name in moving if name not in of_head]
    keep = keep_graph or support.x.requires_grad
    twice = support.x.requires_grad or (second_order and keep_graph)

    def move(params: Params, gradients: Params) -> Params:
        return taken_off(params, steps_of(rate, gradients))

    def head_slopes(params: Params, features: Tensor, *also: Tensor) -> tuple[Tensor, ...]:
        total = loss(learner.on_features(params, features), support.y).sum()
        wanted = [*(params[name] for name in of_head), *also]
        return torch.autograd.grad(total, wanted, create_graph=twice)

    if not keep:
        params = cut_off(params, moving)
    yield params
    with torch.enable_grad(), differentiated_twice(twice):
        body = [params[name] for name in of_body]
        features = learner.features_of(params, support.x)
        params = move(params, dict(zip(of_head, head_slopes(params, features), strict=True)))
    if not keep:
        params = cut_off(params, moving)
    yield params
    with torch.enable_grad(), differentiated_twice(twice):
        # The head has come from the features, and the gradient of a step does not go that way: another name.
        seen = features.view_as(features)
        if body:
            *slopes, slope = head_slopes(params, seen, seen)
            slopes += torch.autograd.grad(features, body, slope, create_graph=twice)
        else:
            slopes = list(head_slopes(params, seen))
        params = move(params, dict(zip(of_head + of_body, slopes, strict=True)))
    yield from gradient_steps(
        learner.forward_tasks,
        params,
        support,
        loss,
        rate=rate,
        adapted=adapted,
        second_order=second_order,
        keep_graph=keep_graph,
    )
