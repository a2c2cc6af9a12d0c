"""The two baselines of Chen et al., and joint pre-training in regression."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metabench.algorithms.base import Algorithm
from metabench.algorithms.finetune import FineTune
from metabench.algorithms.finetune_cosine import START_NORM, FineTuneCosine
from metabench.datasets.sinusoid import Sinusoid
from metabench.episodes import Support, TaskBatch
from metabench.learning.fit_head import fit_head
from tests.helpers.few_shot import classification, make, regression, train

Y = torch.tensor([0, 1, 2, 0, 1, 2])


def make_tiny(cls: type[FineTune], **chosen: object) -> FineTune:
    algorithm = make(cls, classification(3, 2, (6,), "mlp"), head_batch=6, **chosen)
    assert isinstance(algorithm, FineTune)
    return algorithm.double().eval()


@pytest.fixture
def x() -> Tensor:
    return torch.randn(6, 6, generator=torch.Generator().manual_seed(1)).double()


def test_the_head_is_fitted_by_sgd(x: Tensor) -> None:
    algorithm, head = make_tiny(FineTune, test_steps=5), nn.Linear(40, 3).double()
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    sgd = torch.optim.SGD(
        head.parameters(), lr=0.01, momentum=0.9, dampening=0.9, weight_decay=1e-3
    )
    features = algorithm.embed(x).detach()
    for _ in range(5):
        sgd.zero_grad()
        F.cross_entropy(head(features), Y).backward()
        sgd.step()
    query = torch.randn(4, 6, dtype=torch.float64)
    assert torch.allclose(algorithm.adapt(Support(x, Y, 3))(query), head(algorithm.embed(query)))


def test_the_cosine_head_starts_with_equal_logits_and_descends_the_gradient(
    x: Tensor,
) -> None:
    algorithm = make_tiny(FineTuneCosine, head_lr=0.5, momentum=0.0, weight_decay=0.0)
    f = F.normalize(algorithm.embed(x).detach(), dim=-1)
    start = START_NORM * F.normalize(algorithm.embed(x).detach().mean(0), dim=-1)
    weight = start.expand(3, -1).clone().requires_grad_()
    F.cross_entropy(2 * f @ F.normalize(weight, dim=-1).T, Y).backward()
    stepped = weight.detach() - 0.5 * weight.grad
    before, after = algorithm.adapt_path(Support(x, Y, 3), 1)
    logits = before(x)
    assert torch.allclose(logits, logits[:, :1].expand_as(logits))
    assert torch.allclose(after(x), 2 * f @ F.normalize(stepped, dim=-1).T)


@pytest.mark.parametrize("cls", [FineTune, FineTuneCosine])
def test_the_order_of_the_support_set_does_not_matter_within_one_batch(
    cls: type[FineTune], x: Tensor
) -> None:
    algorithm, order = make_tiny(cls), torch.tensor([4, 2, 0, 1, 5, 3])
    a, b = (algorithm.adapt(s)(x) for s in (Support(x, Y, 3), Support(x[order], Y[order], 3)))
    assert torch.allclose(a, b)


def test_every_epoch_visits_every_example_once() -> None:
    seen: list[Tensor] = []

    def scores(params: dict[str, Tensor], features: Tensor) -> Tensor:
        seen.append(features[0, :, 0])
        return features @ params["weight"]

    places = torch.arange(10.0).view(1, 10, 1)
    labels = torch.zeros(1, 10, dtype=torch.int64)
    heads = fit_head(scores, {"weight": torch.zeros(1, 1, 2)}, places, labels, lr=0.1, batch=4)
    for _ in range(3):
        next(heads)
    assert [len(s) for s in seen] == [4, 4, 2] * 2
    first, second = torch.cat(seen[:3]), torch.cat(seen[3:])
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(10))
    assert not torch.equal(first, second)


def linear(params: dict[str, Tensor], features: Tensor) -> Tensor:
    return features @ params["weight"]


def test_without_a_graph_the_steps_equal_those_of_torch_sgd_bit_for_bit() -> None:
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(2, 6, 8, generator=generator)
    labels = torch.randint(0, 3, (2, 6), generator=generator)
    start = torch.randn(2, 8, 3, generator=generator)
    order: list[Tensor] = []

    def recording(params: dict[str, Tensor], features: Tensor) -> Tensor:
        order.append(features)
        return linear(params, features)

    heads = fit_head(recording, {"weight": start}, features, labels, lr=0.1, batch=6)
    found = [next(heads)["weight"] for _ in range(5)]
    weight = start.clone().requires_grad_()
    sgd = torch.optim.SGD([weight], lr=0.1, momentum=0.9, dampening=0.9, weight_decay=1e-3)
    # The passes that lead to the last head are recorded too, and no head follows them.
    for head, seen in zip(found, order, strict=False):
        assert torch.equal(head, weight.detach())
        places = [int((features[0, :, 0] == value).nonzero()) for value in seen[0, :, 0]]
        sgd.zero_grad()
        logits = linear({"weight": weight}, features[:, places])
        F.cross_entropy(logits.transpose(1, 2), labels[:, places], reduction="none").mean(
            1
        ).sum().backward()
        sgd.step()


def test_the_gradient_of_the_features_flows_through_every_step_of_the_head() -> None:
    generator = torch.Generator().manual_seed(4)
    features = torch.randn(1, 4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    start = torch.randn(1, 3, 2, generator=generator, dtype=torch.float64)
    labels = torch.tensor([[0, 1, 0, 1]])

    def after_three_epochs(features: Tensor) -> Tensor:
        heads = fit_head(
            linear,
            {"weight": start},
            features,
            labels,
            lr=0.5,
            batch=3,
            keep_graph=features.requires_grad,
        )
        *_, last = (next(heads) for _ in range(4))
        return last["weight"]

    assert torch.autograd.gradcheck(after_three_epochs, (features,))
    assert torch.equal(after_three_epochs(features), after_three_epochs(features.detach()))


@pytest.mark.parametrize("cls", [FineTune, FineTuneCosine])
def test_keep_graph_gives_the_gradient_of_the_support_set(cls: type[FineTune], x: Tensor) -> None:
    algorithm = make_tiny(cls, test_steps=3)
    query = torch.randn(4, 6, dtype=torch.float64)
    attacked = x.clone().requires_grad_()
    logits = algorithm.adapt(Support(attacked, Y, 3, keep_graph=True))(query)
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), attacked)
    step = 1e-6 * torch.ones_like(x)
    with torch.no_grad():
        risen, fallen = (
            algorithm.adapt(Support(x + s, Y, 3))(query)[:, 0].sum() for s in (step, -step)
        )
    assert float((gradient * step).sum()) == pytest.approx(
        float(risen - fallen) / 2, rel=1e-3, abs=1e-12
    )


def test_adaptation_leaves_no_gradient_on_the_parameters(x: Tensor) -> None:
    algorithm = make_tiny(FineTune)
    algorithm.adapt(Support(x, Y, 3))
    assert all(p.grad is None for p in algorithm.parameters())


def regressor(**chosen: object) -> Algorithm:
    return make(FineTune, regression(), lr=3e-3, **chosen)


def mse(algorithm: Algorithm, steps: int, waves: TaskBatch) -> list[float]:
    """Returns the mean squared error over all tasks after 0, 1, ..., ``steps`` steps."""
    errors = torch.zeros(steps + 1)
    for task in waves:
        for k, predict in enumerate(algorithm.adapt_path(task.support, steps)):
            errors[k] += (predict(task.query_x) - task.query_y).square().mean().detach()
    return (errors / len(waves)).tolist()


def test_in_regression_gradient_steps_improve_a_jointly_trained_network(waves: TaskBatch) -> None:
    algorithm = regressor()
    train(algorithm, Sinusoid(), 200_000)
    before, *_, after = mse(algorithm, 10, waves[:50])
    assert 2.5 < before < 4.2  # no joint model has a lower mean than 3.006
    assert 0.9 * before < after < before  # joint training does not prepare for adaptation


def test_in_regression_a_step_is_gradient_descent_on_all_parameters() -> None:
    algorithm = regressor(head_lr=0.05).double()
    assert isinstance(algorithm, FineTune)
    x, y = torch.randn(5, 1, dtype=torch.float64), torch.randn(5, 1, dtype=torch.float64)
    loss = (algorithm.learner(x) - y).square().mean()
    gradients = torch.autograd.grad(loss, list(algorithm.learner.parameters()))
    _, after = algorithm.adapt_path(Support(x, y, 0), 1)
    predicted = after(x)
    with torch.no_grad():
        for p, gradient in zip(algorithm.learner.parameters(), gradients, strict=True):
            p -= 0.05 * gradient
    assert torch.allclose(predicted, algorithm.learner(x))
