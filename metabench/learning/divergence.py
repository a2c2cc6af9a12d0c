"""The inner step at which a loss stops being finite."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

from torch import Tensor

from metabench.errors import DivergedError


@contextlib.contextmanager
def locate_divergence(losses_by_step: Iterable[Tensor], *, steps: int) -> Iterator[None]:
    """Add the inner step to a :class:`DivergedError` that is raised inside.

    ::

        with locate_divergence(method.query_losses_by_step(batch), steps=5):
            tasks.log(loss)

    Args:
        losses_by_step: The losses after 0, 1, 2, ... inner steps. Iterated only if an error is
            raised, so a generator costs nothing otherwise.
        steps: The inner steps of meta-training, for the message.

    Raises:
        DivergedError: What was raised inside, with the first step whose loss is not finite.
    """
    try:
        yield
    except DivergedError as error:
        finite = (bool(loss.isfinite().all()) for loss in losses_by_step)
        first = next((step for step, is_finite in enumerate(finite) if not is_finite), None)
        if first is None:
            raise
        message = error.message.removesuffix(".")
        if first:
            raise DivergedError(
                f"{message}: the inner loop exploded at inner step {first} of {steps}.",
                hint="A smaller inner learning rate is the usual cure.",
            ) from error
        raise DivergedError(
            f"{message}: it is not finite before the first inner step either.", hint=error.hint
        ) from error
