"""The network that gradient-based methods adapt: a backbone with a linear head."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from torch import Tensor, nn

from metabench.algorithms.base import Predictor
from metabench.algorithms.problem import Problem
from metabench.backbones.base import updates_buffers
from metabench.backbones.network import LinearHead, Network
from metabench.episodes import Support
from metabench.errors import NotApplicable, UsageError
from metabench.learning.inner_loop import Params, Rate, gradient_steps, task_params
from metabench.learning.predictors import predictors
from metabench.learning.zero_head_steps import zero_head_steps

Norm = Literal["support", "batch", "running"]
"""Where batch norm takes its statistics from when queries are predicted.

``support``: from the support set under the adapted parameters, in meta-training as at meta-test, so
that no query depends on another. ``batch``: from all queries together, which is transductive.
``running``: from all of meta-training, and within meta-training from the queries together.
In the inner loop all three normalise the support set by itself, but for ``running`` at meta-test.
"""

StepNorm = Literal["support", "batch", "running", "per-step"]
"""The same, or running statistics of each inner step (MAML++)."""


class Learner(Network):
    """A backbone with a linear head for a problem.

    Args:
        problem: The problem.
        backbone: The name of the backbone; by default the benchmark's own.
        norm: The statistics of batch norm, if the backbone has one.
        zero_head: Whether every episode starts from a head of zeros, and nothing of the head is
            learned.
        options: Options of the backbone; those that it does not have are left out.

    Attributes:
        zero_head: See above.
        transductive: Whether queries that are predicted together depend on each other.

    Raises:
        NotApplicable: If a head of zeros is asked for in regression.
        UsageError: If the backbone does not keep the statistics that ``norm`` asks for.
    """

    def __init__(
        self,
        problem: Problem,
        backbone: str = "",
        *,
        norm: StepNorm = "support",
        zero_head: bool = False,
        **options: Any,
    ) -> None:
        if zero_head and problem.regression:
            raise NotApplicable("a head of zeros is for classes, and this benchmark is regression.")
        # To the backbone a support set is a batch like any: which examples are normalised by which
        # is decided where queries are predicted.
        options["norm"] = "batch" if norm == "support" else norm
        body = problem.backbone(backbone, **_known_options(problem, backbone, options))
        head = LinearHead(body.features, problem.outputs, zeros=zero_head)
        by_support = norm == "support" and sees_batch(body)
        super().__init__(body, head, by_support=by_support)
        self.transductive = sees_batch(body) and not by_support
        self.zero_head = zero_head
        self.ways = problem.ways

    def for_classes_of(self, support: Support) -> Network:
        """Returns the network for an episode's classes: a head of zeros has as many columns."""
        if not self.zero_head or support.ways == self.features:
            return self
        with support.x.device:  # made there: a copy would break the capture of a CUDA graph
            head = LinearHead(self.backbone.features, support.ways, zeros=True)
        return Network(self.backbone, head.to(support.x.dtype), by_support=self.by_support)

    def rate_scale(self, support: Support) -> float:
        """Returns the factor of an inner learning rate for the number of classes in an episode.

        The loss is a mean over examples, so the gradient of one class shrinks with their number.
        """
        return support.ways / self.ways if self.zero_head else 1.0

    def is_learned(self, name: str) -> bool:
        """Returns whether the outer loop learns a parameter: all but those of a head of zeros."""
        return not (self.zero_head and name.startswith(self.HEAD))


def sees_batch(module: nn.Module) -> bool:
    """Returns whether batch norm takes the statistics of the batch in evaluation too."""
    return any(
        getattr(part, "norm", "") == "batch" or getattr(part, "track_running_stats", True) is False
        for part in module.modules()
    )


def learned_parameters(method: nn.Module, learner: Learner) -> list[nn.Parameter]:
    """Returns what the outer loop learns: all parameters of a method but a head of zeros."""
    fixed = {p for name, p in learner.named_parameters() if not learner.is_learned(name)}
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
    return predictors(query_forward(network, support), trajectory)


def query_forward(
    network: Network, support: Support
) -> Callable[[Mapping[str, Tensor], Tensor], Tensor]:
    """Returns the function of adapted parameters and queries that predicts after the inner loop."""
    return lambda params, x: network.forward_queries(params, support.x, x)


def _known_options(problem: Problem, backbone: str, options: dict[str, Any]) -> dict[str, Any]:
    """Returns the options that the backbone has: one without batch norm has no ``norm``."""
    known = inspect.signature(type(problem.backbone(backbone))).parameters
    if options.get("norm") == "per-step" and "norm" in known and "steps" not in known:
        raise UsageError(
            "norm='per-step' asks for statistics of each inner step, which the backbone "
            f"'{backbone or problem.backbone_name}' does not keep.",
            hint="'support', 'batch' and 'running' work with every backbone.",
        )
    return {name: value for name, value in options.items() if name in known}
