"""MAML in plain ``torch.func``."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor
from torch.func import functional_call, grad

from metabench import MAML, NotApplicable, Predictor, Support
from metabench_torchfunc import LIBRARY

Params = dict[str, Tensor]


class TorchFuncMAML(MAML):
    """MAML by ``torch.func.grad`` of ``torch.func.functional_call``, one task after the other.

    What one writes without a library, and so the reference for libraries. Hyper-parameters,
    recipes, learner and outer loop are those of ``maml``; from one seed the two differ by rounding
    only. As there, the shift of batch norm is meta-learned and not adapted.

    Reference: Finn, Abbeel and Levine 2017, arXiv:1703.03400.

    Raises:
        NotApplicable: If the learner has buffers, such as running statistics.
    """

    name: ClassVar[str] = "torchfunc-maml"
    library: ClassVar[str] = LIBRARY

    def __post_init__(self) -> None:
        super().__post_init__()
        if buffers := [name for name, _ in self.learner.named_buffers()]:
            raise NotApplicable(
                f"a pure function changes no buffers, and the learner has {buffers[0]}: "
                "use a backbone without running statistics."
            )

    def trajectory(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`."""
        each = [dict(self.learner.named_parameters()) for _ in support.x]
        lr = self.inner_lr
        while True:
            if not (self.training or support.keep_graph):
                each = [{name: p.detach() for name, p in params.items()} for params in each]
            yield functools.partial(self._predict, each, support)
            with torch.enable_grad():
                tasks = zip(each, support.x, support.y, strict=True)
                each = [self._step(*task, lr) for task in tasks]

    def _step(self, params: Params, x: Tensor, y: Tensor, lr: float) -> Params:
        """Take one inner step on ``x`` ``[S, *input]`` and ``y`` ``[S]``."""
        gradients = grad(self._loss)(params, x, y)
        if self.gradient_order == 1:
            gradients = {name: gradient.detach() for name, gradient in gradients.items()}
        return {k: p - lr * gradients[k] if self.adapts(k) else p for k, p in params.items()}

    def _loss(self, params: Params, x: Tensor, y: Tensor) -> Tensor:
        return self.problem.loss(functional_call(self.learner, params, (x,)), y)

    def _predict(self, each: list[Params], support: Support, query: Tensor) -> Tensor:
        """Map ``[T, Q, *input]`` to ``[T, Q, outputs]``."""
        stacked = {name: torch.stack([params[name] for params in each]) for name in each[0]}
        return self.learner.forward_queries(stacked, support.x, query)
