"""Training of a new head on frozen features by mini-batches, for many tasks at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from metabench.learning.inner_loop import Params
from metabench.runtime.counter_rng import make_key, random_bits, shuffle_order

Scores = Callable[[Mapping[str, Tensor], Tensor], Tensor]
"""Parameters ``[T, ...]`` and features ``[T, B, features]`` to logits ``[T, B, ways]``."""


def fit_head(
    scores: Scores,
    initial: Mapping[str, Tensor],
    features: Tensor,
    labels: Tensor,
    *,
    lr: float,
    batch: int,
    momentum: float = 0.9,
    dampening: float = 0.9,
    weight_decay: float = 1e-3,
    keep_graph: bool = False,
) -> Iterator[Params]:
    """Yield the parameters of a head after 0, 1, 2, ... epochs of SGD on the cross-entropy.

    Tasks are independent. All of them, alone or in a batch, shuffle their support sets in the same
    order, which is another in each epoch.

    Args:
        scores: The head.
        initial: Its initial parameters, ``[T, ...]``.
        features: ``[T, S, features]``.
        labels: int64 ``[T, S]``.
        lr: The learning rate.
        batch: Examples in a step.
        momentum: The momentum of SGD.
        dampening: The dampening of the momentum.
        weight_decay: The weight decay.
        keep_graph: Whether the parameters are differentiable in the features, through all steps;
            otherwise each step starts a new graph and memory does not grow.
    """
    params = {name: p if p.requires_grad else _leaf(p) for name, p in initial.items()}
    velocity: Params = {}
    key = make_key("fit-head")
    epoch = torch.zeros(1, dtype=torch.int64, device=features.device)
    while True:
        yield {name: p if keep_graph else p.detach() for name, p in params.items()}
        order = shuffle_order(random_bits(key, epoch, features.shape[1]))[0]
        for examples in order.split(batch):
            if not keep_graph:
                params = {name: _leaf(p) for name, p in params.items()}
            with torch.enable_grad():
                logits = scores(params, features[:, examples])
                losses = F.cross_entropy(
                    logits.transpose(1, 2), labels[:, examples], reduction="none"
                )
                gradients = torch.autograd.grad(
                    losses.mean(1).sum(), list(params.values()), create_graph=keep_graph
                )
            with torch.set_grad_enabled(keep_graph):
                for (name, p), gradient in zip(params.items(), gradients, strict=True):
                    decayed = gradient.add(p, alpha=weight_decay)
                    last = velocity.get(name)
                    # As torch.optim.SGD: the first step is not dampened.
                    velocity[name] = (
                        decayed
                        if last is None
                        else last.mul(momentum).add(decayed, alpha=1 - dampening)
                    )
                    params[name] = p.add(velocity[name], alpha=-lr)
        epoch = epoch + 1


def _leaf(p: Tensor) -> Tensor:
    return p.detach().requires_grad_()
