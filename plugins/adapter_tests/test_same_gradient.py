"""MAML by metabench, learn2learn, higher, TorchOpt and ``torch.func`` has one outer gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad

from adapter_tests.adapter_kit import (
    TASKS,
    Tasks,
    adapter,
    assert_same,
    build,
    classification,
    outer_gradient,
    regression,
)
from metabench.algorithms.problem import Problem
from metabench.episodes import Support, TaskBatch
from metabench.plugins import installed_plugins
from metabench.recipes.hyperparameters import recipe_for

MAMLS = ["maml", "l2l-maml", "higher-maml", "torchopt-maml", "torchfunc-maml"]
FOMAMLS: dict[str, dict[str, Any]] = {
    "l2l-fomaml": {},
    "higher-fomaml": {},
    "torchfunc-maml": {"first_order": True},
}
PAIRS = [
    ("l2l-maml", "maml"),
    ("l2l-fomaml", "fomaml"),
    ("l2l-anil", "anil"),
    ("l2l-meta-sgd", "meta-sgd"),
    ("higher-maml", "maml"),
    ("higher-fomaml", "fomaml"),
    ("torchopt-maml", "maml"),
    ("torchfunc-maml", "maml"),
]
SMALL: dict[str, Any] = {"tasks": TASKS, "inner_steps": 3, "inner_lr": 0.1}
PROBLEMS = {"mlp": classification("mlp"), "conv": classification("conv"), "sinusoid": regression()}


@pytest.fixture(params=PROBLEMS)
def problem(request: pytest.FixtureRequest) -> Problem:
    return PROBLEMS[request.param]


def by_hand(algorithm: Any, batch: TaskBatch) -> dict[str, Tensor]:
    """Returns MAML's outer gradient in plain ``torch.func``, without a library's inner loop."""
    learner, loss = algorithm.learner, algorithm.problem.loss

    def outer(theta: dict[str, Tensor]) -> Tensor:
        losses = []
        for task in batch:
            x, y = task.support.x, task.support.y
            adapted = theta
            for _ in range(algorithm.inner_steps):
                slope = grad(lambda p, x=x, y=y: loss(functional_call(learner, p, (x,)), y))(
                    adapted
                )
                adapted = {
                    k: p if k.endswith("beta") else p - algorithm.inner_lr * slope[k]
                    for k, p in adapted.items()
                }
            losses.append(loss(functional_call(learner, adapted, (task.query_x,)), task.query_y))
        return torch.stack(losses).mean()

    theta = {k: p.detach() for k, p in learner.named_parameters()}
    return {f"learner.{k}": g for k, g in grad(outer)(theta).items()}


@pytest.mark.parametrize("name", MAMLS)
def test_the_outer_gradient_is_that_of_torch_func(name: str, problem: Problem) -> None:
    algorithm = build(name, problem, **SMALL)
    found, batch = outer_gradient(algorithm)
    assert len(batch) == TASKS
    assert_same(found, by_hand(algorithm, batch))


@pytest.mark.parametrize("name", FOMAMLS)
def test_the_first_order_gradient_is_the_native_one(name: str, problem: Problem) -> None:
    found, _ = outer_gradient(build(name, problem, **SMALL, **FOMAMLS[name]))
    native, _ = outer_gradient(build("fomaml", problem, **SMALL))
    assert_same(found, native)
    second_order, _ = outer_gradient(build("maml", problem, **SMALL))
    with pytest.raises(AssertionError):  # so that first and second order can be told apart at all
        assert_same(found, second_order)


@pytest.mark.parametrize(
    ("name", "native", "chosen"),
    [
        ("l2l-anil", "anil", {"inner_lr": 0.1, "inner_steps": 3}),
        ("l2l-meta-sgd", "meta-sgd", {}),
    ],
)
def test_the_relatives_have_the_native_gradient(
    name: str, native: str, chosen: dict[str, Any], problem: Problem
) -> None:
    found, _ = outer_gradient(build(name, problem, tasks=TASKS, **chosen))
    wanted, _ = outer_gradient(build(native, problem, tasks=TASKS, **chosen))
    assert_same(found, wanted)


@pytest.mark.parametrize("train_ways", [0, 6])
@pytest.mark.parametrize(
    ("name", "native"),
    [
        ("l2l-anil", "anil"),
        ("l2l-maml", "maml"),
        ("l2l-meta-sgd", "meta-sgd"),
        ("higher-fomaml", "fomaml"),
        ("higher-maml", "maml"),
        ("torchopt-maml", "maml"),
        ("torchfunc-maml", "maml"),
    ],
)
def test_a_head_of_zeros_has_the_native_gradient(name: str, native: str, train_ways: int) -> None:
    chosen = {"tasks": TASKS, "inner_steps": 3, "zero_head": True, "train_ways": train_ways}
    adapted, wanted = (build(n, classification("conv"), **chosen) for n in (name, native))
    found, batch = outer_gradient(adapted)
    assert batch.ways == (train_ways or 5)
    assert_same(found, outer_gradient(wanted)[0])


@pytest.mark.parametrize("shots", [1, 5])
@pytest.mark.parametrize("ways", [5, 20])
@pytest.mark.parametrize(("name", "native"), PAIRS)
def test_the_recipe_is_the_native_one(name: str, native: str, ways: int, shots: int) -> None:
    problem = Problem("classification", (1, 16, 16), ways, shots, 3, ways, "mlp")
    registry = installed_plugins().registry
    for one in (problem, regression()):
        assert recipe_for(registry, adapter(name), one) == recipe_for(
            registry, adapter(native), one
        )


@pytest.mark.parametrize(
    "name", ["l2l-maml", "l2l-anil", "l2l-meta-sgd", "higher-maml", "torchopt-maml"]
)
def test_an_adapter_mirrors_the_same_classes_as_the_native_algorithm(name: str) -> None:
    native = name.partition("-")[2]
    problem, chosen = classification("conv"), {"tasks": TASKS, "mirror": True}
    found, _ = outer_gradient(build(name, problem, **chosen))
    wanted, _ = outer_gradient(build(native, problem, **chosen))
    assert_same(found, wanted)
    plain, _ = outer_gradient(build(native, problem, tasks=TASKS))
    with pytest.raises(AssertionError):  # it makes a difference
        assert_same(found, plain)


@pytest.mark.parametrize("backbone", ["mlp", "conv"])
def test_the_prototypical_classifier_has_the_native_gradient(backbone: str) -> None:
    chosen = {"train_ways": 8, "tasks": 2}
    found, _ = outer_gradient(build("l2l-protonet", classification(backbone), **chosen))
    native, _ = outer_gradient(build("protonet", classification(backbone), **chosen))
    assert_same(found, native)


@pytest.mark.parametrize(("name", "native"), PAIRS)
def test_every_predictor_of_the_path_is_the_native_one(
    name: str, native: str, problem: Problem
) -> None:
    """Predictors are compared after each step and at the end: later steps change none of them."""
    batch = Tasks(problem).batch()
    support, query = Support(batch.support_x[0], batch.support_y[0], batch.ways), batch.query_x[0]
    found, wanted = (build(n, problem).eval() for n in (name, native))
    paths = [list(a.adapt_path(support, 3)) for a in (found, wanted)]
    assert len(paths[0]) == 4
    for mine, theirs in zip(*paths, strict=True):
        torch.testing.assert_close(mine(query), theirs(query), rtol=1e-9, atol=1e-9)
    both = (
        found.adapt_batch(batch.support)(batch.query_x),
        wanted.adapt_batch(batch.support)(batch.query_x),
    )
    torch.testing.assert_close(*both, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "native"), PAIRS)
def test_gradients_reach_the_support_set_through_the_inner_steps(name: str, native: str) -> None:
    batch = Tasks(PROBLEMS["mlp"]).batch()
    slopes = []
    for n in (name, native):
        algorithm = build(n, PROBLEMS["mlp"]).eval()
        x = batch.support_x.clone().requires_grad_()
        predict = algorithm.adapt_batch(Support(x, batch.support_y, batch.ways, keep_graph=True))
        loss = algorithm.problem.loss(predict(batch.query_x), batch.query_y).sum()
        slopes.append(torch.autograd.grad(loss, x)[0])
    assert_same({"x": slopes[0]}, {"x": slopes[1]}, rtol=1e-9)


@pytest.mark.parametrize(("name", "native"), [*PAIRS, ("l2l-protonet", "protonet")])
def test_one_seed_gives_the_native_initialisation(name: str, native: str) -> None:
    problem = PROBLEMS["conv"]
    found, wanted = (build(n, problem).state_dict() for n in (name, native))
    assert found.keys() == wanted.keys()
    for key, tensor in wanted.items():
        assert torch.equal(found[key], tensor)
