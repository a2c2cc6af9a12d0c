"""Fast Context Adaptation via Meta-Learning. Measured and tried: docs/algorithms/cavia.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from torch import Tensor, nn

from metabench.algorithms.base import Predictor, hyperparameters
from metabench.episodes import Support, TaskStream
from metabench.learning.gradient_based import GradientBased
from metabench.learning.inner_loop import Params, gradient_steps, task_params
from metabench.learning.learner import Learner, Norm
from metabench.learning.outer_loop import descend_query_loss
from metabench.learning.predictors import after, over_tasks, predictors


@hyperparameters
class CAVIA(GradientBased):
    r"""One network for all tasks, and a small context vector that gradient steps adapt to each.

    .. math::
        \phi_t = -\alpha \nabla_\phi L^\text{support}_t(\phi, \theta) \big|_{\phi = 0}, \qquad
        \theta \leftarrow \theta
        - \beta \nabla_\theta \textstyle\sum_t L^\text{query}_t(\phi_t, \theta)

    In regression the context is concatenated to the input, which is a shift of the first layer by
    a learned linear map of it. In classification a learned linear map of it is added to the shift
    and scale of every batch norm (FiLM), which uses the statistics of the support set.

    Reference: Zintgraf, Shiarlis, Kurin, Hofmann and Whiteson 2019, arXiv:1810.03642, algorithm 1;
    lmzintgraf/cavia.
    Deviates:
        * FiLM in every block and not in the third only.
        * The outer rate falls to 0 along a cosine and not in stairs.
        * In classification, smaller outer steps at a larger rate.
    """

    name: ClassVar[str] = "cavia"
    version: ClassVar[str] = "2"
    depends_on_label_order = True

    context: int = 100  # length of the context vector
    inner_lr: float = 1.0  # rate of the inner loop
    inner_steps: int = 2  # inner steps in meta-training
    test_steps: int = 2  # inner steps at meta-test
    tasks: int = 4  # tasks in an outer step
    train_shots: int = 0  # support examples for each class in training; 0: as at test
    train_queries: int = 0  # queries for each class in training; 0: as many as the shots
    outer_lr: float = 3e-3  # rate of Adam in the outer loop
    anneal: bool = True  # whether the outer rate falls to 0 along half a cosine
    first_order: bool = False  # whether inner gradients are constants
    norm: Norm = "support"  # statistics of batch norm: support, batch or running
    backbone: str = ""  # the network below the head; by default the benchmark's own

    def __post_init__(self) -> None:
        self.learner = Learner(self.problem, self.backbone, norm=self.norm, scale=True)
        self.gradient_order = 1 if self.first_order else 2
        self.transductive = self.learner.transductive
        vectors = [
            name
            for name, p in self.learner.named_parameters()
            if name.startswith("backbone.") and p.ndim == 1
        ]
        self.modulated = vectors[:1] if self.problem.regression else vectors
        sizes = [self.learner.get_parameter(name).numel() for name in self.modulated]
        self.maps = nn.ModuleList(nn.Linear(self.context, size, bias=False) for size in sizes)

    def meta_train(self, tasks: TaskStream) -> None:
        """See :class:`Algorithm`."""
        shots = self.train_shots or self.problem.shots
        descend_query_loss(
            self,
            tasks,
            tasks.batches(self.tasks, shots=shots, queries=self.train_queries or shots),
            self.parameters(),
            lr=self.outer_lr,
            anneal=self.anneal,
        )

    @over_tasks
    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        return after(self.test_steps, self.trajectory(support))

    def trajectory(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`."""
        start = support.x.new_zeros(len(support.x), self.context, requires_grad=True)
        contexts = gradient_steps(
            self.forward_tasks,
            {"context": start},
            support,
            self.problem.loss,
            rate=self.inner_lr,
            second_order=not self.first_order,
            keep_graph=self.training,
        )
        return predictors(
            lambda params, x: self.learner.forward_queries(
                self.modulated_params(params["context"]), support.x, x
            ),
            contexts,
        )

    def modulated_params(self, context: Tensor) -> Params:
        """Returns the parameters of the network ``[T, ...]`` under contexts ``[T, context]``."""
        params = task_params(self.learner, len(context))
        for name, shift_of in zip(self.modulated, self.maps, strict=True):
            params[name] = params[name] + shift_of(context)
        return params

    def forward_tasks(
        self, params: Mapping[str, Tensor], x: Tensor, *, twice: bool = False
    ) -> Tensor:
        """Run the network under the context of each task.

        Args:
            params: ``context`` ``[T, context]``.
            x: ``[T, B, *input]``.
            twice: Whether the result will be differentiated twice.

        Returns:
            ``[T, B, outputs]``.
        """
        return self.learner.forward_tasks(self.modulated_params(params["context"]), x, twice=twice)
