"""Algorithms whose gradients are not those that they declare, or that need autograd to predict."""

from typing import Any

import torch
from torch import Tensor

from metabench import Support
from tests.helpers.conforming import Conforming, FirstOrder, SecondOrder, SecondOrderByFunc
from tests.helpers.violations.register import Violations

VIOLATIONS = Violations()
violates = VIOLATIONS.register


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
