"""A trained algorithm on frozen episodes: what metrics measure."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm, Predictor
from metabench.episodes import Sampler, Support, Task, TaskBatch
from metabench.errors import CellFailed, DivergedError
from metabench.runtime.counter_rng import make_key
from metabench.runtime.exclusive import timing_lock
from metabench.runtime.rng_state import seed_everything

# Fixed, and not an option: the batch size can change the last bits of predictions.
BATCH_SIZE = 20
"""Episodes adapted to together, if the algorithm has ``adapt_batch``."""

MAX_PATH_STEPS = 100
"""Inner steps searched for the first one after which predictions are not finite."""


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
class QueryPredictions:
    """Predictions of the same queries together and alone, after one adaptation.

    Args:
        together: Each query among the others of its task, float32 ``[T, Q, outputs]``.
        alone: Some of them without the others, ``[T, P, outputs]``; ``None`` if the predictor fails
            on a single query.
        alone_error: The error of a single query.
    """

    together: Tensor
    alone: Tensor | None
    alone_error: str = ""


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
    """One algorithm on the first ``episodes`` episodes of a sampler.

    Random numbers depend only on the episode (or the batch of them). Changes of the algorithm's
    parameters and buffers while it adapts are undone before the next batch.

    Args:
        algorithm: The trained algorithm, in evaluation mode.
        sampler: The frozen episodes.
        episodes: Number of episodes.
        on_episode: Called with the number of episodes done and the predictions so far, for
            progress.
        elsewhere: Returns a sampler of the same kind of episodes from another data set, by name.
        probes: Number of queries of each episode that :meth:`predictions` predicts alone too.

    Attributes:
        probed: What it found, for each batch, once :meth:`predictions` was called.
        leaked_state: Names of the parameters and buffers that adaptation changed.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        sampler: Sampler,
        episodes: int,
        *,
        on_episode: Callable[[int, list[Predictions]], None] | None = None,
        elsewhere: Callable[[str], Sampler] | None = None,
        probes: int = 0,
    ) -> None:
        self.algorithm = algorithm
        self.sampler = sampler
        self.episodes = episodes
        self.elsewhere = elsewhere
        self.leaked_state: set[str] = set()
        self.probed: list[ProbedQueries] = []
        self._probes = probes
        self._on_episode = on_episode
        self._predictions: Predictions | None = None
        # A copy of all values: what adaptation changes is restored, not only reported.
        self._saved = {name: tensor.detach().clone() for name, tensor in _state(algorithm).items()}

    @property
    def device(self) -> torch.device:
        """Device of the episodes."""
        return self.sampler.device

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

    def predict(self, batch: TaskBatch, *, start: int = 0) -> Tensor:
        """Adapt to each support set of a batch and predict its queries, ``[T, Q, outputs]``.

        Args:
            batch: The episodes.
            start: Index of the first one, which seeds the random numbers.

        Raises:
            DivergedError: If a prediction is not finite.
            CellFailed: If a prediction has the wrong shape.
        """
        (outputs,) = self._adapt_each(batch, start, lambda predict, x: (_predict(predict, x),))
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
            DivergedError: If a prediction is not finite.
            CellFailed: If a prediction has the wrong shape.
        """
        failures: list[str] = []

        def both(predict: Predictor, x: Tensor) -> tuple[Tensor, Tensor]:
            together = _predict(predict, x)
            try:
                single = x[:, positions.to(x.device)].split(1, dim=1)
                return together, torch.cat([_predict(predict, one) for one in single], dim=1)
            except torch.OutOfMemoryError:
                raise
            # Batch norm in training mode, for example, raises an error on one value.
            except (RuntimeError, ValueError) as error:
                failures.append(str(error))
                return together, together[:, :0]

        together, alone = self._adapt_each(batch, start, both)
        self._checked_batch(together, batch, start)
        expected = (len(batch), len(positions), together.shape[-1])
        if not failures and alone.shape != expected:
            failures.append(f"{list(alone.shape)} and not {list(expected)} outputs")
        return QueryPredictions(together, None if failures else alone, "; ".join(failures[:1]))

    def checked(self, outputs: Tensor, query: Tensor, *, start: int = 0) -> Tensor:
        """Returns the predictions after checking their shape and that they are finite.

        Args:
            outputs: The predictions.
            query: The inputs that were predicted, ``[T, Q, *input]``.
            start: Index of the first episode, for the message.

        Raises:
            DivergedError: If a prediction is not finite.
            CellFailed: If the shape is not ``[T, Q, outputs]``.
        """
        expected = (*query.shape[:2], self.algorithm.problem.outputs)
        if outputs.shape != expected:
            raise CellFailed(
                f"'{self.algorithm.name}' predicted {list(outputs.shape)}, but the episodes need "
                f"{list(expected)} (tasks, queries, outputs)."
            )
        if not bool(torch.isfinite(outputs).all()):
            index = start + _first_not_finite(outputs)
            raise DivergedError(
                f"'{self.algorithm.name}' gave a prediction that is not finite in episode {index}.",
                hint="Try a smaller inner learning rate.",
            )
        return outputs

    @contextlib.contextmanager
    def isolated(self, start: int = 0) -> Iterator[None]:
        """Seed random numbers by the episode, and undo changes of the algorithm afterwards.

        Args:
            start: Index of the first episode inside.
        """
        timing_lock.yield_to_writers()
        seed_everything(make_key("adapt", start))
        try:
            yield
        finally:
            self.restore()

    def adapted(self, support: Support) -> Predictor:
        """Adapt to ``T`` support sets and return the predictor with its graph.

        Call it, and the predictor, inside :meth:`isolated`. Gradients flow to the query; with
        ``support.keep_graph`` also to the support set, if the adaptation is differentiable.

        Args:
            support: ``x`` ``[T, S, *input]`` and ``y`` ``[T, S]``; ``T`` is 1 if the algorithm has
                no ``adapt_batch``, because it may adapt parameters of its own.

        Returns:
            A predictor from ``[T, Q, *input]`` to ``[T, Q, outputs]``; see :meth:`checked`.
        """
        predict = self._unchecked(support)
        return lambda query: self.checked(predict(query), query)

    def restore(self) -> None:
        """Undo changes of parameters and buffers, and record their names.

        Raises:
            CellFailed: If parameters or buffers were added, removed or changed in shape.
        """
        state = _state(self.algorithm)
        for name in state.keys() ^ self._saved.keys():
            raise CellFailed(f"adaptation added or removed the parameter or buffer '{name}'.")
        for name, tensor in state.items():
            saved = self._saved[name]
            if tensor.shape != saved.shape:
                raise CellFailed(
                    f"adaptation changed the shape of the parameter or buffer '{name}'."
                )
            # By value: a tensor's version counter misses changes made through its `.data`.
            if not torch.equal(tensor, saved):
                self.leaked_state.add(name)
                with torch.no_grad():
                    tensor.copy_(saved)

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

    def _adapt_each(
        self,
        batch: TaskBatch,
        start: int,
        ask: Callable[[Predictor, Tensor], tuple[Tensor, ...]],
    ) -> list[Tensor]:
        """Adapt to a batch, at once or task by task, and ask each predictor.

        Returns:
            What ``ask`` returns for ``[T, Q, *input]``, for all tasks.
        """
        # A cell that measures time may ask all others to wait, which they do between batches.
        timing_lock.yield_to_writers()
        at_once = self.algorithm.offers("adapt_batch")
        parts = [batch] if at_once else [batch[i : i + 1] for i in range(len(batch))]
        answers = []
        for number, part in enumerate(parts):
            # One seed per task where it adapts one by one: the same predictions in any batch.
            seed_everything(make_key("adapt", start + number))
            answers.append(ask(self._unchecked(part.support), part.query_x))
            # Before the next task: the algorithm may adapt parameters of its own.
            self.restore()
        return [torch.cat(found) for found in zip(*answers, strict=True)]

    def _unchecked(self, support: Support) -> Predictor:
        """Adapt to ``T`` support sets; ``T`` is 1 if the algorithm has no ``adapt_batch``."""
        if self.algorithm.offers("adapt_batch"):
            return self.algorithm.adapt_batch(support)
        # Adapted to one task, but called like a batched predictor.
        x, y = support.x.squeeze(0), support.y.squeeze(0)
        predict = self.algorithm.adapt(dataclasses.replace(support, x=x, y=y))
        return lambda query: predict(query.squeeze(0)).unsqueeze(0)

    def _checked_batch(self, outputs: Tensor, batch: TaskBatch, start: int) -> Tensor:
        try:
            return self.checked(outputs, batch.query_x, start=start)
        except DivergedError as error:
            # Only after a failure, because the search takes up to 100 inner steps.
            first = _first_not_finite(outputs)
            raise self._with_inner_step(error, list(batch)[first], start + first) from error

    def _with_inner_step(self, error: DivergedError, task: Task, index: int) -> DivergedError:
        """Add to an error the inner step after which predictions are not finite, if found."""
        if not self.algorithm.offers("adapt_path"):
            return error
        with self.isolated(index):
            path = self.algorithm.adapt_path(task.support, MAX_PATH_STEPS)
            # A generator: the search ends at the first step that is not finite.
            finite = (bool(_predict(predict, task.query_x).isfinite().all()) for predict in path)
            step = next((k for k, is_finite in enumerate(finite) if not is_finite), None)
        if step is None:
            return error
        when = f"after inner step {step}" if step else "before the first inner step"
        return DivergedError(f"{error.message.removesuffix('.')}, {when}.", hint=error.hint)


def _predict(predictor: Predictor, query: Tensor) -> Tensor:
    with torch.no_grad():
        # One type for all metrics, whatever precision an algorithm computes in.
        return predictor(query).to(torch.float32)


def _first_not_finite(outputs: Tensor) -> int:
    """Returns the position of the first episode with a prediction that is not finite."""
    return int((~outputs.isfinite()).flatten(1).any(1).nonzero()[0])


def _state(algorithm: Algorithm) -> dict[str, Tensor]:
    return dict(algorithm.named_parameters()) | dict(algorithm.named_buffers())
