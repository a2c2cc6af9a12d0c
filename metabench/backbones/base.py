"""What every backbone gives: features, for one set of parameters or for one set a task."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from metabench.backbones.engines import Engine, choose
from metabench.runtime.precision import lowered

Params = Mapping[str, Tensor]
"""Parameters by name; with a leading task dimension where that is said."""


class Backbone(
    ABC, nn.Module
):  # in this order, a library can put an abstract class of its own beside it
    """A network that turns inputs into feature vectors.

    Attributes:
        features: the length of a feature vector.
    """

    features: int

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """``[B, *input]`` to ``[B, features]``."""

    def forward_tasks(self, params: Params, x: Tensor) -> Tensor:
        """The features where every task has parameters of its own, as inside an inner loop.

        Args:
            params: each parameter with a leading task dimension, ``[T, ...]``.
            x: ``[T, B, *input]``.

        Returns:
            ``[T, B, features]``, by the fastest of :meth:`engines`.
        """
        return choose(self.engines(), self.fastest_on_cpu(x), params, x)(params, x)

    def engines(self) -> dict[str, Engine]:
        """The ways to :meth:`forward_tasks`, by name; they give the same numbers.

        Any network has two: a plain ``loop`` over the tasks, and ``vmap`` over the parameters where no
        running statistics would have to be written. A backbone that knows a faster one adds it.
        """
        return {"loop": self._loop, "vmap": self._vmap} if self._stateless else {"loop": self._loop}

    def fastest_on_cpu(self, x: Tensor) -> str:
        """The name of the engine that is the fastest for such inputs on a CPU.

        Args:
            x: ``[T, B, *input]``.
        """
        del x
        return "loop"

    @functools.cached_property
    def _stateless(self) -> bool:
        return not keeps_statistics(self)

    def _loop(self, params: Params, x: Tensor) -> Tensor:
        return torch.stack(
            [self.forward_with({k: v[t] for k, v in params.items()}, x[t]) for t in range(len(x))]
        )

    def _vmap(self, params: Params, x: Tensor) -> Tensor:
        x, *values = lowered(x, *params.values())  # vmap does not let autocast through
        found: Tensor = torch.func.vmap(self.forward_with)(
            dict(zip(params, values, strict=True)), x
        )
        return found

    def forward_tasks_beside(self, params: Params, support: Tensor, x: Tensor) -> Tensor:
        """The features of ``x`` where batch norm by the batch's own statistics takes those of the support.

        Args:
            params: each parameter with a leading task dimension, ``[T, ...]``.
            support: ``[T, S, *input]``.
            x: ``[T, B, *input]``.

        Returns:
            ``[T, B, features]``. What serves any network comes close: each example is in one batch with the
            support, and has its share in the statistics.
        """
        alone = [
            self.forward_tasks(params, torch.cat([support, one], 1))[:, -1] for one in x.split(1, 1)
        ]
        return torch.stack(alone, 1)

    def forward_with(self, params: Params, x: Tensor) -> Tensor:
        """The features ``[B, features]`` of one task, with these parameters in place of the own."""
        features: Tensor = torch.func.functional_call(self, dict(params), (x,))
        return features


class Batched(Backbone):
    """A backbone of matrix products, which all tasks take at once: nothing beats that on a CPU."""

    def engines(self) -> dict[str, Engine]:
        """See :meth:`Backbone.engines`."""
        return {**super().engines(), "batched": self.forward_batched}

    def fastest_on_cpu(self, x: Tensor) -> str:
        """See :meth:`Backbone.fastest_on_cpu`."""
        del x
        return "batched"

    @abstractmethod
    def forward_batched(self, params: Params, x: Tensor) -> Tensor:
        """See :meth:`Backbone.forward_tasks`: by batched matrix products."""


def keeps_statistics(module: nn.Module) -> bool:
    """Whether a forward pass may write to a module, as batch norm does to its running statistics."""
    return any(buffer.is_floating_point() for buffer in module.buffers())
