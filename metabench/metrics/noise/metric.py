"""Score lost to noise in labels, targets and inputs."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import AfterValidator, Field
from torch import Tensor

from metabench.episodes import TaskBatch
from metabench.errors import NotApplicable
from metabench.metrics.base import Measurement, Metric, values_or_reason
from metabench.metrics.bounds import Count, Positive, Share
from metabench.metrics.noise.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from metabench.metrics.noise.labels import flip_labels
from metabench.metrics.perturbation import (
    PerturbedSet,
    normal_numbers,
    require_images,
    transform_images,
    uniform_numbers,
)
from metabench.metrics.scoring import (
    drop_interval,
    iter_episodes,
    score_each_perturbation,
    score_perturbed,
    summarize_drop,
)
from metabench.metrics.shots import with_shots
from metabench.metrics.trial import Trial

# With fewer shots a class could lose all its correct labels.
MIN_SHOTS = 5
"""Shots needed to flip labels."""

Severity = Annotated[int, Field(ge=SEVERITIES[0], le=SEVERITIES[-1])]


def _enough_to_flip(shots: int) -> int:
    if shots and shots < MIN_SHOTS:
        raise ValueError(f"it must be 0, or at least {MIN_SHOTS}")
    return shots


LabelShots = Annotated[int, Field(ge=0), AfterValidator(_enough_to_flip)]


@dataclass(frozen=True)
class Noise(Metric):
    r"""Score lost to wrong support labels and to corrupted inputs, on the same frozen episodes.

    .. math:: \frac{1}{E} \sum_e \left(s_e - s'_e\right)

    The score of an episode is its mean drop over all corruptions and severities of the query; in
    regression over all levels of target and input noise. Label noise flips an exact share of the
    support labels within the classes of the episode; see :data:`MIN_SHOTS`. In regression Gaussian
    noise is added, with multiples of the standard deviation of the clean support set.

    Reference: Hendrycks and Dietterich 2019, arXiv:1903.12261 (corruptions); Liang et al. 2022,
    arXiv:2204.05494 (symmetric flips of 20, 40 and 60 %).

    Args:
        episodes: Number of test episodes, from the first on.
        flips: Shares of flipped support labels.
        label_shots: Shots of the episodes whose labels are flipped, at least 5; 0 for those of the
            benchmark.
        severities: Severities of corruptions of the query set.
        support_severities: Severities of corruptions of the support set, and of both sets.
        levels: Standard deviations of the noise in regression, relative to the clean support.
    """

    name: ClassVar[str] = "noise"
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = "score lost"

    episodes: Count = 100
    flips: tuple[Share, ...] = (0.2, 0.4, 0.6)
    label_shots: LabelShots = 0
    severities: tuple[Severity, ...] = SEVERITIES
    support_severities: tuple[Severity, ...] = (3,)
    levels: tuple[Positive, ...] = (0.1, 0.3, 1.0)

    def measure(self, trial: Trial) -> Measurement:
        """Measure the drop under each kind of noise; see :class:`Metric`."""
        clean = score_perturbed(trial, self.episodes)
        values: dict[str, Any] = {"episodes": len(clean), "clean": float(clean.mean())}
        if trial.model.problem.regression:
            drops = self._regression(trial, clean, values)
        else:
            values["label_noise"] = values_or_reason(lambda: self._label_noise(trial, clean))
            drops = self._corruptions(trial, clean, values)
        if not drops:
            return Measurement(values=values)
        mean = torch.stack(drops).mean(0)
        values |= drop_interval(mean, "mean_drop")
        return Measurement(mean.tolist(), values)

    def _label_noise(self, trial: Trial, clean: Tensor) -> dict[str, Any]:
        shots = self.label_shots or trial.sampler.protocol.shots
        if shots < MIN_SHOTS:
            raise NotApplicable(
                f"labels are flipped from {MIN_SHOTS} shots on: at {shots}, a class could lose all "
                "its support."
            )
        values: dict[str, Any] = {"shots": shots}
        # Other episodes than those of `clean`, so they get clean scores of their own.
        if self.label_shots:
            sampler, _ = with_shots(trial.sampler, (shots,))
            trial = Trial(trial.model, sampler, trial.episodes)
            clean = score_perturbed(trial, self.episodes)
            values |= {"queries": sampler.protocol.queries, "clean": float(clean.mean())}
        for share in self.flips:
            flips: list[int] = []
            flip = functools.partial(_flip, share=share, counts=flips)
            scores = score_perturbed(trial, self.episodes, flip)
            values[f"{share:g}"] = {
                **summarize_drop(clean, scores),
                "flipped": flips[0] / trial.sampler.protocol.support_size,
            }
        return values

    def _corruptions(self, trial: Trial, clean: Tensor, values: dict[str, Any]) -> list[Tensor]:
        """Add the drops under corruptions to the values, and return those of the query set."""
        drops: list[Tensor] = []

        def corrupt_set(perturbed: PerturbedSet, severities: tuple[int, ...]) -> dict[str, Any]:
            require_images(trial.model.problem)
            settings = [(name, severity) for name in CORRUPTIONS for severity in severities]
            perturbations = [
                functools.partial(
                    transform_images, transform=corrupt(name, severity), perturbed=perturbed
                )
                for name, severity in settings
            ]
            scores = score_each_perturbation(trial, self.episodes, perturbations, perturbed)
            found: dict[str, Any] = {name: [] for name in CORRUPTIONS}
            for (name, severity), corrupted in zip(settings, scores, strict=True):
                found[name].append(summarize_drop(clean, corrupted) | {"severity": severity})
            if perturbed == "query":
                drops.extend(clean - corrupted for corrupted in scores)
            mean = torch.stack([clean - s for s in scores]).mean(0)
            return found | drop_interval(mean, "mean_drop")

        settings: tuple[tuple[PerturbedSet, tuple[int, ...]], ...] = (
            ("query", self.severities),
            ("support", self.support_severities),
            ("both", self.support_severities),
        )
        values["corruptions"] = {
            perturbed: values_or_reason(functools.partial(corrupt_set, perturbed, severities))
            for perturbed, severities in settings
            if severities
        }
        return drops

    def _regression(self, trial: Trial, clean: Tensor, values: dict[str, Any]) -> list[Tensor]:
        """Add the drops under Gaussian noise to the values, and return those of each episode."""
        batches = [batch for _, batch in iter_episodes(trial, self.episodes)]
        spread = {
            "support_y": float(torch.cat([b.support_y for b in batches]).std()),
            "support_x": float(torch.cat([b.support_x for b in batches]).std()),
        }
        # Query inputs get the noise of support inputs: both come from one distribution.
        spread["query_x"] = spread["support_x"]
        names = {
            "support_y": "target_noise",
            "support_x": "support_input_noise",
            "query_x": "query_input_noise",
        }
        drops = []
        for field, name in names.items():
            values[name] = {}
            for level in self.levels:
                add = functools.partial(_add_noise, field=field, sd=level * spread[field])
                scores = score_perturbed(trial, self.episodes, add)
                values[name][f"{level:g}"] = summarize_drop(clean, scores)
                drops.append(clean - scores)
        return drops


def _flip(batch: TaskBatch, indices: Tensor, *, share: float, counts: list[int]) -> TaskBatch:
    """Flip labels, and append how many to ``counts``."""
    noisy, flipped = flip_labels(batch, indices, share)
    counts.extend(flipped.sum(1).tolist())
    return noisy


def _add_noise(batch: TaskBatch, indices: Tensor, *, field: str, sd: float) -> TaskBatch:
    clean: Tensor = getattr(batch, field)
    numbers = uniform_numbers(indices, clean[0].numel(), "noise", field)
    noisy = clean + (sd * normal_numbers(numbers)).view_as(clean).to(clean.dtype)
    changes: dict[str, Any] = {field: noisy}
    return dataclasses.replace(batch, **changes)
