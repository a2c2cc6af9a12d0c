"""A backbone with a linear head: the learner of the gradient-based methods."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from metabench.backbones.base import Backbone, Batched, Params


class LinearHead(Batched):
    """One linear layer, ``[B, inputs]`` to ``[B, outputs]``, from He's initialisation.

    Args:
        inputs: the length of a feature vector.
        outputs: the length of an output.
        zeros: let it start from zeros instead.
    """

    def __init__(self, inputs: int, outputs: int, *, zeros: bool = False) -> None:
        super().__init__()
        self.features = outputs
        self.weight = nn.Parameter(torch.zeros(inputs, outputs))
        if not zeros:
            nn.init.trunc_normal_(self.weight, std=math.sqrt(1 / inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, inputs]`` to ``[B, outputs]``."""
        return torch.addmm(self.bias, x, self.weight)

    def forward_batched(self, params: Params, x: Tensor) -> Tensor:
        """See :meth:`Batched.forward_batched`."""
        return torch.baddbmm(params["bias"].unsqueeze(1), x, params["weight"])


class Network(Backbone):
    """A backbone and what stands on it, as one network whose parameters can differ from task to task.

    Args:
        backbone: ``[B, *input]`` to ``[B, features]``.
        head: ``[B, features]`` to ``[B, outputs]``.

    Attributes:
        HEAD: what the names of the head's parameters begin with.
    """

    HEAD = "head."

    def __init__(self, backbone: Backbone, head: Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.features = head.features

    def forward(self, x: Tensor) -> Tensor:
        """``[B, *input]`` to ``[B, outputs]``."""
        out: Tensor = self.head(self.backbone(x))
        return out

    def forward_tasks(self, params: Params, x: Tensor) -> Tensor:
        """See :meth:`Backbone.forward_tasks`."""
        return self.on_features(params, self.features_of(params, x))

    def features_of(self, params: Params, x: Tensor) -> Tensor:
        """What the head is given: ``[T, B, *input]`` to ``[T, B, features]``."""
        return self.backbone.forward_tasks(_below("backbone.", params), x)

    def on_features(self, params: Params, features: Tensor) -> Tensor:
        """What the head makes of it: ``[T, B, features]`` to ``[T, B, outputs]``."""
        return self.head.forward_tasks(_below(self.HEAD, params), features)

    def forward_tasks_beside(self, params: Params, support: Tensor, x: Tensor) -> Tensor:
        """See :meth:`Backbone.forward_tasks_beside`."""
        features = self.backbone.forward_tasks_beside(_below("backbone.", params), support, x)
        return self.on_features(params, features)


def _below(prefix: str, params: Params) -> Params:
    return {name.removeprefix(prefix): p for name, p in params.items() if name.startswith(prefix)}
