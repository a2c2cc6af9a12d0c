"""The statistics of batch norm: of the support set, of the query batch, or running ones."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metabench.algorithms.anil import ANIL
from metabench.algorithms.anil_zero_head import ANILZeroHead
from metabench.algorithms.cavia import CAVIA
from metabench.algorithms.fomaml import FOMAML
from metabench.algorithms.fomaml_zero_head import FOMAMLZeroHead
from metabench.algorithms.from_scratch import FromScratch
from metabench.algorithms.maml import MAML
from metabench.algorithms.maml_zero_head import MAMLZeroHead
from metabench.algorithms.meta_lstm import MetaLSTM
from metabench.algorithms.meta_sgd import MetaSGD
from metabench.algorithms.meta_sgd_zero_head import MetaSGDZeroHead
from metabench.algorithms.multi_task import MultiTask
from metabench.algorithms.problem import Problem
from metabench.algorithms.reptile import Reptile
from metabench.algorithms.reptile_zero_head import ReptileZeroHead
from metabench.backbones.base import Backbone
from metabench.backbones.conv4 import Conv4, Conv4Strided
from metabench.episodes import TaskBatch
from metabench.learning.learner import Learner
from metabench.learning.predictors import after
from tests.helpers.gradient_kit import Tasks, build, classification, first_step, train

METHODS: list[Any] = [
    MAML,
    FOMAML,
    ANIL,
    MetaSGD,
    CAVIA,
    MetaLSTM,
    Reptile,
    MAMLZeroHead,
    FOMAMLZeroHead,
    ANILZeroHead,
    MetaSGDZeroHead,
    ReptileZeroHead,
    FromScratch,
    MultiTask,
]
EVERY = pytest.mark.parametrize("cls", METHODS, ids=[m.name for m in METHODS])


class ForeignNorm(Backbone):
    """A backbone with PyTorch's batch norm, which has no ``forward_by_support`` of its own."""

    def __init__(self, input_shape: tuple[int, ...], *, norm: str = "running") -> None:
        super().__init__()
        self.convolution = nn.Conv2d(input_shape[0], 3, 3, stride=4)
        self.norm = nn.BatchNorm2d(3, track_running_stats=norm == "running")
        self.features = 3

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.convolution(x)).relu().mean((2, 3))
        return out


BACKBONES: dict[str, Callable[..., Backbone]] = {
    "strided": partial(Conv4Strided, channels=3),
    "pooled": partial(Conv4, channels=3),
    "foreign": ForeignNorm,
}


def problem_with(backbone: str) -> Problem:
    return Problem("classification", (1, 16, 16), 3, 2, 4, 3, backbone, dict(BACKBONES))


def small_options(cls: Any) -> dict[str, Any]:
    return {"channels": 3, "hidden": 4, "inner_steps": 3} if cls is MetaLSTM else {}


def trained(cls: Any, norm: str) -> Any:
    algorithm = build(cls, classification("conv"), norm=norm, **small_options(cls))
    if cls.offers("meta_train"):
        train(algorithm, 2)
    return algorithm.eval()


def episodes(problem: Problem) -> TaskBatch:
    return Tasks(problem, torch.float64).test(2)


def dependence(predict: Callable[[Tensor], Tensor], query: Tensor) -> float:
    """Returns how far the predictions of the first query move when the others are left out."""
    with torch.no_grad():
        return float((predict(query)[:, :1] - predict(query[:, :1])).abs().max())


@EVERY
def test_the_default_is_the_statistics_of_the_support_set(cls: Any) -> None:
    algorithm = build(cls, classification("conv"), **small_options(cls))
    assert algorithm.norm == "support"
    assert algorithm.learner.by_support
    assert not algorithm.transductive


@EVERY
@pytest.mark.parametrize(("norm", "transductive"), [("support", 0), ("batch", 1), ("running", 0)])
def test_only_the_statistics_of_the_query_batch_make_a_method_transductive(
    cls: Any, norm: str, transductive: bool
) -> None:
    algorithm = trained(cls, norm)
    batch = episodes(algorithm.problem)
    moved = dependence(algorithm.adapt_batch(batch.support), batch.query_x)
    assert (moved > 1e-6) is bool(transductive)
    assert moved < 1e-12 or transductive
    assert algorithm.transductive is bool(transductive)


@EVERY
def test_in_meta_training_too_a_query_does_not_depend_on_the_others(cls: Any) -> None:
    algorithm = trained(cls, "support").train()
    batch = episodes(algorithm.problem)
    predict = after(2, algorithm.trajectory(batch.support))
    assert dependence(predict, batch.query_x) < 1e-12


@pytest.mark.parametrize("cls", [MAML, ANIL, MetaSGD, CAVIA, MetaLSTM, MAMLZeroHead])
def test_the_outer_loss_is_a_mean_over_queries_that_were_predicted_alone(cls: Any) -> None:
    algorithm = build(cls, classification("conv"), **small_options(cls))
    batch, _, loss = first_step(algorithm)
    predict = after(algorithm.inner_steps, algorithm.train().trajectory(batch.support))
    alone = torch.cat([predict(x) for x in batch.query_x.split(1, dim=1)], 1)
    expected = algorithm.problem.loss(alone, batch.query_y).mean()
    assert loss == pytest.approx(float(expected.detach()), rel=1e-9)


@EVERY
def test_without_batch_norm_every_setting_is_the_same_and_inductive(cls: Any) -> None:
    settings = [
        build(cls, classification("mlp"), norm=norm, **small_options(cls)).eval()
        for norm in ("support", "batch", "running")
    ]
    batch = episodes(settings[0].problem)
    predictions = [a.adapt_batch(batch.support)(batch.query_x) for a in settings]
    assert all(torch.equal(p, predictions[0]) for p in predictions)
    assert not any(a.transductive for a in settings)


@pytest.mark.parametrize("backbone", list(BACKBONES))
def test_a_setting_means_the_same_for_every_backbone(backbone: str) -> None:
    problem = problem_with(backbone)
    found = {}
    for norm in ("support", "batch", "running"):
        algorithm = MAML(problem, norm=norm).double().eval()  # type: ignore[arg-type]
        batch = episodes(problem)
        moved = dependence(algorithm.adapt_batch(batch.support), batch.query_x)
        found[norm] = (moved > 1e-6, algorithm.transductive)
    assert found == {"support": (False, False), "batch": (True, True), "running": (False, False)}


def test_the_features_of_a_query_are_normalised_under_the_adapted_parameters() -> None:
    algorithm = build(MAML, classification("conv"), test_steps=2).eval()
    batch = episodes(algorithm.problem)
    path = algorithm.trajectory(batch.support)
    found = [after(2, path)(batch.query_x)]
    learner = algorithm.learner
    for task in batch:
        params = {name: p.detach().requires_grad_() for name, p in learner.named_parameters()}
        for _ in range(2):
            one = {name: p[None] for name, p in params.items()}
            outputs = learner.forward_tasks(one, task.support.x[None])[0]
            adapted = [name for name in params if algorithm.adapts(name)]
            slopes = torch.autograd.grad(
                algorithm.problem.loss(outputs, task.support.y), [params[n] for n in adapted]
            )
            params |= {
                name: params[name] - algorithm.inner_lr * slope
                for name, slope in zip(adapted, slopes, strict=True)
            }
        one = {name: p[None] for name, p in params.items()}
        found.append(learner.forward_queries(one, task.support.x[None], task.query_x[None]))
    torch.testing.assert_close(found[0], torch.cat(found[1:]))


def test_a_learner_without_statistics_of_a_batch_is_not_transductive() -> None:
    assert not Learner(classification("mlp"), norm="batch").transductive
    assert Learner(classification("conv"), norm="batch").transductive
    assert not Learner(classification("conv"), norm="support").transductive
    assert not Learner(classification("conv"), norm="running").transductive
