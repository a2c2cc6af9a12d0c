"""Base classes of metrics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from metabench.errors import MetabenchError, NotApplicable
from metabench.metrics.trial import Predictions, Trial

ProblemKind = Literal["classification", "regression"]


@dataclass(frozen=True)
class Measurement:
    """The numbers that a metric returns.

    Args:
        episodes: Score of each episode, from the first on; fewer than the benchmark has if the
            metric is costly, and empty if it has no score per episode.
        values: Further values by name, which JSON can represent.
    """

    episodes: list[float] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)


class Metric(ABC):
    """A quantity measured on a trained algorithm.

    A metric with options is a frozen dataclass: each field is an option with its default.

    Attributes:
        name: Name in benchmarks and records.
        version: Raised whenever the numbers would change.
        direction: Whether higher or lower is better.
        unit: Unit of a score, for tables.
        kinds: Kinds of problems that it applies to; it cannot rank benchmarks of another kind.
        reveals_labels: Whether the algorithm can read query labels from what the metric asks, such
            as the gradient of a loss. Those metrics are measured after all others.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    direction: ClassVar[Literal["higher", "lower"]]
    unit: ClassVar[str]
    kinds: ClassVar[tuple[ProblemKind, ...]] = ("classification", "regression")
    reveals_labels: ClassVar[bool] = False

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of further data sets that the metric needs, checked before training starts."""
        return ()

    @abstractmethod
    def measure(self, trial: Trial) -> Measurement:
        """Measure a trained algorithm on frozen episodes.

        A value that does not apply is ``{"n/a": reason}``; see :func:`values_or_reason`.

        Raises:
            NotApplicable: If the metric does not apply to the algorithm or the benchmark.
        """


class EpisodeMetric(Metric):
    """A metric with one score per episode from the predictions alone, as ranking needs it."""

    @abstractmethod
    def scores(self, predictions: Predictions) -> list[float]:
        """Returns the score of each episode."""

    def measure(self, trial: Trial) -> Measurement:
        """Score the predictions of a trial; see :class:`Metric`."""
        return Measurement(self.scores(trial.predictions()))


def values_or_reason(measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Returns some values of a metric, or why there are none.

    The other values of the metric are kept if these do not apply, or if the algorithm diverges
    while they are measured.

    Args:
        measure: Returns the values.

    Returns:
        The values, ``{"n/a": reason}`` or ``{"failed": reason}``.
    """
    # Errors of metabench only: a bug of the metric must not hide in one of its values.
    try:
        return measure()
    except NotApplicable as error:
        return {"n/a": error.message}
    except MetabenchError as error:
        return {"failed": error.message}
