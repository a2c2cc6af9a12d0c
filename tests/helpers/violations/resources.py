"""Algorithms that ignore the device or whose memory grows with every episode."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from metabench import Support
from tests.helpers.conforming import FEATURES, Conforming
from tests.helpers.violations.register import Violations

VIOLATIONS = Violations()
violates = VIOLATIONS.register


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
