"""The stream of training tasks: counts what it yields and ends when the budget is spent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

from torch import Tensor

from metabench.episodes.images import gather
from metabench.episodes.protocol import NWayKShot
from metabench.episodes.sampler import Sampler
from metabench.episodes.types import TaskBatch
from metabench.errors import DivergedError
from metabench.runtime.counter_rng import below


class Stateful(Protocol):
    """An object whose state can be saved and restored: an optimizer, a schedule, an average."""

    def state_dict(self) -> dict[str, Any]:
        """Returns all of its state."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Restore a saved state."""


S = TypeVar("S", bound=Stateful)


class TaskSource(Protocol):
    """Where a :class:`TaskStream` draws its training episodes and labelled examples."""

    def sampler(self, protocol: NWayKShot, stream: int) -> Sampler:
        """Returns a sampler of training episodes; each ``stream`` number draws different ones."""

    def labelled(self, stream: int, start: int, count: int) -> tuple[Tensor, Tensor]:
        """Returns examples of all training classes, and the class number of each."""

    def on_drawn(self, batch: TaskBatch) -> None:
        """Called with each batch of episodes before the stream yields it."""

    @property
    def train_classes(self) -> int:
        """Classes in the training split; 0 in regression."""


class TaskStream:
    """The training tasks that :meth:`Algorithm.meta_train` learns from.

    ::

        optimizer = tasks.keep(torch.optim.Adam(self.parameters()))
        for batch in tasks.batches(32):
            ...
            tasks.log(loss)

    Args:
        source: Where the episodes are drawn.
        protocol: Shape of the test episodes, which is the default shape.
        budget: Number of examples that may be drawn. Every support and query example counts once,
            when it is yielded.
        on_step: Called when an outer step is done, before the next batch is yielded.
        check_every: Outer steps between checks that the loss is finite; each check synchronizes
            with a GPU.
    """

    def __init__(
        self,
        source: TaskSource,
        protocol: NWayKShot,
        budget: int,
        *,
        on_step: Callable[[TaskStream], None] | None = None,
        check_every: int = 1,
    ) -> None:
        self.protocol = protocol
        self.budget = budget
        self.spent = 0
        self.steps = 0
        self.last_loss: Tensor | float = math.nan
        self._source = source
        self._on_step = on_step
        self._check_every = check_every
        self._kept: list[Stateful] = []
        self._resumed: list[dict[str, Any]] = []
        self._positions: list[int] = []
        self._loops = 0
        self._in_use: dict[int, int] = {}
        self._interleaved = False

    @property
    def progress(self) -> float:
        """Share of the budget that completed steps have spent, 0 to 1; for schedules."""
        return (self.spent - sum(self._in_use.values())) / self.budget

    @property
    def train_classes(self) -> int:
        """Classes in the training split, for a classifier over all of them; 0 in regression."""
        return self._source.train_classes

    @property
    def resumable(self) -> bool:
        """Whether training can resume from a checkpoint: the algorithm has called :meth:`keep`.

        False if two loops draw in turn: when one moves on, it is unknown whether the algorithm
        has used the other's last batch.
        """
        return bool(self._kept) and not self._interleaved

    def keep(self, stateful: S) -> S:
        """Add an optimizer, a schedule or the like to every checkpoint.

        An interrupted run resumes from its checkpoint if everything that changes in training is in
        the algorithm's own ``state_dict`` or was passed to this method, in the same order each
        time. An algorithm that never calls it restarts from the beginning.

        Returns:
            ``stateful``, with its saved state loaded if the run resumes.
        """
        # States have no names: the n-th call gets the n-th saved state.
        if len(self._kept) < len(self._resumed):
            stateful.load_state_dict(self._resumed[len(self._kept)])
        self._kept.append(stateful)
        return stateful

    def log(self, loss: Tensor | float) -> None:
        """Log the outer loss of this step for the learning curve.

        Raises:
            DivergedError: If the loss is not finite.
        """
        self.last_loss = loss.detach() if isinstance(loss, Tensor) else loss
        if self.steps % self._check_every == 0 and not math.isfinite(float(self.last_loss)):
            raise DivergedError(
                f"the outer loss is {float(self.last_loss)} at outer step {self.steps}.",
                hint="Try a smaller inner or outer learning rate.",
            )

    def batches(
        self,
        tasks: int,
        *,
        ways: int | None = None,
        shots: int | None = None,
        queries: int | None = None,
        share: float = 1.0,
    ) -> Iterator[TaskBatch]:
        """Yield batches of training episodes until the budget is spent.

        Args:
            tasks: Episodes per batch; fewer if the whole budget does not cover one such batch.
            ways: Classes per episode, by default as in the test episodes; capped at the number of
                training classes.
            shots: Support examples per class, by default as in the test episodes.
            queries: Query examples per class, by default as in the test episodes.
            share: Share of the whole budget at which to stop, to leave the rest to a later loop.
        """
        protocol = self._shape(ways, shots, queries)
        # A budget below one batch still trains, on smaller batches.
        tasks = min(tasks, max(1, int(self._allowance(share)) // protocol.examples))
        loop = self._open_loop()
        sampler = self._source.sampler(protocol, loop)
        chunk = max(1, sampler.chunk_examples // (tasks * protocol.examples))
        ready: TaskBatch | None = None
        first = self._positions[loop]
        for position in self._spend(loop, tasks * protocol.examples, share):
            # Counted from where this loop began, so that a resumed one draws a full chunk.
            in_chunk = (position - first) % chunk
            if in_chunk == 0 or ready is None:
                ready = sampler.range(position * tasks, (position + chunk) * tasks)
            batch = ready[in_chunk * tasks : (in_chunk + 1) * tasks]
            self._source.on_drawn(batch)
            yield batch

    def examples(self, count: int, *, share: float = 1.0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield batches of labelled examples of all training classes until the budget is spent.

        Args:
            count: Examples per batch; fewer if the whole budget does not cover one such batch.
            share: As in :meth:`batches`.

        Yields:
            ``x`` float32 ``[count, *input]`` and the class of each example, int64 ``[count]`` in
            ``0..train_classes-1``.
        """
        count = min(count, max(1, int(self._allowance(share))))
        loop = self._open_loop()
        for position in self._spend(loop, count, share):
            yield self._source.labelled(loop, position * count, count)

    def _shape(self, ways: int | None, shots: int | None, queries: int | None) -> NWayKShot:
        """Returns the protocol of the episodes that :meth:`batches` yields for these arguments."""
        ways = min(ways, self.train_classes) if ways else ways
        return self.protocol.with_(ways=ways, shots=shots, queries=queries)

    def _open_loop(self) -> int:
        """Returns the number of a new loop; a resumed loop keeps its position."""
        loop = self._loops
        self._loops += 1
        if loop == len(self._positions):
            self._positions.append(0)
        return loop

    def _allowance(self, share: float) -> float:
        """Returns how many examples may have been drawn when a loop with this share ends."""
        return round(self.budget * share, 6)  # 0.29 * 100 is less than 29

    def _spend(self, loop: int, examples: int, share: float) -> Iterator[int]:
        """Yield the position of each batch that the budget covers, after spending its cost."""
        limit = self._allowance(share)
        try:
            while self.spent + examples <= limit:
                position = self._positions[loop]
                self._positions[loop] += 1
                self.spent += examples
                self._in_use[loop] = examples
                self._interleaved |= len(self._in_use) > 1
                yield position
                # Reached when the algorithm asks for the next batch: this step is done.
                del self._in_use[loop]
                self.steps += 1
                if self._on_step is not None:
                    self._on_step(self)
        finally:
            self._in_use.pop(loop, None)

    def state_dict(self) -> dict[str, Any]:
        """Returns the stream's position and all kept states, for a checkpoint."""
        return {
            "spent": self.spent,
            "steps": self.steps,
            "positions": list(self._positions),
            "kept": [stateful.state_dict() for stateful in self._kept],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resume from a checkpoint; called before the algorithm's ``meta_train``."""
        self.spent, self.steps = state["spent"], state["steps"]
        self._positions = list(state["positions"])
        self._resumed = list(state["kept"])


def labelled_examples(images: Tensor, bits: Tensor) -> tuple[Tensor, Tensor]:
    """Draw examples of a pool uniformly, each with its row.

    Args:
        images: uint8 ``[rows, examples, *input]``.
        bits: Random bits, int64 ``[B]``.

    Returns:
        float32 ``[B, *input]`` in ``[0, 1]``, and rows, int64 ``[B]``.
    """
    per_row = images.shape[1]
    flat = images.flatten(0, 1)
    indices = below(bits, len(flat)).to(images.device, non_blocking=True)
    return gather(flat, indices), indices // per_row
