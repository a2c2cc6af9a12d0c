"""Model-Agnostic Meta-Learning. Measured and tried: docs/algorithms/maml.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from metabench.algorithms.base import Predictor, hyperparameters
from metabench.episodes import Support, TaskStream
from metabench.learning.gradient_based import GradientBased
from metabench.learning.learner import Learner, StepNorm, descend, learned_parameters
from metabench.learning.outer_loop import descend_query_loss
from metabench.learning.predictors import after, over_tasks


@hyperparameters
class MAML(GradientBased):
    r"""Learn an initialisation that a few gradient steps adapt well.

    .. math::
        \theta'_t = \theta - \alpha \nabla_\theta L^\text{support}_t(\theta), \qquad
        \theta \leftarrow \theta - \beta \nabla_\theta \textstyle\sum_t L^\text{query}_t(\theta'_t)

    Batch norm uses the statistics of the support set under the adapted parameters; its shift is
    meta-learned and not adapted, and it has no scale.

    Reference: Finn, Abbeel and Levine 2017, arXiv:1703.03400, algorithm 2; cbfinn/maml.
    Deviates:
        * The paper's code normalises queries by each other (``norm="batch"``): transductive.
        * On images, the benchmark's network, with max pools.
        * The outer rate falls to 0 within the budget.
    """

    name: ClassVar[str] = "maml"
    version: ClassVar[str] = "3"
    second_order: ClassVar[bool] = True

    inner_lr: float = 0.2  # rate of the inner loop
    inner_steps: int = 1  # inner steps in meta-training
    test_steps: int = 3  # inner steps at meta-test
    test_lr: float = 0.0  # rate of the inner loop at meta-test; 0: that of meta-training
    tasks: int = 4  # tasks in an outer step
    train_shots: int = 0  # support examples for each class in training; 0: as at test
    train_queries: int = 0  # queries for each class in training; 0: as many as the shots
    outer_lr: float = 3e-3  # rate of Adam in the outer loop
    anneal: bool = True  # whether the outer rate falls to 0 along half a cosine
    first_order: bool = False  # whether inner gradients are constants (FOMAML)
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
        self.gradient_order = 2 if self.second_order and not self.first_order else 1
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
        lr = self.inner_lr if self.training else self.test_lr or self.inner_lr
        return descend(
            self.learner,
            support,
            self.problem.loss,
            rate=lr * self.learner.rate_scale(support),
            adapted=self.adapts,
            second_order=self.gradient_order == 2,
            keep_graph=self.training,
        )

    def adapts(self, name: str) -> bool:
        """Returns whether the inner loop adapts a parameter: all but the shifts of batch norm."""
        return not name.endswith("beta")
