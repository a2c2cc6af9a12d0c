"""A trained algorithm as metrics see it: support sets and query inputs in, predictions out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor

from metabench.algorithms.problem import Problem
from metabench.episodes import Support
from metabench.runtime.timing import Timing


class AdaptedPredictor(Protocol):
    """The predictor of ``T`` tasks that were adapted to together."""

    def __call__(self, query: Tensor, /) -> Tensor:
        """Predict queries ``[T, Q, *input]`` together: ``[T, Q, outputs]``."""

    def alone(self, query: Tensor, /) -> Tensor:
        """Predict each query of a task without the others: ``[T, Q, outputs]``."""


@dataclass(frozen=True, eq=False)
class QueryPredictions:
    """Predictions of queries together, and of some of them alone, after one adaptation.

    Args:
        together: Each query among the others of its task, float32 ``[T, Q, outputs]``.
        alone: Some of them without the others, float32 ``[T, P, outputs]``; ``None`` if the
            predictor fails on a single query.
        alone_error: The error of a single query.
    """

    together: Tensor
    alone: Tensor | None
    alone_error: str = ""


@dataclass(frozen=True, eq=False)
class StepPath:
    """Predictions along the inner steps of one task.

    Args:
        outputs: After each requested number of steps, float32 ``[Q, outputs]``.
        ms: The milliseconds in inner steps up to each.
        predictors: The number of predictors that ``adapt_path`` yielded.
    """

    outputs: list[Tensor]
    ms: list[float]
    predictors: int


class Model(ABC):
    """A trained algorithm that adapts to support sets and predicts queries.

    It may be in this process (:class:`metabench.metrics.local_model.LocalModel`) or in another
    (:class:`metabench.running.sealing.client.RemoteModel`). No method takes a query label.
    Random numbers depend only on the index of an episode, and what adaptation changes in
    parameters and buffers is undone after it.

    Attributes:
        name: The name of the algorithm.
        problem: What the algorithm was made for.
        transductive: Whether the algorithm declares that queries influence each other.
        leaked_state: Names of the parameters and buffers that adaptation changed.
    """

    name: str
    problem: Problem
    transductive: bool
    leaked_state: set[str]

    @abstractmethod
    def offers(self, method: Literal["adapt_batch", "adapt_path"]) -> bool:
        """Returns whether the algorithm has an optional method."""

    @abstractmethod
    def predict(self, support: Support, query: Tensor, start: int) -> Tensor:
        """Adapt to each support set and predict its queries.

        Args:
            support: ``x`` ``[T, S, *input]`` and ``y`` ``[T, S]``.
            query: ``[T, Q, *input]``.
            start: Index of the first episode, which seeds the random numbers.

        Returns:
            float32 ``[T, Q, outputs]``, if the algorithm predicts that shape.
        """

    @abstractmethod
    def predict_both(
        self, support: Support, query: Tensor, positions: Tensor, start: int
    ) -> QueryPredictions:
        """Adapt once, and predict the queries together, and some of them alone.

        Args:
            support: See :meth:`predict`.
            query: ``[T, Q, *input]``.
            positions: The queries of each task to predict alone, int64 ``[P]``.
            start: See :meth:`predict`.
        """

    @abstractmethod
    def isolated(self, start: int = 0) -> AbstractContextManager[None]:
        """Seed random numbers by an episode, and undo changes of the algorithm afterwards."""

    @abstractmethod
    def adapted(self, support: Support) -> AdaptedPredictor:
        """Adapt to ``T`` support sets and return the predictor with its graph.

        Call it, and the predictor, inside :meth:`isolated`. Gradients flow to the query; with
        ``support.keep_graph`` also to the support set, if the adaptation is differentiable.

        Args:
            support: ``x`` ``[T, S, *input]`` and ``y`` ``[T, S]``; ``T`` is 1 if the algorithm has
                no ``adapt_batch``, because it may adapt parameters of its own.
        """

    @abstractmethod
    def path(self, support: Support, query: Tensor, steps: Sequence[int]) -> StepPath:
        """Predict the queries of one task along its inner steps, inside :meth:`isolated`.

        Args:
            support: ``x`` ``[S, *input]`` and ``y`` ``[S]``.
            query: ``[Q, *input]``.
            steps: Ascending numbers of inner steps.
        """

    @abstractmethod
    def first_divergent_step(self, support: Support, query: Tensor, index: int) -> int | None:
        """Returns the first inner step of one task after which predictions are not finite.

        ``None`` if no step is found, or the algorithm has no ``adapt_path``.
        """

    @abstractmethod
    def time_adaptation(self, support: Support) -> Timing:
        """Time the adaptation to one task, inside :meth:`isolated`."""

    @abstractmethod
    def cost(self, support: Support, query: Tensor) -> dict[str, Any]:
        """Returns the cost of one task, inside :meth:`isolated`: times, memory, FLOPs, energy."""
