"""Checks of predictions: their shape, and that they are finite."""

from __future__ import annotations

import torch
from torch import Tensor

from metabench.errors import CellFailed, DivergedError
from metabench.metrics.model import Model


def check_outputs(model: Model, outputs: Tensor, query: Tensor, *, start: int = 0) -> Tensor:
    """Returns predictions after checking their shape and that they are finite.

    Args:
        model: What predicted them.
        outputs: The predictions.
        query: The inputs that were predicted, ``[T, Q, *input]``.
        start: Index of the first episode, for the message.

    Raises:
        DivergedError: If a prediction is not finite.
        CellFailed: If the shape is not ``[T, Q, outputs]``.
    """
    expected = (*query.shape[:2], model.problem.outputs)
    if outputs.shape != expected:
        raise CellFailed(
            f"'{model.name}' predicted {list(outputs.shape)}, but the episodes need "
            f"{list(expected)} (tasks, queries, outputs)."
        )
    if not bool(torch.isfinite(outputs).all()):
        raise DivergedError(
            f"'{model.name}' gave a prediction that is not finite in episode "
            f"{start + first_not_finite(outputs)}.",
            hint="Try a smaller inner learning rate.",
        )
    return outputs


def first_not_finite(outputs: Tensor) -> int:
    """Returns the position of the first episode with a prediction that is not finite."""
    return int((~outputs.isfinite()).flatten(1).any(1).nonzero()[0])
