"""Whether an attack can be believed: a method that stands it may only hide its gradients."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from metabench.algorithms.base import Predictor
from metabench.metrics.adversarial.attacks import (
    Ball,
    LossName,
    at,
    input_gradient,
    losses,
    pgd,
    strongest,
)
from metabench.metrics.scoring import score_episodes

LOSSES: tuple[LossName, LossName] = ("cross-entropy", "margin")
EVERYWHERE = Ball("linf", 1.0)
"""A ball that holds every picture: in it an attack must bring every method down to chance."""

MOST_ZERO_GRADIENTS = 0.05
LEAST_RISEN = 0.9
BLACK_BOX_MARGIN = 0.02
CHANCE_MARGIN = 0.05
RADIUS_MARGIN = 1e-4


@dataclass
class Evidence:
    """What is gathered about an attack while it runs, episode by episode.

    Attributes:
        deterministic: whether the same queries were given the same logits when asked twice.
        zero: which queries have no gradient at all, for either loss.
        rose: for which queries plain PGD made the cross-entropy larger.
        everywhere: accuracy in the ball that holds every picture.
        white_box: accuracy under the strongest gradient attack, where the black-box attack ran too.
        black_box: accuracy under the black-box attack.
        excess: by what share of its radius any attack left its ball, at most.
    """

    deterministic: bool = True
    zero: list[Tensor] = field(default_factory=list)
    rose: list[Tensor] = field(default_factory=list)
    everywhere: list[Tensor] = field(default_factory=list)
    white_box: list[Tensor] = field(default_factory=list)
    black_box: list[Tensor] = field(default_factory=list)
    excess: float = 0.0

    def saw_ball(self, ball: Ball, attacked: Tensor, clean: Tensor) -> None:
        """Note whether an attack kept its radius, and showed pictures in ``[0, 1]``."""
        outside = torch.maximum(-attacked, attacked - 1).amax() / ball.radius
        beyond = ball.distance(attacked, clean).amax() / ball.radius - 1
        self.excess = max(self.excess, float(outside), float(beyond))

    def saw_predictor(self, predict: Predictor, x: Tensor) -> None:
        """Note whether the forward pass is deterministic."""
        with torch.no_grad():
            self.deterministic &= bool(torch.equal(predict(x), predict(x)))

    def probe(
        self,
        predict: Predictor,
        x: Tensor,
        labels: Tensor,
        ball: Ball,
        steps: int,
        *,
        together: bool = True,
    ) -> None:
        """Note what the gradients of a predictor are good for; see :func:`strongest` for ``together``.

        Raises:
            NotApplicable: no gradient reaches the input.
        """
        dead = torch.ones_like(labels, dtype=torch.bool)
        for loss in LOSSES:
            gradient, _ = input_gradient(predict, x, labels, loss)
            dead &= ~gradient.flatten(2).any(-1)
        self.zero.append(dead)
        with torch.no_grad():
            before = losses("cross-entropy", predict(x), labels)
            after = losses(
                "cross-entropy", predict(pgd(predict, x, labels, ball, steps=steps)), labels
            )
        self.rose.append(after > before)

        def attempt(i: int, places: Tensor | None) -> Tensor:
            return pgd(
                predict, at(x, places), at(labels, places), EVERYWHERE, steps=steps, loss=LOSSES[i]
            )

        worst = strongest(predict, x, labels, 2, attempt, together=together)
        with torch.no_grad():
            self.everywhere.append(score_episodes(predict(worst), labels))

    def verdict(self, ways: int) -> dict[str, Any]:
        """The flags, and in words what speaks against the attack; nothing does where it is reliable."""
        found: dict[str, Any] = {"deterministic": self.deterministic, "radius_excess": self.excess}
        doubts = []
        if not self.deterministic:
            doubts.append("the same queries are predicted differently when asked twice")
        if self.excess > RADIUS_MARGIN:
            doubts.append(f"an attack left its ball by {self.excess:.1%} of the radius")
        if self.zero:
            zero, rose, everywhere = (_mean(x) for x in (self.zero, self.rose, self.everywhere))
            found |= {"zero_gradients": zero, "loss_rose": rose, "accuracy_everywhere": everywhere}
            if zero > MOST_ZERO_GRADIENTS:
                doubts.append(f"{zero:.0%} of the queries have no gradient at all")
            if rose < LEAST_RISEN:
                doubts.append(f"the loss rose for {rose:.0%} of the queries only")
            if everywhere > 1 / ways + CHANCE_MARGIN:
                doubts.append(f"accuracy is {everywhere:.2f} where every picture is allowed")
        if self.white_box and self.black_box:
            white, black = _mean(self.white_box), _mean(self.black_box)
            found |= {"white_box": white, "black_box": black}
            if black < white - BLACK_BOX_MARGIN:
                doubts.append(
                    f"the black-box attack ({black:.3f}) beats the white-box one ({white:.3f})"
                )
        return {**found, "doubts": doubts, "reliable": not doubts}


def _mean(parts: list[Tensor]) -> float:
    return float(torch.cat([part.flatten() for part in parts]).double().mean())
