import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from metabench.algorithms.cavia import CAVIA
from metabench.algorithms.problem import Problem
from metabench.learning.predictors import after
from tests.helpers.gradient_kit import (
    Tasks,
    assert_gradient,
    build,
    classification,
    first_step,
    regression,
)

PROBLEMS = [classification("mlp"), classification("conv"), regression()]
NAMES = ["mlp", "conv", "sinusoid"]


@pytest.mark.parametrize("problem", PROBLEMS, ids=NAMES)
def test_the_context_takes_gradient_steps_on_the_support_loss(problem: Problem) -> None:
    algorithm = build(CAVIA, problem, context=4, inner_lr=0.5).eval()
    support = Tasks(problem, torch.float64).test(2).support

    def loss(context: Tensor) -> Tensor:
        return problem.loss(algorithm.forward_tasks({"context": context}, support.x), support.y)

    zero, eye = torch.zeros(2, 4, dtype=torch.float64), 1e-6 * torch.eye(4, dtype=torch.float64)
    slope = torch.stack([(loss(zero + e) - loss(zero - e)) / 2e-6 for e in eye], 1)
    query = Tasks(problem, torch.float64).test(2).query_x
    expected = algorithm.forward_tasks({"context": -0.5 * slope}, query)
    torch.testing.assert_close(
        after(1, algorithm.trajectory(support))(query), expected, rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize("problem", PROBLEMS, ids=NAMES)
def test_the_outer_gradient_matches_finite_differences(problem: Problem) -> None:
    algorithm = build(CAVIA, problem, tasks=3, inner_steps=2, context=4)
    batch, gradients, _ = first_step(algorithm)

    def outer_loss() -> Tensor:
        adapted = after(2, algorithm.trajectory(batch.support))
        return problem.loss(adapted(batch.query_x), batch.query_y).mean()

    assert_gradient(outer_loss, dict(algorithm.named_parameters()), gradients)


def test_in_regression_the_context_is_concatenated_to_the_input() -> None:
    algorithm = build(CAVIA, regression(), context=4)
    x = torch.randn(1, 7, 1, dtype=torch.float64)
    context = torch.randn(1, 4, dtype=torch.float64)
    body, head = algorithm.learner.backbone, algorithm.learner.head
    first, second = body.weights
    (context_map,) = algorithm.maps
    joined = torch.cat([x[0], context.expand(7, 4)], 1)
    hidden = F.relu(joined @ torch.cat([first, context_map.weight.T]) + body.biases[0])
    hidden = F.relu(hidden @ second + body.biases[1])
    expected = hidden @ head.weight + head.bias
    torch.testing.assert_close(algorithm.forward_tasks({"context": context}, x)[0], expected)


def test_in_classification_the_context_scales_and_shifts_every_block() -> None:
    algorithm = build(CAVIA, classification("conv"))
    kinds = [name.rpartition(".")[2] for name in algorithm.modulated]
    assert kinds.count("gamma") == kinds.count("beta") == 4


def test_only_the_context_is_adapted() -> None:
    algorithm = build(CAVIA, regression()).eval()
    batch = Tasks(algorithm.problem, torch.float64).test(2)
    before = {k: v.clone() for k, v in algorithm.state_dict().items()}
    algorithm.adapt_batch(batch.support)
    assert all(torch.equal(v, before[k]) for k, v in algorithm.state_dict().items())
