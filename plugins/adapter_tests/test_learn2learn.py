"""Features of learn2learn: buffers that clones share, learned curvature, vision models."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn

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
from metabench.backbones.base import Backbone
from metabench.episodes import Support
from metabench.errors import NotApplicable

WITH_BUFFERS = ["l2l-maml", "l2l-fomaml", "l2l-anil", "l2l-meta-sgd", "l2l-meta-curvature"]
OTHERS = ["higher-maml", "torchopt-maml"]


class Drifting(Backbone):
    """Centres its inputs by a running mean, in evaluation too, and so depends on past episodes."""

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.features = 4
        self.norm = nn.BatchNorm1d(256, momentum=0.5)
        self.linear = nn.Linear(256, 4)

    def forward(self, x: Tensor) -> Tensor:
        assert self.norm.running_mean is not None
        x = x.flatten(1)
        self.norm.running_mean.lerp_(x.mean(0).detach(), 0.5)
        out: Tensor = self.linear(self.norm(x)).relu()
        return out


def drifting() -> Problem:
    return classification("drifting", drifting=Drifting)


def first_scores(algorithm: Any) -> tuple[Tensor, Tensor]:
    """Returns the predictions for one task before and after adapting to another."""
    one, other = Tasks(algorithm.problem).batch(2)
    before = algorithm.adapt(one.support)(one.query_x)
    algorithm.adapt(other.support)(other.query_x)
    return before, algorithm.adapt(one.support)(one.query_x)


@pytest.mark.parametrize("name", [*WITH_BUFFERS, *OTHERS])
def test_an_episode_does_not_change_the_buffers(name: str) -> None:
    algorithm = build(name, drifting()).eval()
    state = {k: v.clone() for k, v in algorithm.state_dict().items()}
    before, after = first_scores(algorithm)
    assert torch.equal(before, after)
    for key, tensor in algorithm.state_dict().items():
        assert torch.equal(tensor, state[key]), key


@pytest.mark.parametrize("name", WITH_BUFFERS)
def test_without_own_buffers_learn2learn_would_leak(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shows that the test above fails without the copies."""
    module = importlib.import_module(adapter(name).__module__)
    monkeypatch.setattr(module, "own_buffers", lambda clone: None)
    with pytest.raises(AssertionError):
        test_an_episode_does_not_change_the_buffers(name)


@pytest.mark.parametrize("norm", ["running", "per-step"])
@pytest.mark.parametrize("name", ["maml", "l2l-maml", "higher-maml", "torchopt-maml"])
def test_meta_training_updates_running_statistics(name: str, norm: str) -> None:
    """Batch norm at test uses the statistics of meta-training; otherwise it uses zeros."""
    algorithm = build(name, classification("conv"), tasks=TASKS, norm=norm)
    before = algorithm.learner.backbone.blocks[0].running_mean.clone()
    outer_gradient(algorithm)
    after = algorithm.learner.backbone.blocks[0].running_mean
    assert (before != after).any(-1).all()  # of each step, where each has its own
    native = build("maml", classification("conv"), tasks=TASKS, norm=norm)
    outer_gradient(native)
    # The native algorithm takes all tasks at once, step by step, an adapter takes them one by one:
    # the same passes in another order.
    torch.testing.assert_close(
        after, native.learner.backbone.blocks[0].running_mean, rtol=0.3, atol=0.05
    )


@pytest.mark.parametrize("problem", [classification(), regression()], ids=["mlp", "sinusoid"])
def test_curvature_starts_as_the_identity_and_is_learned(problem: Problem) -> None:
    chosen: dict[str, Any] = {"tasks": TASKS, "inner_steps": 2, "inner_lr": 0.1}
    torch.manual_seed(0)
    found = adapter("l2l-meta-curvature")(problem, **chosen).double()
    torch.manual_seed(0)
    maml = adapter("maml")(problem, **chosen).double()
    with torch.no_grad():
        for p in (*found.learner.parameters(), *maml.learner.parameters()):
            p.add_(0.2 * torch.sin(torch.arange(p.numel(), dtype=p.dtype)).view_as(p))
    gradients, _ = outer_gradient(found)
    wanted, _ = outer_gradient(maml)
    assert_same({k: g for k, g in gradients.items() if k.startswith("learner.")}, wanted)
    curvature = {k: g for k, g in gradients.items() if k.startswith("curvature.")}
    assert len(curvature) > len(wanted)
    assert all(g.any() for g in curvature.values())


class TestVisionModels:
    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        adapter("l2l-maml")

    def make(self, name: str, shape: tuple[int, ...], **options: Any) -> Any:
        return getattr(importlib.import_module("metabench_learn2learn.backbones"), name)(
            shape, **options
        )

    @pytest.mark.parametrize(
        ("name", "shape", "features"),
        [
            ("CNN4", (1, 28, 28), 64),
            ("CNN4", (3, 84, 84), 1600),
            ("OmniglotCNN", (1, 28, 28), 64),
            ("OmniglotFC", (1, 28, 28), 64),
            ("ResNet12", (1, 28, 28), 640),
        ],
    )
    def test_the_number_of_features_is_that_of_the_output(
        self, name: str, shape: tuple[int, ...], features: int
    ) -> None:
        backbone = self.make(name, shape)
        assert backbone.features == features
        assert backbone.training
        assert backbone(torch.rand(2, *shape)).shape == (2, features)

    @pytest.mark.parametrize(
        ("name", "shape"), [("WRN28", (1, 28, 28)), ("OmniglotCNN", (1, 14, 56))]
    )
    def test_an_unsupported_input_shape_is_not_applicable(
        self, name: str, shape: tuple[int, ...]
    ) -> None:
        with pytest.raises(
            NotApplicable, match=f"learn2learn's {name} cannot read inputs of shape"
        ):
            self.make(name, shape)

    def test_batch_statistics_need_no_buffers_and_are_used_in_evaluation(self) -> None:
        torch.manual_seed(0)
        backbone = self.make("CNN4", (1, 28, 28), norm="batch").eval()
        assert not dict(backbone.named_buffers())
        x = torch.rand(6, 1, 28, 28)
        alone, together = backbone(x[:3]), backbone(x)[:3]
        assert not torch.allclose(alone, together)
        running = self.make("CNN4", (1, 28, 28)).eval()
        torch.testing.assert_close(running(x[:3]), running(x)[:3])


def test_a_working_torchvision_is_not_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter("l2l-maml")
    library = importlib.import_module("metabench_learn2learn.library")
    asked: list[str] = []
    monkeypatch.setattr(library.importlib, "import_module", asked.append)
    before = dict(library.sys.modules)
    library._import_torchvision()
    assert asked == ["torchvision"]
    assert library.sys.modules == before


def test_the_order_of_the_support_set_does_not_change_the_prototypes() -> None:
    algorithm = build("l2l-protonet", classification()).eval()
    task = next(iter(Tasks(algorithm.problem).batch(1)))
    order = torch.randperm(len(task.support.y), generator=torch.Generator().manual_seed(0))
    shuffled = Support(task.support.x[order], task.support.y[order], task.support.ways)
    torch.testing.assert_close(
        algorithm.adapt(task.support)(task.query_x), algorithm.adapt(shuffled)(task.query_x)
    )
