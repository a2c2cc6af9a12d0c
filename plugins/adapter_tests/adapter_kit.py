"""Small problems in float64, and the outer gradient of an adapter or a native algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm
from metabench.algorithms.problem import Problem
from metabench.backbones.conv4 import Conv4Strided
from metabench.backbones.mlp import MLP
from metabench.datasets.base import ClassPool
from metabench.datasets.sinusoid import Sinusoid
from metabench.episodes import (
    ClassSampler,
    FamilySampler,
    NWayKShot,
    Sampler,
    TaskBatch,
    TaskStream,
)
from metabench.plugins import installed_plugins

ROOT = Path(__file__).parents[2]
TASKS = 3


def adapter(name: str) -> type[Algorithm]:
    """Returns an algorithm by name; skips the test if its plugin or library is not installed."""
    library = {"l2l": "learn2learn"}.get(name.partition("-")[0], name.partition("-")[0])
    if library in ("learn2learn", "higher", "torchopt", "torchfunc"):
        pytest.importorskip(
            f"metabench_{library}",
            reason=f"plugins/metabench-{library} is not installed: `tox -e plugins`",
        )
        skip_without({"torchfunc": "torch"}.get(library, library))
    found: type[Algorithm] = installed_plugins().registry.get("algorithm", name).load()
    return found


def skip_without(library: str) -> None:
    """Skip if a library is not installed; an error of an installed library fails the test."""
    from importlib.util import find_spec

    if find_spec(library) is None:
        pytest.skip(f"{library} is not installed: `tox -e plugins`")


def classification(backbone: str = "mlp", **backbones: Any) -> Problem:
    """Returns the problem of 5-way tasks on small images of separable classes."""
    at_hand = {
        "mlp": partial(MLP, hidden=(16,)),
        "conv": partial(Conv4Strided, channels=4),
        **backbones,
    }
    return Problem("classification", (1, 16, 16), 5, 2, 3, 5, backbone, at_hand)


def regression() -> Problem:
    """Returns the problem of the sinusoid tasks."""
    return Problem("regression", (1,), 0, 5, 10, 1, "mlp", {"mlp": partial(MLP, hidden=(16, 16))})


def pool(classes: int = 40, examples: int = 20) -> ClassPool:
    """Returns noisy copies of random patterns with a blank border."""
    generator = torch.Generator().manual_seed(0)
    patterns = torch.rand(classes, 1, 1, 16, 16, generator=generator)
    images = (
        patterns + 0.2 * torch.randn(classes, examples, 1, 16, 16, generator=generator)
    ).clamp(0, 1)
    images[..., :3, :] = 0
    return ClassPool((images * 255).to(torch.uint8), tuple(f"class{i}" for i in range(classes)))


class Tasks:
    """The source of a task stream, in float64; it records the batches that it returned."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.given: list[TaskBatch] = []
        self.pool = None if problem.regression else pool()

    @property
    def train_classes(self) -> int:
        return 0 if self.pool is None else self.pool.classes

    def sampler(self, protocol: NWayKShot, stream: int) -> Sampler:
        if self.pool is None:
            return _Double(FamilySampler(Sinusoid(), protocol, stream))
        return _Double(ClassSampler(self.pool, protocol, stream))

    def labelled(self, stream: int, start: int, count: int) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def on_drawn(self, batch: TaskBatch) -> None:
        self.given.append(batch)

    def batch(self, tasks: int = TASKS) -> TaskBatch:
        """Returns episodes with the shape of the test episodes."""
        return self.sampler(self.protocol, 7).range(0, tasks)

    @property
    def protocol(self) -> NWayKShot:
        return NWayKShot(self.problem.ways, self.problem.shots, self.problem.queries)


class _Double(Sampler):
    def __init__(self, sampler: Sampler) -> None:
        super().__init__(sampler.protocol, sampler.key, sampler.device)
        self._sampler = sampler

    def tasks(self, indices: Tensor) -> TaskBatch:
        b = self._sampler.tasks(indices)
        y, q = (t.double() if t.is_floating_point() else t for t in (b.support_y, b.query_y))
        return TaskBatch(b.support_x.double(), y, b.query_x.double(), q, b.ways, b.classes)

    def fingerprint(self, indices: Tensor) -> bytes:
        raise NotImplementedError

    def source_digest(self) -> str:
        raise NotImplementedError


def build(name: str, problem: Problem, **chosen: Any) -> Any:
    """Returns an algorithm of seed 0 in float64 whose weights make second-order terms large."""
    torch.manual_seed(0)
    algorithm = adapter(name)(problem, **chosen).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in algorithm.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return algorithm


def outer_gradient(algorithm: Any) -> tuple[dict[str, Tensor], TaskBatch]:
    """Returns the gradients of one outer step of ``meta_train`` by parameter, and its tasks."""
    probe = _Cost(Tasks(algorithm.problem))
    algorithm.meta_train(probe)
    tasks = Tasks(algorithm.problem)
    moved = dict(algorithm.named_parameters())
    before = {k: p.detach().clone() for k, p in moved.items()}
    algorithm.train()
    torch.manual_seed(0)
    algorithm.meta_train(TaskStream(tasks, tasks.protocol, probe.cost))
    gradients = {k: p.grad.clone() for k, p in moved.items()}
    with torch.no_grad():
        for name, p in moved.items():
            assert not torch.equal(p, before[name]) or not gradients[name].any()
            p.copy_(before[name])
            p.grad = None
    (batch,) = tasks.given
    return gradients, batch


class _Cost(TaskStream):
    """A stream without tasks that records the examples that one batch would cost."""

    def __init__(self, tasks: Tasks) -> None:
        super().__init__(tasks, tasks.protocol, 1)

    def batches(self, tasks: int, **shape: Any) -> Any:  # type: ignore[override]
        self.cost = tasks * self.protocol.with_(**shape).examples
        return iter(())


def assert_same(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], rtol: float = 1e-10
) -> None:
    """Compare each tensor relative to its largest element."""
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        scale = float(tensor.abs().max())
        assert scale > 0, f"{name} has no gradient at all, so that nothing is compared"
        assert float((found[name] - tensor).abs().max()) <= rtol * scale, name
