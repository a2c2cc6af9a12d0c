"""Attacks on the query sets of a trial, with the checks of their reliability."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from metabench.algorithms.base import Predictor
from metabench.episodes import TaskBatch
from metabench.errors import NotApplicable
from metabench.metrics.adversarial.ball import Ball, Norm
from metabench.metrics.adversarial.gradient_attacks import (
    attack_loss,
    fgsm,
    pgd,
    select,
    strongest_of,
)
from metabench.metrics.adversarial.reliability import Reliability
from metabench.metrics.adversarial.square_attack import square_attack
from metabench.metrics.perturbation import normal_numbers, uniform_numbers
from metabench.metrics.scoring import score_episodes


@dataclass
class QueryAttacks:
    """Runs all attacks on batches of episodes and collects the accuracies.

    Args:
        balls: Balls to attack in, ascending by radius within each norm.
        steps: Steps of PGD.
        restarts: Random restarts of PGD.
        black_box_episodes: Number of episodes, from the first on, for the Square attack.
        black_box_steps: Iterations of the Square attack.
        check_episodes: Number of those episodes for the checks of gradients.
        joint: Whether the queries of an episode are attacked jointly, as transductive methods need.

    Attributes:
        clean: Accuracies of clean episodes, one tensor ``[T]`` per batch.
        accuracies: Accuracies under each attack, by the name of the attack.
        reliability: Checks of the attacks.
        no_gradient: Why there is no gradient attack; empty if there is one.
    """

    balls: list[Ball]
    steps: int
    restarts: int
    black_box_episodes: int = 0
    black_box_steps: int = 0
    check_episodes: int = 10
    joint: bool = True
    clean: list[Tensor] = field(default_factory=list)
    accuracies: dict[str, list[Tensor]] = field(default_factory=dict)
    reliability: Reliability = field(default_factory=Reliability)
    no_gradient: str = ""

    def run(self, predict: Predictor, indices: Tensor, batch: TaskBatch) -> None:
        """Run all attacks on some episodes.

        Args:
            predict: Maps queries ``[T, Q, *input]`` to logits ``[T, Q, ways]``.
            indices: Indices of the episodes, int64 ``[T]``, which seed the attacks.
            batch: The episodes.
        """
        x, labels = batch.query_x, batch.query_y
        black_box = int(indices[0]) < self.black_box_episodes
        largest = [ball for ball in self.balls if ball.norm == "linf"][-1]
        self.reliability.check_determinism(predict, x)
        try:
            attacks = list(self._gradient_attacks(predict, indices, batch))
            if black_box and int(indices[0]) < self.check_episodes:
                self.reliability.check_gradients(
                    predict, x, labels, largest, self.steps, joint=self.joint
                )
        except NotApplicable as error:
            self.no_gradient = error.message
            attacks = []
        if black_box:
            # Without gradients the Square attack is the score, so it runs in every ball.
            for ball in [largest] if attacks else self.balls:
                if ball.norm == "linf":
                    attacked = self._square(predict, indices, batch, ball)
                    attacks.append((f"square-{ball.name}", ball, attacked))
        accuracy = {}
        with torch.no_grad():
            self.clean.append(score_episodes(predict(x), labels))
            for name, ball, attacked in attacks:
                self.reliability.check_ball(ball, attacked, x)
                accuracy[name] = score_episodes(predict(attacked), labels)
                self.accuracies.setdefault(name, []).append(accuracy[name])
        # Compared on the same episodes only.
        if black_box and f"pgd-{largest.name}" in accuracy:
            self.reliability.white_box.append(accuracy[f"pgd-{largest.name}"])
            self.reliability.black_box.append(accuracy[f"square-{largest.name}"])

    def _gradient_attacks(
        self, predict: Predictor, indices: Tensor, batch: TaskBatch
    ) -> Iterator[tuple[str, Ball, Tensor]]:
        """Yield the name, the ball and the attacked queries of each gradient attack."""
        # By norm, because an L-inf ball and an L2 ball do not contain each other.
        known: dict[Norm, Tensor] = {}
        for ball in self.balls:
            yield f"fgsm-{ball.name}", ball, fgsm(predict, batch.query_x, batch.query_y, ball)
            # Attacked queries of a ball lie in the larger balls of its norm too.
            attacked = self.pgd(predict, indices, batch, ball, start=known.get(ball.norm))
            known[ball.norm] = attacked
            yield f"pgd-{ball.name}", ball, attacked

    def pgd(
        self,
        predict: Predictor,
        indices: Tensor,
        batch: TaskBatch,
        ball: Ball,
        *,
        start: Tensor | None = None,
    ) -> Tensor:
        """Returns the strongest queries of all restarts of PGD.

        Args:
            predict: Maps queries ``[T, Q, *input]`` to logits ``[T, Q, ways]``.
            indices: Indices of the episodes, int64 ``[T]``, which seed the restarts.
            batch: The episodes.
            ball: Constraint on the attacked queries.
            start: Known attacked queries.

        Returns:
            The attacked queries, ``[T, Q, *input]``.

        Raises:
            NotApplicable: If no gradient reaches the input.
        """
        attempt = functools.partial(self._restart, predict, indices, batch, ball)
        return strongest_of(
            predict,
            batch.query_x,
            batch.query_y,
            self.restarts,
            attempt,
            start=start,
            joint=self.joint,
        )

    def _restart(
        self,
        predict: Predictor,
        indices: Tensor,
        batch: TaskBatch,
        ball: Ball,
        attempt: int,
        positions: Tensor | None,
    ) -> Tensor:
        """Run PGD from a random point."""
        # Drawn for all queries, so that a query starts at the same point whichever are attacked.
        numbers = uniform_numbers(indices, batch.query_x[0].numel(), "restart", attempt)
        start = ball.random(batch.query_x, normal_numbers(numbers).view_as(batch.query_x))
        return pgd(
            predict,
            select(batch.query_x, positions),
            select(batch.query_y, positions),
            ball,
            steps=self.steps,
            start=select(start, positions),
            loss="margin" if attempt % 2 else "cross-entropy",
        )

    def _square(self, predict: Predictor, indices: Tensor, batch: TaskBatch, ball: Ball) -> Tensor:
        @torch.no_grad()
        def margin(queries: Tensor) -> Tensor:
            return attack_loss("margin", predict(queries), batch.query_y)

        return square_attack(
            margin, batch.query_x, indices, ball.radius, iterations=self.black_box_steps
        )
