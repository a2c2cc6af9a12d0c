"""Small trials of images and sinusoids, and algorithms whose behaviour is known."""

import math
from collections.abc import Callable, Iterator
from typing import ClassVar

import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm, Predictor
from metabench.algorithms.problem import Problem
from metabench.datasets.base import ClassPool
from metabench.datasets.sinusoid import Sinusoid
from metabench.episodes import ClassSampler, FamilySampler, NWayKShot, Support
from metabench.metrics.trial import Trial
from metabench.runtime.counter_rng import make_key

SIDE = 12
EXAMPLES = 24


def pattern_pool(*, classes: int = 12, channels: int = 1, examples: int = EXAMPLES) -> ClassPool:
    """Returns a pool of images: each class a random pattern, each example with noise."""
    generator = torch.Generator().manual_seed(7)
    patterns = torch.rand(classes, 1, channels, SIDE, SIDE, generator=generator)
    noise = torch.randn(classes, examples, channels, SIDE, SIDE, generator=generator)
    images = (0.5 + 0.3 * (patterns - 0.5) + 0.15 * noise).clamp(0, 1)
    return ClassPool((images * 255).to(torch.uint8), tuple(f"class {i}" for i in range(classes)))


def image_problem(*, ways: int = 5, shots: int = 1, queries: int = 6, channels: int = 1) -> Problem:
    return Problem("classification", (channels, SIDE, SIDE), ways, shots, queries, ways, "")


def image_trial(
    make: Callable[[Problem], Algorithm],
    *,
    ways: int = 5,
    shots: int = 1,
    queries: int = 6,
    channels: int = 1,
    episodes: int = 12,
    examples: int = EXAMPLES,
) -> Trial:
    """Returns a trial of an algorithm on episodes of images."""
    problem = image_problem(ways=ways, shots=shots, queries=queries, channels=channels)
    pool = pattern_pool(channels=channels, examples=examples)
    sampler = ClassSampler(pool, NWayKShot(ways, shots, queries), make_key("small world"))
    return Trial(make(problem).eval(), sampler, episodes)


def sinusoid_trial(make: Callable[[Problem], Algorithm], *, episodes: int = 12) -> Trial:
    """Returns a trial of an algorithm on sinusoids."""
    problem = Problem("regression", (1,), 0, 5, 10, 1, "")
    return Trial(make(problem).eval(), FamilySampler(Sinusoid(), NWayKShot(0, 5, 10), 3), episodes)


class Means(Algorithm):
    """Nearest class mean: differentiable in query and support, inductive, no inner steps."""

    name: ClassVar[str] = "means"

    def adapt(self, support: Support) -> Predictor:
        return self.adapt_batch(support)

    def adapt_batch(self, support: Support) -> Predictor:
        leading = support.y.ndim
        means = support.class_means(self.embed(support.x).flatten(leading))
        return lambda query: -torch.cdist(self.embed(query).flatten(leading), means).square()

    def embed(self, x: Tensor) -> Tensor:
        return x


class OneByOne(Algorithm):
    """Nearest class mean without ``adapt_batch``."""

    name: ClassVar[str] = "one-by-one"

    def adapt(self, support: Support) -> Predictor:
        means = support.class_means(support.x.flatten(1))
        return lambda query: -torch.cdist(query.flatten(1), means).square()


class Rounded(Means):
    """Rounds its input, which masks its gradients and makes it no more robust."""

    name: ClassVar[str] = "rounded"

    def embed(self, x: Tensor) -> Tensor:
        return (x * 16).round() / 16 + 0 * x


class Detached(Means):
    """Detaches its input."""

    name: ClassVar[str] = "detached"

    def embed(self, x: Tensor) -> Tensor:
        return x.detach()


class Noisy(Means):
    """Adds random noise to its inputs."""

    name: ClassVar[str] = "noisy"

    def embed(self, x: Tensor) -> Tensor:
        return x + 0.3 * torch.randn_like(x)


class Constant(Means):
    """Predicts the same for every input."""

    name: ClassVar[str] = "constant"

    def embed(self, x: Tensor) -> Tensor:
        return 0 * x


class CentresQueries(Means):
    """Subtracts the mean of the queries, and of the support set: transductive."""

    name: ClassVar[str] = "centres-queries"

    def embed(self, x: Tensor) -> Tensor:
        return x - x.mean(-4, keepdim=True)


class FailsOnSingleQuery(Means):
    """Cannot predict a single query."""

    name: ClassVar[str] = "fails-on-single-query"

    def embed(self, x: Tensor) -> Tensor:
        if x.shape[-4] == 1:
            raise ValueError("expected more than 1 value per channel")
        return x


class WrongShape(Means):
    name: ClassVar[str] = "wrong-shape"

    def adapt_batch(self, support: Support) -> Predictor:
        return lambda query: query.flatten(2)[..., :1]


class PredictsNaN(Means):
    name: ClassVar[str] = "predicts-nan"

    def embed(self, x: Tensor) -> Tensor:
        return x * math.nan


class Sharpening(Means):
    """After ``k`` steps predicts the first ``k`` queries by nearest means, others as label 0."""

    name: ClassVar[str] = "sharpening"
    diverges_after: ClassVar[int] = 1000

    def adapt_path(self, support: Support, steps: int) -> Iterator[Predictor]:
        means = self.adapt(support)

        def after(k: int) -> Predictor:
            def predict(query: Tensor) -> Tensor:
                logits = torch.zeros(len(query), support.ways)
                logits[:, 0] = 1.0
                logits[:k] = means(query)[:k]
                return logits * (math.nan if k > self.diverges_after else 1.0)

            return predict

        for k in range(steps + 1):
            yield after(k)


class GradientDescent(Means):
    """Gradient descent on a linear head, not differentiable by the support set."""

    name: ClassVar[str] = "gradient-descent"

    def adapt(self, support: Support) -> Predictor:
        single = self.adapt_batch(
            Support(support.x.unsqueeze(0), support.y.unsqueeze(0), support.ways)
        )
        return lambda query: single(query.unsqueeze(0)).squeeze(0)

    def adapt_batch(self, support: Support) -> Predictor:
        *_, last = self._heads(support, 20)
        return last

    def adapt_path(self, support: Support, steps: int) -> Iterator[Predictor]:
        batch = Support(support.x.unsqueeze(0), support.y.unsqueeze(0), support.ways)
        for predict in self._heads(batch, steps):
            yield lambda query, predict=predict: predict(query.unsqueeze(0)).squeeze(0)

    def _heads(self, support: Support, steps: int) -> Iterator[Predictor]:
        x = support.x.flatten(2) - 0.5
        head = torch.zeros(len(x), x.shape[-1], support.ways, requires_grad=True)
        for _ in range(steps + 1):
            yield lambda query, head=head: (query.flatten(2) - 0.5) @ head
            loss = self.problem.loss(x.detach() @ head, support.y).sum()
            head = (head - torch.autograd.grad(loss, head)[0]).detach().requires_grad_()


class TargetMean(Algorithm):
    """Predicts 5 before adaptation, and then the mean of the support targets."""

    name: ClassVar[str] = "target-mean"

    def adapt(self, support: Support) -> Predictor:
        mean = support.y.mean(0)
        return lambda query: mean.expand(len(query), 1) + 0 * query

    def adapt_path(self, support: Support, steps: int) -> Iterator[Predictor]:
        yield lambda query: 0 * query + 5
        for _ in range(steps):
            yield self.adapt(support)
