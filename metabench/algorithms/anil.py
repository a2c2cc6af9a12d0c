"""Almost No Inner Loop. Measured and tried: docs/algorithms/anil.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from metabench.algorithms.base import Predictor, hyperparameters
from metabench.episodes import Support, TaskStream
from metabench.episodes.augmentation import mirror_half
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

    Raises:
        NotApplicable: If a head of zeros is asked for in regression.
        UsageError: If a learned head is to have other classes in training than at test.
    """

    name: ClassVar[str] = "anil"
    version: ClassVar[str] = "3"
    gradient_order = 2

    inner_lr: float = 0.2  # rate of the inner loop; with a head of zeros, for the ways of the test
    inner_steps: int = 5  # inner steps in meta-training
    test_steps: int = 5  # inner steps at meta-test
    tasks: int = 4  # tasks in an outer step
    zero_head: bool = False  # whether episodes start from a head of zeros, which is not learned
    train_ways: int = 0  # classes in a training episode, with a head of zeros; 0: as at test
    train_shots: int = 0  # support examples for each class in training; 0: as at test
    train_queries: int = 0  # queries for each class in training; 0: as many as the shots
    outer_lr: float = 3e-3  # rate of Adam in the outer loop
    anneal: bool = True  # whether the outer rate falls to 0 along half a cosine
    mirror: bool = True  # whether half of the classes of a training episode of images are mirrored
    norm: Norm = "batch"  # statistics of batch norm at test: batch, or running ones of training
    backbone: str = ""  # the network below the head; by default the benchmark's own

    def __post_init__(self) -> None:
        self.learner = Learner(
            self.problem,
            self.backbone,
            zero_head=self.zero_head,
            train_ways=self.train_ways,
            norm=self.norm,
            scale=False,
        )
        self.transductive = self.learner.sees_batch()
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
            mirror_half(batches) if self.mirror and self.problem.images else batches,
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
        body = task_params(network.backbone, len(support.x))

        def embed(x: Tensor) -> Tensor:
            return network.backbone.forward_tasks(body, x)

        with torch.set_grad_enabled(self.training or support.keep_graph):
            features = embed(support.x)
        heads: Iterator[Params] = gradient_steps(
            network.head.forward_tasks,
            task_params(network.head, len(support.x)),
            Support(features, support.y, support.ways, keep_graph=support.keep_graph),
            self.problem.loss,
            rate=self.inner_lr * self.learner.rate_scale(support),
            second_order=True,
            keep_graph=self.training,
        )
        return predictors(lambda head, x: network.head.forward_tasks(head, embed(x)), heads)
