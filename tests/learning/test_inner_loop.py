import pytest
import torch
from torch import Tensor

from metabench.algorithms.fomaml import FOMAML
from metabench.algorithms.maml import MAML
from metabench.episodes import Support
from metabench.learning.adam import Adam
from metabench.learning.inner_loop import gradient_steps, task_params
from metabench.learning.learner import Learner
from metabench.learning.predictors import after, with_support
from tests.helpers.gradient_kit import Tasks, build, classification, regression


def test_each_task_takes_its_own_gradient_steps() -> None:
    problem = classification()
    learner = Learner(problem).double()
    batch = Tasks(problem, torch.float64).test(3)
    path = gradient_steps(
        learner.forward_tasks, task_params(learner, 3), batch.support, problem.loss, rate=0.3
    )
    found = after(2, path)
    for t, task in enumerate(batch):
        theta = {k: p.detach().clone() for k, p in learner.named_parameters()}
        for _ in range(2):
            theta = {k: p.requires_grad_() for k, p in theta.items()}
            loss = problem.loss(
                torch.func.functional_call(learner, theta, task.support.x), task.support.y
            )
            gradients = torch.autograd.grad(loss, list(theta.values()))
            theta = {
                k: (p - 0.3 * g).detach()
                for (k, p), g in zip(theta.items(), gradients, strict=True)
            }
        for name, p in theta.items():
            torch.testing.assert_close(found[name][t], p)


def test_each_parameter_can_have_its_own_rate() -> None:
    problem = classification()
    learner = Learner(problem).double()
    support = Tasks(problem, torch.float64).test(2).support
    rates = {k: torch.full_like(p, 0.1 * i) for i, (k, p) in enumerate(learner.named_parameters())}

    def step(rate: float | dict[str, Tensor]) -> dict[str, Tensor]:
        start = task_params(learner, 2)
        return after(
            1, gradient_steps(learner.forward_tasks, start, support, problem.loss, rate=rate)
        )

    unit, found = step(1.0), step(rates)
    for i, (name, p) in enumerate(learner.named_parameters()):
        torch.testing.assert_close(found[name], p + 0.1 * i * (unit[name] - p))


def test_in_evaluation_no_graph_is_kept_between_steps() -> None:
    algorithm = build(MAML, regression()).eval()
    support = Tasks(algorithm.problem, torch.float64).test(2).support
    steps = gradient_steps(
        algorithm.learner.forward_tasks,
        task_params(algorithm.learner, 2),
        support,
        algorithm.problem.loss,
        rate=0.01,
    )
    for _ in range(3):
        assert all(p.is_leaf for p in next(steps).values())


@pytest.mark.parametrize("beta1", [0.0, 0.9])
def test_adam_equals_torch_adam(beta1: float) -> None:
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.randn(4, dtype=torch.float64))
    mine = p.detach().clone().expand(3, -1)
    theirs = torch.optim.Adam([p], lr=0.1, betas=(beta1, 0.99))
    adam = Adam(0.1, beta1=beta1, beta2=0.99)
    for _ in range(5):
        p.grad = torch.randn(4, dtype=torch.float64)
        mine = mine - adam({"p": p.grad.expand(3, -1)})["p"]
        theirs.step()
    torch.testing.assert_close(mine, p.detach().expand(3, -1))


@pytest.mark.parametrize("cls", [MAML, FOMAML])
def test_keep_graph_makes_the_predictor_differentiable_in_the_support_set(
    cls: type[MAML],
) -> None:
    algorithm = build(cls, classification(), test_steps=2).eval()
    batch = Tasks(algorithm.problem, torch.float64).test(2)
    x = batch.support_x.clone().requires_grad_()

    def loss(inputs: Tensor) -> Tensor:
        support = Support(inputs, batch.support_y, batch.ways, keep_graph=True)
        predict = algorithm.adapt_batch(support)
        return algorithm.problem.loss(predict(batch.query_x), batch.query_y).sum()

    (found,) = torch.autograd.grad(loss(x), x)
    direction = torch.randn_like(found)
    up, down = (loss(x.detach() + s * 1e-6 * direction).detach() for s in (1, -1))
    torch.testing.assert_close((found * direction).sum(), (up - down) / 2e-6, rtol=1e-5, atol=1e-9)


def test_with_the_statistics_of_the_support_set_queries_are_independent() -> None:
    algorithm = build(MAML, classification("conv")).eval()
    batch = Tasks(algorithm.problem, torch.float64).test(1)
    together = algorithm.adapt_batch(batch.support)
    apart = with_support(together, batch.support)
    first = batch.query_x[:, :1]
    assert not torch.allclose(together(batch.query_x)[:, :1], together(first))
    torch.testing.assert_close(apart(batch.query_x)[:, :1], apart(first))


def test_running_statistics_make_a_method_inductive() -> None:
    algorithm = build(MAML, classification("conv"), norm="running").eval()
    batch = Tasks(algorithm.problem, torch.float64).test(1)
    predict = algorithm.adapt_batch(batch.support)
    torch.testing.assert_close(predict(batch.query_x)[:, :1], predict(batch.query_x[:, :1]))


def test_a_learner_passes_only_options_that_its_backbone_has() -> None:
    Learner(classification("mlp"), norm="batch", scale=False)
    scaled = Learner(classification("conv"), norm="batch", scale=True)
    assert any(name.endswith("gamma") for name, _ in scaled.named_parameters())


def test_as_batch_adds_a_dimension_for_the_task() -> None:
    support = next(iter(Tasks(classification()).test(1))).support
    assert support.as_batch().x.shape == (1, *support.x.shape)
