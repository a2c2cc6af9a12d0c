"""The stream of training tasks: it counts what it gives, and ends itself when the budget is spent."""

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
    """An optimiser, a schedule, a moving average: whatever can be saved and taken up again."""

    def state_dict(self) -> dict[str, Any]:
        """Everything it needs to go on later."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Go on from a saved state."""


Kept = TypeVar("Kept", bound=Stateful)


class Draws(Protocol):
    """Where a stream gets its training episodes and labelled examples."""

    def sampler(self, protocol: NWayKShot, stream: int) -> Sampler:
        """A sampler of training episodes; every ``stream`` number draws others."""

    def labelled(self, stream: int, start: int, count: int) -> tuple[Tensor, Tensor]:
        """Examples of all training classes, and the number of each one's class."""

    def saw(self, batch: TaskBatch) -> None:
        """Note what was drawn, for the leakage audit."""

    @property
    def train_classes(self) -> int:
        """Classes in the training split; 0 in regression."""


class TaskStream:
    """What :meth:`Algorithm.meta_train` learns from.

    ::

        optimizer = tasks.keep(torch.optim.Adam(self.parameters()))
        for batch in tasks.batches(32):
            ...
            tasks.log(loss)

    Args:
        draws: where the episodes come from.
        protocol: the shape of the test's episodes, which is the default shape.
        budget: how many examples may be drawn; every support and query example counts once, when it is given.
        on_step: called before each batch but the first, when the step on the one before is done.
        check_every: how many outer steps pass between looks at the loss; a look makes a GPU wait.
    """

    def __init__(
        self,
        draws: Draws,
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
        self._draws = draws
        self._on_step = on_step
        self._check_every = check_every
        self._kept: list[Stateful] = []
        self._resumed: list[dict[str, Any]] = []
        self._positions: list[int] = []
        self._loops = 0
        self._in_use: dict[int, int] = {}
        self._side_by_side = False

    @property
    def progress(self) -> float:
        """The share of the budget that is spent on steps that are done, 0 to 1: for schedules."""
        return (self.spent - sum(self._in_use.values())) / self.budget

    @property
    def train_classes(self) -> int:
        """Classes in the training split, for a classifier over all of them; 0 in regression."""
        return self._draws.train_classes

    @property
    def resumable(self) -> bool:
        """Whether the algorithm said what a checkpoint must hold, by calling :meth:`keep`.

        Not where it draws from two loops side by side: when one moves on, nobody knows whether the batch of
        the other has been learnt from.
        """
        return bool(self._kept) and not self._side_by_side

    def keep(self, thing: Kept) -> Kept:
        """Put an optimiser, a schedule or the like into every checkpoint.

        A killed run goes on from its checkpoint only if all that changes in training is either in the
        algorithm's own ``state_dict`` or was given to this method, in the same order each time. An algorithm
        that never calls it starts again from the beginning, which is slow but right.

        Returns:
            ``thing``, with its saved state loaded where a run goes on.
        """
        if len(self._kept) < len(self._resumed):
            thing.load_state_dict(self._resumed[len(self._kept)])
        self._kept.append(thing)
        return thing

    def log(self, loss: Tensor | float) -> None:
        """Tell the outer loss of this step, for the learning curve.

        Raises:
            DivergedError: it is not finite.
        """
        self.last_loss = loss.detach() if isinstance(loss, Tensor) else loss
        if self.steps % self._check_every == 0 and not math.isfinite(float(self.last_loss)):
            raise DivergedError(
                f"the outer loss is {float(self.last_loss)} at outer step {self.steps}.",
                hint="A smaller inner or outer learning rate is the usual cure.",
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
        """Batches of training episodes until the budget is spent.

        Args:
            tasks: episodes in a batch; fewer where the whole budget does not afford so many.
            ways: classes in an episode; by default the test's. At most the training classes are given.
            shots: support examples for each class; by default the test's.
            queries: query examples for each class; by default the test's.
            share: end when this share of the whole budget is spent, to leave the rest to a later loop.
        """
        protocol = self._shape(ways, shots, queries)
        tasks = min(tasks, max(1, int(self._affordable(share)) // protocol.examples))
        loop = self._open_loop()
        sampler = self._draws.sampler(protocol, loop)
        chunk = max(1, sampler.at_once // (tasks * protocol.examples))
        ready: TaskBatch | None = None
        first = self._positions[loop]
        for at in self._paid(loop, tasks * protocol.examples, share):
            if (at - first) % chunk == 0 or ready is None:
                ready = sampler.range(at * tasks, (at + chunk) * tasks)
            place = (at - first) % chunk * tasks
            batch = ready[place : place + tasks]
            self._draws.saw(batch)
            yield batch

    def examples(self, count: int, *, share: float = 1.0) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of single labelled examples of all training classes, until the budget is spent.

        Args:
            count: examples in a batch; fewer where the whole budget does not afford so many.
            share: as in :meth:`batches`.

        Yields:
            ``x`` float32 ``[count, *input]`` and the class of each, int64 ``[count]`` in
            ``0..train_classes-1``.
        """
        count = min(count, max(1, int(self._affordable(share))))
        loop = self._open_loop()
        for at in self._paid(loop, count, share):
            yield self._draws.labelled(loop, at * count, count)

    def _shape(self, ways: int | None, shots: int | None, queries: int | None) -> NWayKShot:
        """The shape of the episodes that :meth:`batches` gives where it is asked for this one."""
        ways = min(ways, self.train_classes) if ways else ways
        return self.protocol.with_(ways=ways, shots=shots, queries=queries)

    def _open_loop(self) -> int:
        loop = self._loops
        self._loops += 1
        if loop == len(self._positions):
            self._positions.append(0)
        return loop

    def _affordable(self, share: float) -> float:
        """The examples that may have been spent when a loop with this share ends."""
        return round(self.budget * share, 6)  # 0.29 * 100 is less than 29

    def _paid(self, loop: int, examples: int, share: float) -> Iterator[int]:
        """The number of each batch that the budget affords; it is paid for when it is given."""
        limit = self._affordable(share)
        try:
            while self.spent + examples <= limit:
                at = self._positions[loop]
                self._positions[loop] += 1
                self.spent += examples
                self._in_use[loop] = examples
                self._side_by_side |= len(self._in_use) > 1
                yield at
                del self._in_use[loop]
                self.steps += 1
                if self._on_step is not None:
                    self._on_step(self)
        finally:
            self._in_use.pop(loop, None)

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands and what was kept, for a checkpoint."""
        return {
            "spent": self.spent,
            "steps": self.steps,
            "positions": list(self._positions),
            "kept": [thing.state_dict() for thing in self._kept],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint; called before the algorithm's ``meta_train``."""
        self.spent, self.steps = state["spent"], state["steps"]
        self._positions = list(state["positions"])
        self._resumed = list(state["kept"])


def labelled_examples(images: Tensor, bits: Tensor) -> tuple[Tensor, Tensor]:
    """Uniformly drawn examples of a pool, with the row of each.

    Args:
        images: uint8 ``[rows, examples, *input]``.
        bits: int64 ``[B]`` random bits.

    Returns:
        float32 ``[B, *input]`` in 0..1, and int64 ``[B]`` rows.
    """
    per_row = images.shape[1]
    flat = images.flatten(0, 1)
    places = below(bits, len(flat)).to(images.device, non_blocking=True)
    return gather(flat, places), places // per_row
