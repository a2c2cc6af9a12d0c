r"""The network that gradient-based methods adapt, with a head that is learned or starts from zeros.

An episode numbers its classes at random, and a learned head fits the numbers that it happens to be
given: noise, of which Adam makes steps as large as any. Averaged over all numberings :math:`\pi` of
the ``N`` classes of an episode, the outer gradient moves all columns of a head with equal columns
alike, which the softmax does not see:

.. math::
    \tfrac{1}{N!} \textstyle\sum_\pi \nabla_{w_c} L^{(\pi)} = \tfrac1N \sum_j \nabla_{w_j} L = 0

So a head of zeros stays one, and the gradient of everything else is the same under every numbering:
to start from zeros and to learn nothing of the head is to learn from all numberings at once. As it
treats all classes alike, an episode of meta-training may have more classes than one at meta-test.

Reference: Kao, Chiu and Chen 2022, arXiv:2106.15367 (the zeroing trick); Ye and Chao 2022,
arXiv:2106.16245 (one vector for all classes).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, Literal

from torch import nn

from metabench.algorithms.base import Predictor
from metabench.algorithms.problem import Problem
from metabench.backbones.base import updates_buffers
from metabench.backbones.network import LinearHead, Network
from metabench.episodes import Support
from metabench.errors import NotApplicable, UsageError
from metabench.learning.inner_loop import Params, Rate, gradient_steps, task_params
from metabench.learning.predictors import predictors
from metabench.learning.zero_head_steps import zero_head_steps

Norm = Literal["batch", "running"]
"""Statistics of batch norm at test: of the batch, or running ones of meta-training."""

StepNorm = Literal["batch", "running", "per-step"]
"""The same, or running statistics of each inner step (MAML++)."""


class Learner(Network):
    """A backbone with a linear head for a problem.

    Args:
        problem: The problem.
        backbone: The name of the backbone; by default the benchmark's own.
        zero_head: Whether every episode starts from a head of zeros, and nothing of the head is
            learned.
        train_ways: Classes in an episode of meta-training; 0 means as many as at meta-test.
        options: Options of the backbone, such as ``norm``; those that it does not have are left
            out.

    Attributes:
        zero_head: See above.

    Raises:
        NotApplicable: If a head of zeros is asked for in regression.
        UsageError: If a learned head is to have other classes in meta-training than at meta-test,
            or the backbone does not keep the statistics that ``norm`` asks for.
    """

    def __init__(
        self,
        problem: Problem,
        backbone: str = "",
        *,
        zero_head: bool = False,
        train_ways: int = 0,
        **options: Any,
    ) -> None:
        _check_head(problem, zero_head=zero_head, train_ways=train_ways)
        body = problem.backbone(backbone, **_known_options(problem, backbone, options))
        super().__init__(body, LinearHead(body.features, problem.outputs, zeros=zero_head))
        self.zero_head = zero_head
        self.ways = problem.ways

    def for_classes_of(self, support: Support) -> Network:
        """Returns the network for an episode's classes: a head of zeros has as many columns."""
        if not self.zero_head or support.ways == self.features:
            return self
        with support.x.device:  # made there: a copy would break the capture of a CUDA graph
            head = LinearHead(self.backbone.features, support.ways, zeros=True)
        return Network(self.backbone, head.to(support.x.dtype))

    def rate_scale(self, support: Support) -> float:
        """Returns the factor of an inner learning rate for the number of classes in an episode.

        The loss is a mean over examples, so the gradient of one class shrinks with their number.
        """
        return support.ways / self.ways if self.zero_head else 1.0

    def sees_batch(self) -> bool:
        """Returns whether batch norm takes the statistics of the batch in evaluation too."""
        return any(
            getattr(module, "norm", "") == "batch"
            or getattr(module, "track_running_stats", True) is False
            for module in self.modules()
        )


def learned_parameters(method: nn.Module, learner: Learner) -> list[nn.Parameter]:
    """Returns what the outer loop learns: all parameters of a method but a head of zeros."""
    fixed = set(learner.head.parameters()) if learner.zero_head else set()
    return [p for p in method.parameters() if p not in fixed]


def descend(
    learner: Learner,
    support: Support,
    loss: Callable[..., Any],
    *,
    rate: Rate,
    adapted: Callable[[str], bool] = lambda name: True,
    second_order: bool = False,
    keep_graph: bool = False,
) -> Iterator[Predictor]:
    """Yield the predictors of ``T`` tasks after 0, 1, 2, ... gradient steps of the whole learner.

    Args:
        learner: The network.
        support: ``T`` support sets.
        loss: See :func:`~metabench.learning.inner_loop.gradient_steps`, as all that follows.
        rate: The learning rate or update rule.
        adapted: Which parameters are adapted, by name.
        second_order: Whether to differentiate through the gradients.
        keep_graph: Whether gradients flow from the adapted to the initial parameters.
    """
    network = learner.for_classes_of(support)
    steps: Callable[..., Iterator[Params]] = functools.partial(
        gradient_steps, network.forward_tasks
    )
    # zero_head_steps takes two steps in one pass, which would update running statistics once.
    if learner.zero_head and not updates_buffers(network):
        steps = functools.partial(zero_head_steps, network)
    trajectory = steps(
        task_params(network, len(support.x)),
        support,
        loss,
        rate=rate,
        adapted=adapted,
        second_order=second_order,
        keep_graph=keep_graph,
    )
    return predictors(network.forward_tasks, trajectory)


def _check_head(problem: Problem, *, zero_head: bool, train_ways: int) -> None:
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


def _known_options(problem: Problem, backbone: str, options: dict[str, Any]) -> dict[str, Any]:
    """Returns the options that the backbone has: one without batch norm has no ``norm``."""
    known = inspect.signature(type(problem.backbone(backbone))).parameters
    if options.get("norm") == "per-step" and "norm" in known and "steps" not in known:
        raise UsageError(
            "norm='per-step' asks for statistics of each inner step, which the backbone "
            f"'{backbone or problem.backbone_name}' does not keep.",
            hint="'batch' and 'running' take those of the batch, and those of all steps together.",
        )
    return {name: value for name, value in options.items() if name in known}
