"""MAML in plain ``torch.func``."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.func import functional_call, grad

from metabench import MAML, NotApplicable, Predictor, Support
from metabench_torchfunc import LIBRARY

Params = dict[str, Tensor]


class TorchFuncMAML(MAML):
    """MAML by ``torch.func.grad`` of ``torch.func.functional_call``, one task after the other.

    What one writes without a library, and so what a library is to be held against. Hyper-parameters, recipe,
    learner and outer loop are those of ``maml``; from one seed the two differ by rounding alone. As there,
    the shift of batch norm is meta-learned and not adapted.

    Reference: Finn, Abbeel and Levine 2017, arXiv:1703.03400.

    Raises:
        NotApplicable: the learner has buffers, such as running statistics: a function changes none.
    """

    name: ClassVar[str] = "torchfunc-maml"
    library: ClassVar[str] = LIBRARY

    @functools.wraps(MAML.__init__)  # type: ignore[misc]  # the hyper-parameters are read off its signature
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if buffers := [name for name, _ in self.learner.named_buffers()]:
            raise NotApplicable(
                f"a pure function changes no buffers, and the learner has {buffers[0]}: "
                "use a backbone without running statistics."
            )

    def path(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`."""
        each = [dict(self.learner_for(support).named_parameters()) for _ in support.x]
        rate = self.inner_lr * self.rate_for(support)
        while True:
            if not (self.training or support.x.requires_grad):
                each = [{name: p.detach() for name, p in params.items()} for params in each]
            yield functools.partial(self._predict, each)
            with torch.enable_grad():
                each = [
                    self._step(*task, rate) for task in zip(each, support.x, support.y, strict=True)
                ]

    def _step(self, params: Params, x: Tensor, y: Tensor, rate: float) -> Params:
        """One inner step of a rate on ``x`` ``[S, *input]`` and ``y`` ``[S]``."""
        slopes = grad(self._loss)(params, x, y)
        if self.gradient_order == 1:
            slopes = {name: slope.detach() for name, slope in slopes.items()}
        return {k: p - rate * slopes[k] if self.adapts(k) else p for k, p in params.items()}

    def _loss(self, params: Params, x: Tensor, y: Tensor) -> Tensor:
        return self.problem.loss(functional_call(self.learner, params, (x,)), y)

    def _predict(self, each: list[Params], query: Tensor) -> Tensor:
        """``[T, Q, *input]`` to ``[T, Q, outputs]``."""
        pairs = zip(each, query, strict=True)
        return torch.stack([functional_call(self.learner, params, (x,)) for params, x in pairs])
