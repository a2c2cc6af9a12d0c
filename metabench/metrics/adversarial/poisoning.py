"""Poisoned support sets: a few support images changed to spoil the adaptation."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metabench.episodes import TaskBatch
from metabench.metrics.adversarial.ball import Ball
from metabench.metrics.adversarial.gradient_attacks import attack_loss
from metabench.metrics.adversarial.square_attack import square_attack
from metabench.metrics.adversarial.through_adaptation import pgd_through_adaptation
from metabench.metrics.scoring import (
    adaptable_batch_size,
    iter_episodes,
    score_episodes,
    summarize_drop,
)
from metabench.metrics.trial import Trial
from metabench.runtime.counter_rng import make_key, random_bits


@dataclass(frozen=True)
class Poisoning:
    r"""An attack on part of the support set, optimised on seed queries and scored on others.

    .. math:: \max_{\lVert \delta \rVert_\infty \le \epsilon}
        \sum_{(x, y) \in \text{seeds}} L\big(f_{S + \delta}(x), y\big)

    The first half of the queries are the seeds, whose labels the attacker knows; scores are those
    of the other half. If the adaptation is not differentiable, the Square attack of the same number
    of steps replaces the gradient, which is weaker; ``gradient`` says which it was.

    Reference: Oldewage, Bronskill and Turner 2020, arXiv:2012.08255 (adversarial support
    poisoning).

    Args:
        share: Share of the support images that are changed; at least one is.
        radius: L-inf radius.
        steps: Steps of the attack.
    """

    share: float
    radius: float
    steps: int

    def measure(self, trial: Trial, episodes: int, batch_size: int) -> dict[str, Any]:
        """Returns the drop that poisoning causes, for the values of a metric.

        Args:
            trial: The trained algorithm.
            episodes: Number of test episodes, from the first on.
            batch_size: Episodes attacked together.
        """
        clean: list[Tensor] = []
        poisoned: list[Tensor] = []
        on_seeds: list[Tensor] = []
        gradient = True
        changed = 0
        batch_size = adaptable_batch_size(trial, batch_size)
        for indices, batch in iter_episodes(trial, episodes, batch_size=batch_size):
            seeds, unseen = _split_queries(batch)
            mask = _choose(batch.support_x, indices, self.share)
            changed = int(mask[0].sum())
            support_x = None
            # Once there was no gradient, there is none in later episodes either.
            if gradient:
                support_x = self._by_gradient(trial, seeds, indices, mask)
            if gradient := support_x is not None:
                attacked = support_x
            else:
                attacked = self._by_search(trial, seeds, indices, mask)
            start = int(indices[0])
            clean.append(_score(trial, unseen, batch.support_x, start))
            poisoned.append(_score(trial, unseen, attacked, start))
            on_seeds.append(_score(trial, seeds, attacked, start))
        return {
            **summarize_drop(torch.cat(clean), torch.cat(poisoned)),
            "clean": float(torch.cat(clean).mean()),
            "seed_score": float(torch.cat(on_seeds).mean()),
            "pictures": changed,
            "share": self.share,
            "radius": self.radius,
            "gradient": gradient,
        }

    def _by_gradient(
        self, trial: Trial, seeds: TaskBatch, indices: Tensor, mask: Tensor
    ) -> Tensor | None:
        """Returns the poisoned support inputs; ``None`` without a gradient."""
        ball = Ball("linf", self.radius)
        attacked = pgd_through_adaptation(trial, seeds, indices, ball, steps=self.steps, mask=mask)
        return None if attacked is None else attacked.support_x

    def _by_search(self, trial: Trial, seeds: TaskBatch, indices: Tensor, mask: Tensor) -> Tensor:
        """Returns the support inputs poisoned by random search."""

        def objective(support_x: Tensor) -> Tensor:
            poisoned = dataclasses.replace(seeds, support_x=support_x)
            outputs = trial.predict(poisoned, start=int(indices[0]))
            # One value per episode: its images are accepted together.
            return attack_loss("cross-entropy", outputs, seeds.query_y).mean(1, keepdim=True)

        return square_attack(
            objective, seeds.support_x, indices, self.radius, iterations=self.steps, mask=mask
        )


def _score(trial: Trial, batch: TaskBatch, support_x: Tensor, start: int) -> Tensor:
    outputs = trial.predict(dataclasses.replace(batch, support_x=support_x), start=start)
    return score_episodes(outputs, batch.query_y)


def _choose(support_x: Tensor, indices: Tensor, share: float) -> Tensor:
    """Draw the support images that are poisoned, bool ``[T, S]``."""
    size = support_x.shape[1]
    # The ranks of random numbers are a random order: those below the count are chosen.
    bits = random_bits(make_key("poisoning"), indices, size)
    return bits.argsort(1).argsort(1) < max(1, round(share * size))


def _split_queries(batch: TaskBatch) -> tuple[TaskBatch, TaskBatch]:
    """Returns the episodes with each half of their queries, whose order is random."""
    half = batch.query_x.shape[1] // 2

    def with_queries(chosen: slice) -> TaskBatch:
        return dataclasses.replace(
            batch, query_x=batch.query_x[:, chosen], query_y=batch.query_y[:, chosen]
        )

    return with_queries(slice(0, half)), with_queries(slice(half, None))
