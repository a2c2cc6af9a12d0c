"""Poisoned support sets: a few support pictures that spoil what is learned from all."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metabench.episodes import TaskBatch
from metabench.metrics.adversarial.attacks import Ball, losses
from metabench.metrics.adversarial.square import square_attack
from metabench.metrics.adversarial.through_adaptation import pgd_through
from metabench.metrics.scoring import at_once, first, score_episodes, summary
from metabench.metrics.trial import Trial
from metabench.runtime.counter_rng import make_key, random_bits


@dataclass(frozen=True)
class Poisoning:
    r"""An attack on part of the support, made against seed queries and scored on queries it has not seen.

    .. math:: \max_{\lVert \delta \rVert_\infty \le \epsilon}
        \sum_{(x, y) \in \text{seeds}} L\big(f_{S + \delta}(x), y\big)

    The first half of the queries are the seeds, whose labels the attacker knows; both scores are of the other
    half. The gradient runs through the adaptation where that is differentiable by its support; where it is
    not, the same number of steps of random search by squares stand in for it, which is a weaker attack, so
    ``gradient`` says which it was.

    Reference: Oldewage, Bronskill and Turner 2020, arXiv:2012.08255 (adversarial support poisoning).

    Args:
        share: of the support that is changed; at least one picture.
        radius: L-inf.
        steps: of the attack.
    """

    share: float
    radius: float
    steps: int

    def measure(self, trial: Trial, episodes: int, batch_size: int) -> dict[str, Any]:
        """What it costs, for the values of a metric."""
        clean: list[Tensor] = []
        poisoned: list[Tensor] = []
        on_seeds: list[Tensor] = []
        ball = Ball("linf", self.radius)
        gradient = True
        chosen = 0
        for indices, batch in first(trial, episodes, batch=at_once(trial, batch_size)):
            seeds, unseen = _halves(batch)
            mask = _choose(batch.support_x, indices, self.share)
            chosen = int(mask[0].sum())
            attacked = None
            if gradient:
                attacked = pgd_through(trial, seeds, indices, ball, steps=self.steps, mask=mask)
            if gradient := attacked is not None:
                found = attacked.support_x
            else:
                found = self._by_search(trial, seeds, indices, mask)
            start = int(indices[0])
            for scores, part, support in (
                (clean, unseen, batch.support_x),
                (poisoned, unseen, found),
                (on_seeds, seeds, found),
            ):
                outputs = trial.predict(dataclasses.replace(part, support_x=support), start=start)
                scores.append(score_episodes(outputs, part.query_y))
        return {
            **summary(torch.cat(clean), torch.cat(poisoned)),
            "clean": float(torch.cat(clean).mean()),
            "seed_score": float(torch.cat(on_seeds).mean()),
            "pictures": chosen,
            "share": self.share,
            "radius": self.radius,
            "gradient": gradient,
        }

    def _by_search(self, trial: Trial, seeds: TaskBatch, indices: Tensor, mask: Tensor) -> Tensor:
        def objective(support: Tensor) -> Tensor:
            outputs = trial.predict(
                dataclasses.replace(seeds, support_x=support), start=int(indices[0])
            )
            return losses("cross-entropy", outputs, seeds.query_y).mean(1, keepdim=True)

        return square_attack(
            objective, seeds.support_x, indices, self.radius, iterations=self.steps, mask=mask
        )


def _choose(support: Tensor, indices: Tensor, share: float) -> Tensor:
    """The pictures of each support set that are poisoned, bool ``[T, S]``."""
    size = support.shape[1]
    bits = random_bits(make_key("poisoning"), indices, size)
    return bits.argsort(1).argsort(1) < max(1, round(share * size))


def _halves(batch: TaskBatch) -> tuple[TaskBatch, TaskBatch]:
    """The episodes with the first and with the second half of their queries, whose order is random."""
    half = batch.query_x.shape[1] // 2

    def with_queries(which: slice) -> TaskBatch:
        return dataclasses.replace(
            batch, query_x=batch.query_x[:, which], query_y=batch.query_y[:, which]
        )

    return with_queries(slice(0, half)), with_queries(slice(half, None))
