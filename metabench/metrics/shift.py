"""What a change of the environment costs."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from metabench.datasets.base import ClassPool
from metabench.episodes import ClassSampler, GroupSampler
from metabench.errors import NotApplicable, ProtocolError
from metabench.metrics.base import Measurement, Metric, part
from metabench.metrics.images import ChangePictures, Where, change_pictures, check_pictures
from metabench.metrics.scoring import score_changed, score_changes, score_interval, summary
from metabench.metrics.trial import Trial


@dataclass(frozen=True)
class Shift(Metric):
    r"""The score that is lost where the world turns, grows, shrinks or changes its ink; same frozen episodes.

    .. math:: \frac{1}{E} \sum_e \left(s_e - s'_e\right)

    Changed on the query alone, the support comes from the old environment; changed on both, the task lies
    wholly in one that meta-training has not seen. An episode's score is its mean drop over all changes of the
    query. ``within_group`` is the score on episodes whose classes all come from one group of the test
    classes, such as one alphabet, against the mixed ones (paired as :class:`metabench.episodes.GroupSampler`
    says). ``elsewhere`` is the score on the episodes of other data sets, without training again: the same
    ways, shots and queries; its drop compares two means, for there is nothing to pair. A turned or scaled
    picture takes each value from the nearest pixel, and its border goes on outwards; inverted ink is
    ``1 - x``.

    Nearest, since anything smoother blurs thin strokes, and is measured in place of the change. For ProtoNet
    on glyphs (200 episodes, the query alone) turning by 15 degrees and back again costs 0.6 points so, 31
    bicubic and 57 bilinear; turning by 15 degrees once costs 6, 28 and 43.

    Args:
        episodes: the first so many test episodes.
        angles: of rotation, in degrees.
        scales: factors of the picture's contents.
        wheres: what is changed: ``query``, ``support`` or ``both``.
        groups: whether to test within groups.
        elsewhere: names of other data sets to test on, whose test classes meta-training must not have seen.
    """

    name: ClassVar[str] = "shift"
    version: ClassVar[str] = "2"
    direction: ClassVar[Literal["higher", "lower"]] = "lower"
    unit: ClassVar[str] = "score lost"

    episodes: int = 100
    angles: tuple[float, ...] = (15, 45, 90)
    scales: tuple[float, ...] = (0.7, 1.3)
    wheres: tuple[Where, ...] = ("query", "both")
    groups: bool = True
    elsewhere: tuple[str, ...] = ()

    @property
    def datasets(self) -> tuple[str, ...]:
        """See :class:`Metric`."""
        return self.elsewhere

    def measure(self, trial: Trial) -> Measurement:
        """See :class:`Metric`."""
        check_pictures(trial.algorithm.problem)
        clean = score_changed(trial, self.episodes)
        values: dict[str, Any] = {"episodes": len(clean), "clean": float(clean.mean())}
        means: dict[Where, Tensor] = {}
        for where in self.wheres:
            drops = []
            values[where] = {}
            changes = {
                name: functools.partial(change_pictures, change=change, where=where)
                for name, change in self._changes().items()
            }
            found = score_changes(trial, self.episodes, list(changes.values()), where)
            for name, scores in zip(changes, found, strict=True):
                values[where][name] = summary(clean, scores)
                drops.append(clean - scores)
            means[where] = torch.stack(drops).mean(0)
            values[where]["mean_drop"] = float(means[where].mean())
        if self.groups:
            values["within_group"] = part(lambda: _within_group(trial, clean))
        if self.elsewhere:
            values["elsewhere"] = part(lambda: _elsewhere(trial, clean, self.elsewhere))
        headline = means.get("query", next(iter(means.values())))
        return Measurement(headline.tolist(), values)

    def _changes(self) -> dict[str, ChangePictures]:
        turned = {
            f"rotation-{angle:g}": functools.partial(_similarity, angle=angle)
            for angle in self.angles
        }
        scaled = {
            f"scale-{scale:g}": functools.partial(_similarity, scale=scale) for scale in self.scales
        }
        return {**turned, **scaled, "inverted": _invert}


def _within_group(trial: Trial, clean: Tensor) -> dict[str, Any]:
    """What is left where all classes of an episode are of one group."""
    sampler = trial.sampler
    pool = sampler.pool if isinstance(sampler, ClassSampler) else None
    if not isinstance(pool, ClassPool) or not any(pool.groups):
        raise NotApplicable("the test classes are not grouped.")
    try:
        within = GroupSampler(
            pool, sampler.protocol, sampler.key, sampler.device, source="the test classes"
        )
    except ProtocolError as error:
        raise NotApplicable(error.message) from error
    scores = score_changed(Trial(trial.algorithm, within, len(clean)), len(clean))
    return {**summary(clean, scores), "groups": len(set(pool.groups))}


def _elsewhere(trial: Trial, clean: Tensor, names: tuple[str, ...]) -> dict[str, Any]:
    """The score on the test episodes of each of some other data sets."""
    if trial.elsewhere is None:
        raise NotApplicable("this trial has episodes of one data set only.")
    found: dict[str, Any] = {}
    for name in names:
        sampler = trial.elsewhere(name)
        scores = score_changed(Trial(trial.algorithm, sampler, len(clean)), len(clean))
        found[name] = {**score_interval(scores), "data": sampler.source_digest()}
    score = math.fsum(one["score"] for one in found.values()) / len(found)
    return {"score": score, "drop": float(clean.mean()) - score, "datasets": found}


def _similarity(
    x: Tensor, indices: Tensor, role: str, *, angle: float = 0.0, scale: float = 1.0
) -> Tensor:
    """Turn and scale pictures ``[T, N, C, H, W]`` about their middle."""
    del indices, role
    flat = x.flatten(0, 1)
    cos, sin = math.cos(math.radians(angle)) / scale, math.sin(math.radians(angle)) / scale
    height, width = x.shape[-2:]
    # The matrix maps places of the result to places of the source, in coordinates that run from -1 to 1.
    matrix = torch.tensor(
        [[cos, -sin * height / width, 0], [sin * width / height, cos, 0]],
        dtype=x.dtype,
        device=x.device,
    )
    grid = F.affine_grid(matrix.expand(len(flat), 2, 3), list(flat.shape), align_corners=False)
    moved = F.grid_sample(flat, grid, mode="nearest", padding_mode="border", align_corners=False)
    return moved.view_as(x)


def _invert(x: Tensor, indices: Tensor, role: str) -> Tensor:
    del indices, role
    return 1 - x
