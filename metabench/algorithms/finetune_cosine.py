"""Baseline++: the baseline with heads that compare directions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from metabench.algorithms.finetune import FineTune
from metabench.algorithms.problem import Problem
from metabench.errors import NotApplicable
from metabench.learning.metric_based import cosines

START_NORM = 3**-0.5
"""The expected length of a new weight vector in the code of the paper, which draws it as PyTorch does."""


class FineTuneCosine(FineTune):
    r"""Baseline++: a classifier by the cosine to one weight vector a class, in training and for each task.

    .. math:: p(y = k \mid x) \propto \exp\left(s \cos(f_\theta(x), w_k)\right)

    It keeps the features of a class together, where the linear head only keeps the classes apart.

    Reference: Chen et al. 2019, arXiv:1904.04232, section 3.2 and its code (wyharveychen/CloserLookFewShot).
    Measured: leaderboards/core (5-way glyphs: 84.5 from 1 shot, 90.6 from 5).
    Deviates: all new weight vectors of a task start as the direction of its mean feature and not at random,
    and every task shuffles its support set alike, so that a prediction is a function of the episode; the
    vectors have no learned length; no augmentation.

    Args:
        problem: what it is built for.
        lr: Adam's learning rate in training.
        batch: examples in a training step.
        hold: the share of the budget after which the training learning rate falls linearly to 0.
        scale: the scale of the cosines in the head of a task.
        train_scale: the scale of the cosines in the head over all training classes.
        test_steps: epochs over the support set.
        head_lr: learning rate of the new head.
        head_batch: support examples in a step of the new head.
        momentum: of the new head's SGD; its dampening is the same, as in the paper's code.
        weight_decay: of the new head's SGD.
        backbone: the network below the head; by default the benchmark's own.
    """

    name: ClassVar[str] = "finetune-cosine"

    def __init__(
        self,
        problem: Problem,
        *,
        lr: float = 1e-3,
        batch: int = 64,
        hold: float = 0.5,
        scale: float = 2.0,
        train_scale: float = 10.0,
        test_steps: int = 100,
        head_lr: float = 0.01,
        head_batch: int = 4,
        momentum: float = 0.9,
        weight_decay: float = 1e-3,
        backbone: str = "",
    ) -> None:
        if problem.regression:
            raise NotApplicable("finetune-cosine classifies, and this benchmark is regression.")
        super().__init__(
            problem,
            lr=lr,
            batch=batch,
            hold=hold,
            test_steps=test_steps,
            head_lr=head_lr,
            head_batch=head_batch,
            momentum=momentum,
            weight_decay=weight_decay,
            backbone=backbone,
        )
        self.scale = scale
        self.train_scale = train_scale

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
