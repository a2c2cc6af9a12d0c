"""Conforming algorithms, and algorithms that each violate one check of the kit."""

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metabench import Algorithm, NotApplicable, Support
from metabench.learning.predictors import single

FEATURES = 8


class Conforming(Algorithm):
    """Nearest means of a linear embedding; inner steps move the means away from the origin."""

    name = "conforming"
    steps = 3

    def __init__(self, problem: Any, *, lr: float = 0.1, tasks: int = 2) -> None:
        super().__init__(problem)
        if problem.regression:
            raise NotApplicable("conforming classifies.")
        self.lr, self.tasks = lr, tasks
        self.embed = nn.Linear(torch.Size(problem.input_shape).numel(), FEATURES, bias=False)

    def meta_train(self, tasks: Any) -> None:
        for batch in tasks.batches(self.tasks):
            logits = self.rule(batch.support)(batch.query_x)
            loss = F.cross_entropy(logits.flatten(0, 1), batch.query_y.flatten())
            (gradient,) = torch.autograd.grad(loss, [self.embed.weight])
            with torch.no_grad():
                self.embed.weight.sub_(self.lr * gradient)
            tasks.log(loss)

    def features(self, x: Tensor) -> Tensor:
        return self.embed(x.flatten(2))

    def rule(self, support: Support, steps: int = 3) -> Any:
        means = support.class_means(self.features(support.x)) * (1 - 0.5**steps)
        return lambda query: self.logits(self.features(query), means)

    def logits(self, query: Tensor, means: Tensor) -> Tensor:
        return -torch.cdist(query, means)

    def adapt_batch(self, support: Support) -> Any:
        return self.rule(support)

    def adapt(self, support: Support) -> Any:
        return single(self.adapt_batch(support.as_batch()))

    def adapt_path(self, support: Support, steps: int) -> Any:
        return (single(self.rule(support.as_batch(), k)) for k in range(steps + 1))


class SecondOrder(Conforming):
    """A linear classifier adapted by inner gradient steps, second order."""

    name = "second-order"
    gradient_order = 2

    def rule(self, support: Support, steps: int = 3) -> Any:
        x = support.x.flatten(2)
        weight = self.embed.weight.new_zeros(1, FEATURES, support.ways).expand(len(x), -1, -1)
        shared = self.embed.weight
        for _ in range(steps):
            with torch.enable_grad():
                weight = weight.requires_grad_() if weight.is_leaf else weight
                body = self.start(shared)
                head = weight + 0 if weight.requires_grad else weight.clone().requires_grad_()
                logits = x @ body.T @ head
                loss = F.cross_entropy(logits.flatten(0, 1), support.y.flatten(), reduction="sum")
                (gradient,) = self.inner_gradient(loss, head)
            weight = head - 0.05 * gradient
        return lambda query: query.flatten(2) @ self.start(shared).T @ weight

    def start(self, shared: Tensor) -> Tensor:
        return shared if self.training else shared.detach()

    def inner_gradient(self, loss: Tensor, head: Tensor) -> Any:
        return torch.autograd.grad(loss, [head], create_graph=self.training)


class FirstOrder(SecondOrder):
    """The same with inner gradients treated as constants."""

    name = "first-order"
    gradient_order = 1

    def inner_gradient(self, loss: Tensor, head: Tensor) -> Any:
        return torch.autograd.grad(loss, [head], retain_graph=True)


class SecondOrderByFunc(SecondOrder):
    """The same as SecondOrder by torch.func, below vmap."""

    name = "by-func"

    def rule(self, support: Support, steps: int = 3) -> Any:
        shared = self.start(self.embed.weight)

        def adapted(x: Tensor, y: Tensor) -> Tensor:
            def loss(head: Tensor) -> Tensor:
                return F.cross_entropy(x @ shared.T @ head, y, reduction="sum")

            head = x.new_zeros(FEATURES, support.ways)
            for _ in range(steps):
                head = head - 0.05 * torch.func.grad(loss)(head)
            return head

        heads = torch.func.vmap(adapted)(support.x.flatten(2), support.y)
        return lambda query: query.flatten(2) @ shared.T @ heads


VIOLATIONS: dict[str, list[type[Algorithm]]] = {}


def violates(check: str) -> Any:
    """Registers the class below as one that fails this check and no other."""

    def register(cls: type[Algorithm]) -> type[Algorithm]:
        VIOLATIONS.setdefault(check, []).append(cls)
        return cls

    return register


@violates("constructs")
class NoDefault(Conforming):
    def __init__(self, problem: Any, *, width: int) -> None:
        super().__init__(problem)


@violates("constructs")
class NoType(Conforming):
    def __init__(self, problem: Any, *, width=3) -> None:
        super().__init__(problem)


@violates("constructs")
class TupleDefault(Conforming):
    def __init__(self, problem: Any, *, widths: tuple[int, ...] = (3, 4)) -> None:
        super().__init__(problem)


@violates("constructs")
class NotKeywordOnly(Conforming):
    def __init__(self, problem: Any, width: int = 3) -> None:
        super().__init__(problem)


@violates("constructs")
class DefaultOfWrongType(Conforming):
    def __init__(self, problem: Any, *, width: int = "wide") -> None:  # type: ignore[assignment]
        super().__init__(problem)


@violates("constructs")
class WrongRecipe(Conforming):
    @classmethod
    def recipe(cls, problem: Any) -> Any:
        return {"learning_rate": 0.1}


@violates("constructs")
class OverwritesProblem(Conforming):
    def __init__(self, problem: Any) -> None:
        super().__init__(problem)
        self.problem = None  # type: ignore[assignment]


@violates("constructs")
class RaisesInConstructor(Conforming):
    def __init__(self, problem: Any) -> None:
        raise RuntimeError("no luck")


@violates("meta-trains")
class DrawsNoTasks(Conforming):
    def meta_train(self, tasks: Any) -> None:
        pass


@violates("meta-trains")
class TrainsToNaN(Conforming):
    def meta_train(self, tasks: Any) -> None:
        for _ in tasks.batches(2):
            self.embed.weight.data.fill_(float("nan"))


@violates("meta-trains")
class ExitsInTraining(Conforming):
    def meta_train(self, tasks: Any) -> None:
        raise SystemExit(3)


@violates("shapes")
class OneLogitTooMany(Conforming):
    def rule(self, support: Support, steps: int = 3) -> Any:
        predict = super().rule(support, steps)
        return predict if self.training else lambda query: F.pad(predict(query), (0, 1))


@violates("shapes")
class ReturnsTensorFromAdapt(Conforming):
    def adapt(self, support: Support) -> Any:
        return support.x


@violates("shapes")
class ReturnsLabels(Conforming):
    def adapt(self, support: Support) -> Any:
        predict = super().adapt(support)
        return lambda query: predict(query).argmax(-1)


@violates("shapes")
class ReturnsInfinity(Conforming):
    def logits(self, query: Tensor, means: Tensor) -> Tensor:
        found = super().logits(query, means)
        return found if self.training else found / 0


@violates("shapes")
class FixedNumberOfQueries(Conforming):
    def adapt(self, support: Support) -> Any:
        predict, count = super().adapt(support), self.problem.ways * self.problem.queries
        return lambda query: predict(query.view(count, *query.shape[1:]))


@violates("inputs-unchanged")
class ClampsSupportInPlace(Conforming):
    def rule(self, support: Support, steps: int = 3) -> Any:
        support.x.clamp_(max=0.5)
        return super().rule(support, steps)


@violates("inputs-unchanged")
class WritesIntoQueries(Conforming):
    def rule(self, support: Support, steps: int = 3) -> Any:
        predict = super().rule(support, steps)

        def predict_without_corner(query: Tensor) -> Tensor:
            blank = query.clone()
            blank[..., 0, 0] = 0
            if not (self.training or query.requires_grad):
                query[..., 0, 0] = 0
            return predict(blank)

        return predict_without_corner


@violates("inputs-unchanged")
class MakesSupportRequireGradients(Conforming):
    def rule(self, support: Support, steps: int = 3) -> Any:
        support.x.requires_grad_()
        return super().rule(Support(support.x.detach(), support.y, support.ways), steps)


@violates("label-order")
class PrefersLastClass(Conforming):
    def logits(self, query: Tensor, means: Tensor) -> Tensor:
        found = super().logits(query, means)
        return found + torch.arange(found.shape[-1], device=found.device)


@violates("label-order")
class DeclaresLabelOrder(Conforming):
    depends_on_label_order = True


@violates("no-state")
class RemembersLastEpisode(Conforming):
    last: Any = 0.0

    def adapt(self, support: Support) -> Any:
        predict, before = super().adapt(support), self.last
        self.last = float(support.x.mean())
        return lambda query: predict(query * (1 + before))


@violates("no-state")
class CountsEpisodesInABuffer(Conforming):
    def __init__(self, problem: Any) -> None:
        super().__init__(problem)
        self.register_buffer("seen", torch.zeros(()))

    def adapt(self, support: Support) -> Any:
        self.seen = self.seen + 1
        return super().adapt(support)


@violates("no-state")
class StaysInTrainingMode(Conforming):
    def adapt(self, support: Support) -> Any:
        self.train()
        return super().adapt(support)


@violates("same-seed")
class DrawsFromUnseededGenerator(Conforming):
    def __init__(self, problem: Any) -> None:
        super().__init__(problem)
        generator = torch.Generator()
        generator.seed()
        nn.init.normal_(self.embed.weight, generator=generator)


@violates("transduction")
class CentresQueries(Conforming):
    def rule(self, support: Support, steps: int = 3) -> Any:
        predict = super().rule(support, steps)
        return lambda query: predict(query - 0.5 * query.mean(1, keepdim=True))


@violates("transduction")
class FailsOnSingleQuery(Conforming):
    def rule(self, support: Support, steps: int = 3) -> Any:
        predict = super().rule(support, steps)

        def predict_several(query: Tensor) -> Tensor:
            if query.shape[1] == 1:
                raise ValueError("one query is not enough")
            return predict(query)

        return predict_several


@violates("transduction")
class DeclaresTransductive(Conforming):
    transductive = True


@violates("batch-agrees")
class MixesTasks(Conforming):
    def adapt_batch(self, support: Support) -> Any:
        return self.rule(Support(support.x.flip(0), support.y, support.ways))

    def adapt(self, support: Support) -> Any:
        return single(self.rule(support.as_batch()))


@violates("path-ends-at-adapt")
class PathWithoutAdapt(Conforming):
    def adapt_path(self, support: Support, steps: int) -> Any:
        return itertools.islice(
            itertools.repeat(single(self.rule(support.as_batch(), 1))), steps + 1
        )


@violates("path-ends-at-adapt")
class PathTooShort(Conforming):
    def adapt_path(self, support: Support, steps: int) -> Any:
        return itertools.islice(super().adapt_path(support, steps), steps)


@violates("saves-and-loads")
class KeepsUnsavedNumber(Conforming):
    def __init__(self, problem: Any) -> None:
        super().__init__(problem)
        self.scale = 1 + float(torch.rand(()))

    def logits(self, query: Tensor, means: Tensor) -> Tensor:
        return super().logits(query, means) * self.scale


@violates("differentiable")
class DetachesQueries(Conforming):
    def rule(self, support: Support, steps: int = 3) -> Any:
        predict = super().rule(support, steps)
        return lambda query: predict(query.detach())


@violates("differentiable")
class DetachesHalf(Conforming):
    def rule(self, support: Support, steps: int = 3) -> Any:
        predict = super().rule(support, steps)
        return lambda query: predict(0.5 * query + 0.5 * query.detach())


@violates("differentiable")
class DeclaresNotDifferentiable(Conforming):
    differentiable = False


@violates("gradient-order")
class DeclaresOneIsTwo(SecondOrder):
    gradient_order = 1


@violates("gradient-order")
class DeclaresOneIsTwoByFunc(SecondOrderByFunc):
    gradient_order = 1


@violates("gradient-order")
class DeclaresTwoIsOne(FirstOrder):
    gradient_order = 2


@violates("gradient-order")
class DeclaresNoneIsOne(FirstOrder):
    gradient_order = None


@violates("gradient-order")
class DeclaresTwoIsNone(Conforming):
    gradient_order = 2


@violates("gradient-order")
class DeclaresThree(Conforming):
    gradient_order = 3  # type: ignore[assignment]


@violates("inference-mode")
class ComputesGradientsInPrediction(Conforming):
    def rule(self, support: Support, steps: int = 3) -> Any:
        predict = super().rule(support, steps)

        def predict_with_gradient(query: Tensor) -> Tensor:
            with torch.enable_grad():
                x = query.detach().requires_grad_()
                torch.autograd.grad(x.sum(), [x])
            return predict(query)

        return predict if self.training else predict_with_gradient


@violates("inference-mode")
class DiffersInInferenceMode(Conforming):
    def logits(self, query: Tensor, means: Tensor) -> Tensor:
        return super().logits(query, means) * (1 + torch.is_inference_mode_enabled())


@violates("device")
class MakesCpuTensor(Conforming):
    def logits(self, query: Tensor, means: Tensor) -> Tensor:
        return super().logits(query * torch.ones(FEATURES), means)


@violates("device")
class KeepsTensorOutsideBuffers(Conforming):
    def __init__(self, problem: Any) -> None:
        super().__init__(problem)
        self.scales = torch.ones(FEATURES, FEATURES, dtype=torch.float64)

    def logits(self, query: Tensor, means: Tensor) -> Tensor:
        return super().logits(F.linear(query, self.scales.to(query.dtype)), means)


@violates("memory")
class KeepsSupportSets(Conforming):
    def __init__(self, problem: Any) -> None:
        super().__init__(problem)
        self.kept: list[Tensor] = []

    def adapt(self, support: Support) -> Any:
        self.kept.append(support.x)
        return super().adapt(support)


@violates("memory")
class KeepsGraphs(Conforming):
    total: Any = 0.0

    def adapt(self, support: Support) -> Any:
        self.total = self.total + (self.embed(support.x.flatten(1)) ** 2).sum()
        return super().adapt(support)


@violates("memory")
class GrowsOneTensor(Conforming):
    seen: Any = None

    def adapt(self, support: Support) -> Any:
        mean = support.x.mean(0, keepdim=True)
        self.seen = mean if self.seen is None else torch.cat([self.seen, mean])
        return super().adapt(support)


CONFORMING: tuple[type[Algorithm], ...] = (Conforming, SecondOrder, FirstOrder, SecondOrderByFunc)
