"""Baseline++ of Chen et al. Measured and tried: docs/algorithms/finetune-cosine.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from metabench.algorithms.base import hyperparameters
from metabench.algorithms.finetune import FineTune
from metabench.errors import NotApplicable
from metabench.learning.metric_based import cosines

START_NORM = 3**-0.5
"""The expected norm of a new weight vector in the paper's code, which draws it as PyTorch does."""


@hyperparameters
class FineTuneCosine(FineTune):
    r"""Baseline++: the baseline with heads that compare directions.

    .. math:: p(y = k \mid x) \propto \exp\left(s \cos(f_\theta(x), w_k)\right)

    It keeps the features of a class together, where a linear head keeps classes apart only.

    Reference: Chen et al. 2019, arXiv:1904.04232, section 3.2 and its code
    (wyharveychen/CloserLookFewShot).
    Deviates:
        * All new weight vectors of a task start as the direction of its mean feature and not at
          random, and have no learned length.
        * Otherwise as the baseline.

    Raises:
        NotApplicable: If the problem is regression.
    """

    name: ClassVar[str] = "finetune-cosine"

    scale: float = 2.0  # scale of the cosines in the head of a task
    train_scale: float = 10.0  # scale of the cosines in the head of all training classes

    def __post_init__(self) -> None:
        if self.problem.regression:
            raise NotApplicable("finetune-cosine classifies, and this benchmark is regression.")
        super().__post_init__()

    def scores(self, params: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """See :class:`FineTune`."""
        return self.scale * cosines(features, params["weight"])

    def training_scores(self, params: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """See :class:`FineTune`."""
        return self.train_scale * cosines(features, params["weight"])

    def new_head(self, features: Tensor, ways: int) -> Mapping[str, Tensor]:
        """See :class:`FineTune`."""
        direction = F.normalize(features.mean(1, keepdim=True), dim=-1)
        return {"weight": (START_NORM * direction).expand(-1, ways, -1)}
