"""What every metric gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from metabench.trial import Predictions, Trial


@dataclass(frozen=True)
class Measurement:
    """What a metric found.

    Args:
        episodes: one score for each episode; empty where the metric is not one of episodes.
        values: further numbers, by name.
    """

    episodes: list[float] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)


class Metric(ABC):
    """Something measured on a trained algorithm.

    Attributes:
        name: what it is called.
        version: raised whenever its numbers would change.
        direction: whether higher or lower is better.
        unit: the unit of a score, for tables.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    direction: ClassVar[Literal["higher", "lower"]]
    unit: ClassVar[str]

    @abstractmethod
    def measure(self, trial: Trial) -> Measurement:
        """Measure a trained algorithm on frozen episodes."""


class EpisodeMetric(Metric):
    """A metric of predictions alone: one score for each episode. The first metric of a benchmark is one."""

    @abstractmethod
    def scores(self, predictions: Predictions) -> list[float]:
        """One score for each episode."""

    def measure(self, trial: Trial) -> Measurement:
        """See :class:`Metric`."""
        return Measurement(self.scores(trial.predictions()))
