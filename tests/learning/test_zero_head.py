"""Episodes that start from a head of zeros, compared with a learned head."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from metabench.algorithms.anil import ANIL
from metabench.algorithms.fomaml import FOMAML
from metabench.algorithms.maml import MAML
from metabench.algorithms.meta_lstm import MetaLSTM
from metabench.algorithms.meta_sgd import MetaSGD
from metabench.algorithms.reptile import Reptile
from metabench.episodes import Support, TaskBatch
from metabench.errors import NotApplicable, UsageError
from metabench.learning.gradient_based import GradientBased
from tests.helpers.gradient_kit import (
    LEARNED_HEAD,
    Tasks,
    build,
    classification,
    first_step,
    regression,
    train,
)

PLAIN: dict[str, Any] = {"mirror": False}
DIFFERENTIATED: dict[type[GradientBased], dict[str, Any]] = {
    MAML: PLAIN | {"inner_steps": 3},
    FOMAML: PLAIN | {"inner_steps": 3},
    ANIL: PLAIN | {"inner_steps": 3},
    MetaSGD: PLAIN,
    MetaLSTM: PLAIN | {"inner_steps": 3, "hidden": 4, "channels": 3, "clip": 0.0},
}
METHODS = DIFFERENTIATED | {Reptile: {"inner_steps": 3}}


def renumbered(batch: TaskBatch, numbers: tuple[int, ...]) -> TaskBatch:
    """Returns the same episodes with other numbers for their classes."""
    new = torch.tensor(numbers)
    return TaskBatch(
        batch.support_x,
        new[batch.support_y],
        batch.query_x,
        new[batch.query_y],
        batch.ways,
        batch.classes,
    )


def gradient(algorithm: Any, batch: TaskBatch) -> dict[str, Tensor]:
    algorithm.train().zero_grad()
    algorithm.query_losses(batch).mean().backward()
    return {name: p.grad.clone() for name, p in algorithm.named_parameters()}


def start_alike(learned: Any, fixed: Any) -> None:
    """Give both algorithms the same head, the same rates of Meta-SGD and the same LSTM."""
    with torch.no_grad():
        for p in learned.learner.head.parameters():
            p.zero_()
        for rate in [*getattr(learned, "rates", []), *getattr(fixed, "rates", [])]:
            rate.fill_(0.1)
    if isinstance(learned, MetaLSTM):
        fixed.optimizer.load_state_dict(learned.optimizer.state_dict())


@pytest.mark.parametrize("backbone", ["mlp", "conv"])
@pytest.mark.parametrize("cls", DIFFERENTIATED)
def test_the_gradient_is_that_of_a_learned_head_averaged_over_all_numberings(
    cls: type[GradientBased], backbone: str
) -> None:
    problem = classification(backbone)
    learned = build(cls, problem, **DIFFERENTIATED[cls], **LEARNED_HEAD)
    fixed = build(cls, problem, **DIFFERENTIATED[cls], zero_head=True, train_ways=0)
    start_alike(learned, fixed)
    batch = Tasks(problem, torch.float64).test(3)
    each = [
        gradient(learned, renumbered(batch, numbers))
        for numbers in itertools.permutations(range(batch.ways))
    ]
    mean = {name: torch.stack([g[name] for g in each]).mean(0) for name in each[0]}
    for name in mean:
        if name.startswith("learner.head."):
            # Meta-LSTM starts with rates of about 0.01.
            assert (each[0][name] - mean[name]).abs().max() > (1e-4 if cls is MetaLSTM else 1e-3)
            # Softmax is invariant to equal columns; the optimizer of Meta-LSTM reads them.
            assert (mean[name] - mean[name].mean(-1, keepdim=True)).abs().max() < 1e-12
            assert cls is MetaLSTM or mean[name].abs().max() < 1e-12
    found = gradient(fixed, renumbered(batch, (2, 0, 1)))
    body = [name for name in found if name.startswith("learner.backbone.")]
    assert any(found[name].abs().max() > (1e-5 if cls is MetaLSTM else 1e-4) for name in body)
    for name in body:
        torch.testing.assert_close(found[name], mean[name], rtol=1e-9, atol=1e-12)


def test_the_rates_of_a_head_of_zeros_are_shared_by_all_classes() -> None:
    problem = classification("conv")
    learned = build(MetaSGD, problem, **PLAIN, **LEARNED_HEAD)
    fixed = build(MetaSGD, problem, **PLAIN, zero_head=True)
    start_alike(learned, fixed)
    batch = Tasks(problem, torch.float64).test(3)
    one, other = gradient(fixed, batch), gradient(learned, batch)
    (last,) = [i for i, p in enumerate(fixed.rates) if p.ndim == 2]
    assert fixed.rates[last].shape == (learned.rates[last].shape[0], 1)
    total = other[f"rates.{last}"].sum(-1, keepdim=True)
    torch.testing.assert_close(one[f"rates.{last}"], total, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cls", METHODS)
def test_the_numbering_of_the_classes_does_not_matter(cls: type[GradientBased]) -> None:
    algorithm = build(cls, classification("conv"), zero_head=True).eval()
    batch = Tasks(classification("conv"), torch.float64).test(4)
    support, order = batch.support, torch.tensor([2, 0, 1])
    found = algorithm.adapt_batch(support)(batch.query_x)
    renamed = algorithm.adapt_batch(Support(support.x, order[support.y], support.ways))(
        batch.query_x
    )
    torch.testing.assert_close(renamed[..., order], found)
    assert not algorithm.depends_on_label_order
    assert build(cls, classification("conv"), **LEARNED_HEAD).depends_on_label_order


@pytest.mark.parametrize("cls", METHODS)
def test_meta_training_can_use_other_ways_than_the_test(cls: type[GradientBased]) -> None:
    algorithm = build(cls, classification("conv"), **METHODS[cls], zero_head=True, train_ways=8)
    batch, gradients, _ = first_step(algorithm)
    assert batch.ways == 8
    body = [g for name, g in gradients.items() if name.startswith("learner.backbone.")]
    assert len(body) == len(list(algorithm.learner.backbone.parameters()))
    assert all(g.any() for g in body)
    algorithm.eval()
    episode = Tasks(classification("conv"), torch.float64).test(1)
    assert algorithm.adapt_batch(episode.support)(episode.query_x).shape[-1] == 3


@pytest.mark.parametrize("cls", METHODS)
def test_the_head_stays_at_zero_and_all_other_parameters_are_learned(
    cls: type[GradientBased],
) -> None:
    algorithm = build(cls, classification("conv"), **METHODS[cls], zero_head=True)
    before = {name: p.detach().clone() for name, p in algorithm.named_parameters()}
    train(algorithm, 2)
    for name, p in algorithm.named_parameters():
        if name.startswith("learner.head."):
            assert not p.any()
        else:
            assert not torch.equal(p, before[name]), name


def test_the_inner_rate_is_scaled_to_the_ways_of_the_episode() -> None:
    """A class's share in the mean loss falls with the ways, and the scaled rate compensates it."""
    algorithm = build(ANIL, classification(), zero_head=True, inner_lr=0.9)
    features = algorithm.learner.backbone.features
    for ways in (3, 6):
        support = Support(torch.rand(1, ways, 6).double(), torch.arange(ways)[None], ways)
        assert algorithm.learner.rate_scale(support) * 0.9 / ways == pytest.approx(0.3)
        head = algorithm.learner.for_classes_of(support).head
        assert head.weight.shape == (features, ways)
        assert not head.weight.any()


@pytest.mark.parametrize("cls", METHODS)
def test_a_learned_head_requires_the_ways_of_the_test(cls: type[GradientBased]) -> None:
    with pytest.raises(UsageError, match=r"train_ways=8 asks for another head .* 3 classes"):
        build(cls, classification(), zero_head=False, train_ways=8)
    assert build(cls, classification(), zero_head=False, train_ways=3).train_ways == 3


@pytest.mark.parametrize("cls", METHODS)
def test_a_head_of_zeros_is_not_applicable_to_regression(cls: type[GradientBased]) -> None:
    with pytest.raises(NotApplicable, match=r"zero_head=True .* this benchmark is regression"):
        build(cls, regression(), zero_head=True)
