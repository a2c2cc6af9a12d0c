"""An honest algorithm, and others that each do one thing that they should not."""

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metabench import Algorithm, NotApplicable, Support
from metabench.learning.predictors import single

FEATURES = 8


class Honest(Algorithm):
    """Nearest means below a linear map; its inner steps move the means from the origin to their places."""

    name = "honest"
    steps = 3

    def __init__(self, problem: Any, *, lr: float = 0.1, tasks: int = 2) -> None:
        super().__init__(problem)
        if problem.regression:
            raise NotApplicable("honest classifies.")
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


class Stepping(Honest):
    """A linear classifier that takes an inner gradient step, second order."""

    name = "stepping"
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


class FirstOrder(Stepping):
    """The same, with inner gradients that are constants."""

    name = "first-order"
    gradient_order = 1

    def inner_gradient(self, loss: Tensor, head: Tensor) -> Any:
        return torch.autograd.grad(loss, [head], retain_graph=True)


class SecondOrderByFunc(Stepping):
    """The same as Stepping by torch.func, below vmap."""

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


PLANTED: dict[str, list[type[Algorithm]]] = {}


def fails(check: str) -> Any:
    """The class below fails this check, and no other."""

    def plant(cls: type[Algorithm]) -> type[Algorithm]:
        PLANTED.setdefault(check, []).append(cls)
        return cls

    return plant


@fails("constructs")
class NoDefault(Honest):
    def __init__(self, problem: Any, *, width: int) -> None:
        super().__init__(problem)


@fails("constructs")
class NoType(Honest):
    def __init__(self, problem: Any, *, width=3) -> None:
        super().__init__(problem)


@fails("constructs")
class OddDefault(Honest):
    def __init__(self, problem: Any, *, widths: tuple[int, ...] = (3, 4)) -> None:
        super().__init__(problem)


@fails("constructs")
class NotBehindTheStar(Honest):
    def __init__(self, problem: Any, width: int = 3) -> None:
        super().__init__(problem)


@fails("constructs")
class UnreadableDefault(Honest):
    def __init__(self, problem: Any, *, width: int = "wide") -> None:  # type: ignore[assignment]
        super().__init__(problem)


@fails("constructs")
class WrongRecipe(Honest):
    @classmethod
    def recipe(cls, problem: Any) -> Any:
        return {"learning_rate": 0.1}


@fails("constructs")
class ForgetsTheProblem(Honest):
    def __init__(self, problem: Any) -> None:
        super().__init__(problem)
        self.problem = None  # type: ignore[assignment]


@fails("constructs")
class RaisesWhenMade(Honest):
    def __init__(self, problem: Any) -> None:
        raise RuntimeError("no luck")


@fails("meta-trains")
class TakesNothing(Honest):
    def meta_train(self, tasks: Any) -> None:
        pass


@fails("meta-trains")
class TrainsToNaN(Honest):
    def meta_train(self, tasks: Any) -> None:
        for _ in tasks.batches(2):
            self.embed.weight.data.fill_(float("nan"))


@fails("meta-trains")
class ExitsInTraining(Honest):
    def meta_train(self, tasks: Any) -> None:
        raise SystemExit(3)


@fails("shapes")
class OneLogitTooMany(Honest):
    def rule(self, support: Support, steps: int = 3) -> Any:
        predict = super().rule(support, steps)
        return predict if self.training else lambda query: F.pad(predict(query), (0, 1))


@fails("shapes")
class NoPredictor(Honest):
    def adapt(self, support: Support) -> Any:
        return support.x


@fails("shapes")
class LabelsAndNotLogits(Honest):
    def adapt(self, support: Support) -> Any:
        predict = super().adapt(support)
        return lambda query: predict(query).argmax(-1)


@fails("shapes")
class NotFinite(Honest):
    def logits(self, query: Tensor, means: Tensor) -> Tensor:
        found = super().logits(query, means)
        return found if self.training else found / 0


@fails("shapes")
class OneNumberOfQueries(Honest):
    def adapt(self, support: Support) -> Any:
        predict, count = super().adapt(support), self.problem.ways * self.problem.queries
        return lambda query: predict(query.view(count, *query.shape[1:]))


@fails("inputs-unchanged")
class ClampsTheSupport(Honest):
    def rule(self, support: Support, steps: int = 3) -> Any:
        support.x.clamp_(max=0.5)
        return super().rule(support, steps)


@fails("inputs-unchanged")
class WritesIntoTheQueries(Honest):
    def rule(self, support: Support, steps: int = 3) -> Any:
        predict = super().rule(support, steps)

        def predict_without_corner(query: Tensor) -> Tensor:
            blank = query.clone()
            blank[..., 0, 0] = 0
            if not (self.training or query.requires_grad):
                query[..., 0, 0] = 0
            return predict(blank)

        return predict_without_corner


@fails("inputs-unchanged")
class MakesTheSupportRequireGradients(Honest):
    def rule(self, support: Support, steps: int = 3) -> Any:
        support.x.requires_grad_()
        return super().rule(Support(support.x.detach(), support.y, support.ways), steps)


@fails("label-order")
class PrefersTheLastClass(Honest):
    def logits(self, query: Tensor, means: Tensor) -> Tensor:
        found = super().logits(query, means)
        return found + torch.arange(found.shape[-1], device=found.device)


@fails("label-order")
class SaysThatLabelsMatter(Honest):
    depends_on_label_order = True


@fails("no-state")
class RemembersTheLastEpisode(Honest):
    last: Any = 0.0

    def adapt(self, support: Support) -> Any:
        predict, before = super().adapt(support), self.last
        self.last = float(support.x.mean())
        return lambda query: predict(query * (1 + before))


@fails("no-state")
class CountsEpisodesInABuffer(Honest):
    def __init__(self, problem: Any) -> None:
        super().__init__(problem)
        self.register_buffer("seen", torch.zeros(()))

    def adapt(self, support: Support) -> Any:
        self.seen = self.seen + 1
        return super().adapt(support)


@fails("no-state")
class StaysInTrainingMode(Honest):
    def adapt(self, support: Support) -> Any:
        self.train()
        return super().adapt(support)


@fails("same-seed")
class DrawsFromElsewhere(Honest):
    def __init__(self, problem: Any) -> None:
        super().__init__(problem)
        generator = torch.Generator()
        generator.seed()
        nn.init.normal_(self.embed.weight, generator=generator)


@fails("transduction")
class CentresTheQueries(Honest):
    def rule(self, support: Support, steps: int = 3) -> Any:
        predict = super().rule(support, steps)
        return lambda query: predict(query - 0.5 * query.mean(1, keepdim=True))


@fails("transduction")
class NeedsCompany(Honest):
    def rule(self, support: Support, steps: int = 3) -> Any:
        predict = super().rule(support, steps)

        def refuse_one(query: Tensor) -> Tensor:
            if query.shape[1] == 1:
                raise ValueError("one query is not enough")
            return predict(query)

        return refuse_one


@fails("transduction")
class SaysThatQueriesMeet(Honest):
    transductive = True


@fails("batch-agrees")
class MixesTheTasks(Honest):
    def adapt_batch(self, support: Support) -> Any:
        return self.rule(Support(support.x.flip(0), support.y, support.ways))

    def adapt(self, support: Support) -> Any:
        return single(self.rule(support.as_batch()))


@fails("path-ends-at-adapt")
class PathLeadsElsewhere(Honest):
    def adapt_path(self, support: Support, steps: int) -> Any:
        return itertools.islice(
            itertools.repeat(single(self.rule(support.as_batch(), 1))), steps + 1
        )


@fails("path-ends-at-adapt")
class PathEndsTooSoon(Honest):
    def adapt_path(self, support: Support, steps: int) -> Any:
        return itertools.islice(super().adapt_path(support, steps), steps)


@fails("saves-and-loads")
class KeepsANumberToItself(Honest):
    def __init__(self, problem: Any) -> None:
        super().__init__(problem)
        self.scale = 1 + float(torch.rand(()))

    def logits(self, query: Tensor, means: Tensor) -> Tensor:
        return super().logits(query, means) * self.scale


@fails("differentiable")
class CutsTheQueriesOff(Honest):
    def rule(self, support: Support, steps: int = 3) -> Any:
        predict = super().rule(support, steps)
        return lambda query: predict(query.detach())


@fails("differentiable")
class CutsHalfOff(Honest):
    def rule(self, support: Support, steps: int = 3) -> Any:
        predict = super().rule(support, steps)
        return lambda query: predict(0.5 * query + 0.5 * query.detach())


@fails("differentiable")
class SaysThatNoGradientComes(Honest):
    differentiable = False


@fails("gradient-order")
class SaysOneAndIsTwo(Stepping):
    gradient_order = 1


@fails("gradient-order")
class SaysOneAndIsTwoByFunc(SecondOrderByFunc):
    gradient_order = 1


@fails("gradient-order")
class SaysTwoAndIsOne(FirstOrder):
    gradient_order = 2


@fails("gradient-order")
class SaysNothingAndIsOne(FirstOrder):
    gradient_order = None


@fails("gradient-order")
class SaysTwoAndTakesNone(Honest):
    gradient_order = 2


@fails("gradient-order")
class SaysThree(Honest):
    gradient_order = 3  # type: ignore[assignment]


@fails("inference-mode")
class TakesGradientsWhilePredicting(Honest):
    def rule(self, support: Support, steps: int = 3) -> Any:
        predict = super().rule(support, steps)

        def predict_with_gradient(query: Tensor) -> Tensor:
            with torch.enable_grad():
                x = query.detach().requires_grad_()
                torch.autograd.grad(x.sum(), [x])
            return predict(query)

        return predict if self.training else predict_with_gradient


@fails("inference-mode")
class IsAnotherInInferenceMode(Honest):
    def logits(self, query: Tensor, means: Tensor) -> Tensor:
        return super().logits(query, means) * (1 + torch.is_inference_mode_enabled())


@fails("device")
class MakesATensorOnTheHost(Honest):
    def logits(self, query: Tensor, means: Tensor) -> Tensor:
        return super().logits(query * torch.ones(FEATURES), means)


@fails("device")
class KeepsATensorThatDoesNotMove(Honest):
    def __init__(self, problem: Any) -> None:
        super().__init__(problem)
        self.scales = torch.ones(FEATURES, FEATURES, dtype=torch.float64)

    def logits(self, query: Tensor, means: Tensor) -> Tensor:
        return super().logits(F.linear(query, self.scales.to(query.dtype)), means)


@fails("memory")
class KeepsTheSupportSets(Honest):
    def __init__(self, problem: Any) -> None:
        super().__init__(problem)
        self.kept: list[Tensor] = []

    def adapt(self, support: Support) -> Any:
        self.kept.append(support.x)
        return super().adapt(support)


@fails("memory")
class KeepsTheGraphs(Honest):
    total: Any = 0.0

    def adapt(self, support: Support) -> Any:
        self.total = self.total + (self.embed(support.x.flatten(1)) ** 2).sum()
        return super().adapt(support)


@fails("memory")
class GrowsOneTensor(Honest):
    seen: Any = None

    def adapt(self, support: Support) -> Any:
        mean = support.x.mean(0, keepdim=True)
        self.seen = mean if self.seen is None else torch.cat([self.seen, mean])
        return super().adapt(support)


HONEST: tuple[type[Algorithm], ...] = (Honest, Stepping, FirstOrder, SecondOrderByFunc)
