"""Baseline: an ordinary classifier of the training classes, and a new head for each task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metabench.algorithms.base import Predictor, Value
from metabench.algorithms.problem import Problem
from metabench.episodes import Support, TaskStream
from metabench.learning.embedding_recipe import SMALL_BUDGET_LR, embedding_budget, is_small
from metabench.learning.fit_head import fit_head
from metabench.learning.inner_loop import (
    GradientBased,
    gradient_steps,
    make_learner,
    predictors,
    task_params,
)
from metabench.learning.metric_based import anneal


class FineTune(GradientBased):
    r"""Baseline: one classifier over all training classes, then a new linear head for each task.

    .. math::
        \min_{\theta, W, b} \; E\, L(W f_\theta(x) + b,\, y), \qquad \text{then for each task} \qquad
        \min_{W_t, b_t} \; L^\text{support}_t(W_t f_\theta(x) + b_t)

    The features stay as they are; the head takes some epochs of SGD on the support set. In regression, where
    there are no classes, one network is trained on the points of all tasks together, and all its parameters
    then take gradient steps on the support set: the "pretrained" baseline of the MAML paper.

    Reference: Chen et al. 2019, arXiv:1904.04232, section 3.2 and its code (wyharveychen/CloserLookFewShot);
    in regression Finn et al. 2017, arXiv:1703.03400, section 5.1.
    Measured: leaderboards/omniglot (5-way 1-shot 96.5) and leaderboards/core (5-way glyphs: 86.0 from 1 shot,
    93.2 from 5; steps of 64 at 1e-3, as on Omniglot, left it at 75.3 and 86.1).
    Deviates: the new head starts at zero and not at random, and every task shuffles its support set alike,
    so that a prediction is a function of the episode; no augmentation.

    Args:
        problem: what it is built for.
        lr: Adam's learning rate in training.
        batch: examples in a training step; in regression tasks.
        hold: the share of the budget after which the training learning rate falls linearly to 0.
        test_steps: epochs over the support set; in regression gradient steps.
        head_lr: learning rate of the new head; in regression of all parameters.
        head_batch: support examples in a step of the new head.
        momentum: of the new head's SGD; its dampening is the same, as in the paper's code.
        weight_decay: of the new head's SGD.
        backbone: the network below the head; by default the benchmark's own.
    """

    name: ClassVar[str] = "finetune"

    def __init__(
        self,
        problem: Problem,
        *,
        lr: float = 1e-3,
        batch: int = 64,
        hold: float = 0.5,
        test_steps: int = 100,
        head_lr: float = 0.01,
        head_batch: int = 4,
        momentum: float = 0.9,
        weight_decay: float = 1e-3,
        backbone: str = "",
    ) -> None:
        super().__init__(problem)
        self.lr = lr
        self.batch = batch
        self.hold = hold
        self.test_steps = test_steps
        self.head_lr = head_lr
        self.head_batch = head_batch
        self.momentum = momentum
        self.weight_decay = weight_decay
        if problem.regression:
            self.learner = make_learner(problem, backbone)
        else:
            self.embed = problem.backbone(backbone)

    @classmethod
    def recipe(cls, problem: Problem) -> Mapping[str, Value]:
        """The MAML paper's in regression, but for the learning rate: at its 0.01 the error rises again.

        Where classes are told apart and the budget is small: more and larger steps.
        """
        if problem.regression:
            return {"batch": 25, "head_lr": 2e-3, "test_steps": 10}
        recipe: dict[str, Value] = {"budget": embedding_budget(problem)}
        return recipe | {"batch": 32, "lr": SMALL_BUDGET_LR} if is_small(problem) else recipe

    def scores(self, params: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """The head: ``[..., B, features]`` to ``[..., B, classes]``."""
        scores: Tensor = features @ params["weight"].transpose(-1, -2) + params["bias"].unsqueeze(
            -2
        )
        return scores

    def training_scores(self, params: Mapping[str, Tensor], features: Tensor) -> Tensor:
        """The head over all training classes, ``[B, features]`` to ``[B, classes]``."""
        return self.scores(params, features)

    def new_head(self, features: Tensor, ways: int) -> Mapping[str, Tensor]:
        """The parameters that the head of a task starts from, given support features ``[T, S, features]``."""
        tasks, _, length = features.shape
        return {
            "weight": features.new_zeros(tasks, ways, length),
            "bias": features.new_zeros(tasks, ways),
        }

    def meta_train(self, tasks: TaskStream) -> None:
        """See :class:`Algorithm`."""
        trained: list[nn.Module] = [self]
        losses = self._joint_losses(tasks)
        if not self.problem.regression:
            head = tasks.keep(
                nn.Linear(self.embed.features, tasks.train_classes).to(next(self.parameters()))
            )
            trained.append(head)
            losses = self._class_losses(tasks, head)
        optimizer = tasks.keep(torch.optim.Adam(nn.ModuleList(trained).parameters(), lr=self.lr))
        for loss in losses:
            anneal(optimizer, self.lr, self.hold, tasks.progress)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            tasks.log(loss)

    def _class_losses(self, tasks: TaskStream, head: nn.Linear) -> Iterator[Tensor]:
        for x, y in tasks.examples(self.batch):
            yield F.cross_entropy(
                self.training_scores(dict(head.named_parameters()), self.embed(x)), y
            )

    def _joint_losses(self, tasks: TaskStream) -> Iterator[Tensor]:
        for batch in tasks.batches(self.batch):
            x = torch.cat([batch.support_x, batch.query_x], dim=1).flatten(0, 1)
            y = torch.cat([batch.support_y, batch.query_y], dim=1).flatten(0, 1)
            yield self.problem.loss(self.learner(x), y)

    def path(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`; a step is an epoch of the head, in regression a gradient step."""
        if self.problem.regression:
            start = task_params(self.learner, len(support.x))
            steps = gradient_steps(
                self.learner.forward_tasks, start, support, self.problem.loss, rate=self.head_lr
            )
            return predictors(self.learner.forward_tasks, steps)
        with torch.set_grad_enabled(
            support.x.requires_grad
        ):  # it does where someone attacks the support
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
        )
        return predictors(lambda head, query: self.scores(head, self._features(query)), heads)

    def _features(self, x: Tensor) -> Tensor:
        features: Tensor = self.embed(x.flatten(0, 1))
        return features.view(*x.shape[:2], -1)
