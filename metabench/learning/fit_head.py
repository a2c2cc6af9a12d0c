"""Training a new head on frozen features by mini-batches, for many tasks at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

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
) -> Iterator[dict[str, Tensor]]:
    """Stochastic gradient descent on the cross-entropy of the support set, for as many epochs as are taken.

    Where the features require gradients (someone attacks the support set), so do the parameters, through all
    steps that led to them; else every step starts afresh and memory does not grow.

    The tasks do not touch each other. All of them, alone or in a batch, take the places of the support set
    in the same order, which is another in each epoch.

    Args:
        scores: the head.
        initial: its parameters at the start, ``[T, ...]``.
        features: ``[T, S, features]``.
        labels: int64 ``[T, S]``.
        lr: learning rate.
        batch: examples in a step.
        momentum: of SGD.
        dampening: of SGD's momentum.
        weight_decay: of SGD.

    Yields:
        The parameters after 0, 1, 2, ... epochs.
    """
    attacked = features.requires_grad
    params = {
        name: p if p.requires_grad else p.detach().requires_grad_() for name, p in initial.items()
    }
    speeds: dict[str, Tensor] = {}
    key, epoch = make_key("fit-head"), torch.zeros(1, dtype=torch.int64, device=features.device)
    while True:
        yield {name: p if attacked else p.detach() for name, p in params.items()}
        order = shuffle_order(random_bits(key, epoch, features.shape[1]))[0]
        for places in order.split(batch):
            if not attacked:
                params = {name: p.detach().requires_grad_() for name, p in params.items()}
            with torch.enable_grad():
                logits = scores(params, features[:, places])
                losses = F.cross_entropy(
                    logits.transpose(1, 2), labels[:, places], reduction="none"
                )
                gradients = torch.autograd.grad(
                    losses.mean(1).sum(), list(params.values()), create_graph=attacked
                )
            with torch.set_grad_enabled(attacked):
                for (name, p), gradient in zip(params.items(), gradients, strict=True):
                    force = gradient.add(p, alpha=weight_decay)
                    speed = speeds.get(name)
                    # As torch.optim.SGD: the first step is not dampened.
                    speeds[name] = (
                        force
                        if speed is None
                        else speed.mul(momentum).add(force, alpha=1 - dampening)
                    )
                    params[name] = p.add(speeds[name], alpha=-lr)
        epoch = epoch + 1
