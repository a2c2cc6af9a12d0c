"""Which inner step a loss that is not finite comes from: the cause that a failed cell tells."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from torch import Tensor

from metabench.errors import DivergedError


@contextlib.contextmanager
def naming_the_inner_step(losses: Iterable[Tensor], *, steps: int) -> Iterator[None]:
    """Inside, an outer loss that is not finite is told together with the inner step that it comes from.

    ::

        with naming_the_inner_step(losses_on_the_way(batch), steps=5):
            tasks.log(loss)

    Args:
        losses: the losses after 0, 1, 2, ... inner steps; looked at only where the outer loss is not
            finite, so a generator that computes them costs nothing else.
        steps: inner steps of meta-training, for the message.

    Raises:
        DivergedError: what was raised inside, with the step where one of the losses is not finite.
    """
    try:
        yield
    except DivergedError as error:
        lost = next((k for k, loss in enumerate(losses) if not bool(loss.isfinite().all())), None)
        if lost is None:
            raise
        outer_loss = error.message.removesuffix(".")
        if lost:
            raise DivergedError(
                f"{outer_loss}: the inner loop exploded at inner step {lost} of {steps}.",
                hint="A smaller inner learning rate is the usual cure.",
            ) from error
        raise DivergedError(
            f"{outer_loss}: it is not finite before the first inner step either.", hint=error.hint
        ) from error
