"""The base of all backbones: networks that turn inputs into feature vectors."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from metabench.backbones.implementations import Implementation, choose_implementation
from metabench.runtime.precision import lowered

Params = Mapping[str, Tensor]
"""Parameters by name; with a leading task dimension where that is said."""


class Backbone(ABC, nn.Module):  # in this order, so that it mixes with other abstract classes
    """A network that turns inputs into feature vectors.

    Attributes:
        features: The length of a feature vector.
    """

    features: int

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, *input]`` to ``[B, features]``."""

    def forward_tasks(self, params: Params, x: Tensor, *, twice: bool = False) -> Tensor:
        """Compute features where every task has its own parameters, as inside an inner loop.

        Args:
            params: Each parameter with a leading task dimension, ``[T, ...]``.
            x: ``[T, B, *input]``.
            twice: Whether the result will be differentiated twice. A hint for the choice of the
                implementation; values and derivatives are the same without it.

        Returns:
            ``[T, B, features]``, computed by the fastest of :meth:`implementations`.
        """
        fastest = self.fastest_on_cpu(x, twice=twice)
        forward = choose_implementation(self.implementations(), fastest, params, x, twice=twice)
        return forward(params, x)

    def implementations(self) -> dict[str, Implementation]:
        """Returns the implementations of :meth:`forward_tasks` by name; all give the same numbers.

        Any network has a ``loop`` over the tasks, and ``vmap`` over the parameters unless its
        forward pass updates running statistics. Subclasses add faster ones.
        """
        return {"loop": self._loop, "vmap": self._vmap} if self._stateless else {"loop": self._loop}

    def fastest_on_cpu(self, x: Tensor, *, twice: bool) -> str:
        """Returns the name of the implementation that is fastest on a CPU.

        Args:
            x: ``[T, B, *input]``.
            twice: Whether the result will be differentiated twice.
        """
        del x, twice
        return "loop"

    @functools.cached_property
    def _stateless(self) -> bool:
        return not updates_buffers(self)

    def _loop(self, params: Params, x: Tensor) -> Tensor:
        features = [
            self.forward_with({name: p[t] for name, p in params.items()}, x[t])
            for t in range(len(x))
        ]
        return torch.stack(features)

    def _vmap(self, params: Params, x: Tensor) -> Tensor:
        x, *values = lowered(x, *params.values())  # autocast does not reach into vmap
        lowered_params = dict(zip(params, values, strict=True))
        features: Tensor = torch.func.vmap(self.forward_with)(lowered_params, x)
        return features

    def forward_by_support(self, params: Params, support: Tensor, x: Tensor) -> Tensor:
        """Compute features of ``x`` under batch norm statistics of the support set.

        The default serves any network and is close: each example is put into one batch with the
        support set, so it has its own share in the statistics.

        Args:
            params: Each parameter with a leading task dimension, ``[T, ...]``.
            support: ``[T, S, *input]``.
            x: ``[T, B, *input]``.

        Returns:
            ``[T, B, features]``; no example depends on another of ``x``.
        """
        each = [
            self.forward_tasks(params, torch.cat([support, example], 1))[:, -1]
            for example in x.split(1, 1)
        ]
        return torch.stack(each, 1)

    def forward_with(self, params: Params, x: Tensor) -> Tensor:
        """Map ``[B, *input]`` of one task to ``[B, features]`` with these parameters."""
        features: Tensor = torch.func.functional_call(self, dict(params), (x,))
        return features


class Batched(Backbone):
    """A backbone of matrix products, which all tasks share: nothing is faster on a CPU."""

    def implementations(self) -> dict[str, Implementation]:
        """See :meth:`Backbone.implementations`."""
        return {**super().implementations(), "batched": self.forward_batched}

    def fastest_on_cpu(self, x: Tensor, *, twice: bool) -> str:
        """See :meth:`Backbone.fastest_on_cpu`."""
        del x, twice
        return "batched"

    @abstractmethod
    def forward_batched(self, params: Params, x: Tensor) -> Tensor:
        """Compute :meth:`Backbone.forward_tasks` by batched matrix products."""


def updates_buffers(module: nn.Module) -> bool:
    """Returns whether a forward pass may update buffers, as batch norm its running statistics."""
    return any(buffer.is_floating_point() for buffer in module.buffers())
