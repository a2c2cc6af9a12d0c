"""What every metric gives, and what becomes of one that cannot."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from metabench.errors import MetabenchError, NotApplicable
from metabench.metrics.trial import Predictions, Trial


@dataclass(frozen=True)
class Measurement:
    """What a metric found.

    Args:
        episodes: one score for each episode, from the first on; empty where the metric is not one of
            episodes. A costly metric looks at fewer episodes than the benchmark has.
        values: further numbers, by name.
    """

    episodes: list[float] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)


class Metric(ABC):
    """Something measured on a trained algorithm.

    A metric with options is a frozen dataclass: each field is an option with its default. ``measure`` raises
    :class:`~metabench.errors.NotApplicable` where it does not fit; a part of it that does not fit is
    ``{"n/a": reason}`` among the values (see :func:`part`).

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

    @property
    def datasets(self) -> tuple[str, ...]:
        """The names of data sets that it will ask the trial for, beside the benchmark's: none by default.

        They are looked for before anything is trained.
        """
        return ()

    @abstractmethod
    def measure(self, trial: Trial) -> Measurement:
        """Measure a trained algorithm on frozen episodes.

        Raises:
            NotApplicable: the metric does not fit the algorithm or the benchmark.
        """


class EpisodeMetric(Metric):
    """A metric of predictions alone: one score for each episode. The first metric of a benchmark is one."""

    @abstractmethod
    def scores(self, predictions: Predictions) -> list[float]:
        """One score for each episode."""

    def measure(self, trial: Trial) -> Measurement:
        """See :class:`Metric`."""
        return Measurement(self.scores(trial.predictions()))


def part(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """One part of a metric's values; ``{"n/a": reason}`` or ``{"failed": reason}`` where it cannot be.

    The other parts of the metric survive, and so do those of a method that diverges under one of them only.
    """
    try:
        return measure()
    except NotApplicable as error:
        return {"n/a": error.message}
    except MetabenchError as error:
        return {"failed": error.message}
