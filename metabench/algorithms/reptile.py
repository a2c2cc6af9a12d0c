"""Reptile. Measured and tried: docs/algorithms/reptile.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from metabench.algorithms.base import Predictor, hyperparameters
from metabench.episodes import Support, TaskBatch, TaskStream
from metabench.learning.adam import Adam
from metabench.learning.divergence import locate_divergence
from metabench.learning.gradient_based import GradientBased
from metabench.learning.inner_loop import Params, gradient_steps, task_params
from metabench.learning.learner import Learner, Norm, learned_parameters, query_forward
from metabench.learning.predictors import after, over_tasks, predictors

BETA2 = 0.999
"""Decay of the inner Adam's second moments."""


@hyperparameters
class Reptile(GradientBased):
    r"""Train on a task for some steps, and move the initialisation towards the result.

    .. math::
        \theta \leftarrow \theta
        + \epsilon \, \textstyle\frac{1}{T} \sum_t (\theta'_t - \theta), \qquad
        \theta'_t = \text{Adam}_K(\theta, L_t)

    The inner optimiser is Adam without momentum, on mini-batches without replacement. Each task
    takes its second moments over from the one before, and a test task from meta-training. There is
    no query set in meta-training. Batch norm uses the statistics of the mini-batch, and of the
    support set for queries; its shift and scale are adapted.

    Reference: Nichol, Achiam and Schulman 2018, arXiv:1803.02999, algorithm 2;
    openai/supervised-reptile.
    Deviates:
        * The tasks of an outer step start from the same second moments, which are then updated as
          if one task had followed the other.
        * At test, mini-batches have a fixed shuffled order: adapting is a function of the support.
        * The paper normalises all queries together (``norm="batch"``), or each in one batch with
          the support set.
    """

    name: ClassVar[str] = "reptile"
    version: ClassVar[str] = "2"
    gradient_order = 1

    inner_lr: float = 1e-3  # rate of the inner Adam
    inner_steps: int = 5  # inner steps in meta-training
    inner_batch: int = 10  # examples in an inner step of meta-training
    test_steps: int = 50  # inner steps at meta-test
    test_batch: int = 5  # examples in an inner step at meta-test
    train_shots: int = 10  # examples for each class in meta-training
    tasks: int = 5  # tasks in an outer step
    meta_step: float = 1.0  # step size of the outer loop at the start; falls linearly to 0
    balanced: bool = False  # whether mini-batches use every class once before any class twice
    norm: Norm = "support"  # statistics of batch norm: support, batch or running
    backbone: str = ""  # the network below the head; by default the benchmark's own

    def __post_init__(self) -> None:
        self.learner = Learner(
            self.problem,
            self.backbone,
            norm=self.norm,
            zero_head=self.zero_head,
            scale=True,
        )
        self.transductive = self.learner.transductive
        self.depends_on_label_order = not self.zero_head
        self.adam_steps: Tensor
        self.register_buffer("adam_steps", torch.zeros((), dtype=torch.int64))
        for i, p in enumerate(self.learner.parameters()):
            self.register_buffer(f"second_moment_{i}", torch.zeros_like(p))

    def meta_train(self, tasks: TaskStream) -> None:
        """See :class:`Algorithm`."""
        # SGD on the distance to the adapted parameters is the outer step of the paper.
        parameters = learned_parameters(self, self.learner)
        outer = tasks.keep(torch.optim.SGD(parameters, lr=self.meta_step))
        ways, shots = self.train_ways or None, self.train_shots - 1
        for batch in tasks.batches(self.tasks, ways=ways, shots=shots, queries=1):
            examples = self._examples(batch)
            batches = self._mini_batches(examples, _random_orders(examples.x), self.inner_batch)
            adam, losses = self._adam(examples), list[Tensor]()
            adapted = after(self.inner_steps, self._steps(examples, batches, adam, losses))
            self._set_gradients(adapted)
            outer.param_groups[0]["lr"] = self.meta_step * (1 - tasks.progress)
            outer.step()
            self._update_second_moments(adam, examples.ways)
            with locate_divergence(losses, steps=self.inner_steps):
                tasks.log(losses[-1].mean())

    @over_tasks
    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        return after(self.test_steps, self.trajectory(support))

    def trajectory(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`."""
        batches = self._mini_batches(support, _fixed_orders(support.x), self.test_batch)
        steps = self._steps(support, batches, self._adam(support), [])
        return predictors(query_forward(self.learner.for_classes_of(support), support), steps)

    def _examples(self, batch: TaskBatch) -> Support:
        """Returns all examples of the tasks as support sets: there are no queries to keep back."""
        x = torch.cat([batch.support_x, batch.query_x], 1)
        y = torch.cat([batch.support_y, batch.query_y], 1)
        return Support(x, y, batch.ways)

    def _mini_batches(
        self, examples: Support, orders: Iterator[Tensor], size: int
    ) -> Iterator[Support]:
        if self.balanced and not self.problem.regression:
            orders = (class_by_class(examples, order) for order in orders)
        return mini_batches(examples, orders, size)

    def _steps(
        self,
        examples: Support,
        batches: Iterator[Support],
        adam: Adam,
        losses: list[Tensor],
    ) -> Iterator[Params]:
        """Yield the parameters after each inner step; the losses are appended to a list."""

        def loss(predictions: Tensor, targets: Tensor) -> Tensor:
            each = self.problem.loss(predictions, targets)
            losses.append(each.detach())
            return each

        network = self.learner.for_classes_of(examples)
        start = task_params(network, len(examples.x))
        return gradient_steps(network.forward_tasks, start, batches, loss, rate=adam)

    def _set_gradients(self, adapted: Params) -> None:
        """Set ``.grad`` to the distance from the adapted parameters, the mean over tasks."""
        for name, p in self.learner.named_parameters():
            if self.learner.is_learned(name):
                p.grad = p.detach() - adapted[name].detach().mean(0)

    def _adam(self, examples: Support) -> Adam:
        moments = self.moments_for(examples.ways)
        steps = int(self.adam_steps)
        return Adam(self.inner_lr, beta1=0.0, beta2=BETA2, second_moments=moments, steps=steps)

    def moments_for(self, ways: int) -> Params:
        """Returns the second moments by parameter for an episode of so many classes."""
        del ways
        names = [name for name, _ in self.learner.named_parameters()]
        return {name: self.get_buffer(f"second_moment_{i}") for i, name in enumerate(names)}

    def kept_moment(self, name: str, moment: Tensor, ways: int) -> Tensor:
        """Return what is kept of a parameter's second moment after a task of so many classes."""
        del name, ways
        return moment

    def _update_second_moments(self, adam: Adam, ways: int) -> None:
        """Update the second moments as if the tasks had followed each other."""
        kept = BETA2**self.inner_steps
        for name, start in Reptile.moments_for(self, ways).items():
            total = start.clone()
            for own in adam.second_moments[name]:
                total = kept * total + (self.kept_moment(name, own, ways) - kept * start)
            start.copy_(total)
        self.adam_steps += self.tasks * self.inner_steps


def mini_batches(examples: Support, orders: Iterator[Tensor], size: int) -> Iterator[Support]:
    """Yield mini-batches without replacement; after each pass the order is another.

    Args:
        examples: ``T`` sets of examples, ``x`` ``[T, S, *input]``.
        orders: int64 ``[T, S]``, the order of each task's examples in every pass.
        size: Examples in a mini-batch.
    """
    rows = torch.arange(len(examples.x), device=examples.x.device).unsqueeze(1)
    left = next(orders)
    while True:
        while left.shape[1] < size:
            left = torch.cat([left, next(orders)], 1)
        now, left = left[:, :size], left[:, size:]
        yield Support(
            examples.x[rows, now],
            examples.y[rows, now],
            examples.ways,
            keep_graph=examples.keep_graph,
        )


def class_by_class(examples: Support, order: Tensor) -> Tensor:
    """Returns an order that uses every class once before any class twice, and so on.

    Args:
        examples: Examples with labels ``y`` ``[T, S]``.
        order: int64 ``[T, S]``, which the examples of each class keep among themselves.
    """
    labels = examples.y.gather(1, order)
    counts = F.one_hot(labels, examples.ways).cumsum(1)
    occurrence = counts.gather(2, labels.unsqueeze(2)).squeeze(2)
    return order.gather(1, occurrence.argsort(dim=1, stable=True))


def _random_orders(x: Tensor) -> Iterator[Tensor]:
    while True:
        yield torch.rand(x.shape[:2], device=x.device).argsort(1)


def _fixed_orders(x: Tensor) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(0)
    while True:
        yield torch.randperm(x.shape[1], generator=generator).to(x.device).expand(x.shape[:2])
