"""Multi-task learning: one body for all training tasks, fine-tuned to a new one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import nn

from metabench.algorithms.base import Predictor, Value
from metabench.algorithms.problem import Problem
from metabench.episodes import Support, TaskBatch, TaskStream
from metabench.learning.inner_loop import (
    GradientBased,
    Params,
    cosine,
    gradient_steps,
    make_learner,
    predictors,
    sees_its_batch,
    task_params,
)
from metabench.learning.outer_loop import take_step


class MultiTask(GradientBased):
    r"""Multi-task learning: train all tasks jointly on one shared body, then fine-tune to each new task.

    .. math::
        \min_{\theta, W} \textstyle\sum_t L_t(\theta, W_t), \qquad
        (\theta, w)'_t = \text{descent}_K\left((\theta, 0), L^\text{support}_t\right)

    The baseline without learning to learn: the training tasks are solved, not adapted to. In classification
    every training class has one row of the matrix :math:`W`, and the head of a task is made of the rows of
    its classes; the loss is the cross-entropy among those, on support and query examples alike. At test a new
    head starts at zero, and plain gradient descent fine-tunes head and body. In regression, where nothing
    tells training tasks apart, one joint network is trained on the examples of all, which is the "pretrained"
    baseline of the MAML paper, and all of it is fine-tuned.

    Batch norm uses the statistics of the task's batch, in training and at test (transductive).

    Reference: Caruana 1997, "Multitask learning"; Finn, Abbeel and Levine 2017, arXiv:1703.03400, section 5.1
    (sinusoid, 5-shot: 2.41 after one step, 2.19 after ten).
    Measured: leaderboards/core (5-way glyphs: 65.3 from 1 shot, 88.9 from 5; sinusoid 2.58 after one step).

    Args:
        problem: what it is built for.
        test_lr: learning rate of fine-tuning.
        test_steps: steps of fine-tuning, each on the whole support set.
        tasks: tasks in a training step.
        train_shots: examples for each class in a training task, beside as many again.
        lr: Adam's learning rate in training; it falls to 0 along half a cosine.
        backbone: the network below the head; by default the benchmark's own.
    """

    name: ClassVar[str] = "multi-task"

    def __init__(
        self,
        problem: Problem,
        *,
        test_lr: float = 0.1,
        test_steps: int = 20,
        tasks: int = 16,
        train_shots: int = 5,
        lr: float = 1e-3,
        backbone: str = "",
    ) -> None:
        super().__init__(problem)
        self.test_lr = test_lr
        self.test_steps = test_steps
        self.tasks = tasks
        self.train_shots = train_shots
        self.lr = lr
        self.learner = make_learner(problem, backbone, norm="batch", scale=True)
        self.transductive = sees_its_batch(self.learner)
        if not problem.regression:
            for p in self.learner.head.parameters():
                nn.init.zeros_(p)

    @classmethod
    def recipe(cls, problem: Problem) -> Mapping[str, Value]:
        """The MAML paper's sinusoid, with a step size tuned as there."""
        if problem.regression:
            return {"test_lr": 1e-3, "test_steps": 1, "tasks": 25, "train_shots": 10}
        return {}

    def meta_train(self, tasks: TaskStream) -> None:
        """See :class:`Algorithm`."""
        body = self.learner.backbone
        rows = nn.Embedding(max(tasks.train_classes, 1), body.features).to(next(body.parameters()))
        nn.init.normal_(rows.weight, std=body.features**-0.5)
        trained = [self.learner] if self.problem.regression else [body, rows]
        optimizer = tasks.keep(
            torch.optim.Adam([p for m in trained for p in m.parameters()], lr=self.lr)
        )
        rows = tasks.keep(rows)
        for batch in tasks.batches(self.tasks, shots=self.train_shots, queries=self.train_shots):
            x = torch.cat([batch.support_x, batch.query_x], 1)
            y = torch.cat([batch.support_y, batch.query_y], 1)
            predictions = self.learner.forward_tasks(self._joint_params(batch, rows), x)
            loss = self.problem.loss(predictions, y).mean()
            optimizer.zero_grad()
            loss.backward()
            take_step(optimizer, lr=self.lr * cosine(tasks.progress))
            tasks.log(loss)

    def path(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`."""
        steps = gradient_steps(
            self.learner.forward_tasks,
            task_params(self.learner, len(support.x)),
            support,
            self.problem.loss,
            rate=self.test_lr,
            keep_graph=self.training,
        )
        return predictors(self.learner.forward_tasks, steps)

    def _joint_params(self, batch: TaskBatch, rows: nn.Embedding) -> Params:
        """The shared network, in classification under the head that the rows of the tasks' classes make."""
        params = task_params(self.learner, len(batch))
        if not self.problem.regression:
            params["head.weight"] = rows(batch.classes).transpose(1, 2)
            params["head.bias"] = params["head.bias"].detach()
        return params
