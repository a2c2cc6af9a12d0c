"""A backbone with a linear head: the network that gradient-based methods adapt."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from metabench.backbones.base import Backbone, Batched, Params


class LinearHead(Batched):
    """A linear layer, initialised after He et al. 2015 or with zeros.

    Args:
        inputs: The length of a feature vector.
        outputs: The length of an output.
        zeros: Whether to start from zeros.
    """

    def __init__(self, inputs: int, outputs: int, *, zeros: bool = False) -> None:
        super().__init__()
        self.features = outputs
        self.weight = nn.Parameter(torch.zeros(inputs, outputs))
        if not zeros:
            nn.init.trunc_normal_(self.weight, std=math.sqrt(1 / inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, inputs]`` to ``[B, outputs]``."""
        return torch.addmm(self.bias, x, self.weight)

    def forward_batched(self, params: Params, x: Tensor) -> Tensor:
        """See :meth:`Batched.forward_batched`."""
        return torch.baddbmm(params["bias"].unsqueeze(1), x, params["weight"])


class Network(Backbone):
    """A backbone and a head as one network whose parameters can differ from task to task.

    Args:
        backbone: Maps ``[B, *input]`` to ``[B, features]``.
        head: Maps ``[B, features]`` to ``[B, outputs]``.
        by_support: Whether queries are normalised by the statistics of the support set.

    Attributes:
        HEAD: The prefix of the names of the head's parameters.
    """

    HEAD = "head."

    def __init__(self, backbone: Backbone, head: Backbone, *, by_support: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.features = head.features
        self.by_support = by_support

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, *input]`` to ``[B, outputs]``."""
        out: Tensor = self.head(self.backbone(x))
        return out

    def forward_tasks(self, params: Params, x: Tensor, *, twice: bool = False) -> Tensor:
        """See :meth:`Backbone.forward_tasks`."""
        features = self.forward_backbone(params, x, twice=twice)
        return self.forward_head(params, features, twice=twice)

    def forward_backbone(self, params: Params, x: Tensor, *, twice: bool = False) -> Tensor:
        """Map ``[T, B, *input]`` to the features ``[T, B, features]`` that the head receives."""
        return self.backbone.forward_tasks(_below("backbone.", params), x, twice=twice)

    def forward_head(self, params: Params, features: Tensor, *, twice: bool = False) -> Tensor:
        """Map features ``[T, B, features]`` to ``[T, B, outputs]``."""
        return self.head.forward_tasks(_below(self.HEAD, params), features, twice=twice)

    def forward_queries(self, params: Params, support: Tensor, x: Tensor) -> Tensor:
        """Predict queries after the inner loop.

        Args:
            params: Each parameter with a leading task dimension, ``[T, ...]``.
            support: The inputs of the support sets, ``[T, S, *input]``.
            x: ``[T, Q, *input]``.

        Returns:
            ``[T, Q, outputs]``.
        """
        return self.forward_head(params, self.query_features(params, support, x))

    def query_features(self, params: Params, support: Tensor, x: Tensor) -> Tensor:
        """Map queries ``[T, Q, *input]`` to features; see :meth:`forward_queries`."""
        if not self.by_support:
            return self.forward_backbone(params, x)
        return self.backbone.forward_by_support(_below("backbone.", params), support, x)


def _below(prefix: str, params: Params) -> Params:
    return {name.removeprefix(prefix): p for name, p in params.items() if name.startswith(prefix)}
