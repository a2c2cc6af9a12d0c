"""Baseline of Chen et al. Measured and tried: docs/algorithms/finetune.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metabench.algorithms.base import Predictor, hyperparameters
from metabench.episodes import Support, TaskStream
from metabench.learning.fit_head import fit_head
from metabench.learning.gradient_based import GradientBased
from metabench.learning.learner import Learner, descend
from metabench.learning.predictors import after, over_tasks, predictors
from metabench.learning.schedules import hold_then_linear


@hyperparameters
class FineTune(GradientBased):
    r"""Baseline: one classifier over all training classes, then a new linear head for each task.

    .. math::
        \min_{\theta, W, b} \; E\, L(W f_\theta(x) + b,\, y), \qquad
        \min_{W_t, b_t} \; L^\text{support}_t(W_t f_\theta(x) + b_t)

    The features are frozen; the head is trained for some epochs of SGD on the support set. In
    regression, where there are no classes, one network is trained on the points of all tasks, and
    all its parameters take gradient steps on the support set: the "pretrained" baseline of MAML.

    Reference: Chen et al. 2019, arXiv:1904.04232, section 3.2 and its code
    (wyharveychen/CloserLookFewShot); in regression Finn et al. 2017, arXiv:1703.03400, section 5.1.
    Deviates:
        * The new head starts at zero and not at random, and every task shuffles its support set in
          the same way, so that a prediction is a function of the episode.
        * No augmentation.
    """

    name: ClassVar[str] = "finetune"

    lr: float = 1e-3  # rate of Adam in training
    batch: int = 64  # examples in a training step; in regression tasks
    hold: float = 0.5  # share of the budget after which the training rate falls linearly to 0
    test_steps: int = 100  # epochs over the support set; in regression gradient steps
    head_lr: float = 0.01  # rate of the new head; in regression of all parameters
    head_batch: int = 4  # support examples in a step of the new head
    momentum: float = 0.9  # momentum and dampening of the new head's SGD, as in the paper's code
    weight_decay: float = 1e-3  # weight decay of the new head's SGD
    backbone: str = ""  # the network below the head; by default the benchmark's own

    def __post_init__(self) -> None:
        if self.problem.regression:
            self.learner = Learner(self.problem, self.backbone)
        else:
            self.embed = self.problem.backbone(self.backbone)

    def meta_train(self, tasks: TaskStream) -> None:
        """See :class:`Algorithm`."""
        trained: list[nn.Module] = [self]
        losses = self._joint_losses(tasks)
        if not self.problem.regression:
            head = nn.Linear(self.embed.features, tasks.train_classes)
            head = tasks.keep(head.to(next(self.parameters())))
            trained.append(head)
            losses = self._class_losses(tasks, head)
        optimizer = tasks.keep(torch.optim.Adam(nn.ModuleList(trained).parameters(), lr=self.lr))
        for loss in losses:
            for group in optimizer.param_groups:
                group["lr"] = self.lr * hold_then_linear(tasks.progress, self.hold)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            tasks.log(loss)

    @over_tasks
    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        return after(self.test_steps, self.trajectory(support))

    def trajectory(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`; a step is an epoch of the head, in regression a step."""
        if self.problem.regression:
            return descend(self.learner, support, self.problem.loss, rate=self.head_lr)
        with torch.set_grad_enabled(support.keep_graph):
            features = self._features(support.x)
        heads = fit_head(
            self.scores,
            self.new_head(features, support.ways),
            features,
            support.y,
            lr=self.head_lr,
            batch=self.head_batch,
            momentum=self.momentum,
            dampening=self.momentum,
            weight_decay=self.weight_decay,
            keep_graph=support.keep_graph,
        )
        return predictors(lambda head, query: self.scores(head, self._features(query)), heads)

    def scores(self, params: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """Return the logits of a head, ``[..., B, classes]`` of features ``[..., B, F]``."""
        scores: Tensor = features @ params["weight"].transpose(-1, -2)
        return scores + params["bias"].unsqueeze(-2)

    def training_scores(self, params: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """Return the logits of all training classes, ``[B, classes]`` of features ``[B, F]``."""
        return self.scores(params, features)

    def new_head(self, features: Tensor, ways: int) -> Mapping[str, Tensor]:
        """Return the initial head of each task, given support features ``[T, S, F]``."""
        tasks, _, length = features.shape
        return {
            "weight": features.new_zeros(tasks, ways, length),
            "bias": features.new_zeros(tasks, ways),
        }

    def _class_losses(self, tasks: TaskStream, head: nn.Linear) -> Iterator[Tensor]:
        for x, y in tasks.examples(self.batch):
            scores = self.training_scores(dict(head.named_parameters()), self.embed(x))
            yield F.cross_entropy(scores, y)

    def _joint_losses(self, tasks: TaskStream) -> Iterator[Tensor]:
        for batch in tasks.batches(self.batch):
            x = torch.cat([batch.support_x, batch.query_x], dim=1).flatten(0, 1)
            y = torch.cat([batch.support_y, batch.query_y], dim=1).flatten(0, 1)
            yield self.problem.loss(self.learner(x), y)

    def _features(self, x: Tensor) -> Tensor:
        features: Tensor = self.embed(x.flatten(0, 1))
        return features.view(*x.shape[:2], -1)
