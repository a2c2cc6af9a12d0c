"""Meta-SGD. Measured and tried: docs/algorithms/meta-sgd.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from metabench.algorithms.base import Predictor, hyperparameters
from metabench.episodes import Support, TaskStream
from metabench.learning.gradient_based import GradientBased
from metabench.learning.learner import Learner, StepNorm, descend, learned_parameters
from metabench.learning.outer_loop import descend_query_loss
from metabench.learning.predictors import after, over_tasks

INITIAL_RATES = (0.005, 0.1)
"""The range from which the one initial value of all rates is drawn (section 4.1)."""


@hyperparameters
class MetaSGD(GradientBased):
    r"""Learn the initialisation, and a learning rate of the inner step for each parameter.

    .. math::
        \theta'_t = \theta - \alpha \circ \nabla_\theta L^\text{support}_t(\theta), \qquad
        (\theta, \alpha) \leftarrow (\theta, \alpha)
        - \beta \nabla_{(\theta, \alpha)} \textstyle\sum_t L^\text{query}_t(\theta'_t)

    A rate may become negative: :math:`\alpha` gives the direction of the step too. Every parameter
    is adapted, also the shift of batch norm, which is otherwise as in
    :class:`~metabench.algorithms.maml.MAML`.

    Reference: Li, Zhou, Chen and Li 2017, arXiv:1707.09835, algorithm 1.
    Deviates: As MAML.
    """

    name: ClassVar[str] = "meta-sgd"
    version: ClassVar[str] = "3"
    gradient_order = 2

    inner_steps: int = 1  # inner steps in meta-training
    test_steps: int = 1  # inner steps at meta-test
    tasks: int = 4  # tasks in an outer step
    train_shots: int = 0  # support examples for each class in training; 0: as at test
    train_queries: int = 15  # queries for each class in training
    outer_lr: float = 3e-3  # rate of Adam in the outer loop, for initialisation and rates
    anneal: bool = True  # whether the outer rate falls to 0 along half a cosine
    norm: StepNorm = "support"  # statistics of batch norm: support, batch, running or per-step
    backbone: str = ""  # the network below the head; by default the benchmark's own

    def __post_init__(self) -> None:
        self.learner = Learner(
            self.problem,
            self.backbone,
            norm=self.norm,
            zero_head=self.zero_head,
            scale=False,
            steps=self.inner_steps + 1,
        )
        self.transductive = self.learner.transductive
        self.depends_on_label_order = not self.zero_head
        initial = torch.empty(()).uniform_(*INITIAL_RATES).item()
        self.rates = nn.ParameterList(
            torch.full(self.rate_shape(name, p), initial)
            for name, p in self.learner.named_parameters()
        )

    def meta_train(self, tasks: TaskStream) -> None:
        """See :class:`Algorithm`."""
        batches = tasks.batches(
            self.tasks,
            ways=self.train_ways or None,
            shots=self.train_shots or None,
            queries=self.train_queries,
        )
        descend_query_loss(
            self,
            tasks,
            batches,
            learned_parameters(self, self.learner),
            lr=self.outer_lr,
            anneal=self.anneal,
        )

    def rate_shape(self, name: str, parameter: Tensor) -> tuple[int, ...]:
        """Returns the shape of the rates of a parameter: one for each of its values."""
        del name
        return tuple(parameter.shape)

    @over_tasks
    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        return after(self.test_steps, self.trajectory(support))

    def trajectory(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`."""
        scale = self.learner.rate_scale(support)
        names = [name for name, _ in self.learner.named_parameters()]
        rates = [scale * (rate if self.training else rate.detach()) for rate in self.rates]
        return descend(
            self.learner,
            support,
            self.problem.loss,
            rate=dict(zip(names, rates, strict=True)),
            second_order=True,
            keep_graph=self.training,
        )
