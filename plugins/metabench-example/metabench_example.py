"""Example: a meta-learning algorithm for metabench."""

import torch
from metabench import Algorithm, NotApplicable, Predictor, Problem, Support, TaskStream, hookimpl
from torch import nn
from torch.nn import functional as F


class Example(Algorithm):
    r"""Classify by the nearest class mean after a learned linear map.

    .. math:: p(y = k \mid x) \propto \exp\left(-\lVert Wx - \overline{Wx}_k \rVert^2\right)

    Args:
        problem: The shape of an input, ways, shots and the loss.
        features: The dimension that inputs are mapped to.
        tasks: Episodes in an outer step.
        lr: Learning rate of Adam.
    """

    name = "example"
    version = "1"  # raise it when results change, so that stored cells are run again

    def __init__(
        self, problem: Problem, *, features: int = 64, tasks: int = 8, lr: float = 1e-3
    ) -> None:
        super().__init__(problem)
        if problem.regression:
            raise NotApplicable("example classifies, and this benchmark is regression.")
        self.tasks = tasks
        self.lr = lr
        self.embed = nn.Linear(torch.Size(problem.input_shape).numel(), features, bias=False)

    def meta_train(self, tasks: TaskStream) -> None:
        """Learn from training tasks until the stream ends, when the budget is spent."""
        # State that changes in training and is not in the state_dict goes through `keep`, so that
        # an interrupted run continues from its checkpoint.
        optimizer = tasks.keep(torch.optim.Adam(self.parameters(), lr=self.lr))
        for batch in tasks.batches(self.tasks):
            logits = self.adapt_batch(batch.support)(batch.query_x)  # [tasks, queries, ways]
            loss = F.cross_entropy(logits.flatten(0, 1), batch.query_y.flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            tasks.log(loss)  # for the learning curve; a loss that is not finite fails the cell

    def adapt(self, support: Support) -> Predictor:
        """Adapt to one support set: ``x [S, *input]`` and labels ``y [S]``."""
        return self.adapt_batch(support)

    def adapt_batch(self, support: Support) -> Predictor:
        """Adapt to many support sets at once; optional, for speed."""
        first = support.y.ndim  # the dimensions from here on are those of an input
        means = support.class_means(self.embed(support.x.flatten(first)))  # [..., ways, features]
        return lambda query: -torch.cdist(self.embed(query.flatten(first)), means).square()


@hookimpl
def metabench_algorithms() -> list[type[Algorithm]]:
    """Returns the algorithms of this plugin; `metabench.hookspecs` lists all hooks."""
    return [Example]
