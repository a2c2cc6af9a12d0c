"""Almost No Inner Loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from metabench.algorithms.base import Predictor, Value
from metabench.algorithms.maml import image_rate, image_recipe
from metabench.algorithms.problem import Problem
from metabench.episodes import Support
from metabench.learning.inner_loop import (
    Norm,
    gradient_steps,
    make_learner,
    predictors,
    sees_its_batch,
    task_params,
)
from metabench.learning.outer_loop import MetaGradient


class ANIL(MetaGradient):
    r"""Almost No Inner Loop: MAML whose inner loop adapts the head only.

    .. math::
        w'_t = w - \alpha \nabla_w L^\text{support}_t(w, \theta), \qquad
        (w, \theta) \leftarrow (w, \theta)
        - \beta \nabla_{(w, \theta)} \textstyle\sum_t L^\text{query}_t(w'_t, \theta)

    The body :math:`\theta` sees each support set once, however many inner steps follow, in meta-training and
    at test. Second order, so the body learns features that a gradient step on the head makes good use of.

    Batch norm is as in :class:`~metabench.algorithms.maml.MAML`.

    Reference: Raghu, Raghu, Bengio and Vinyals 2020, arXiv:1909.09157, section 4.
    Measured: leaderboards/omniglot (5-way 1-shot 98.2 and 5-shot 99.2; 20-way 1-shot 93.9 of the paper's
    96.2, 5-shot 98.1 of 98.0). A strided learner has 96.7, 95.7 and 95.5 % on meta-validation with 1, 3 and
    15 queries of each class in one batch; MAML's paper tests with 1.
    Deviates: as MAML, from a head of zeros among it. 72,000 examples of Omniglot (5-way 1-shot,
    meta-validation) bring 87.8 % with the learned head, 92.3 % from zeros with 5 classes in training, and,
    one task an outer step, 97.0 % with 20 classes and 97.1 % with 30 (inner rate 0.05; 20 classes with 0.025,
    0.1 and 0.25 96.4, 96.3 and 94.0 %, with three steps instead of five 96.4 %, with running statistics 94.4
    %). With 20 ways at test, 100,000 examples bring 88.9, 89.7 and 89.6 % with 20, 40 and 60 classes in
    training (inner rate 0.2; 40 classes with 0.1 88.2, 20 with 0.1 and 0.4 89.2 and 87.2 %); 1.2 million with
    20 classes came to 92.8 % at meta-test. 24,000 of glyphs bring 84.5 % with the learned head, and from
    zeros 87.9, 90.8, 92.1 and 90.9 % with 0.05, 0.1, 0.15 and 0.3; with 64 channels instead of 32, and so
    more features for a step to add up, 93.2 and 93.6 % with 0.05 and 0.15. 16,000 of 5-shot glyphs bring 86.0
    % with the learned head, and with 0.15 from zeros 93.9 % in episodes of five shots and 95.5 % of one. Ten
    inner steps at test, and not the five of training, bring 96.0 % of these, and 99.6 and not 99.3 % of
    Omniglot's 5-way 5-shot.

    Args:
        problem: what it is built for.
        inner_lr: learning rate of the inner loop. With a head of zeros it is that of an episode with as many
            classes as at test.
        inner_steps: inner steps in meta-training.
        test_steps: inner steps at meta-test.
        tasks: tasks in an outer step.
        zero_head: whether every episode starts from a head of zeros, and nothing of the head is learned.
        train_ways: classes in an episode of meta-training, with a head of zeros; 0 means as at test.
        train_shots: support examples for each class in meta-training; 0 means as at test.
        train_queries: queries for each class in meta-training; 0 means as many as the shots.
        outer_lr: Adam's learning rate in the outer loop.
        anneal: let the outer learning rate fall to 0 along half a cosine.
        mirror: whether half of the classes of a training episode are mirrored, where inputs are images.
        norm: the statistics that batch norm uses at test: the batch's own, or running ones of meta-training.
        backbone: the network below the head; by default the benchmark's own.

    Raises:
        NotApplicable: a head of zeros for regression.
        UsageError: other ways in training than at test for a learned head.
    """

    name: ClassVar[str] = "anil"
    version: ClassVar[str] = "3"
    gradient_order = 2

    def __init__(
        self,
        problem: Problem,
        *,
        inner_lr: float = 0.2,
        inner_steps: int = 5,
        test_steps: int = 5,
        tasks: int = 4,
        zero_head: bool = False,
        train_ways: int = 0,
        train_shots: int = 0,
        train_queries: int = 0,
        outer_lr: float = 3e-3,
        anneal: bool = True,
        mirror: bool = True,
        norm: Norm = "batch",
        backbone: str = "",
    ) -> None:
        super().__init__(problem)
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.test_steps = test_steps
        self.tasks = tasks
        self.start_from(zero_head=zero_head, train_ways=train_ways)
        self.train_shots = train_shots or problem.shots
        self.train_queries = train_queries or self.train_shots
        self.outer_lr = outer_lr
        self.anneal = anneal
        self.mirror = mirror and problem.images
        self.learner = make_learner(problem, backbone, zero_head=zero_head, norm=norm, scale=False)
        self.transductive = sees_its_batch(self.learner)

    @classmethod
    def recipe(cls, problem: Problem) -> Mapping[str, Value]:
        """The settings of MAML's experiments, which the paper repeats; images from a head of zeros."""
        if problem.regression:
            return {
                "inner_lr": 0.01,
                "inner_steps": 1,
                "test_steps": 1,
                "tasks": 10,
                "train_shots": 10,
            }
        return image_recipe(problem, budget=2_400_000) | {
            "inner_lr": image_rate(problem),
            "test_steps": 10,
        }

    def path(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`."""
        learner = self.learner_for(support)
        body, head = learner.backbone, learner.head
        shared = task_params(body, len(support.x))

        def embed(x: Tensor) -> Tensor:
            return body.forward_tasks(shared, x)

        with torch.set_grad_enabled(self.training or support.x.requires_grad):
            features = embed(support.x)
        heads = gradient_steps(
            head.forward_tasks,
            task_params(head, len(support.x)),
            Support(features, support.y, support.ways),
            self.problem.loss,
            rate=self.inner_lr * self.rate_for(support),
            second_order=True,
            keep_graph=self.training,
        )
        return predictors(lambda params, x: head.forward_tasks(params, embed(x)), heads)
