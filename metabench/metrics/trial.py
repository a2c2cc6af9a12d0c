"""A trained algorithm on frozen episodes: what metrics look at."""

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
from metabench.runtime.exclusive import give_way
from metabench.runtime.rng_state import seed_everything

BATCH = 20
"""Episodes adapted to at once, where the algorithm can. A constant: the batch size can change last bits."""

MOST_STEPS = 100
"""Inner steps that are looked at, at most, for the one after which predictions are not finite."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What an algorithm said of the query sets of all episodes.

    Args:
        outputs: ``[E, Q, outputs]``: logits, or values in regression.
        targets: int64 ``[E, Q]``, or ``[E, Q, outputs]``.
        classes: int64 ``[E, ways]``: the class of the pool behind each label.
    """

    outputs: Tensor
    targets: Tensor
    classes: Tensor


class Trial:
    """One algorithm on the first ``episodes`` episodes of a sampler.

    The algorithm is in evaluation mode, its random numbers depend on nothing but the episode (or the batch of
    them), and whatever it changes in itself while it adapts is put back before the next.

    Args:
        algorithm: the trained algorithm.
        sampler: the frozen episodes.
        episodes: how many of them.
        on_episode: called with the number of episodes done and the predictions so far, for a progress bar.
        elsewhere: gives the same kind of episodes from another data set, by its name.

    Attributes:
        leaked_state: the names of the parameters and buffers that adaptation changed.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        sampler: Sampler,
        episodes: int,
        *,
        on_episode: Callable[[int, list[Predictions]], None] | None = None,
        elsewhere: Callable[[str], Sampler] | None = None,
    ) -> None:
        self.algorithm = algorithm
        self.sampler = sampler
        self.episodes = episodes
        self.elsewhere = elsewhere
        self.leaked_state: set[str] = set()
        self._on_episode = on_episode
        self._predictions: Predictions | None = None
        self._saved = {name: tensor.detach().clone() for name, tensor in _state(algorithm).items()}

    @property
    def device(self) -> torch.device:
        """Where the episodes are."""
        return self.sampler.device

    def batches(self) -> Iterator[TaskBatch]:
        """The episodes, in batches."""
        for start in range(0, self.episodes, BATCH):
            yield self.sampler.range(start, min(start + BATCH, self.episodes))

    def predictions(self) -> Predictions:
        """What the algorithm says of every query set; computed once.

        Raises:
            DivergedError: a prediction is not finite.
            CellFailed: a prediction has the wrong shape.
        """
        if self._predictions is None:
            parts: list[Predictions] = []
            done = 0
            for batch in self.batches():
                outputs = self.predict(batch, start=done)
                parts.append(Predictions(outputs, batch.query_y, batch.classes))
                done += len(batch)
                if self._on_episode is not None:
                    self._on_episode(done, parts)
            self._predictions = Predictions(
                torch.cat([p.outputs for p in parts]),
                torch.cat([p.targets for p in parts]),
                torch.cat([p.classes for p in parts]),
            )
        return self._predictions

    def predict(self, batch: TaskBatch, *, start: int = 0) -> Tensor:
        """Adapt to each support set of a batch and predict its queries, ``[T, Q, outputs]``.

        Args:
            batch: some episodes.
            start: the index of the first, which seeds the algorithm's random numbers.

        Raises:
            DivergedError: a prediction is not finite.
            CellFailed: a prediction has the wrong shape.
        """
        give_way()
        if self.algorithm.offers("adapt_batch"):
            seed_everything(make_key("adapt", start))
            outputs = self._ask(self.algorithm.adapt_batch(batch.support), batch.query_x)
            self.restore()
        else:
            outputs = torch.stack(
                [self._predict_one(task, start + i) for i, task in enumerate(batch)]
            )
        try:
            return self.checked(outputs, batch.query_x, start=start)
        except DivergedError as error:
            bad = _first_not_finite(outputs)
            raise self._with_inner_step(error, list(batch)[bad], start + bad) from error

    def checked(self, outputs: Tensor, query: Tensor, *, start: int = 0) -> Tensor:
        """The same predictions, if they are ``[T, Q, outputs]`` and finite.

        Args:
            outputs: what was predicted.
            query: the inputs it was predicted for, ``[T, Q, *input]``.
            start: the index of the first episode, for the message.

        Raises:
            DivergedError: a prediction is not finite.
            CellFailed: they have the wrong shape.
        """
        wanted = (*query.shape[:2], self.algorithm.problem.outputs)
        if outputs.shape != wanted:
            raise CellFailed(
                f"'{self.algorithm.name}' predicted {list(outputs.shape)}, and the episodes ask for "
                f"{list(wanted)} (tasks, queries, outputs)."
            )
        if not bool(torch.isfinite(outputs).all()):
            index = start + _first_not_finite(outputs)
            raise DivergedError(
                f"'{self.algorithm.name}' gave a prediction that is not finite in episode {index}.",
                hint="A smaller inner learning rate is the usual cure.",
            )
        return outputs

    @contextlib.contextmanager
    def isolated(self, start: int = 0) -> Iterator[None]:
        """Inside, random numbers depend on the episode alone; afterwards the algorithm is as it was.

        Args:
            start: the index of the first episode that is looked at.
        """
        give_way()
        seed_everything(make_key("adapt", start))
        try:
            yield
        finally:
            self.restore()

    def adapted(self, support: Support) -> Predictor:
        """Adapt to ``T`` support sets; to be called, and its predictor used, inside :meth:`isolated`.

        The predictor keeps its graph, so that a gradient may run to the query, and to the support where the
        adaptation is differentiable. It is not :meth:`predict`, which asks each predictor before the next
        task is adapted to.

        Args:
            support: ``x`` ``[T, S, *input]`` and ``y`` ``[T, S]``; ``T`` is 1 where the algorithm has no
                ``adapt_batch``, because it may keep in itself what it adapts.

        Returns:
            A predictor from ``[T, Q, *input]`` to ``[T, Q, outputs]`` that is :meth:`checked`.
        """
        if self.algorithm.offers("adapt_batch"):
            many = self.algorithm.adapt_batch(support)
            return lambda query: self.checked(many(query), query)
        x, y = support.x.squeeze(0), support.y.squeeze(0)
        one = self.algorithm.adapt(dataclasses.replace(support, x=x, y=y))
        return lambda query: self.checked(one(query.squeeze(0)).unsqueeze(0), query)

    def predict_alone(self, support: Support, query: Tensor) -> Tensor:
        """Adapt to one support set and predict its queries, ``[Q, outputs]``."""
        return self._ask(self.algorithm.adapt(support), query)

    def _ask(self, predictor: Predictor, query: Tensor) -> Tensor:
        with torch.no_grad():
            return predictor(query).to(torch.float32)

    def restore(self) -> None:
        """Put back what adaptation changed, and remember that it did.

        Raises:
            CellFailed: parameters or buffers were added, removed or replaced by others.
        """
        state = _state(self.algorithm)
        for name in state.keys() ^ self._saved.keys():
            raise CellFailed(f"adaptation added or removed the parameter or buffer '{name}'.")
        for name, tensor in state.items():
            saved = self._saved[name]
            if tensor.shape != saved.shape:
                raise CellFailed(f"adaptation gave the parameter or buffer '{name}' another shape.")
            # By value: a tensor does not count the changes that are made through its `.data`.
            if not torch.equal(tensor, saved):
                self.leaked_state.add(name)
                with torch.no_grad():
                    tensor.copy_(saved)

    def _with_inner_step(self, error: DivergedError, task: Task, index: int) -> DivergedError:
        """The same error, with the inner step that the predictions are not finite after, if found."""
        if not self.algorithm.offers("adapt_path"):
            return error
        with self.isolated(index):
            path = self.algorithm.adapt_path(task.support, MOST_STEPS)
            finite = (bool(self._ask(predict, task.query_x).isfinite().all()) for predict in path)
            step = next((k for k, sound in enumerate(finite) if not sound), None)
        if step is None:
            return error
        where = f"after inner step {step}" if step else "before the first inner step"
        return DivergedError(f"{error.message.removesuffix('.')}, {where}.", hint=error.hint)

    def _predict_one(self, task: Task, index: int) -> Tensor:
        seed_everything(make_key("adapt", index))
        outputs = self.predict_alone(task.support, task.query_x)
        self.restore()
        return outputs


def _first_not_finite(outputs: Tensor) -> int:
    return int((~outputs.isfinite()).flatten(1).any(1).nonzero()[0])


def _state(algorithm: Algorithm) -> dict[str, Tensor]:
    return dict(algorithm.named_parameters()) | dict(algorithm.named_buffers())
