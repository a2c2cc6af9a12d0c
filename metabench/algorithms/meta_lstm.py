"""Meta-LSTM: optimisation as a model for few-shot learning."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from metabench.algorithms.base import Predictor, Value
from metabench.algorithms.maml import image_recipe
from metabench.algorithms.problem import Problem
from metabench.backbones.network import Network
from metabench.episodes import Support
from metabench.learning.inner_loop import (
    Params,
    make_learner,
    predictors,
    sees_its_batch,
    task_params,
)
from metabench.learning.outer_loop import MetaGradient

P = 10.0
"""The p of the preprocessing: what is smaller than ``exp(-p)`` is scaled and not taken the logarithm of."""


def preprocess(x: Tensor) -> Tensor:
    r"""Numbers of any magnitude as two of about 1, one row each.

    .. math::
        x \mapsto \begin{cases}
            (\log|x| / p, \; \mathrm{sign}(x)) & \text{if } |x| \ge e^{-p} \\
            (-1, \; e^p x) & \text{otherwise}
        \end{cases}

    Args:
        x: any shape.

    Returns:
        ``[*x.shape, 2]``.

    Reference: Andrychowicz et al. 2016, arXiv:1606.04474, appendix A.
    """
    large = x.abs() >= math.exp(-P)
    logarithm = x.abs().clamp(min=math.exp(-P)).log() / P
    return torch.stack(
        [torch.where(large, logarithm, -1.0), torch.where(large, x.sign(), math.exp(P) * x)], -1
    )


@dataclass
class State:
    """Where the optimiser stands with ``T`` learners of ``N`` coordinates.

    Args:
        theta: the learners' parameters, which are the second layer's cell state, ``[T, N]``.
        forget: the last forget gate, ``[T, N]``.
        input: the last input gate, ``[T, N]``.
        lstm: hidden and cell state of the first layer, ``[T, hidden, N]`` each; zero at the start.
    """

    theta: Tensor
    forget: Tensor
    input: Tensor
    lstm: tuple[Tensor, Tensor] | None = None


class Optimizer(nn.Module):
    r"""The learned optimiser: a two-layer LSTM that all coordinates of the learner share.

    It starts out as gradient descent: the forget gate close to 1, the input gate to 0.01 as in the paper.

    Args:
        hidden: hidden units of the first layer.
        open_at: about where the bias of the input gate starts, before the sigmoid.
    """

    def __init__(self, hidden: int, *, open_at: float = -4.5) -> None:
        super().__init__()
        self.lstm = nn.LSTMCell(4, hidden)
        self.forget_gate = nn.Linear(hidden + 2, 1)
        self.input_gate = nn.Linear(hidden + 2, 1)
        for weight in [*self.lstm.parameters(), self.forget_gate.weight, self.input_gate.weight]:
            nn.init.uniform_(weight, -0.01, 0.01)
        nn.init.uniform_(self.forget_gate.bias, 4, 6)
        nn.init.uniform_(self.input_gate.bias, open_at - 0.5, open_at + 0.5)

    def forward(self, gradient: Tensor, loss: Tensor, state: State) -> State:
        """One update of ``T`` learners.

        Args:
            gradient: of the support loss, ``[T, N]``.
            loss: the support loss, ``[T]``.
            state: the state before it.
        """
        hidden, cell = self._first_layer(gradient, loss, state.lstm)
        of_hidden, of_theta, of_last = self._second_layer(hidden.shape[1])
        logits = torch.matmul(of_hidden, hidden)
        theta = state.theta
        forget = (
            logits[:, 0] + theta * of_theta[0] + state.forget * of_last[0] + self.forget_gate.bias
        ).sigmoid()
        input_ = (
            logits[:, 1] + theta * of_theta[1] + state.input * of_last[1] + self.input_gate.bias
        ).sigmoid()
        return State(forget * theta - input_ * gradient, forget, input_, (hidden, cell))

    def _second_layer(self, hidden: int) -> tuple[Tensor, Tensor, Tensor]:
        """The two gates' weights by what they stand on: ``[2, hidden]``, ``[2]`` and ``[2]``."""
        weight = torch.cat([self.forget_gate.weight, self.input_gate.weight])
        return weight[:, :hidden], weight[:, hidden], weight[:, hidden + 1]

    def _first_layer(
        self, gradient: Tensor, loss: Tensor, last: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """As calling ``self.lstm``, with the coordinates last, where every gate is one block: twice as fast.

        One product takes all inputs, and a row of ones the bias, so that the gates are written once.

        Returns:
            Hidden and cell state, ``[T, hidden, N]`` each.
        """
        of_gradient, of_loss = self.lstm.weight_ih.split(2, 1)
        bias = self.lstm.bias_ih + self.lstm.bias_hh + preprocess(loss) @ of_loss.T
        weights = [of_gradient.expand(len(loss), -1, -1), bias.unsqueeze(2)]
        inputs = [preprocess(gradient).transpose(1, 2), torch.ones_like(gradient).unsqueeze(1)]
        if last is not None:
            weights.append(self.lstm.weight_hh.expand(len(loss), -1, -1))
            inputs.append(last[0])
        gates = torch.bmm(torch.cat(weights, 2), torch.cat(inputs, 1))
        input_, forget, candidate, output = gates.chunk(4, 1)
        cell = input_.sigmoid() * _tanh(candidate)
        if last is not None:
            cell = forget.sigmoid() * last[1] + cell
        return output.sigmoid() * _tanh(cell), cell


def _tanh(x: Tensor) -> Tensor:
    """``tanh`` by way of the sigmoid, which PyTorch computes in a fifth of the time on a CPU."""
    return 2 * (2 * x).sigmoid() - 1


class MetaLSTM(MetaGradient):
    r"""Meta-LSTM: learn the optimiser, an LSTM whose cell state is the learner's parameters.

    .. math::
        \theta_k = f_k \circ \theta_{k-1} - i_k \circ \nabla_k, \qquad
        f_k = \sigma(W_F [h_k, \theta_{k-1}, f_{k-1}] + b_F), \quad
        i_k = \sigma(W_I [h_k, \theta_{k-1}, i_{k-1}] + b_I)

    where :math:`h_k` is a first LSTM layer's output for the preprocessed gradient and loss, coordinate by
    coordinate. The initial cell state :math:`\theta_0`, the initialisation of the learner, is learned too.
    Gradients and losses are constants to the outer loop (first order).

    Batch norm uses the statistics of the batch while the learner is updated. For the queries those of the
    support set, under the learner as it has become, stand in for the running averages that the paper's code
    starts afresh for each support set: no query sees another, in meta-training either.

    Reference: Ravi and Larochelle 2017, "Optimization as a model for few-shot learning", ICLR;
    twitter/meta-learning-lstm.
    Measured: leaderboards/omniglot (5-way 1-shot 96.0, 5-shot 98.0, 20-way 1-shot 84.0, 5-shot 92.8; the
    paper has no Omniglot). Those of 20 ways rise no further in the last third of their budgets, and stay
    behind FOMAML, whose queries share a batch. While meta-training took the statistics of the queries the
    first was 92.0, after 800,000 examples.
    Deviates: the queries' statistics are those of the last update, not averaged over all, and in
    meta-training, too, the support set's: what is trained is what is tested. Omniglot (5-way 1-shot,
    meta-validation) comes to 93.6 % after 360,000 examples, where with the queries' own it took 800,000, and
    to 96.6 % after 1.2 million. The outer learning rate falls to 0 by the end of the budget; 12 updates for 5
    shots, too, where the paper has 8 or 5, since training is on one shot.
    On images every episode starts from a head of zeros, and one of meta-training has 20 classes (40 for 20
    ways), half of them mirrored, and one support image of each, as in MAML: 80,000 examples of Omniglot
    (5-way 1-shot, meta-validation) bring 78.6 % with the learned head, and 24,000 bring 81.5 % from zeros
    (3 queries, the paper's rate). 24,000 of glyphs bring 73.4 % with the learned head, from zeros 83.2 %, and
    with 7 queries, which cost little beside the LSTM, 80.0 % at the paper's rate and 86.5 % at 3e-3. Averaged
    over the numberings of an episode the outer gradient moves all columns of a head alike, here as elsewhere;
    but the gates look at the parameters, so that one column for all could be learned, and is not.
    With 20 ways no step is larger than a fifth of the gradient, and the gates start half open. What a step
    does to the gradients after it is no part of a first-order outer gradient, which goes on asking for larger
    ones until all gates are wide open, on the backbone too: 1.2 million examples came to 73.4 % (20-way
    1-shot, meta-validation; now 85.7), where the second step left a support loss of 6.8. 96,000 examples
    bring 69.8 % with the paper's gates, 73.5 % with steps of at most 0.2, 76.6 % half open, and 80.7 % at an
    outer rate of 6e-3 (73.6 at 1.2e-2; 69.4 with 5 updates; 79.4 with 20 classes in training).
    On the sinusoid it takes many small outer steps at a large rate. 5 tasks a step at the paper's rate and
    clipping come to 2.98 after 125,000 points (meta-validation), where joint models are before they adapt; at
    0.01, clipped at 1, to 1.72, and 2 tasks with 60,000 points to 1.39 (1 task to 1.87; at 0.003 to 2.35).

    Args:
        problem: what it is built for.
        hidden: hidden units of the first layer.
        inner_steps: updates in meta-training and, for the same, at meta-test.
        max_rate: the inner learning rate of an input gate that is wide open.
        open_at: about where the bias of the input gate starts, before the sigmoid.
        tasks: tasks in an outer step.
        zero_head: whether every episode starts from a head of zeros, and nothing of the head is learned.
        train_ways: classes in an episode of meta-training, with a head of zeros; 0 means as at test.
        train_shots: support examples for each class in meta-training; 0 means as at test.
        train_queries: queries for each class in meta-training.
        outer_lr: Adam's learning rate.
        anneal: let the outer learning rate fall to 0 along half a cosine.
        clip: the norm that the outer gradient is cut down to.
        mirror: whether half of the classes of a training episode are mirrored, where inputs are images.
        channels: channels of each block of a convolutional learner.
        transductive: whether queries are predicted as one batch.
        backbone: the network below the head; by default the benchmark's own.

    Raises:
        NotApplicable: a head of zeros for regression.
        UsageError: other ways in training than at test for a learned head.
    """

    name: ClassVar[str] = "meta-lstm"
    version: ClassVar[str] = "4"
    gradient_order = 1

    def __init__(
        self,
        problem: Problem,
        *,
        hidden: int = 20,
        inner_steps: int = 12,
        max_rate: float = 1.0,
        open_at: float = -4.5,
        tasks: int = 1,
        zero_head: bool = False,
        train_ways: int = 0,
        train_shots: int = 0,
        train_queries: int = 15,
        outer_lr: float = 1e-3,
        anneal: bool = True,
        clip: float = 0.25,
        mirror: bool = False,
        channels: int = 32,
        transductive: bool = False,
        backbone: str = "",
    ) -> None:
        super().__init__(problem)
        self.inner_steps = self.test_steps = inner_steps
        self.max_rate = max_rate
        self.tasks = tasks
        self.start_from(zero_head=zero_head, train_ways=train_ways)
        self.train_shots = train_shots or problem.shots
        self.train_queries = train_queries
        self.outer_lr = outer_lr
        self.anneal = anneal
        self.clip = clip
        self.mirror = mirror and problem.images
        self.learner = make_learner(
            problem, backbone, zero_head=zero_head, norm="batch", scale=True, channels=channels
        )
        self.transductive = sees_its_batch(self.learner) and (transductive or problem.regression)
        self.optimizer = Optimizer(hidden, open_at=open_at)

    @classmethod
    def recipe(cls, problem: Problem) -> Mapping[str, Value]:
        """The paper's updates for one shot: on images from a head of zeros, on the sinusoid for a minute."""
        if problem.regression:
            return {
                "inner_steps": 5,
                "tasks": 2,
                "train_queries": 10,
                "outer_lr": 0.01,
                "clip": 1.0,
                "budget": 60_000,
            }
        own: dict[str, Value] = {"train_queries": 7, "outer_lr": 3e-3, "mirror": True}
        if problem.ways >= 20:
            own |= {"max_rate": 0.2, "open_at": 0.0, "outer_lr": 6e-3}
        return image_recipe(problem, budget=1_200_000) | own

    def path(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`."""
        learner = self.learner_for(support)
        path = (of_coordinates(learner, state.theta) for state in self.updates(learner, support))
        if self.transductive or not sees_its_batch(learner):
            return predictors(learner.forward_tasks, path)
        return (
            functools.partial(learner.forward_tasks_beside, params, support.x) for params in path
        )

    def updates(self, learner: Network, support: Support) -> Iterator[State]:
        """The states of the optimiser after 0, 1, 2, ... updates of ``T`` learners."""
        start = task_params(learner, len(support.x)).values()
        attacked = support.x.requires_grad
        theta = torch.cat([p.flatten(1) for p in start], 1)
        if not (self.training or attacked):
            theta = theta.detach()
        state = State(theta, torch.zeros_like(theta), torch.zeros_like(theta))
        # An episode with other ways than at test looks to the optimiser like one of those, loss and slopes.
        of_slope, of_loss = self.max_rate * self.rate_for(support), self._loss_for(support)
        while True:
            yield state
            with torch.enable_grad():
                theta = state.theta if attacked else state.theta.detach().requires_grad_()
                outputs = learner.forward_tasks(of_coordinates(learner, theta), support.x)
                loss = self.problem.loss(outputs, support.y)
                (slope,) = torch.autograd.grad(loss.sum(), theta, create_graph=attacked)
            with torch.set_grad_enabled(self.training or attacked):
                seen = loss if attacked else loss.detach()
                state = self.optimizer(of_slope * slope, of_loss * seen, state)

    def _loss_for(self, support: Support) -> float:
        if support.ways == self.problem.ways:
            return 1.0
        return math.log(self.problem.ways) / math.log(support.ways)


def of_coordinates(learner: Network, theta: Tensor) -> Params:
    """All coordinates of ``T`` learners ``[T, N]`` as their parameters ``[T, ...]`` by name."""
    names, params = zip(*learner.named_parameters(), strict=True)
    parts = theta.split([p.numel() for p in params], 1)
    return {n: part.unflatten(1, p.shape) for n, part, p in zip(names, parts, params, strict=True)}
