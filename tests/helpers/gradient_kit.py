"""Tiny problems for the gradient-based methods, and finite differences for their gradients."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm
from metabench.algorithms.problem import Problem
from metabench.backbones.conv4 import Conv4Strided
from metabench.backbones.mlp import MLP
from metabench.datasets.base import ClassPool, TaskFamily
from metabench.datasets.sinusoid import Sinusoid
from metabench.episodes import (
    ClassSampler,
    FamilySampler,
    NWayKShot,
    Sampler,
    TaskBatch,
    TaskStream,
)
from tests.helpers.hand_recipes import hand_recipe

WAYS, SHOTS, QUERIES, FEATURES = 3, 2, 4, 6
BACKBONES: dict[str, Any] = {
    "mlp": partial(MLP, hidden=(16,)),
    "conv": partial(Conv4Strided, channels=3),
}


def classification(backbone: str = "mlp", **changes: Any) -> Problem:
    """Returns the problem of separable classes: vectors for the MLP, images for Conv4."""
    shape = (FEATURES,) if backbone == "mlp" else (1, 16, 16)
    given: dict[str, Any] = {
        "ways": WAYS,
        "shots": SHOTS,
        "queries": QUERIES,
        "outputs": WAYS,
    } | changes
    return Problem("classification", shape, backbone_name=backbone, backbones=BACKBONES, **given)


def regression(hidden: tuple[int, ...] = (16, 16)) -> Problem:
    """Returns the problem of the sinusoid tasks."""
    backbones = {"mlp": partial(MLP, hidden=hidden)}
    return Problem("regression", (1,), 0, 5, 10, 1, backbone_name="mlp", backbones=backbones)


def pool(shape: tuple[int, ...], classes: int = 40, examples: int = 20, seed: int = 0) -> ClassPool:
    """Returns classes of noisy copies of a random pattern."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.rand(classes, 1, *shape, generator=generator)
    noise = 0.15 * torch.randn(classes, examples, *shape, generator=generator)
    images = ((patterns + noise).clamp(0, 1) * 255).to(torch.uint8)
    return ClassPool(images, tuple(f"class{i}" for i in range(classes)))


class Lines(TaskFamily):
    """Lines of random slope and height, which a method learns to regress in a second."""

    name, version, input_shape, outputs, parameters = "lines", "1", (1,), 1, 2

    def evaluate(self, parameters: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        slope, height = (4 * parameters - 2)[:, :, None, None].unbind(1)
        x = 2 * inputs - 1
        return x, slope * x + height


class Tasks:
    """The source of a task stream; casts its tasks to ``dtype``."""

    def __init__(
        self,
        problem: Problem,
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
        family: TaskFamily | None = None,
    ) -> None:
        self.problem, self.dtype, self.seed = problem, dtype, seed
        self.family = family or Sinusoid()
        self.pool = None if problem.regression else pool(problem.input_shape)

    @property
    def train_classes(self) -> int:
        return 0 if self.pool is None else self.pool.classes

    def sampler(self, protocol: NWayKShot, stream: int) -> Sampler:
        key = 1000 * self.seed + stream
        if self.pool is None:
            return _Cast(FamilySampler(self.family, protocol, key), self.dtype)
        return _Cast(ClassSampler(self.pool, protocol, key), self.dtype)

    def labelled(self, stream: int, start: int, count: int) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def on_drawn(self, batch: TaskBatch) -> None:
        pass

    def stream(self, budget: int) -> TaskStream:
        return TaskStream(self, self.protocol, budget)

    @property
    def protocol(self) -> NWayKShot:
        return NWayKShot(self.problem.ways, self.problem.shots, self.problem.queries)

    def test(self, tasks: int = 50) -> TaskBatch:
        """Returns episodes of unseen classes that no training stream draws."""
        if self.pool is not None:
            held_out = ClassSampler(pool(self.problem.input_shape, seed=7), self.protocol, 7)
            return _Cast(held_out, self.dtype).range(0, tasks)
        return self.sampler(self.protocol, 77).range(0, tasks)


class _Cast(Sampler):
    def __init__(self, sampler: Sampler, dtype: torch.dtype) -> None:
        super().__init__(sampler.protocol, sampler.key, sampler.device)
        self._sampler, self._dtype = sampler, dtype

    def tasks(self, indices: Tensor) -> TaskBatch:
        b = self._sampler.tasks(indices)
        target = (lambda y: y.to(self._dtype)) if b.support_y.is_floating_point() else (lambda y: y)
        x, q = b.support_x.to(self._dtype), b.query_x.to(self._dtype)
        return TaskBatch(x, target(b.support_y), q, target(b.query_y), b.ways, b.classes)

    def fingerprint(self, indices: Tensor) -> bytes:
        raise NotImplementedError

    def source_digest(self) -> str:
        raise NotImplementedError


def build(
    cls: type[Algorithm], problem: Problem, *, seed: int = 0, double: bool = True, **options: Any
) -> Any:
    """Returns a new algorithm with its recipe by hand; ``options`` override it.

    The backbone is that of the problem.
    """
    torch.manual_seed(seed)
    values = {k: v for k, v in hand_recipe(cls, problem).items() if k != "backbone"}
    algorithm = cls(problem, **values | options)
    return algorithm.double() if double else algorithm


def train(
    algorithm: Algorithm, outer_steps: int, *, seed: int = 0, family: TaskFamily | None = None
) -> TaskStream:
    """Meta-train for about ``outer_steps`` batches of the algorithm."""
    dtype = next(algorithm.parameters()).dtype
    budget = outer_steps * cost_of_a_batch(algorithm)
    torch.manual_seed(seed)
    algorithm.train()
    stream = Tasks(algorithm.problem, dtype, seed, family).stream(budget)
    algorithm.meta_train(stream)
    algorithm.eval()
    return stream


def cost_of_a_batch(algorithm: Algorithm) -> int:
    """Returns the number of examples that an outer step draws."""
    probe = _Probe(Tasks(algorithm.problem))
    algorithm.meta_train(probe)
    return probe.cost


class _Probe(TaskStream):
    """A stream without tasks that records the number of examples of a batch."""

    def __init__(self, tasks: Tasks) -> None:
        super().__init__(tasks, tasks.protocol, 1)
        self.cost = 0

    def batches(self, tasks: int, **shape: Any) -> Any:  # type: ignore[override]
        shape.pop("share", None)
        self.cost = tasks * self.protocol.with_(**shape).examples
        return iter(())


def score(algorithm: Algorithm, batch: TaskBatch, steps: int | None = None) -> float:
    """Returns the accuracy, or the mean squared error, after ``steps`` or all inner steps."""
    if steps is None:
        predict = algorithm.adapt_batch(batch.support)
    else:
        predict = algorithm.trajectory(batch.support)  # type: ignore[operator]
        for _ in range(steps):
            next(predict)
        predict = next(predict)
    with torch.no_grad():
        outputs = predict(batch.query_x)
    if algorithm.problem.regression:
        return float((outputs - batch.query_y).square().mean())
    return float((outputs.argmax(-1) == batch.query_y).double().mean())


def first_step(algorithm: Algorithm) -> tuple[TaskBatch, dict[str, Tensor], float]:
    """Returns the tasks, the gradients and the loss of one outer step of ``meta_train``."""
    before = {k: p.detach().clone() for k, p in algorithm.named_parameters()}
    seen: list[TaskBatch] = []
    tasks = Tasks(algorithm.problem, torch.float64)
    tasks.on_drawn = seen.append  # type: ignore[method-assign]
    stream = tasks.stream(cost_of_a_batch(algorithm))
    algorithm.train()
    algorithm.meta_train(stream)
    assert len(seen) == 1
    gradients = {k: p.grad.clone() for k, p in algorithm.named_parameters() if p.grad is not None}
    with torch.no_grad():
        for name, p in algorithm.named_parameters():
            p.copy_(before[name])
            p.grad = None
    return seen[0], gradients, float(stream.last_loss)


def assert_gradient(
    loss: Callable[[], Tensor],
    params: dict[str, Tensor],
    gradients: dict[str, Tensor],
    *,
    eps: float = 1e-6,
    rtol: float = 1e-5,
) -> None:
    """Compare gradients with central differences of the loss along a random direction."""
    generator = torch.Generator().manual_seed(5)
    for name, p in params.items():
        direction = torch.randn(p.shape, generator=generator, dtype=p.dtype)
        at = p.detach().clone()
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                p.copy_(at + sign * eps * direction)
            values.append(float(loss().detach()))
        with torch.no_grad():
            p.copy_(at)
        expected = (values[0] - values[1]) / (2 * eps)
        found = float((gradients[name] * direction).sum()) if name in gradients else 0.0
        assert abs(found - expected) <= rtol * max(1e-3, abs(expected)), (name, found, expected)
