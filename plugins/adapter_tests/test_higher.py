"""Features of higher: a differentiable Adam with masked roots, and learned inner rates."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad

from adapter_tests.adapter_kit import (
    TASKS,
    adapter,
    assert_same,
    build,
    classification,
    outer_gradient,
    regression,
)
from metabench.algorithms.problem import Problem
from metabench.episodes import Support, TaskBatch

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


def outer_by_hand(
    algorithm: Any, batch: TaskBatch, step: Any, **learned: dict[str, Tensor]
) -> dict[str, dict[str, Tensor]]:
    """Returns the outer gradient in plain ``torch.func`` for a rule of the inner step."""
    learner, loss = algorithm.learner, algorithm.problem.loss

    def outer(given: dict[str, dict[str, Tensor]]) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for task in batch:
            x, y = task.support.x, task.support.y
            adapted, memory = given["learner"], {}
            for n in range(1, algorithm.inner_steps + 1):
                slope = grad(lambda p, x=x, y=y: loss(functional_call(learner, p, (x,)), y))(
                    adapted
                )
                adapted = {
                    k: p if k.endswith("beta") else p - step(k, slope[k], n, memory, given)
                    for k, p in adapted.items()
                }
            total = total + loss(functional_call(learner, adapted, (task.query_x,)), task.query_y)
        return total / len(batch)

    theta = {k: p.detach() for k, p in learner.named_parameters()}
    return grad(outer)({"learner": theta, **learned})


def adam_step(rate: float) -> Any:
    def step(
        name: str, g: Tensor, n: int, memory: dict[str, tuple[Tensor, Tensor]], given: Any
    ) -> Tensor:
        m, v = memory.get(name, (torch.zeros_like(g), torch.zeros_like(g)))
        m, v = BETA1 * m + (1 - BETA1) * g, BETA2 * v + (1 - BETA2) * g * g
        memory[name] = m, v
        safe = torch.where(v == 0, 1.0, v)  # never asks for the root's slope at 0
        root = torch.where(v == 0, 0.0, safe.sqrt())
        return rate * (1 - BETA2**n) ** 0.5 / (1 - BETA1**n) * m / (root + EPS)

    return step


def with_a_dead_unit(algorithm: Any) -> Any:
    """Makes one unit of the first layer inactive; the images also have a blank border."""
    with torch.no_grad():
        algorithm.learner.backbone.biases[0][0] = -1e3
    return algorithm


ADAM: dict[str, Any] = {"tasks": TASKS, "inner_steps": 2, "inner_lr": 0.01}


def test_the_outer_gradient_is_correct_where_second_moments_are_zero() -> None:
    algorithm = with_a_dead_unit(build("higher-adam", classification(), **ADAM))
    found, batch = outer_gradient(algorithm)
    blank = (batch.support_x == 0).flatten(2).all(1).any(1)
    assert blank.all(), "the trap is not met: every pixel is seen in every support set"
    wanted = outer_by_hand(algorithm, batch, adam_step(0.01))["learner"]
    assert all(g.isfinite().all() for g in found.values())
    assert_same(found, {f"learner.{k}": g for k, g in wanted.items()}, rtol=1e-7)


def test_without_masks_the_outer_gradient_is_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shows that the test above fails without higher's masks."""
    adapter("higher-adam")
    monkeypatch.setattr("higher.optim._maybe_mask", lambda tensor, mask: None)
    algorithm = with_a_dead_unit(build("higher-adam", classification(), **ADAM))
    found, _ = outer_gradient(algorithm)
    assert any(g.isnan().any() for g in found.values())


def test_the_outer_gradient_through_adam_is_correct_in_regression() -> None:
    algorithm = build("higher-adam", regression(), **ADAM)
    found, batch = outer_gradient(algorithm)
    wanted = outer_by_hand(algorithm, batch, adam_step(0.01))["learner"]
    assert_same(found, {f"learner.{k}": g for k, g in wanted.items()}, rtol=1e-7)


@pytest.mark.parametrize(
    "problem", [classification("conv"), regression()], ids=["conv", "sinusoid"]
)
def test_the_rates_are_learned_with_the_initialisation(problem: Problem) -> None:
    # The gradient by hand predicts queries in one batch, with its statistics.
    algorithm = build(
        "higher-learned-lr", problem, tasks=TASKS, inner_steps=2, inner_lr=0.1, norm="batch"
    )
    found, batch = outer_gradient(algorithm)
    names = [k for k, _ in algorithm.learner.named_parameters() if algorithm.adapts(k)]
    rates = {k: rate.detach() for k, rate in zip(names, algorithm.rates, strict=True)}
    wanted = outer_by_hand(
        algorithm, batch, lambda name, g, n, memory, given: given["rates"][name] * g, rates=rates
    )
    named = {f"learner.{k}": g for k, g in wanted["learner"].items()}
    named |= {f"rates.{i}": wanted["rates"][k] for i, k in enumerate(names)}
    assert_same(found, named)


def test_the_rates_start_at_the_inner_rate_and_are_used_at_test() -> None:
    torch.manual_seed(0)
    algorithm = adapter("higher-learned-lr")(regression(), inner_lr=0.3).eval()
    rates = list(algorithm.parameters())[-len(algorithm.rates) :]
    assert all(torch.equal(rate, torch.tensor(0.3)) for rate in rates)
    support = Support(torch.rand(5, 1), torch.rand(5, 1), 0)
    assert not torch.allclose(algorithm.adapt(support)(support.x), algorithm.learner(support.x))
    with torch.no_grad():
        for rate in rates:
            rate.zero_()
    torch.testing.assert_close(algorithm.adapt(support)(support.x), algorithm.learner(support.x))
