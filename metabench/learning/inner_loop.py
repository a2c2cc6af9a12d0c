"""The inner loop of every gradient-based method: differentiable steps on the support sets of many tasks.

Batch norm: the learners made here use the statistics of the batch, in training and at test, or (where a
method offers it) at test the running statistics of meta-training: one for all, or one for each inner step,
which the network is told by :func:`~metabench.backbones.inner_step.inner_step`.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from metabench.algorithms.base import Algorithm, Predictor
from metabench.algorithms.problem import Problem
from metabench.backbones.inner_step import inner_step
from metabench.backbones.network import LinearHead, Network
from metabench.backbones.order import differentiated_twice
from metabench.episodes import Support
from metabench.errors import UsageError
from metabench.learning.recompute import recomputed

Item = TypeVar("Item")
Params = dict[str, Tensor]
Forward = Callable[[Mapping[str, Tensor], Tensor], Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
Rule = Callable[[Params], Params]
"""Gradients ``[T, ...]`` to what is taken off the parameters: an optimiser that may have a memory."""
Rate = float | Mapping[str, Tensor] | Rule
Norm = Literal["batch", "running"]
StepNorm = Literal["batch", "running", "per-step"]

EPS = 1e-8
"""What Adam adds to the square root of the second moments."""


class GradientBased(Algorithm):
    """A method that adapts in inner steps; it says what its path of predictors is, and the rest follows.

    Attributes:
        test_steps: inner steps at meta-test.
    """

    test_steps: int

    @abstractmethod
    def path(self, support: Support) -> Iterator[Predictor]:
        """The predictors of ``T`` tasks after 0, 1, 2, ... inner steps, without end.

        In training mode a predictor is differentiable in the method's own parameters, through all steps; in
        evaluation mode no graph is kept from one step to the next.

        Args:
            support: ``x`` ``[T, S, *input]`` and ``y`` ``[T, S]``.
        """

    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        return single(self.adapt_batch(as_batch(support)))

    def adapt_batch(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        return after(self.test_steps, self.path(support))

    def adapt_path(self, support: Support, steps: int) -> Iterator[Predictor]:
        """See :class:`Algorithm`."""
        return map(single, itertools.islice(self.path(as_batch(support)), steps + 1))


def gradient_steps(
    forward: Forward,
    params: Params,
    support: Support | Iterator[Support],
    loss: Loss,
    *,
    rate: Rate,
    adapted: Callable[[str], bool] = lambda name: True,
    second_order: bool = False,
    keep_graph: bool = False,
    recompute: bool = False,
) -> Iterator[Params]:
    r"""Gradient descent on the support loss of ``T`` tasks at once, for as many steps as are taken.

    .. math:: \theta_t \leftarrow \theta_t - \alpha \nabla_{\theta_t} L_t(\theta_t)

    The tasks do not touch each other, so the gradient of the summed loss holds each one's own.

    Args:
        forward: parameters ``[T, ...]`` and inputs ``[T, S, *input]`` to predictions ``[T, S, outputs]``.
        params: the initial parameters, ``[T, ...]``.
        support: ``T`` support sets; or an iterator that gives each step a part of them (mini-batches).
        loss: predictions and targets to one loss a task, ``[T]``.
        rate: the inner learning rate: one for all, or one tensor for each parameter, with or without a
            leading task dimension; or a rule that turns gradients into steps, such as :class:`Adam`.
        adapted: which parameters are adapted, by name.
        second_order: keep the graph of the gradients themselves (MAML); else they are constants (FOMAML).
        keep_graph: let gradients flow from the adapted to the initial parameters; without it, as in
            meta-test, every step starts afresh and memory does not grow.
        recompute: where the graph is kept, keep the parameters alone and take each step again in the backward
            pass (:func:`recomputed`): the same numbers in more time and, for long loops, a fraction of the
            memory. Not for rates or inputs that gradients are to flow to.

    Where the support inputs require gradients (someone attacks them), the graph is kept whatever was asked.

    Yields:
        The parameters after 0, 1, 2, ... steps.
    """
    moving = [name for name in params if adapted(name)]

    def step(params: Mapping[str, Tensor], taken: int, part: Support, twice: bool) -> Params:
        with torch.enable_grad(), inner_step(taken):
            with differentiated_twice(twice):
                total = loss(forward(params, part.x), part.y).sum()
            gradients = torch.autograd.grad(
                total, [params[name] for name in moving], create_graph=twice
            )
            return taken_off(params, steps_of(rate, dict(zip(moving, gradients, strict=True))))

    parts = itertools.repeat(support) if isinstance(support, Support) else support
    for taken, part in enumerate(parts):
        attacked = part.x.requires_grad
        twice = attacked or (second_order and keep_graph)
        if not (keep_graph or attacked):
            params = cut_off(params, moving)
        yield params
        if recompute and keep_graph and not attacked:
            again = functools.partial(step, taken=taken, part=part, twice=twice)
            params = recomputed(again, params)
        else:
            params = step(params, taken, part, twice)


def cut_off(params: Mapping[str, Tensor], moving: list[str]) -> Params:
    """The parameters without where they came from; a graph can begin at those that are moving."""
    return {k: p.detach().requires_grad_(k in moving) for k, p in params.items()}


def taken_off(params: Mapping[str, Tensor], steps: Params) -> Params:
    """The parameters less the steps, where there is one."""
    return {k: p - steps[k] if k in steps else p for k, p in params.items()}


def steps_of(rate: Rate, gradients: Params) -> Params:
    """What gradients take off the parameters."""
    if isinstance(rate, Mapping):
        return {name: gradient * rate[name] for name, gradient in gradients.items()}
    if callable(rate):
        return rate(gradients)
    return {name: gradient * rate for name, gradient in gradients.items()}


class Adam:
    r"""Adam for ``T`` tasks at once, each with moments of its own.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
        \Delta = \frac{\alpha \, m / (1 - \beta_1^n)}{\sqrt{v / (1 - \beta_2^n)} + \epsilon}

    Reference: Kingma and Ba 2015, arXiv:1412.6980, algorithm 1.

    Args:
        rate: the learning rate.
        beta1: how long the first moment remembers.
        beta2: how long the second moment remembers.
        second_moments: where the second moments start, ``[T, ...]`` or without the task dimension; at zero
            by default.
        steps: how many steps those have seen.

    Attributes:
        second_moments: the second moments by parameter name, ``[T, ...]``.
        steps: how many steps they have seen.
    """

    def __init__(
        self,
        rate: float,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        second_moments: Mapping[str, Tensor] | None = None,
        steps: int = 0,
    ) -> None:
        self.rate = rate
        self.beta1 = beta1
        self.beta2 = beta2
        self.second_moments = dict(second_moments or {})
        self.steps = steps
        self._first_moments: Params = {}
        self._taken = 0

    def __call__(self, gradients: Params) -> Params:
        """Gradients to steps."""
        self.steps += 1
        self._taken += 1
        rate = self.rate / (1 - self.beta1**self._taken)
        correction = 1 / (1 - self.beta2**self.steps)
        steps = {}
        for name, gradient in gradients.items():
            zero = torch.zeros_like(gradient)
            first = torch.lerp(gradient, self._first_moments.get(name, zero), self.beta1)
            second = torch.lerp(gradient.square(), self.second_moments.get(name, zero), self.beta2)
            self._first_moments[name], self.second_moments[name] = first, second
            # The root has no slope at 0, where an attack on the support would meet it.
            deviation = (correction * second).clamp(min=EPS**3).sqrt()
            steps[name] = rate * first / (deviation + EPS)
        return steps


def task_params(module: nn.Module, tasks: int) -> Params:
    """The parameters of a module once for each task, ``[T, ...]``; gradients flow back to the module."""
    return {name: p.unsqueeze(0).expand(tasks, *p.shape) for name, p in module.named_parameters()}


def after(steps: int, path: Iterator[Item]) -> Item:
    """What a path gives after ``steps`` steps."""
    return next(itertools.islice(path, steps, None))


def predictors(forward: Forward, path: Iterator[Params]) -> Iterator[Predictor]:
    """A path of parameters as a path of predictors."""
    for steps, params in enumerate(path):
        yield _predictor(forward, params, steps)


def _predictor(forward: Forward, params: Params, steps: int) -> Predictor:
    def predict(query: Tensor) -> Tensor:
        with inner_step(steps):
            return forward(params, query)

    return predict


def as_batch(support: Support) -> Support:
    """One support set as a batch of one."""
    return Support(support.x.unsqueeze(0), support.y.unsqueeze(0), support.ways)


def single(predict: Predictor) -> Predictor:
    """A predictor for a batch of one task as a predictor for that task."""

    def predict_one(query: Tensor) -> Tensor:
        return predict(query.unsqueeze(0)).squeeze(0)

    return predict_one


def beside_support(predict: Predictor, support: Support) -> Predictor:
    """The predictor of ``T`` tasks that predicts each query in one batch with the support set.

    With batch norm by the batch's statistics this makes a method inductive: no query sees another.
    """

    def predict_apart(query: Tensor) -> Tensor:
        alone = [predict(torch.cat([support.x, q], 1))[:, -1] for q in query.split(1, dim=1)]
        return torch.stack(alone, 1)

    return predict_apart


def make_learner(
    problem: Problem, backbone: str = "", *, zero_head: bool = False, **options: Any
) -> Network:
    """A backbone with a linear head for a problem.

    Args:
        problem: the problem.
        backbone: the backbone's name; by default the benchmark's own.
        zero_head: let the head start from zeros.
        options: what the backbone is asked for; it is not told of options that it does not have, such as the
            batch-norm policy where there is no batch norm.

    Raises:
        UsageError: the backbone does not keep the statistics that it is asked for.
    """
    known = inspect.signature(type(problem.backbone(backbone))).parameters
    if options.get("norm") == "per-step" and "norm" in known and "steps" not in known:
        raise UsageError(
            f"norm='per-step' asks for statistics of each inner step, which the backbone "
            f"'{backbone or problem.backbone_name}' does not keep.",
            hint="'batch' and 'running' take those of the batch, and those of all steps together.",
        )
    body = problem.backbone(backbone, **{k: v for k, v in options.items() if k in known})
    return Network(body, LinearHead(body.features, problem.outputs, zeros=zero_head))


def sees_its_batch(network: nn.Module) -> bool:
    """Whether batch norm in a network takes the statistics of the batch in evaluation mode too."""
    return any(
        getattr(m, "norm", "") == "batch" or getattr(m, "track_running_stats", True) is False
        for m in network.modules()
    )


def cosine(progress: float) -> float:
    """What falls from 1 to 0 along half a cosine while ``progress`` goes from 0 to 1."""
    return (1 + math.cos(math.pi * progress)) / 2
