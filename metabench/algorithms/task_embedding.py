"""Task embedding: a vector for the task, and from it the learner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from metabench.algorithms.base import Predictor, Value
from metabench.algorithms.problem import Problem
from metabench.episodes import Support, TaskStream
from metabench.learning.embedding_recipe import embedding_recipe
from metabench.learning.film import FiLM
from metabench.learning.inner_loop import (
    GradientBased,
    Params,
    after,
    as_batch,
    gradient_steps,
    predictors,
)
from metabench.learning.metric_based import anneal
from metabench.learning.task_encoder import TaskEncoder

WEIGHT, BIAS = "head.weight", "head.bias"


class TaskEmbedding(GradientBased):
    r"""Task embedding: encode the support set as one vector, and generate the learner from it.

    .. math::
        z = \mathrm{encode}(\text{support}), \qquad \theta_z = \mathrm{FiLM}(\theta, z), \qquad
        p(y = k \mid x) \propto \exp\left(-\textstyle\sum_j w_j(z)\,(f_{\theta_z}(x)_j - c_{kj})^2\right)

    Three parts: the task encoder (:class:`TaskEncoder`) sees the support set as a set; the meta-learner turns
    the task vector into the learner's parameters, which are shifts and scales of the backbone's channels
    (:class:`FiLM`) and a linear head; the learner classifies. The head has the weights :math:`2 w c_k` and
    the biases :math:`-\sum_j w_j c_{kj}^2` of the class means :math:`c_k`, where :math:`w = e^{A z}` says
    which features count in this task. :math:`A` and FiLM start at zero, so that training starts from a
    Prototypical Network. In regression the head is a linear function of the task vector.

    Afterwards the generated parameters may take gradient steps on the support set, first order.

    Reference: in the manner of CNAPs (Requeima et al. 2019, arXiv:1906.07697) and of task-conditioned metrics
    (Oreshkin et al. 2018, arXiv:1805.10123); Prototypical Networks (Snell et al. 2017, arXiv:1703.05175).
    Measured: leaderboards/omniglot (5-way 1-shot 98.0 and 5-shot 99.1, 20-way 1-shot 93.6 and 5-shot
    97.8).
    Deviates: from CNAPs: FiLM is not autoregressive, the backbone is trained with the rest, and the head is a
    diagonal metric.

    Args:
        problem: what it is built for.
        task_size: the length of a task vector.
        hidden: the width of the encoder's hidden layers.
        inner_steps: gradient steps on the support set in meta-training.
        test_steps: gradient steps on the support set at meta-test.
        inner_lr: their learning rate.
        train_ways: classes in a training episode.
        train_queries: queries for each class in a training episode; in regression for the task.
        tasks: episodes in an outer step.
        lr: Adam's learning rate.
        hold: the share of the budget after which the learning rate falls linearly to 0.
        backbone: the network below the head; by default the benchmark's own.
    """

    name: ClassVar[str] = "task-embedding"

    def __init__(
        self,
        problem: Problem,
        *,
        task_size: int = 64,
        hidden: int = 128,
        inner_steps: int = 0,
        test_steps: int = 0,
        inner_lr: float = 0.01,
        train_ways: int = 20,
        train_queries: int = 5,
        tasks: int = 3,
        lr: float = 1e-3,
        hold: float = 0.5,
        backbone: str = "",
    ) -> None:
        super().__init__(problem)
        self.inner_steps = inner_steps
        self.gradient_order = 1 if inner_steps else None
        self.test_steps = test_steps
        self.inner_lr = inner_lr
        self.train_ways = train_ways
        self.train_queries = train_queries
        self.tasks = tasks
        self.lr = lr
        self.hold = hold
        self.encoder = TaskEncoder(problem, size=task_size, hidden=hidden, backbone=backbone)
        self.backbone = problem.backbone(backbone)
        self.film = FiLM(self.backbone, task_size)
        features, outputs = self.backbone.features, problem.outputs
        self.head = nn.Linear(
            task_size, (features + 1) * outputs if problem.regression else features
        )
        if not problem.regression:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

    @classmethod
    def recipe(cls, problem: Problem) -> Mapping[str, Value]:
        """Many small tasks in regression; else as many examples as Prototypical Networks."""
        if problem.regression:
            return {"train_queries": 10, "tasks": 25, "lr": 3e-3}
        return embedding_recipe(problem, ways=20, queries=5, tasks=3)

    def embed(self, support: Support) -> Tensor:
        """The task vector of one support set, ``[task_size]``."""
        vector: Tensor = self.encoder(as_batch(support))[0]
        return vector

    def generate(self, support: Support) -> Params:
        """The learner's parameters for ``T`` support sets, ``[T, ...]``."""
        vectors = self.encoder(support)
        body = self.film(self.backbone, vectors)
        made = self.head(vectors)
        if self.problem.regression:
            rows = made.view(len(made), -1, self.problem.outputs)
            return {**body, WEIGHT: rows[:, :-1], BIAS: rows[:, -1]}
        metric = made.exp().unsqueeze(1)
        means = support.class_means(self.backbone.forward_tasks(body, support.x))
        weight = (2 * metric * means).transpose(1, 2)
        return {**body, WEIGHT: weight, BIAS: -(metric * means.square()).sum(-1)}

    def forward_tasks(self, params: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """The learner: inputs ``[T, B, *input]`` to predictions ``[T, B, outputs]``."""
        body = {name: p for name, p in params.items() if name not in (WEIGHT, BIAS)}
        features = self.backbone.forward_tasks(body, x)
        return torch.baddbmm(params[BIAS].unsqueeze(1), features, params[WEIGHT])

    def path(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`."""
        with torch.set_grad_enabled(self.training):
            made = self.generate(support)
        steps = gradient_steps(
            self.forward_tasks,
            made,
            support,
            self.problem.loss,
            rate=self.inner_lr,
            adapted=lambda name: name in (WEIGHT, BIAS) or name in self.film.lengths,
        )
        # First order: the steps are constants, and the outer gradient flows to what was generated.
        path = ({k: p + (moved[k] - p).detach() for k, p in made.items()} for moved in steps)
        return predictors(self.forward_tasks, path)

    def meta_train(self, tasks: TaskStream) -> None:
        """See :class:`Algorithm`."""
        optimizer = tasks.keep(torch.optim.Adam(self.parameters(), lr=self.lr))
        ways = 0 if self.problem.regression else self.train_ways
        for batch in tasks.batches(self.tasks, ways=ways, queries=self.train_queries):
            anneal(optimizer, self.lr, self.hold, tasks.progress)
            predict = after(self.inner_steps, self.path(batch.support))
            loss = self.problem.loss(predict(batch.query_x), batch.query_y).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            tasks.log(loss)
