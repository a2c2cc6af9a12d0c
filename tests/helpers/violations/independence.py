"""Algorithms whose predictions depend on what they must not: labels, episodes, seeds, queries."""

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from metabench import Support
from metabench.learning.predictors import single
from tests.helpers.conforming import Conforming
from tests.helpers.violations.register import Violations

VIOLATIONS = Violations()
violates = VIOLATIONS.register


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
