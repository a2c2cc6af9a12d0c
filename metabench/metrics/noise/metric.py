"""What noise in the labels and in the inputs costs."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from metabench.episodes import TaskBatch
from metabench.errors import NotApplicable
from metabench.metrics.base import Measurement, Metric, part
from metabench.metrics.images import (
    Where,
    change_pictures,
    check_pictures,
    normal_numbers,
    uniform_numbers,
)
from metabench.metrics.noise.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from metabench.metrics.noise.labels import flip_labels
from metabench.metrics.reshaping import with_shots
from metabench.metrics.scoring import first, score_changed, score_changes, summary
from metabench.metrics.trial import Trial

LEAST_SHOTS = 5
"""Of the episodes whose labels are flipped."""


@dataclass(frozen=True)
class Noise(Metric):
    r"""The score that is lost to wrong support labels and to spoiled inputs, on the same frozen episodes.

    .. math:: \frac{1}{E} \sum_e \left(s_e - s'_e\right)

    An episode's score is the mean drop over all corruptions and severities of the query; in regression over
    all levels of target and input noise. Label noise flips exactly the stated share of the support, within
    the episode's classes; with fewer than five shots a class could lose all its examples, so it is n/a unless
    ``label_shots`` asks for the same episodes with more shots.
    In regression Gaussian noise is added whose standard deviation is a multiple of that of the clean support.

    Reference: Hendrycks and Dietterich 2019, arXiv:1903.12261 (corruptions); Liang et al. 2022,
    arXiv:2204.05494 (symmetric flips at 20, 40 and 60 %).

    Args:
        episodes: the first so many test episodes.
        flips: shares of flipped support labels.
        label_shots: the shots of the episodes whose labels are flipped; 0 means as in the benchmark.
        severities: of the corruptions of the query.
        support_severities: of the corruptions of the support, and of both.
        levels: standard deviations of the noise in regression, relative.
    """

    name: ClassVar[str] = "noise"
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = "score lost"

    episodes: int = 100
    flips: tuple[float, ...] = (0.2, 0.4, 0.6)
    label_shots: int = 0
    severities: tuple[int, ...] = SEVERITIES
    support_severities: tuple[int, ...] = (3,)
    levels: tuple[float, ...] = (0.1, 0.3, 1.0)

    def measure(self, trial: Trial) -> Measurement:
        """See :class:`Metric`."""
        clean = score_changed(trial, self.episodes)
        values: dict[str, Any] = {"episodes": len(clean), "clean": float(clean.mean())}
        if trial.algorithm.problem.regression:
            drops = self._regression(trial, clean, values)
        else:
            values["label_noise"] = part(lambda: self._label_noise(trial, clean))
            drops = self._corruptions(trial, clean, values)
        if not drops:
            return Measurement(values=values)
        mean = torch.stack(drops).mean(0)
        values["mean_drop"] = float(mean.mean())
        return Measurement(mean.tolist(), values)

    def _label_noise(self, trial: Trial, clean: Tensor) -> dict[str, Any]:
        shots = self.label_shots or trial.sampler.protocol.shots
        if shots < LEAST_SHOTS:
            raise NotApplicable(
                f"labels are flipped from {LEAST_SHOTS} shots on: at {shots}, a class could lose all its "
                "support."
            )
        found: dict[str, Any] = {"shots": shots}
        if self.label_shots:
            sampler, _ = with_shots(trial.sampler, (shots,))
            trial = Trial(trial.algorithm, sampler, trial.episodes)
            clean = score_changed(trial, self.episodes)
            found |= {"queries": sampler.protocol.queries, "clean": float(clean.mean())}
        for share in self.flips:
            flipped: list[int] = []

            def flip(batch: TaskBatch, indices: Tensor, share: float = share) -> TaskBatch:
                noisy, which = flip_labels(batch, indices, share)
                flipped.extend(which.sum(1).tolist())  # noqa: B023
                return noisy

            scores = score_changed(trial, self.episodes, flip)
            found[f"{share:g}"] = {
                **summary(clean, scores),
                "flipped": flipped[0] / trial.sampler.protocol.support_size,
            }
        return found

    def _corruptions(self, trial: Trial, clean: Tensor, values: dict[str, Any]) -> list[Tensor]:
        """Write what corruptions cost; the drops of each episode under those of the query."""
        drops: list[Tensor] = []

        def all_of(where: Where, severities: tuple[int, ...]) -> dict[str, Any]:
            check_pictures(trial.algorithm.problem)
            settings = [(name, severity) for name in CORRUPTIONS for severity in severities]
            changes = [
                functools.partial(change_pictures, change=corrupt(name, severity), where=where)
                for name, severity in settings
            ]
            scores = score_changes(trial, self.episodes, changes, where)
            found: dict[str, Any] = {name: [] for name in CORRUPTIONS}
            for (name, severity), changed in zip(settings, scores, strict=True):
                found[name].append(summary(clean, changed) | {"severity": severity})
            if where == "query":
                drops.extend(clean - changed for changed in scores)
            return found | {"mean_drop": float(torch.stack([clean - s for s in scores]).mean())}

        settings: tuple[tuple[Where, tuple[int, ...]], ...] = (
            ("query", self.severities),
            ("support", self.support_severities),
            ("both", self.support_severities),
        )
        values["corruptions"] = {
            where: part(functools.partial(all_of, where, severities))
            for where, severities in settings
            if severities
        }
        return drops

    def _regression(self, trial: Trial, clean: Tensor, values: dict[str, Any]) -> list[Tensor]:
        """Write what noise in the support targets and in the inputs costs; the drops of each episode."""
        batches = [batch for _, batch in first(trial, self.episodes)]
        spread = {
            "support_y": float(torch.cat([b.support_y for b in batches]).std()),
            "support_x": float(torch.cat([b.support_x for b in batches]).std()),
        }
        spread["query_x"] = spread["support_x"]
        names = {
            "support_y": "target_noise",
            "support_x": "support_input_noise",
            "query_x": "query_input_noise",
        }
        drops = []
        for which, name in names.items():
            values[name] = {}
            for level in self.levels:
                add = functools.partial(_add_noise, which=which, sd=level * spread[which])
                scores = score_changed(trial, self.episodes, add)
                values[name][f"{level:g}"] = summary(clean, scores)
                drops.append(clean - scores)
        return drops


def _add_noise(batch: TaskBatch, indices: Tensor, *, which: str, sd: float) -> TaskBatch:
    clean: Tensor = getattr(batch, which)
    numbers = uniform_numbers(indices, clean[0].numel(), "noise", which)
    noisy = clean + (sd * normal_numbers(numbers)).view_as(clean).to(clean.dtype)
    changed: dict[str, Any] = {which: noisy}
    return dataclasses.replace(batch, **changed)
