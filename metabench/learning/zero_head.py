"""A head that starts every episode from zeros: what a learned one comes to, without its noise."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from torch import nn

from metabench.algorithms.base import Predictor
from metabench.algorithms.problem import Problem
from metabench.backbones.base import keeps_statistics
from metabench.backbones.network import LinearHead, Network
from metabench.episodes import Support
from metabench.errors import NotApplicable, UsageError
from metabench.learning.inner_loop import (
    GradientBased,
    Params,
    Rate,
    gradient_steps,
    predictors,
    task_params,
)
from metabench.learning.zero_head_steps import steps_from_zeros


class ZeroHead(GradientBased):
    r"""A method whose learner has a linear head, which is learned or starts every episode from zeros.

    An episode numbers its classes at random, and a head that is learned learns the numbers that it happened
    to be given: noise, of which Adam makes steps as large as any. Averaged over all numberings :math:`\pi` of
    an episode's ``N`` classes, the outer gradient moves the columns of a head whose columns are equal alike,
    and softmax does not see that:

    .. math::
        \tfrac{1}{N!} \textstyle\sum_\pi \nabla_{w_c} L^{(\pi)} = \tfrac1N \sum_j \nabla_{w_j} L = 0

    So a head of zeros stays one, and the gradient of everything else is the same under every numbering: to
    start from zeros and to learn nothing of the head is to start there and to learn from all numberings at
    once. Such a head treats all classes alike, and an episode of meta-training may have more of them than
    one at test.

    Reference: Kao, Chiu and Chen 2022, arXiv:2106.15367 (the zeroing trick); Ye and Chao 2022,
    arXiv:2106.16245 (one vector for all classes).

    Attributes:
        learner: the network that is adapted.
        zero_head: whether every episode starts from a head of zeros, and nothing of the head is learned.
        train_ways: classes in an episode of meta-training.
    """

    learner: Network
    zero_head: bool = False
    train_ways: int = 0

    def learned(self) -> list[nn.Parameter]:
        """What the outer loop learns: all parameters, but for a head of zeros."""
        fixed = set(self.learner.head.parameters()) if self.zero_head else set()
        return [p for p in self.parameters() if p not in fixed]

    def learner_for(self, support: Support) -> Network:
        """The learner for the classes of the support sets: a head of zeros has as many as there are."""
        if not self.zero_head or support.ways == self.learner.features:
            return self.learner
        with (
            support.x.device
        ):  # no copy to the device, which the capture of a CUDA graph would not allow
            head = LinearHead(self.learner.backbone.features, support.ways, zeros=True)
        return Network(self.learner.backbone, head.to(support.x.dtype))

    def rate_for(self, support: Support) -> float:
        """The factor of an inner learning rate: the loss is a mean, here over other classes than at test."""
        return support.ways / self.problem.ways if self.zero_head else 1.0

    def descend(
        self,
        support: Support,
        *,
        rate: Rate,
        adapted: Callable[[str], bool] = lambda name: True,
        recompute: bool = False,
    ) -> Iterator[Predictor]:
        """The predictors after 0, 1, 2, ... gradient steps of the whole learner on ``T`` support sets.

        Args:
            support: ``x`` ``[T, S, *input]`` and ``y`` ``[T, S]``.
            rate: see :func:`gradient_steps`, as all that follows.
            adapted: which parameters are adapted, by name.
            recompute: take steps again in the backward pass instead of keeping their graphs.
        """
        learner, loss = self.learner_for(support), self.problem.loss
        params = task_params(learner, len(support.x))
        take: Callable[..., Iterator[Params]]
        # What a pass writes to running statistics is of one step, and it would serve two.
        if self.zero_head and not recompute and not keeps_statistics(learner):
            take = functools.partial(steps_from_zeros, learner)
        else:
            take = functools.partial(gradient_steps, learner.forward_tasks, recompute=recompute)
        second_order = self.gradient_order == 2
        steps = take(
            params,
            support,
            loss,
            rate=rate,
            adapted=adapted,
            second_order=second_order,
            keep_graph=self.training,
        )
        return predictors(learner.forward_tasks, steps)

    def start_from(self, *, zero_head: bool, train_ways: int) -> None:
        """Take over the two settings.

        Args:
            zero_head: see the attributes.
            train_ways: see the attributes; 0 means as at test.

        Raises:
            NotApplicable: a head of zeros for regression.
            UsageError: other ways in training than at test for a learned head.
        """
        problem = self.problem
        if zero_head and problem.regression:
            raise NotApplicable(
                "zero_head=True starts with all classes alike, and this benchmark is regression."
            )
        if train_ways not in (0, problem.ways) and not zero_head:
            raise UsageError(
                f"train_ways={train_ways} asks for another head in meta-training than the learned one, "
                f"which has {problem.ways} classes.",
                hint="`zero_head=True` starts from a head of zeros with as many classes as there are.",
            )
        self.zero_head = zero_head
        self.train_ways = train_ways or problem.ways
        self.depends_on_label_order = not zero_head


def many_ways(problem: Problem) -> int:
    """The classes of an episode of meta-training that recipes take from a head of zeros on images."""
    return max(20, 2 * problem.ways)
