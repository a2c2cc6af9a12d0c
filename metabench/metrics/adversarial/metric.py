"""Score under attacks on queries, on support sets, and by poisoning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field

from metabench.algorithms.problem import Problem
from metabench.errors import NotApplicable, UsageError
from metabench.metrics.adversarial.ball import Ball
from metabench.metrics.adversarial.poisoning import Poisoning
from metabench.metrics.adversarial.query_attacks import QueryAttacks
from metabench.metrics.adversarial.through_adaptation import attack_adaptation
from metabench.metrics.base import Measurement, Metric, ProblemKind, values_or_reason
from metabench.metrics.bounds import Count, CountOrNone, Positive, Share
from metabench.metrics.perturbation import PerturbedSet, require_images
from metabench.metrics.scoring import adaptable_batch_size, iter_episodes, summarize_drop
from metabench.metrics.trial import Trial

GREY, COLOUR = (0.1, 0.2, 0.3), (8 / 255,)
GREY_L2, COLOUR_L2 = (2.0,), (0.5,)


@dataclass(frozen=True)
class Adversarial(Metric):
    r"""Accuracy when every query is attacked, and when part of the support set is poisoned.

    .. math:: \min_{\lVert \delta \rVert \le \epsilon} \; [\arg\max_k f(x_q + \delta)_k = y_q]

    The score of an episode is its accuracy under PGD on the queries in the smallest L-inf ball; if
    no gradient reaches the input (``white_box`` says why), under the Square attack. Restarts of PGD
    alternate between cross-entropy and margin; the strongest counts for each query. ``reliability``
    says whether the attack is reliable (:mod:`metabench.metrics.adversarial.reliability`).

    Reference: Goodfellow et al. 2015, arXiv:1412.6572; Madry et al. 2018, arXiv:1706.06083;
    Andriushchenko et al. 2020, arXiv:1912.00049.

    Args:
        episodes: Number of test episodes, from the first on.
        radii: Radii of L-inf balls; by default 0.1, 0.2, 0.3 for grey and 8/255 for colour images.
        l2_radii: Radii of L2 balls; by default 2 for grey and 0.5 for colour images.
        steps: Steps of PGD and of poisoning.
        restarts: Random restarts of PGD.
        wheres: What is attacked: always ``query``; with ``support`` or ``both`` also the support
            set, through the adaptation, in L-inf.
        black_box_episodes: Number of episodes for the Square attack; 0 for none.
        check_episodes: Number of episodes for the checks of gradients, which cost three runs of
            PGD; at most those for the Square attack.
        black_box_steps: Iterations of the Square attack.
        poisoned: Share of the support set that is poisoned, in the largest L-inf ball; 0 for none.
        batch: Episodes attacked together.
    """

    name: ClassVar[str] = "adversarial"
    direction: ClassVar[Literal["higher", "lower"]] = "higher"
    kinds: ClassVar[tuple[ProblemKind, ...]] = ("classification",)
    unit: ClassVar[str] = "share"
    reveals_labels: ClassVar[bool] = True

    episodes: Count = 40
    radii: Annotated[tuple[Positive, ...], Field(min_length=1)] | None = None
    l2_radii: tuple[Positive, ...] | None = None
    steps: Count = 20
    restarts: Count = 2
    wheres: tuple[PerturbedSet, ...] = ("query",)
    black_box_episodes: CountOrNone = 10
    check_episodes: Count = 10
    black_box_steps: Count = 100
    poisoned: Share = 0.2
    batch: Count = 5

    def measure(self, trial: Trial) -> Measurement:
        """Run all attacks; see :class:`Metric`.

        Raises:
            NotApplicable: If the benchmark is not classification of images.
            UsageError: If a radius is not above 0.
        """
        problem = trial.model.problem
        if problem.regression:
            raise NotApplicable(
                "it attacks the labels of images, and this benchmark is regression."
            )
        require_images(problem)
        balls = self._balls(problem)
        attacks = self._attack_queries(trial, balls)
        clean = torch.cat(attacks.clean)
        scores = {name: torch.cat(batches) for name, batches in attacks.accuracies.items()}
        headline = f"{'square' if attacks.no_gradient else 'pgd'}-{balls[0].name}"
        values: dict[str, Any] = {
            "episodes": len(clean),
            "clean": float(clean.mean()),
            "attacks": {
                name: summarize_drop(clean[: len(s)], s) | {"episodes": len(s)}
                for name, s in scores.items()
            },
            "reliability": attacks.reliability.verdict(problem.ways),
        }
        if attacks.no_gradient:
            values["white_box"] = {"n/a": attacks.no_gradient}
        linf = [ball for ball in balls if ball.norm == "linf"]
        for perturbed in self.wheres:
            if perturbed != "query":
                values[f"through_adaptation_{perturbed}"] = attack_adaptation(
                    trial, self.episodes, linf, perturbed, steps=self.steps, batch_size=self.batch
                )
        if self.poisoned:
            poisoning = Poisoning(self.poisoned, linf[-1].radius, self.steps)
            values["poisoning"] = values_or_reason(
                lambda: poisoning.measure(trial, self.episodes, self.batch)
            )
        return Measurement(scores[headline].tolist() if headline in scores else [], values)

    def _attack_queries(self, trial: Trial, balls: list[Ball]) -> QueryAttacks:
        attacks = QueryAttacks(
            balls,
            self.steps,
            self.restarts,
            self.black_box_episodes,
            self.black_box_steps,
            self.check_episodes,
            joint=trial.model.transductive,
        )
        batch_size = adaptable_batch_size(trial, self.batch)
        for indices, batch in iter_episodes(trial, self.episodes, batch_size=batch_size):
            with trial.isolated(int(indices[0])):
                attacks.run(trial.adapted(batch.support), indices, batch)
        return attacks

    def _balls(self, problem: Problem) -> list[Ball]:
        """Returns the L-inf balls, then the L2 balls, each ascending by radius."""
        grey = problem.input_shape[0] == 1
        radii = self.radii if self.radii is not None else (GREY if grey else COLOUR)
        l2_radii = self.l2_radii if self.l2_radii is not None else (GREY_L2 if grey else COLOUR_L2)
        if not radii:
            raise UsageError(
                "an attack needs at least one L-inf radius.", hint="Set adversarial.radii."
            )
        return [Ball("linf", r) for r in sorted(radii)] + [Ball("l2", r) for r in sorted(l2_radii)]
