"""A trained algorithm on frozen episodes: what metrics measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm
from metabench.episodes import Sampler, Support, Task, TaskBatch
from metabench.errors import DivergedError
from metabench.metrics.checks import check_outputs, first_not_finite
from metabench.metrics.local_model import LocalModel
from metabench.metrics.model import AdaptedPredictor, Model, QueryPredictions

# Fixed, and not an option: the batch size can change the last bits of predictions.
BATCH_SIZE = 20
"""Episodes adapted to together, if the algorithm has ``adapt_batch``."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of an algorithm for the query sets of ``E`` episodes.

    Args:
        outputs: Logits, or values in regression, ``[E, Q, outputs]``.
        targets: int64 ``[E, Q]``, or ``[E, Q, outputs]`` in regression.
        classes: Class of the pool behind each label, int64 ``[E, ways]``.
    """

    outputs: Tensor
    targets: Tensor
    classes: Tensor


@dataclass(frozen=True, eq=False)
class ProbedQueries:
    """Queries of a batch that were predicted together with the others and without them.

    Args:
        positions: Their positions among the queries of each episode, int64 ``[P]``.
        found: The predictions of the batch, ``alone`` at these positions.
        targets: The targets of all queries of the batch.
    """

    positions: Tensor
    found: QueryPredictions
    targets: Tensor


class Trial:
    """One trained algorithm on the first ``episodes`` episodes of a sampler.

    The algorithm may be in another process, which has no query labels: a metric gives support sets
    and query inputs to :meth:`predict`, :meth:`predict_both` and :meth:`adapted`, and scores what
    they return.

    Args:
        algorithm: The trained algorithm in evaluation mode, or a model of it.
        sampler: The frozen episodes.
        episodes: Number of episodes.
        on_episode: Called with the number of episodes done and the predictions so far, for
            progress.
        elsewhere: Returns a sampler of the same kind of episodes from another data set, by name.
        probes: Number of queries of each episode that :meth:`predictions` predicts alone too.

    Attributes:
        model: The algorithm as metrics see it. :attr:`algorithm` is the same, unless the trial was
            made from an algorithm of this process.
        probed: The probes of each batch, once :meth:`predictions` was called.
    """

    def __init__(
        self,
        algorithm: Algorithm | Model,
        sampler: Sampler,
        episodes: int,
        *,
        on_episode: Callable[[int, list[Predictions]], None] | None = None,
        elsewhere: Callable[[str], Sampler] | None = None,
        probes: int = 0,
    ) -> None:
        self.algorithm = algorithm
        self.model = algorithm if isinstance(algorithm, Model) else LocalModel(algorithm)
        self.sampler = sampler
        self.episodes = episodes
        self.elsewhere = elsewhere
        self.probed: list[ProbedQueries] = []
        self._probes = probes
        self._on_episode = on_episode
        self._predictions: Predictions | None = None

    @property
    def device(self) -> torch.device:
        """Device of the episodes."""
        return self.sampler.device

    @property
    def leaked_state(self) -> set[str]:
        """Names of the parameters and buffers that adaptation changed."""
        return self.model.leaked_state

    def batches(self) -> Iterator[TaskBatch]:
        """Iterate over the episodes in batches of :data:`BATCH_SIZE`."""
        for start in range(0, self.episodes, BATCH_SIZE):
            yield self.sampler.range(start, min(start + BATCH_SIZE, self.episodes))

    def predictions(self) -> Predictions:
        """Returns the predictions for all query sets; computed once.

        Raises:
            DivergedError: If a prediction is not finite.
            CellFailed: If a prediction has the wrong shape.
        """
        if self._predictions is None:
            batches: list[Predictions] = []
            done = 0
            for batch in self.batches():
                outputs = self._predict_probed(batch, done)
                batches.append(Predictions(outputs, batch.query_y, batch.classes))
                done += len(batch)
                if self._on_episode is not None:
                    self._on_episode(done, batches)
            self._predictions = Predictions(
                torch.cat([p.outputs for p in batches]),
                torch.cat([p.targets for p in batches]),
                torch.cat([p.classes for p in batches]),
            )
        return self._predictions

    def known_predictions(self, episodes: int) -> Predictions | None:
        """Returns the predictions for the first episodes, if :meth:`predictions` made them.

        Args:
            episodes: Number of episodes. They must end with a batch, because the batch size can
                change the last bits of predictions.
        """
        episodes = min(episodes, self.episodes)
        if self._predictions is None or (episodes < self.episodes and episodes % BATCH_SIZE):
            return None
        found = self._predictions
        return Predictions(
            found.outputs[:episodes], found.targets[:episodes], found.classes[:episodes]
        )

    def predict(self, batch: TaskBatch, *, start: int = 0) -> Tensor:
        """Adapt to each support set of a batch and predict its queries, ``[T, Q, outputs]``.

        Args:
            batch: The episodes.
            start: Index of the first one, which seeds the random numbers.

        Raises:
            DivergedError: If a prediction is not finite.
            CellFailed: If a prediction has the wrong shape.
        """
        outputs = self.model.predict(batch.support, batch.query_x, start)
        return self._checked_batch(outputs, batch, start)

    def predict_both(
        self, batch: TaskBatch, positions: Tensor, *, start: int = 0
    ) -> QueryPredictions:
        """Adapt as :meth:`predict` does, and predict the queries together, and some alone.

        The predictions together are those of :meth:`predict`, to the bit.

        Args:
            batch: The episodes.
            positions: The queries of each episode to predict alone, int64 ``[P]``.
            start: Index of the first episode, which seeds the random numbers.

        Raises:
            DivergedError: If a prediction together is not finite.
            CellFailed: If a prediction together has the wrong shape.
        """
        found = self.model.predict_both(batch.support, batch.query_x, positions, start)
        self._checked_batch(found.together, batch, start)
        expected = (len(batch), len(positions), found.together.shape[-1])
        if found.alone is not None and found.alone.shape != expected:
            error = f"{list(found.alone.shape)} and not {list(expected)} outputs"
            return QueryPredictions(found.together, None, error)
        return found

    def checked(self, outputs: Tensor, query: Tensor, *, start: int = 0) -> Tensor:
        """Returns predictions after :func:`metabench.metrics.checks.check_outputs`."""
        return check_outputs(self.model, outputs, query, start=start)

    def isolated(self, start: int = 0) -> AbstractContextManager[None]:
        """Seed random numbers by the episode, and undo changes of the algorithm afterwards.

        Args:
            start: Index of the first episode inside.
        """
        return self.model.isolated(start)

    def adapted(self, support: Support) -> AdaptedPredictor:
        """Returns the predictor of some support sets, whose predictions are checked.

        See :meth:`metabench.metrics.model.Model.adapted`.
        """
        return _Checked(self, self.model.adapted(support))

    def _predict_probed(self, batch: TaskBatch, start: int) -> Tensor:
        """Predict a batch as :meth:`predict` does, and some of its queries alone."""
        if not self._probes:
            return self.predict(batch, start=start)
        # Other queries in each batch, and none of the random numbers of the algorithm.
        generator = torch.Generator().manual_seed(start)
        order = torch.randperm(batch.query_x.shape[1], generator=generator)
        positions = order[: self._probes].sort().values
        found = self.predict_both(batch, positions, start=start)
        self.probed.append(ProbedQueries(positions, found, batch.query_y))
        return found.together

    def _checked_batch(self, outputs: Tensor, batch: TaskBatch, start: int) -> Tensor:
        try:
            return self.checked(outputs, batch.query_x, start=start)
        except DivergedError as error:
            # Only after a failure, because the search takes up to 100 inner steps.
            first = first_not_finite(outputs)
            raise self._with_inner_step(error, list(batch)[first], start + first) from error

    def _with_inner_step(self, error: DivergedError, task: Task, index: int) -> DivergedError:
        """Add to an error the inner step after which predictions are not finite, if found."""
        step = self.model.first_divergent_step(task.support, task.query_x, index)
        if step is None:
            return error
        when = f"after inner step {step}" if step else "before the first inner step"
        return DivergedError(f"{error.message.removesuffix('.')}, {when}.", hint=error.hint)


@dataclass(frozen=True)
class _Checked:
    """A predictor whose predictions are checked."""

    trial: Trial
    predict: AdaptedPredictor

    def __call__(self, query: Tensor) -> Tensor:
        return self.trial.checked(self.predict(query), query)

    def alone(self, query: Tensor) -> Tensor:
        return self.trial.checked(self.predict.alone(query), query)
