"""Running statistics for each inner step (MAML++)."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from metabench.algorithms.maml import MAML
from metabench.algorithms.meta_sgd import MetaSGD
from metabench.algorithms.problem import Problem
from metabench.backbones.base import Backbone
from metabench.backbones.conv_block import ConvBlock
from metabench.episodes import Support, TaskBatch
from metabench.errors import UsageError
from metabench.learning.learner import Learner
from metabench.learning.task_by_task import TaskByTask
from tests.helpers.gradient_kit import LEARNED_HEAD, Tasks, build, classification, train

MOMENTUM = 0.1
STEPS = 2


class LoopMAML(TaskByTask, MAML):
    """MAML as a loop over the tasks, without a library."""

    name = "loop-maml"

    def inner_loop(self, support: Support) -> Iterator[nn.Module]:
        learner = _Learner(self.learner.for_classes_of(support))
        while True:
            yield learner
            with torch.enable_grad():
                loss = self.problem.loss(learner(support.x), support.y)
                names = [name for name in learner.own if self.adapts(name)]
                slopes = torch.autograd.grad(
                    loss, [learner.own[name] for name in names], create_graph=self.training
                )
                moved = {
                    k: learner.own[k] - self.inner_lr * g
                    for k, g in zip(names, slopes, strict=True)
                }
            learner = _Learner(learner.network, learner.own | moved)


class _Learner(nn.Module):
    """A network with replaced parameters."""

    def __init__(self, network: nn.Module, own: dict[str, Tensor] | None = None) -> None:
        super().__init__()
        self.network, self.own = network, own or dict(network.named_parameters())

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = functional_call(self.network, self.own, (x,))
        return out

    def named_parameters(self, *_: Any, **__: Any) -> Iterator[tuple[str, nn.Parameter]]:
        return iter(self.own.items())  # type: ignore[arg-type]

    def named_buffers(self, *_: Any, **__: Any) -> Iterator[tuple[str, Tensor]]:
        return self.network.named_buffers()


def make_algorithm(cls: type[Any] = MAML, **options: Any) -> Any:
    given = LEARNED_HEAD | {
        "inner_steps": STEPS,
        "test_steps": STEPS,
        "mirror": False,
        "inner_lr": 0.7,
    }
    if cls is MetaSGD:
        del given["inner_lr"]
    return build(cls, classification("conv"), **given | {"norm": "per-step"} | options)


def first_block(algorithm: Any) -> ConvBlock:
    block = algorithm.learner.backbone.blocks[0]
    assert isinstance(block, ConvBlock)
    return block


def one_task() -> TaskBatch:
    return Tasks(classification("conv"), torch.float64).test(1)


@pytest.mark.parametrize("cls", [MAML, LoopMAML])
def test_each_step_keeps_the_statistics_of_its_own_learner(cls: type[Any]) -> None:
    algorithm, batch = make_algorithm(cls).train(), one_task()
    block = first_block(algorithm)
    assert block.running_mean is not None
    assert block.running_mean.shape == (STEPS + 1, 3)
    learners = [
        {name: p.detach() for name, p in params.items()}
        for params in islice(reference_path(batch), STEPS + 1)
    ]
    with algorithm.outer_gradient() as gradient:
        gradient(batch)
    for step, params in enumerate(learners):
        x = batch.support_x[0] if step < STEPS else batch.query_x[0]
        maps = F.conv2d(x, params["backbone.blocks.0.weight"], stride=2, padding=1)
        expected = MOMENTUM * maps.mean((0, 2, 3))
        torch.testing.assert_close(block.running_mean[step], expected, rtol=1e-9, atol=1e-12)


def reference_path(batch: TaskBatch) -> Iterator[dict[str, Tensor]]:
    """Yields MAML's parameters after each inner step, with batch statistics as in training."""
    twin = make_algorithm(norm="batch").train()
    params = dict(twin.learner.named_parameters())
    while True:
        yield params
        outputs = functional_call(twin.learner, params, (batch.support_x[0],))
        names = [name for name in params if twin.adapts(name)]
        slopes = torch.autograd.grad(
            twin.problem.loss(outputs, batch.support_y[0]), [params[name] for name in names]
        )
        params = params | {k: params[k] - 0.7 * g for k, g in zip(names, slopes, strict=True)}


@pytest.mark.parametrize("cls", [MAML, MetaSGD, LoopMAML])
def test_in_evaluation_a_predictor_uses_the_statistics_of_its_own_step(cls: type[Any]) -> None:
    algorithm, batch = make_algorithm(cls), one_task()
    train(algorithm, 3)

    def predictions() -> list[Tensor]:
        return [
            predict(batch.query_x)
            for predict in islice(algorithm.eval().trajectory(batch.support), STEPS + 3)
        ]

    before = predictions()
    mean = first_block(algorithm).running_mean
    assert mean is not None
    with torch.no_grad():
        mean[STEPS] += 0.3
    changed = [not torch.equal(a, b) for a, b in zip(before, predictions(), strict=True)]
    # Steps beyond the last one share its statistics.
    assert changed == [False] * STEPS + [True] * 3
    with torch.no_grad():
        mean[STEPS] -= 0.3
        mean[0] += 0.3
    assert not torch.equal(predictions()[0], before[0])


@pytest.mark.parametrize("cls", [MAML, MetaSGD, LoopMAML])
def test_queries_are_independent_and_episodes_change_no_state(cls: type[Any]) -> None:
    algorithm, batch = make_algorithm(cls), one_task()
    train(algorithm, 2)
    assert not algorithm.transductive
    state = {name: value.clone() for name, value in algorithm.state_dict().items()}
    predict = algorithm.eval().adapt_batch(batch.support)
    torch.testing.assert_close(predict(batch.query_x)[:, :1], predict(batch.query_x[:, :1]))
    assert all(torch.equal(value, state[name]) for name, value in algorithm.state_dict().items())


def test_with_a_head_of_zeros_every_step_updates_its_own_statistics() -> None:
    shared, batch = make_algorithm(zero_head=True).train(), one_task()
    shared.query_losses(batch).mean().backward()
    mean = first_block(shared).running_mean
    assert mean is not None
    assert all(row.any() for row in mean)


def test_a_backbone_without_statistics_per_step_is_a_usage_error() -> None:
    class Plain(Backbone):
        def __init__(self, input_shape: tuple[int, ...], *, norm: str = "batch") -> None:
            super().__init__()
            self.features = input_shape[0]

        def forward(self, x: Tensor) -> Tensor:
            return x

    problem = Problem("classification", (4,), 3, 1, 2, 3, "plain", {"plain": partial(Plain)})
    with pytest.raises(UsageError, match=r"norm='per-step' .* backbone 'plain' does not keep"):
        Learner(problem, norm="per-step", steps=2)
