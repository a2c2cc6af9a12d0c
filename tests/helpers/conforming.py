"""Algorithms that pass every check of the conformance kit."""

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
    """SecondOrder with inner gradients as constants."""

    name = "first-order"
    gradient_order = 1

    def inner_gradient(self, loss: Tensor, head: Tensor) -> Any:
        return torch.autograd.grad(loss, [head], retain_graph=True)


class SecondOrderByFunc(SecondOrder):
    """SecondOrder by torch.func, under vmap."""

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


CONFORMING: tuple[type[Algorithm], ...] = (Conforming, SecondOrder, FirstOrder, SecondOrderByFunc)
