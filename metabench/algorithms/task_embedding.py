"""Task embedding. Measured and tried: docs/algorithms/task-embedding.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from metabench.algorithms.base import Predictor, hyperparameters
from metabench.episodes import Support, TaskStream
from metabench.learning.film import FiLM
from metabench.learning.gradient_based import GradientBased
from metabench.learning.inner_loop import Params, gradient_steps
from metabench.learning.predictors import after, over_tasks, predictors
from metabench.learning.schedules import hold_then_linear
from metabench.learning.task_encoder import TaskEncoder

WEIGHT, BIAS = "head.weight", "head.bias"


@hyperparameters
class TaskEmbedding(GradientBased):
    r"""Encode the support set as one vector, and generate the learner from it.

    .. math::
        z = \mathrm{encode}(\text{support}), \quad \theta_z = \mathrm{FiLM}(\theta, z), \quad
        p(y = k \mid x) \propto
        \exp\left(-\textstyle\sum_j w_j(z)\,(f_{\theta_z}(x)_j - c_{kj})^2\right)

    A set encoder gives the task vector; FiLM turns it into shifts and scales of the backbone's
    channels; and :math:`w = e^{A z}` says which features count in the distance to the class means
    :math:`c_k`. FiLM and :math:`A` start at zero, so training starts from a Prototypical Network.
    In regression the head is a linear function of the task vector. Gradient steps on the support
    set may follow, first order.

    Reference: In the manner of CNAPs (Requeima et al. 2019, arXiv:1906.07697) and of
    task-conditioned metrics (Oreshkin et al. 2018, arXiv:1805.10123).
    Deviates: From CNAPs: FiLM is not autoregressive, the backbone is trained with the rest, and the
        head is a diagonal metric.
    """

    name: ClassVar[str] = "task-embedding"
    version: ClassVar[str] = "2"

    task_size: int = 64  # length of a task vector
    hidden: int = 128  # width of the encoder's hidden layers
    inner_steps: int = 0  # gradient steps on the support set in meta-training
    test_steps: int = 0  # gradient steps on the support set at meta-test
    inner_lr: float = 0.01  # rate of the gradient steps
    train_ways: int = 20  # classes in a training episode; 0: as at test
    train_queries: int = 5  # queries for each class in a training episode; in regression in all
    tasks: int = 3  # episodes in an outer step
    lr: float = 1e-3  # learning rate of Adam
    hold: float = 0.5  # share of the budget after which the rate falls linearly to 0
    backbone: str = ""  # the network below the head; by default the benchmark's own

    def __post_init__(self) -> None:
        problem = self.problem
        self.gradient_order = 1 if self.inner_steps else None
        self.encoder = TaskEncoder(
            problem, size=self.task_size, hidden=self.hidden, backbone=self.backbone
        )
        self.body = problem.backbone(self.backbone)
        self.film = FiLM(self.body, self.task_size)
        features, outputs = self.body.features, problem.outputs
        self.head = nn.Linear(
            self.task_size, (features + 1) * outputs if problem.regression else features
        )
        if not problem.regression:
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)

    def meta_train(self, tasks: TaskStream) -> None:
        """See :class:`Algorithm`."""
        optimizer = tasks.keep(torch.optim.Adam(self.parameters(), lr=self.lr))
        ways = None if self.problem.regression else self.train_ways or None
        for batch in tasks.batches(self.tasks, ways=ways, queries=self.train_queries):
            for group in optimizer.param_groups:
                group["lr"] = self.lr * hold_then_linear(tasks.progress, self.hold)
            loss = self.query_losses(batch).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            tasks.log(loss)

    @over_tasks
    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        return after(self.test_steps, self.trajectory(support))

    def embed(self, support: Support) -> Tensor:
        """Returns the task vector of one support set, ``[task_size]``."""
        vector: Tensor = self.encoder(support.as_batch())[0]
        return vector

    def trajectory(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`."""
        with torch.set_grad_enabled(self.training or support.keep_graph):
            generated = self.generate(support)
        steps = gradient_steps(
            self.forward_tasks,
            generated,
            support,
            self.problem.loss,
            rate=self.inner_lr,
            adapted=lambda name: name in (WEIGHT, BIAS) or name in self.film.lengths,
        )
        # First order: the steps are constants, and the outer gradient flows to what was generated.
        trajectory = (
            {name: p + (moved[name] - p).detach() for name, p in generated.items()}
            for moved in steps
        )
        return predictors(self.forward_tasks, trajectory)

    def generate(self, support: Support) -> Params:
        """Returns the learner's parameters for ``T`` support sets, ``[T, ...]``."""
        vectors = self.encoder(support)
        body = self.film(self.body, vectors)
        head = self.head(vectors)
        if self.problem.regression:
            rows = head.view(len(head), -1, self.problem.outputs)
            return {**body, WEIGHT: rows[:, :-1], BIAS: rows[:, -1]}
        metric = head.exp().unsqueeze(1)
        means = support.class_means(self.body.forward_tasks(body, support.x))
        # The squared distance expanded; what does not depend on the class is left out.
        weight = (2 * metric * means).transpose(1, 2)
        return {**body, WEIGHT: weight, BIAS: -(metric * means.square()).sum(-1)}

    def forward_tasks(
        self, params: Mapping[str, Tensor], x: Tensor, *, twice: bool = False
    ) -> Tensor:
        """Run the learner: inputs ``[T, B, *input]`` to predictions ``[T, B, outputs]``."""
        body = {name: p for name, p in params.items() if name not in (WEIGHT, BIAS)}
        features = self.body.forward_tasks(body, x, twice=twice)
        return torch.baddbmm(params[BIAS].unsqueeze(1), features, params[WEIGHT])
