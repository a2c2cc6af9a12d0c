"""Reliability of an attack: whether a method is robust or only masks its gradients."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from metabench.algorithms.base import Predictor
from metabench.metrics.adversarial.ball import Ball
from metabench.metrics.adversarial.gradient_attacks import (
    LossName,
    attack_loss,
    input_gradient,
    pgd,
    select,
    strongest_of,
)
from metabench.metrics.scoring import score_episodes

LOSSES: tuple[LossName, LossName] = ("cross-entropy", "margin")
# An attack that may show any image must bring every method down to chance.
EVERYWHERE = Ball("linf", 1.0)
"""A ball that contains every image."""

# Thresholds for a doubt. The committed records of methods with gradients (22) are far from them: no
# gradient is zero, every loss rose, accuracy everywhere is at most 1.3 %, and the black-box attack
# never won.
MAX_ZERO_GRADIENTS = 0.05
MIN_LOSS_ROSE = 0.9
BLACK_BOX_MARGIN = 0.02
CHANCE_MARGIN = 0.05
RADIUS_MARGIN = 1e-4


@dataclass
class Reliability:
    """Checks of an attack, collected episode by episode.

    Reference: the checks of Carlini et al. 2019, arXiv:1902.06705.

    Attributes:
        deterministic: Whether repeated predictions of the same queries have the same logits.
        zero: Which queries have no gradient for either loss.
        rose: For which queries plain PGD increased the cross-entropy.
        everywhere: Accuracy in the ball that contains every image.
        white_box: Accuracy under the strongest gradient attack, if the black-box attack ran too.
        black_box: Accuracy under the black-box attack.
        excess: Largest distance outside the ball, as a share of its radius.
    """

    deterministic: bool = True
    zero: list[Tensor] = field(default_factory=list)
    rose: list[Tensor] = field(default_factory=list)
    everywhere: list[Tensor] = field(default_factory=list)
    white_box: list[Tensor] = field(default_factory=list)
    black_box: list[Tensor] = field(default_factory=list)
    excess: float = 0.0

    def check_ball(self, ball: Ball, attacked: Tensor, clean: Tensor) -> None:
        """Check that an attack stayed in its ball and in ``[0, 1]``."""
        outside = torch.maximum(-attacked, attacked - 1).amax() / ball.radius
        beyond = ball.distance(attacked, clean).amax() / ball.radius - 1
        self.excess = max(self.excess, float(outside), float(beyond))

    def check_determinism(self, predict: Predictor, x: Tensor) -> None:
        """Check that the forward pass is deterministic."""
        with torch.no_grad():
            self.deterministic &= bool(torch.equal(predict(x), predict(x)))

    def check_gradients(
        self,
        predict: Predictor,
        x: Tensor,
        labels: Tensor,
        ball: Ball,
        steps: int,
        *,
        joint: bool = True,
    ) -> None:
        """Check that gradients exist and lead to a higher loss.

        Args:
            predict: Maps ``[T, Q, *input]`` to logits ``[T, Q, ways]``.
            x: Clean queries.
            labels: int64 ``[T, Q]``.
            ball: Ball in which the loss must rise.
            steps: Steps of PGD.
            joint: See :func:`strongest_of`.

        Raises:
            NotApplicable: If no gradient reaches the input.
        """
        # For both losses: a saturated softmax has no gradient, but its margin has one.
        zero = torch.ones_like(labels, dtype=torch.bool)
        for loss in LOSSES:
            gradient, _ = input_gradient(predict, x, labels, loss)
            zero &= ~gradient.flatten(2).any(-1)
        self.zero.append(zero)
        attacked = pgd(predict, x, labels, ball, steps=steps)
        with torch.no_grad():
            before = attack_loss("cross-entropy", predict(x), labels)
            after = attack_loss("cross-entropy", predict(attacked), labels)
        self.rose.append(after > before)

        def attempt(i: int, positions: Tensor | None) -> Tensor:
            x_i, labels_i = select(x, positions), select(labels, positions)
            return pgd(predict, x_i, labels_i, EVERYWHERE, steps=steps, loss=LOSSES[i])

        worst = strongest_of(predict, x, labels, len(LOSSES), attempt, joint=joint)
        with torch.no_grad():
            self.everywhere.append(score_episodes(predict(worst), labels))

    def verdict(self, ways: int) -> dict[str, Any]:
        """Returns the results of the checks, and the doubts in words.

        Args:
            ways: Classes per episode, which give the accuracy of chance.
        """
        values: dict[str, Any] = {"deterministic": self.deterministic, "radius_excess": self.excess}
        doubts = []
        if not self.deterministic:
            doubts.append("the same queries are predicted differently when asked twice")
        if self.excess > RADIUS_MARGIN:
            doubts.append(f"an attack left its ball by {self.excess:.1%} of the radius")
        if self.zero:
            doubts += self._gradient_doubts(ways, values)
        if self.white_box and self.black_box:
            white, black = _mean(self.white_box), _mean(self.black_box)
            values |= {"white_box": white, "black_box": black}
            if black < white - BLACK_BOX_MARGIN:
                doubts.append(
                    f"the black-box attack ({black:.3f}) beats the white-box one ({white:.3f})"
                )
        return {**values, "doubts": doubts, "reliable": not doubts}

    def _gradient_doubts(self, ways: int, values: dict[str, Any]) -> list[str]:
        zero, rose, everywhere = (_mean(x) for x in (self.zero, self.rose, self.everywhere))
        values |= {"zero_gradients": zero, "loss_rose": rose, "accuracy_everywhere": everywhere}
        doubts = []
        if zero > MAX_ZERO_GRADIENTS:
            doubts.append(f"{zero:.0%} of the queries have no gradient at all")
        if rose < MIN_LOSS_ROSE:
            doubts.append(f"the loss rose for {rose:.0%} of the queries only")
        if everywhere > 1 / ways + CHANCE_MARGIN:
            doubts.append(f"accuracy is {everywhere:.2f} where every picture is allowed")
        return doubts


def _mean(tensors: list[Tensor]) -> float:
    return float(torch.cat([x.flatten() for x in tensors]).double().mean())
