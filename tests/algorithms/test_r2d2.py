"""Ridge regression in closed form."""

import pytest
import torch
from torch import Tensor

from metabench.algorithms.r2d2 import R2D2, ridge
from metabench.episodes import Support
from tests.helpers.few_shot import classification, make


def by_least_squares(x: Tensor, y: Tensor, penalty: float) -> Tensor:
    """Solve ridge regression with the penalty as additional examples of target zero."""
    features = x.shape[-1]
    more = penalty**0.5 * torch.eye(features, dtype=x.dtype)
    rows = torch.cat([x, more])
    targets = torch.cat([y, torch.zeros(features, y.shape[-1], dtype=y.dtype)])
    return torch.linalg.lstsq(rows, targets).solution


@pytest.mark.parametrize("examples", [3, 6, 7, 20])
def test_ridge_is_the_least_squares_solution(examples: int) -> None:
    generator = torch.Generator().manual_seed(examples)
    x = torch.randn(examples, 7, dtype=torch.float64, generator=generator)
    y = torch.randn(examples, 2, dtype=torch.float64, generator=generator)
    assert torch.allclose(ridge(x, y, torch.tensor(0.3)), by_least_squares(x, y, 0.3))


def test_a_batch_of_tasks_is_solved_as_each_task_alone() -> None:
    x, y = torch.randn(4, 5, 7, dtype=torch.float64), torch.randn(4, 5, 2, dtype=torch.float64)
    penalty = torch.tensor(2.0)
    apart = torch.stack([ridge(a, b, penalty) for a, b in zip(x, y, strict=True)])
    assert torch.allclose(ridge(x, y, penalty), apart)


@pytest.mark.parametrize("examples", [4, 9])
def test_ridge_is_differentiable(examples: int) -> None:
    x = torch.randn(examples, 6, dtype=torch.float64, requires_grad=True)
    y = torch.randn(examples, 2, dtype=torch.float64)
    penalty = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, penalty: ridge(x, y, penalty), (x, penalty))


def test_the_logits_are_the_scaled_ridge_predictions() -> None:
    algorithm = make(R2D2, classification(3, 2, (6,), "mlp"), penalty=0.5, scale=4.0)
    assert isinstance(algorithm, R2D2)
    algorithm.double().eval()
    with torch.no_grad():
        algorithm.bias.fill_(0.25)
    x, y = torch.randn(6, 6, dtype=torch.float64), torch.tensor([0, 0, 1, 1, 2, 2])
    query = torch.randn(5, 6, dtype=torch.float64)
    ones = torch.ones(6, 1, dtype=torch.float64)
    weight = by_least_squares(
        torch.cat([algorithm.embed(x), ones], 1), torch.eye(3, dtype=torch.float64)[y], 6 * 0.5
    )
    wanted = 4 * torch.cat([algorithm.embed(query), ones[:5]], 1) @ weight + 0.25
    assert torch.allclose(algorithm.adapt(Support(x, y, 3))(query), wanted)
