"""A loss that is not finite is told with the inner step that it comes from."""

import math

import pytest
import torch

from metabench.errors import DivergedError
from metabench.learning.divergence import locate_divergence


@pytest.mark.parametrize(("step", "of"), [(1, 3), (2, 3), (3, 3)])
def test_the_inner_step_that_explodes_is_named(step: int, of: int) -> None:
    losses = (torch.tensor([1.0, math.nan if taken >= step else 1.0]) for taken in range(of + 1))
    with (
        pytest.raises(
            DivergedError, match=rf"^loss: the inner loop exploded at inner step {step} of {of}\."
        ),
        locate_divergence(losses, steps=of),
    ):
        raise DivergedError("loss.")


def test_where_no_loss_on_the_way_explodes_the_error_is_as_it_was() -> None:
    raised = DivergedError("loss.")
    with (
        pytest.raises(DivergedError) as caught,
        locate_divergence(iter([torch.zeros(2)]), steps=0),
    ):
        raise raised
    assert caught.value is raised


def test_query_losses_by_step_are_not_asked_for_where_the_outer_loss_is_finite() -> None:
    asked = iter([torch.zeros(2)])
    with locate_divergence(asked, steps=1):
        pass
    assert len(list(asked)) == 1
