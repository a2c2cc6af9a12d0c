"""A loss that is not finite is reported with the inner step at which it diverged."""

import math

import pytest
import torch

from metabench.errors import DivergedError
from metabench.learning.divergence import locate_divergence


@pytest.mark.parametrize(("step", "of"), [(1, 3), (2, 3), (3, 3)])
def test_the_first_inner_step_with_a_non_finite_loss_is_named(step: int, of: int) -> None:
    losses = (torch.tensor([1.0, math.nan if taken >= step else 1.0]) for taken in range(of + 1))
    with (
        pytest.raises(
            DivergedError, match=rf"^loss: the inner loop exploded at inner step {step} of {of}\."
        ),
        locate_divergence(losses, steps=of),
    ):
        raise DivergedError("loss.")


def test_without_a_non_finite_inner_loss_the_error_is_unchanged() -> None:
    raised = DivergedError("loss.")
    with (
        pytest.raises(DivergedError) as caught,
        locate_divergence(iter([torch.zeros(2)]), steps=0),
    ):
        raise raised
    assert caught.value is raised


def test_losses_by_step_are_not_computed_without_an_error() -> None:
    losses = iter([torch.zeros(2)])
    with locate_divergence(losses, steps=1):
        pass
    assert len(list(losses)) == 1
