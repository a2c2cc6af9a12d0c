from typing import Any

import pytest
import torch
from torch.func import functional_call

from metabench.algorithms.fomaml import FOMAML
from metabench.algorithms.maml import MAML
from tests.algorithms.test_maml import SMALL, with_large_weights
from tests.helpers.gradient_kit import build, classification, first_step


def test_the_outer_gradient_treats_inner_gradients_as_constants() -> None:
    algorithm = with_large_weights(build(FOMAML, classification(), **SMALL))
    batch, gradients, loss = first_step(algorithm)
    learner, task_loss = algorithm.learner, algorithm.problem.loss
    theta = {k: p.detach().clone().requires_grad_() for k, p in learner.named_parameters()}
    total = torch.zeros((), dtype=torch.float64)
    for task in batch:
        adapted = theta
        for _ in range(algorithm.inner_steps):
            support_loss = task_loss(
                functional_call(learner, adapted, task.support.x), task.support.y
            )
            slopes = torch.autograd.grad(support_loss, list(adapted.values()), retain_graph=True)
            adapted = {
                k: p - algorithm.inner_lr * g.detach()
                for (k, p), g in zip(adapted.items(), slopes, strict=True)
            }
        total = total + task_loss(
            functional_call(learner, adapted, task.query_x), task.query_y
        ) / len(batch)
    expected = torch.autograd.grad(total, list(theta.values()))
    assert loss == pytest.approx(float(total.detach()))
    for name, g in zip(theta, expected, strict=True):
        torch.testing.assert_close(gradients[f"learner.{name}"], g)


def test_everything_but_the_outer_gradient_equals_maml() -> None:
    options: dict[str, Any] = SMALL | {"inner_lr": 0.5, "inner_steps": 1, "test_steps": 3}
    first, second = (
        with_large_weights(build(cls, classification(), **options)) for cls in (FOMAML, MAML)
    )
    (batch, slopes, loss), (_, other_slopes, other_loss) = first_step(first), first_step(second)
    assert loss == other_loss
    assert any(not torch.allclose(slopes[name], other_slopes[name]) for name in slopes)
    first.eval(), second.eval()
    query = batch.query_x
    assert torch.equal(
        first.adapt_batch(batch.support)(query), second.adapt_batch(batch.support)(query)
    )
