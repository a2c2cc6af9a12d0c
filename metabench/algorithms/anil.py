"""Almost No Inner Loop. Measured and tried: docs/algorithms/anil.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch

from metabench.algorithms.base import Predictor, hyperparameters
from metabench.episodes import Support, TaskStream
from metabench.learning.gradient_based import GradientBased
from metabench.learning.inner_loop import Params, gradient_steps, task_params
from metabench.learning.learner import Learner, Norm, learned_parameters
from metabench.learning.outer_loop import descend_query_loss
from metabench.learning.predictors import after, over_tasks, predictors


@hyperparameters
class ANIL(GradientBased):
    r"""MAML whose inner loop adapts the head only.

    .. math::
        w'_t = w - \alpha \nabla_w L^\text{support}_t(w, \theta), \qquad
        (w, \theta) \leftarrow (w, \theta)
        - \beta \nabla_{(w, \theta)} \textstyle\sum_t L^\text{query}_t(w'_t, \theta)

    The body :math:`\theta` sees each support set once, however many inner steps follow. Batch norm
    is as in :class:`~metabench.algorithms.maml.MAML`.

    Reference: Raghu, Raghu, Bengio and Vinyals 2020, arXiv:1909.09157, section 4.
    Deviates: As MAML.
    """

    name: ClassVar[str] = "anil"
    version: ClassVar[str] = "4"
    gradient_order = 2

    inner_lr: float = 0.2  # rate of the inner loop
    inner_steps: int = 5  # inner steps in meta-training
    test_steps: int = 5  # inner steps at meta-test
    tasks: int = 4  # tasks in an outer step
    train_shots: int = 0  # support examples for each class in training; 0: as at test
    train_queries: int = 0  # queries for each class in training; 0: as many as the shots
    outer_lr: float = 3e-3  # rate of Adam in the outer loop
    anneal: bool = True  # whether the outer rate falls to 0 along half a cosine
    norm: Norm = "support"  # statistics of batch norm: support, batch or running
    backbone: str = ""  # the network below the head; by default the benchmark's own

    def __post_init__(self) -> None:
        self.learner = Learner(
            self.problem,
            self.backbone,
            norm=self.norm,
            zero_head=self.zero_head,
            scale=False,
        )
        self.transductive = self.learner.transductive
        self.depends_on_label_order = not self.zero_head

    def meta_train(self, tasks: TaskStream) -> None:
        """See :class:`Algorithm`."""
        shots = self.train_shots or self.problem.shots
        batches = tasks.batches(
            self.tasks,
            ways=self.train_ways or None,
            shots=shots,
            queries=self.train_queries or shots,
        )
        descend_query_loss(
            self,
            tasks,
            batches,
            learned_parameters(self, self.learner),
            lr=self.outer_lr,
            anneal=self.anneal,
        )

    @over_tasks
    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        return after(self.test_steps, self.trajectory(support))

    def trajectory(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`."""
        network = self.learner.for_classes_of(support)
        params = task_params(network, len(support.x))
        head = {name: p for name, p in params.items() if name.startswith(network.HEAD)}
        with torch.set_grad_enabled(self.training or support.keep_graph):
            features = network.forward_backbone(params, support.x)
        heads: Iterator[Params] = gradient_steps(
            network.forward_head,
            head,
            Support(features, support.y, support.ways, keep_graph=support.keep_graph),
            self.problem.loss,
            rate=self.inner_lr * self.learner.rate_scale(support),
            second_order=True,
            keep_graph=self.training,
        )
        return predictors(
            lambda head, x: network.forward_queries({**params, **head}, support.x, x), heads
        )
