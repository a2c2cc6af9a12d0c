"""Model-Agnostic Meta-Learning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from metabench.algorithms.base import Algorithm, Predictor, Value
from metabench.algorithms.inner_loop import Params, after, gradient_steps, task_params
from metabench.algorithms.problem import Problem
from metabench.backbones.network import LinearHead, Network
from metabench.episodes import Support, TaskStream


class MAML(Algorithm):
    r"""Model-Agnostic Meta-Learning: learn an initialisation that a few gradient steps adapt well.

    .. math::
        \theta'_t = \theta - \alpha \nabla_\theta L^\text{support}_t(\theta), \qquad
        \theta \leftarrow \theta - \beta \nabla_\theta \textstyle\sum_t L^\text{query}_t(\theta'_t)

    Batch norm uses the statistics of the batch, so queries that are predicted together depend on each other
    (transductive), as in the paper's code; its shift is meta-learned and not adapted, and it has no scale.

    Reference: Finn, Abbeel and Levine 2017, arXiv:1703.03400, algorithm 2; cbfinn/maml.
    Measured: leaderboards/omniglot (5-way 1-shot, paper 98.7; 20-way 1-shot, paper 95.8).
    Deviates: the loss is a mean over examples where the code sums over classes, so the inner learning rate
    is in other units.

    Args:
        problem: what it is built for.
        inner_lr: learning rate of the inner loop.
        inner_steps: inner steps in meta-training.
        test_steps: inner steps at meta-test.
        tasks: tasks in an outer step.
        train_shots: support examples for each class in meta-training; 0 means as at test.
        train_queries: queries for each class in meta-training; 0 means as many as the shots.
        outer_lr: Adam's learning rate in the outer loop.
        first_order: treat the inner gradients as constants.
        backbone: the network below the head; by default the benchmark's own.
    """

    name: ClassVar[str] = "maml"

    def __init__(
        self,
        problem: Problem,
        *,
        inner_lr: float = 0.5,
        inner_steps: int = 1,
        test_steps: int = 3,
        tasks: int = 32,
        train_shots: int = 0,
        train_queries: int = 0,
        outer_lr: float = 3e-3,
        first_order: bool = False,
        backbone: str = "",
    ) -> None:
        super().__init__(problem)
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.test_steps = test_steps
        self.tasks = tasks
        self.train_shots = train_shots or problem.shots
        self.train_queries = train_queries or self.train_shots
        self.outer_lr = outer_lr
        self.first_order = first_order
        if problem.regression:
            body = problem.backbone(backbone, std=0.01)
            self.learner = Network(body, LinearHead(body.features, problem.outputs, std=0.01))
        else:
            body = problem.backbone(backbone, norm="batch", scale=False)
            self.learner = Network(body, LinearHead(body.features, problem.outputs))

    @classmethod
    def recipe(cls, problem: Problem) -> Mapping[str, Value]:
        """The sinusoid's and the 20-way settings of the paper."""
        if problem.regression:
            return {
                "inner_lr": 0.01,
                "test_steps": 1,
                "tasks": 25,
                "train_shots": 10,
                "outer_lr": 1e-3,
            }
        strided = {"backbone": "conv4-strided"}
        if problem.ways >= 20:
            return strided | {"inner_steps": 5, "test_steps": 5, "tasks": 16}
        return strided

    def meta_train(self, tasks: TaskStream) -> None:
        """See :class:`Algorithm`."""
        optimizer = tasks.keep(torch.optim.Adam(self.learner.parameters(), lr=self.outer_lr))
        for batch in tasks.batches(self.tasks, shots=self.train_shots, queries=self.train_queries):
            path = self._inner_path(batch.support, second_order=not self.first_order, keep_graph=True)
            adapted = after(self.inner_steps, path)
            predictions = self.learner.forward_tasks(adapted, batch.query_x)
            loss = self.problem.loss(predictions, batch.query_y).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            tasks.log(loss)

    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        return _single(self.adapt_batch(_as_batch(support)))

    def adapt_batch(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        return self._predictor(after(self.test_steps, self._inner_path(support)))

    def adapt_path(self, support: Support, steps: int) -> Iterator[Predictor]:
        """See :class:`Algorithm`."""
        path = self._inner_path(_as_batch(support))
        for _ in range(steps + 1):
            yield _single(self._predictor(next(path)))

    def _inner_path(
        self, support: Support, *, second_order: bool = False, keep_graph: bool = False
    ) -> Iterator[Params]:
        return gradient_steps(
            self.learner.forward_tasks,
            task_params(self.learner, len(support.x)),
            support,
            self.problem.loss,
            rate=self.inner_lr,
            adapted=lambda name: not name.endswith("beta"),
            second_order=second_order,
            keep_graph=keep_graph,
        )

    def _predictor(self, params: Params) -> Predictor:
        return lambda query: self.learner.forward_tasks(params, query)


def _as_batch(support: Support) -> Support:
    return Support(support.x.unsqueeze(0), support.y.unsqueeze(0), support.ways)


def _single(predict: Predictor) -> Predictor:
    def predict_one(query: Tensor) -> Tensor:
        return predict(query.unsqueeze(0)).squeeze(0)

    return predict_one
