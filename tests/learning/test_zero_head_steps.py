"""Steps from a head of zeros equal those of the plain inner loop, in fewer passes."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor

from metabench.algorithms.fomaml import FOMAML
from metabench.algorithms.maml import MAML
from metabench.algorithms.meta_sgd import MetaSGD
from metabench.backbones.network import Network
from metabench.episodes import Support
from metabench.learning import learner as learner_module
from metabench.learning.inner_loop import Params, gradient_steps, task_params
from metabench.learning.learner import learned_parameters
from metabench.learning.zero_head_steps import zero_head_steps
from tests.helpers.gradient_kit import Tasks, build, classification

METHODS = [MAML, FOMAML, MetaSGD]


def plain_steps(learner: Network, *given: Any, **options: Any) -> Iterator[Params]:
    """Yields the parameters after each step of the plain inner loop."""
    return gradient_steps(learner.forward_tasks, *given, **options)


def make_algorithm(cls: type[Any], inner_steps: int) -> Any:
    options = {"zero_head": True, "train_ways": 0, "mirror": False}
    return build(
        cls, classification("conv"), inner_steps=inner_steps, test_steps=inner_steps, **options
    )


@pytest.mark.parametrize("inner_steps", [1, 2, 4])
@pytest.mark.parametrize("cls", METHODS)
def test_the_outer_gradient_equals_that_of_plain_steps(
    cls: type[Any], inner_steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Tasks(classification("conv"), torch.float64).test(3)

    def gradients() -> dict[str, Tensor]:
        algorithm = make_algorithm(cls, inner_steps).train()
        algorithm.query_losses(batch).mean().backward()
        learned = {id(p) for p in learned_parameters(algorithm, algorithm.learner)}
        return {
            name: torch.zeros_like(p) if p.grad is None else p.grad
            for name, p in algorithm.named_parameters()
            if id(p) in learned
        }

    found = gradients()
    monkeypatch.setattr(learner_module, "zero_head_steps", plain_steps)
    expected = gradients()
    assert any(g.abs().max() > 1e-4 for g in expected.values())
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-9, atol=1e-13, msg=name)


@pytest.mark.parametrize("cls", METHODS)
def test_predictions_and_their_gradient_in_the_support_set_equal_those_of_plain_steps(
    cls: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = Tasks(classification("conv"), torch.float64).test(3)

    def predictions_and_gradient() -> tuple[Tensor, Tensor]:
        algorithm = make_algorithm(cls, 3).eval()
        clean = algorithm.adapt_batch(batch.support)(batch.query_x).detach()
        x = batch.support_x.clone().requires_grad_()
        attacked = algorithm.adapt_batch(Support(x, batch.support_y, batch.ways, keep_graph=True))(
            batch.query_x
        )
        torch.testing.assert_close(attacked, clean)
        (slope,) = torch.autograd.grad(algorithm.problem.loss(attacked, batch.query_y).sum(), x)
        return clean, slope

    found = predictions_and_gradient()
    monkeypatch.setattr(learner_module, "zero_head_steps", plain_steps)
    expected = predictions_and_gradient()
    assert expected[1].abs().max() > 1e-4
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cls", METHODS)
def test_the_first_step_moves_only_the_head_and_shares_its_pass_with_the_second(
    cls: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    algorithm = make_algorithm(cls, 3)
    learner = algorithm.learner
    passes: list[int] = []
    through = learner.backbone.forward_tasks

    def counting(params: Params, x: Tensor, *, twice: bool = False) -> Tensor:
        passes.append(len(x))
        return through(params, x, twice=twice)

    monkeypatch.setattr(learner.backbone, "forward_tasks", counting)
    support = Tasks(classification("conv"), torch.float64).test(2).support
    path = zero_head_steps(
        learner, task_params(learner, 2), support, algorithm.problem.loss, rate=0.5
    )
    at = [(params, len(passes)) for params in islice(path, 4)]
    assert [count for _, count in at] == [0, 1, 1, 2]
    first, second = at[1][0], at[2][0]
    for name, p in at[0][0].items():
        if name != "head.bias":  # classes of equal size do not move it
            assert torch.equal(first[name], p) is (name != "head.weight")
        assert not torch.equal(second[name], first[name])


def test_if_only_the_head_is_adapted_the_backbone_does_not_change() -> None:
    algorithm = make_algorithm(MAML, 2)
    learner, support = (
        algorithm.learner,
        Tasks(classification("conv"), torch.float64).test(2).support,
    )
    path = zero_head_steps(
        learner,
        task_params(learner, 2),
        support,
        algorithm.problem.loss,
        rate=0.5,
        adapted=lambda name: name.startswith("head."),
    )
    start, _, _, third = islice(path, 4)
    for name, p in third.items():
        assert torch.equal(p, start[name]) is not name.startswith("head.")
