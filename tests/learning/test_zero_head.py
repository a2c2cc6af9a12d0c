"""Episodes that start from a head of zeros, compared with a learned head."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from metabench.algorithms.anil import ANIL
from metabench.algorithms.anil_zero_head import ANILZeroHead
from metabench.algorithms.base import parameters_of
from metabench.algorithms.fomaml import FOMAML
from metabench.algorithms.fomaml_zero_head import FOMAMLZeroHead
from metabench.algorithms.maml import MAML
from metabench.algorithms.maml_zero_head import MAMLZeroHead
from metabench.algorithms.meta_lstm import MetaLSTM
from metabench.algorithms.meta_sgd import MetaSGD
from metabench.algorithms.meta_sgd_zero_head import MetaSGDZeroHead
from metabench.algorithms.reptile import Reptile
from metabench.algorithms.reptile_zero_head import ReptileZeroHead
from metabench.episodes import Support, TaskBatch
from metabench.errors import NotApplicable
from tests.helpers.gradient_kit import (
    Tasks,
    build,
    classification,
    first_step,
    regression,
    train,
)

DIFFERENTIATED: dict[type[Any], type[Any]] = {
    MAMLZeroHead: MAML,
    FOMAMLZeroHead: FOMAML,
    ANILZeroHead: ANIL,
    MetaSGDZeroHead: MetaSGD,
}
"""Methods that differentiate a query loss, with the method that learns its head."""
METHODS = DIFFERENTIATED | {ReptileZeroHead: Reptile}
SMALL: dict[str, Any] = {"inner_steps": 3, "test_steps": 3}


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


def build_alike(cls: type[Any], backbone: str = "conv", **options: Any) -> tuple[Any, Any]:
    """Returns a method, and that which learns its head, with the same start: a head of zeros."""
    recipe = build(cls, classification(backbone))
    shared = {name: getattr(recipe, name) for name in parameters_of(METHODS[cls])} | options
    fixed, learned = (
        build(kind, classification(backbone), **shared) for kind in (cls, METHODS[cls])
    )
    with torch.no_grad():
        for p in learned.learner.head.parameters():
            p.zero_()
    rates = [*getattr(learned, "rates", []), *getattr(fixed, "rates", [])]
    with torch.no_grad():
        for rate in rates:
            rate.fill_(0.1)
    return fixed, learned


@pytest.mark.parametrize("backbone", ["mlp", "conv"])
@pytest.mark.parametrize("norm", ["support", "batch"])
@pytest.mark.parametrize("cls", METHODS)
def test_a_variant_predicts_as_the_method_whose_head_is_set_to_zero(
    cls: type[Any], norm: str, backbone: str
) -> None:
    fixed, learned = build_alike(cls, backbone, norm=norm, test_steps=3)
    batch = Tasks(fixed.problem, torch.float64).test(3)
    found, expected = (
        [predict(batch.query_x) for predict in itertools.islice(path, 4)]
        for path in (a.eval().trajectory(batch.support) for a in (fixed, learned))
    )
    assert not expected[0].any()
    assert expected[3].abs().max() > 1e-4
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("backbone", ["mlp", "conv"])
@pytest.mark.parametrize("cls", DIFFERENTIATED)
def test_the_gradient_is_that_of_a_learned_head_averaged_over_all_numberings(
    cls: type[Any], backbone: str
) -> None:
    fixed, learned = build_alike(cls, backbone, **SMALL)
    batch = Tasks(fixed.problem, torch.float64).test(3)
    each = [
        gradient(learned, renumbered(batch, numbers))
        for numbers in itertools.permutations(range(batch.ways))
    ]
    mean = {name: torch.stack([g[name] for g in each]).mean(0) for name in each[0]}
    for name in mean:
        if name.startswith("learner.head."):
            assert (each[0][name] - mean[name]).abs().max() > 1e-3
            assert mean[name].abs().max() < 1e-12
    found = gradient(fixed, renumbered(batch, (2, 0, 1)))
    body = [name for name in found if name.startswith("learner.backbone.")]
    assert any(found[name].abs().max() > 1e-4 for name in body)
    for name in body:
        torch.testing.assert_close(found[name], mean[name], rtol=1e-9, atol=1e-12)


def test_the_rates_of_a_head_of_zeros_are_shared_by_all_classes() -> None:
    fixed, learned = build_alike(MetaSGDZeroHead, inner_steps=2)
    batch = Tasks(fixed.problem, torch.float64).test(3)
    one, other = gradient(fixed, batch), gradient(learned, batch)
    (last,) = [i for i, p in enumerate(fixed.rates) if p.ndim == 2]
    assert fixed.rates[last].shape == (learned.rates[last].shape[0], 1)
    total = other[f"rates.{last}"].sum(-1, keepdim=True)
    torch.testing.assert_close(one[f"rates.{last}"], total, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("cls", METHODS)
def test_the_numbering_of_the_classes_does_not_matter(cls: type[Any]) -> None:
    algorithm = build(cls, classification("conv")).eval()
    batch = Tasks(classification("conv"), torch.float64).test(4)
    support, order = batch.support, torch.tensor([2, 0, 1])
    found = algorithm.adapt_batch(support)(batch.query_x)
    renamed = algorithm.adapt_batch(Support(support.x, order[support.y], support.ways))(
        batch.query_x
    )
    torch.testing.assert_close(renamed[..., order], found)
    assert not algorithm.depends_on_label_order
    assert build(METHODS[cls], classification("conv")).depends_on_label_order


@pytest.mark.parametrize("cls", METHODS)
def test_meta_training_can_use_other_ways_than_the_test(cls: type[Any]) -> None:
    algorithm = build(cls, classification("conv"), **SMALL, train_ways=8)
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
    cls: type[Any],
) -> None:
    algorithm = build(cls, classification("conv"), **SMALL)
    before = {name: p.detach().clone() for name, p in algorithm.named_parameters()}
    train(algorithm, 2)
    for name, p in algorithm.named_parameters():
        if name.startswith("learner.head."):
            assert not p.any()
        else:
            assert not torch.equal(p, before[name]), name


def test_the_inner_rate_is_scaled_to_the_ways_of_the_episode() -> None:
    """A class's share in the mean loss falls with the ways, and the scaled rate compensates it."""
    algorithm = build(ANILZeroHead, classification(), inner_lr=0.9)
    features = algorithm.learner.backbone.features
    for ways in (3, 6):
        support = Support(torch.rand(1, ways, 6).double(), torch.arange(ways)[None], ways)
        assert algorithm.learner.rate_scale(support) * 0.9 / ways == pytest.approx(0.3)
        head = algorithm.learner.for_classes_of(support).head
        assert head.weight.shape == (features, ways)
        assert not head.weight.any()


@pytest.mark.parametrize("cls", [*METHODS.values(), MetaLSTM])
def test_a_learned_head_has_the_classes_of_the_test_in_training_too(cls: type[Any]) -> None:
    assert not parameters_of(cls).keys() & {"zero_head", "train_ways"}
    algorithm = build(cls, classification("conv"))
    batch, gradients, _ = first_step(algorithm)
    assert batch.ways == 3
    assert any(g.any() for name, g in gradients.items() if name.startswith("learner.head."))


@pytest.mark.parametrize("cls", METHODS)
def test_a_head_of_zeros_is_not_applicable_to_regression(cls: type[Any]) -> None:
    with pytest.raises(NotApplicable, match=r"a head of zeros is for classes, .* is regression"):
        build(cls, regression())
