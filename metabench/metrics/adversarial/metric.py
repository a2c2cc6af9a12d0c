"""How an algorithm stands attacks on its queries and on its support."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from metabench.algorithms.base import Predictor
from metabench.algorithms.problem import Problem
from metabench.episodes import TaskBatch
from metabench.errors import NotApplicable, UsageError
from metabench.metrics.adversarial.attacks import Ball, Norm, at, fgsm, losses, pgd, strongest
from metabench.metrics.adversarial.poisoning import Poisoning
from metabench.metrics.adversarial.reliability import Evidence
from metabench.metrics.adversarial.square import square_attack
from metabench.metrics.adversarial.through_adaptation import attack_adaptation
from metabench.metrics.base import Measurement, Metric, part
from metabench.metrics.images import Where, check_pictures, normal_numbers, uniform_numbers
from metabench.metrics.scoring import at_once, first, score_episodes, summary
from metabench.metrics.trial import Trial

GREY, COLOUR = (0.1, 0.2, 0.3), (8 / 255,)
GREY_L2, COLOUR_L2 = (2.0,), (0.5,)


@dataclass(frozen=True)
class Adversarial(Metric):
    r"""The accuracy that is left when every query is attacked, and when part of the support is poisoned.

    .. math:: \min_{\lVert \delta \rVert \le \epsilon} \; [\arg\max_k f(x_q + \delta)_k = y_q]

    The support is clean and the gradient runs through the adapted predictor; with ``wheres``, PGD attacks the
    support as well, or support and query together, and its gradient runs through the adaptation itself
    (:mod:`~metabench.metrics.adversarial.through_adaptation`). An episode's score is its accuracy under PGD in the
    smallest L-inf ball; where no gradient reaches the input, under the Square attack, and ``white_box`` says
    why. PGD's restarts take the cross-entropy and the margin in turn, and the worst of them counts for each
    query; one that has fallen is attacked no further, neither in a restart nor in a larger ball. For a
    transductive method all queries of an episode are attacked each time, which is one joint attack.
    ``reliability`` says whether the attack is to be believed
    (:class:`metabench.metrics.adversarial.reliability.Evidence`).

    Reference: Goodfellow et al. 2015, arXiv:1412.6572; Madry et al. 2018, arXiv:1706.06083; Andriushchenko et
    al. 2020, arXiv:1912.00049; the checks of Carlini et al. 2019, arXiv:1902.06705.

    Args:
        episodes: the first so many test episodes.
        radii: of the L-inf balls, rising; by default 0.1, 0.2 and 0.3 on grey pictures and 8/255 on colour.
        l2_radii: of the L2 balls, rising; by default 2 on grey pictures and 0.5 on colour.
        steps: of PGD and of the poisoning.
        restarts: of PGD, from random points.
        wheres: what is attacked: the query always is; ``support`` and ``both`` on request, in L-inf.
        black_box_episodes: the first so many, for the Square attack and the checks; 0 leaves them out.
        black_box_steps: iterations of the Square attack.
        poisoned: share of the support that is poisoned, in the largest L-inf ball; 0 leaves it out.
        batch: episodes attacked at once.
    """

    name: ClassVar[str] = "adversarial"
    direction: ClassVar[Literal["higher", "lower"]] = "higher"
    unit: ClassVar[str] = "share"

    episodes: int = 40
    radii: tuple[float, ...] | None = None
    l2_radii: tuple[float, ...] | None = None
    steps: int = 20
    restarts: int = 2
    wheres: tuple[Where, ...] = ("query",)
    black_box_episodes: int = 10
    black_box_steps: int = 100
    poisoned: float = 0.2
    batch: int = 5

    def measure(self, trial: Trial) -> Measurement:
        """See :class:`Metric`.

        Raises:
            NotApplicable: the benchmark is not one of classifying pictures.
            UsageError: a radius is not above 0.
        """
        problem = trial.algorithm.problem
        if problem.regression:
            raise NotApplicable(
                "it attacks the labels of pictures, and this benchmark is regression."
            )
        check_pictures(problem)
        balls = self._balls(problem)
        found: dict[str, list[Tensor]] = {}
        evidence = Evidence()
        values: dict[str, Any] = {}
        for indices, batch in first(trial, self.episodes, batch=at_once(trial, self.batch)):
            with trial.isolated(int(indices[0])):
                predict = trial.adapted(batch.support)
                evidence.saw_predictor(predict, batch.query_x)
                self._attack(trial, predict, indices, batch, balls, found, evidence, values)
        clean = torch.cat(found.pop("clean"))
        scores = {name: torch.cat(parts) for name, parts in found.items()}
        headline = f"{'square' if 'white_box' in values else 'pgd'}-{balls[0].name}"
        values |= {
            "episodes": len(clean),
            "clean": float(clean.mean()),
            "attacks": {
                name: summary(clean[: len(s)], s) | {"episodes": len(s)}
                for name, s in scores.items()
            },
            "reliability": evidence.verdict(problem.ways),
        }
        linf = [ball for ball in balls if ball.norm == "linf"]
        for where in self.wheres:
            if where != "query":
                values[f"through_adaptation_{where}"] = attack_adaptation(
                    trial, self.episodes, linf, where, steps=self.steps, batch_size=self.batch
                )
        if self.poisoned:
            largest = linf[-1].radius
            poisoning = Poisoning(self.poisoned, largest, self.steps)
            values["poisoning"] = part(lambda: poisoning.measure(trial, self.episodes, self.batch))
        return Measurement(scores[headline].tolist() if headline in scores else [], values)

    def _balls(self, problem: Problem) -> list[Ball]:
        """The L-inf balls, then the L2 balls."""
        grey = problem.input_shape[0] == 1
        radii = self.radii if self.radii is not None else (GREY if grey else COLOUR)
        l2_radii = self.l2_radii if self.l2_radii is not None else (GREY_L2 if grey else COLOUR_L2)
        if not radii:
            raise UsageError("an attack needs at least one L-inf radius.")
        return [Ball("linf", r) for r in sorted(radii)] + [Ball("l2", r) for r in sorted(l2_radii)]

    def _attack(
        self,
        trial: Trial,
        predict: Predictor,
        indices: Tensor,
        batch: TaskBatch,
        balls: list[Ball],
        found: dict[str, list[Tensor]],
        evidence: Evidence,
        values: dict[str, Any],
    ) -> None:
        """Run all attacks on some episodes, and add what is left of their accuracy to ``found``."""
        x, labels = batch.query_x, batch.query_y
        checked = int(indices[0]) < self.black_box_episodes
        together = trial.algorithm.transductive
        largest = [ball for ball in balls if ball.norm == "linf"][-1]
        try:
            attacks = list(self._white_box(predict, indices, batch, balls, together=together))
            if checked:
                evidence.probe(predict, x, labels, largest, self.steps, together=together)
        except NotApplicable as error:
            values["white_box"] = {"n/a": error.message}
            attacks = []
        if checked:
            # Without gradients it is all there is, so it runs in every ball.
            for ball in balls if not attacks else [largest]:
                if ball.norm == "linf":
                    attacks.append(
                        (f"square-{ball.name}", ball, self._square(predict, indices, batch, ball))
                    )
        accuracy = {}
        with torch.no_grad():
            found.setdefault("clean", []).append(score_episodes(predict(x), labels))
            for name, ball, attacked in attacks:
                evidence.saw_ball(ball, attacked, x)
                accuracy[name] = score_episodes(predict(attacked), labels)
                found.setdefault(name, []).append(accuracy[name])
        if checked and f"pgd-{largest.name}" in accuracy:
            evidence.white_box.append(accuracy[f"pgd-{largest.name}"])
            evidence.black_box.append(accuracy[f"square-{largest.name}"])

    def _white_box(
        self,
        predict: Predictor,
        indices: Tensor,
        batch: TaskBatch,
        balls: list[Ball],
        *,
        together: bool,
    ) -> Iterator[tuple[str, Ball, Tensor]]:
        """The name, the ball and the attacked queries of each attack by gradient."""
        x, labels = batch.query_x, batch.query_y
        known: dict[Norm, Tensor] = {}
        for ball in balls:
            yield f"fgsm-{ball.name}", ball, fgsm(predict, x, labels, ball)
            # What is found in a ball lies in the larger ones of its norm.
            found = self.pgd(
                predict, indices, batch, ball, start=known.get(ball.norm), together=together
            )
            known[ball.norm] = found
            yield f"pgd-{ball.name}", ball, found

    def pgd(
        self,
        predict: Predictor,
        indices: Tensor,
        batch: TaskBatch,
        ball: Ball,
        *,
        start: Tensor | None = None,
        together: bool = True,
    ) -> Tensor:
        """The worst queries that PGD finds in all its restarts.

        Args:
            predict: queries ``[T, Q, *input]`` to logits ``[T, Q, ways]``.
            indices: int64 ``[T]``, the indices of the episodes, which seed the restarts.
            batch: the episodes.
            ball: where each query may go.
            start: the worst queries that are known already.
            together: attack all queries at once, as a transductive method needs it.

        Returns:
            The attacked queries, ``[T, Q, *input]``.

        Raises:
            NotApplicable: no gradient reaches the input.
        """
        attempt = functools.partial(self._restart, predict, indices, batch, ball)
        return strongest(
            predict,
            batch.query_x,
            batch.query_y,
            self.restarts,
            attempt,
            start=start,
            together=together,
        )

    def _restart(
        self,
        predict: Predictor,
        indices: Tensor,
        batch: TaskBatch,
        ball: Ball,
        attempt: int,
        places: Tensor | None,
    ) -> Tensor:
        numbers = uniform_numbers(indices, batch.query_x[0].numel(), "restart", attempt)
        start = ball.random(batch.query_x, normal_numbers(numbers).view_as(batch.query_x))
        return pgd(
            predict,
            at(batch.query_x, places),
            at(batch.query_y, places),
            ball,
            steps=self.steps,
            start=at(start, places),
            loss="margin" if attempt % 2 else "cross-entropy",
        )

    def _square(self, predict: Predictor, indices: Tensor, batch: TaskBatch, ball: Ball) -> Tensor:
        @torch.no_grad()
        def margin(queries: Tensor) -> Tensor:
            return losses("margin", predict(queries), batch.query_y)

        return square_attack(
            margin, batch.query_x, indices, ball.radius, iterations=self.black_box_steps
        )
