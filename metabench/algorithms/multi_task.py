"""Multi-task learning. Measured and tried: docs/algorithms/multi-task.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import nn

from metabench.algorithms.base import Predictor, hyperparameters
from metabench.episodes import Support, TaskBatch, TaskStream
from metabench.learning.gradient_based import GradientBased
from metabench.learning.inner_loop import Params, task_params
from metabench.learning.learner import Learner, Norm, descend
from metabench.learning.outer_loop import outer_step
from metabench.learning.predictors import after, over_tasks
from metabench.learning.schedules import cosine


@hyperparameters
class MultiTask(GradientBased):
    r"""Baseline: train all tasks jointly on one shared body, then fine-tune to each new task.

    .. math::
        \min_{\theta, W} \textstyle\sum_t L_t(\theta, W_t), \qquad
        (\theta, w)'_t = \text{descent}_K\left((\theta, 0), L^\text{support}_t\right)

    In classification each training class has a row of :math:`W`, and the head of a task consists of
    the rows of its classes; the loss is the cross-entropy among those, on support and query. At
    test a head of zeros and the body are fine-tuned by gradient descent. In regression one joint
    network is trained on the examples of all tasks and fine-tuned: the "pretrained" baseline of the
    MAML paper. Batch norm uses the statistics of the support set, in training and at test.

    Reference: Caruana 1997, "Multitask learning"; Finn, Abbeel and Levine 2017, arXiv:1703.03400,
    section 5.1.
    """

    name: ClassVar[str] = "multi-task"
    version: ClassVar[str] = "2"

    test_lr: float = 0.1  # rate of fine-tuning
    test_steps: int = 20  # steps of fine-tuning, each on the whole support set
    tasks: int = 16  # tasks in a training step
    train_shots: int = 5  # half of the examples for each class in a training task
    lr: float = 1e-3  # rate of Adam in training; falls to 0 along half a cosine
    norm: Norm = "support"  # statistics of batch norm: support, batch or running
    backbone: str = ""  # the network below the head; by default the benchmark's own

    def __post_init__(self) -> None:
        self.learner = Learner(self.problem, self.backbone, norm=self.norm, scale=True)
        self.transductive = self.learner.transductive
        if not self.problem.regression:
            for p in self.learner.head.parameters():
                nn.init.zeros_(p)

    def meta_train(self, tasks: TaskStream) -> None:
        """See :class:`Algorithm`."""
        body = self.learner.backbone
        rows = nn.Embedding(max(tasks.train_classes, 1), body.features)
        rows = rows.to(next(body.parameters()))
        nn.init.normal_(rows.weight, std=body.features**-0.5)
        trained = [self.learner] if self.problem.regression else [body, rows]
        parameters = [p for module in trained for p in module.parameters()]
        optimizer = tasks.keep(torch.optim.Adam(parameters, lr=self.lr))
        rows = tasks.keep(rows)
        shots = self.train_shots
        for batch in tasks.batches(self.tasks, shots=shots, queries=shots):
            x = torch.cat([batch.support_x, batch.query_x], 1)
            y = torch.cat([batch.support_y, batch.query_y], 1)
            params = self._joint_params(batch, rows)
            predictions = self.learner.forward_queries(params, batch.support_x, x)
            loss = self.problem.loss(predictions, y).mean()
            optimizer.zero_grad()
            loss.backward()
            outer_step(optimizer, lr=self.lr * cosine(tasks.progress))
            tasks.log(loss)

    @over_tasks
    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        return after(self.test_steps, self.trajectory(support))

    def trajectory(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`."""
        loss, rate = self.problem.loss, self.test_lr
        return descend(self.learner, support, loss, rate=rate, keep_graph=self.training)

    def _joint_params(self, batch: TaskBatch, rows: nn.Embedding) -> Params:
        """Returns the shared parameters; in classification with a head of the classes' rows."""
        params = task_params(self.learner, len(batch))
        if not self.problem.regression:
            params["head.weight"] = rows(batch.classes).transpose(1, 2)
            params["head.bias"] = params["head.bias"].detach()
        return params
