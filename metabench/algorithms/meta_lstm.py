"""Meta-LSTM. Measured and tried: docs/algorithms/meta-lstm.md."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from metabench.algorithms.base import Predictor, hyperparameters
from metabench.backbones.network import Network
from metabench.episodes import Support, TaskStream
from metabench.learning.gradient_based import GradientBased
from metabench.learning.inner_loop import Params, task_params
from metabench.learning.learner import Learner, Norm, query_forward
from metabench.learning.outer_loop import descend_query_loss
from metabench.learning.predictors import after, over_tasks, predictors

P = 10.0
"""Numbers below ``exp(-P)`` are scaled instead of replaced by their logarithm."""


@hyperparameters
class MetaLSTM(GradientBased):
    r"""Learn the optimiser, an LSTM whose cell state is the learner's parameters.

    .. math::
        \theta_k = f_k \circ \theta_{k-1} - i_k \circ \nabla_k, \quad
        f_k = \sigma(W_F [h_k, \theta_{k-1}, f_{k-1}] + b_F), \quad
        i_k = \sigma(W_I [h_k, \theta_{k-1}, i_{k-1}] + b_I)

    where :math:`h_k` is a first LSTM layer's output for the preprocessed gradient and loss, for
    each coordinate. The initialisation :math:`\theta_0` is learned too; gradients and losses are
    constants to the outer loop (first order).

    Batch norm uses the statistics of the support set under the updated learner.

    Reference: Ravi and Larochelle 2017, "Optimization as a model for few-shot learning", ICLR;
    twitter/meta-learning-lstm.
    Deviates:
        * Statistics for queries are of the last update, where the paper averages over updates.
        * The outer rate falls to 0 within the budget.
    """

    name: ClassVar[str] = "meta-lstm"
    version: ClassVar[str] = "6"
    gradient_order = 1
    depends_on_label_order = True

    hidden: int = 20  # hidden units of the first LSTM layer
    inner_steps: int = 12  # updates in meta-training and at meta-test
    max_rate: float = 1.0  # inner rate of an input gate that is fully open
    open_at: float = -4.5  # mean initial bias of the input gate, before the sigmoid
    tasks: int = 1  # tasks in an outer step
    train_shots: int = 0  # support examples for each class in training; 0: as at test
    train_queries: int = 15  # queries for each class in training
    outer_lr: float = 1e-3  # rate of Adam in the outer loop
    anneal: bool = True  # whether the outer rate falls to 0 along half a cosine
    clip: float = 0.25  # norm to which the outer gradient is clipped
    channels: int = 0  # channels of each block of a convolutional learner; 0: as its backbone has
    norm: Norm = "support"  # statistics of batch norm: support, batch or running
    backbone: str = ""  # the network below the head; by default the benchmark's own

    def __post_init__(self) -> None:
        width = {"channels": self.channels} if self.channels else {}
        self.learner = Learner(
            self.problem,
            self.backbone,
            norm=self.norm,
            scale=True,
            **width,  # type: ignore[arg-type]  # an option of the backbone, not `zero_head`
        )
        self.transductive = self.learner.transductive
        self.test_steps = self.inner_steps
        self.optimizer = LearnedOptimizer(self.hidden, open_at=self.open_at)

    def meta_train(self, tasks: TaskStream) -> None:
        """See :class:`Algorithm`."""
        batches = tasks.batches(
            self.tasks,
            shots=self.train_shots or None,
            queries=self.train_queries,
        )
        descend_query_loss(
            self,
            tasks,
            batches,
            self.parameters(),
            lr=self.outer_lr,
            anneal=self.anneal,
            clip=self.clip,
        )

    @over_tasks
    def adapt(self, support: Support) -> Predictor:
        """See :class:`Algorithm`."""
        return after(self.test_steps, self.trajectory(support))

    def trajectory(self, support: Support) -> Iterator[Predictor]:
        """See :class:`GradientBased`."""
        params = (split_coordinates(self.learner, s.theta) for s in self.updates(support))
        return predictors(query_forward(self.learner, support), params)

    def updates(self, support: Support) -> Iterator[LSTMState]:
        """Yield the states of the optimiser after 0, 1, 2, ... updates of ``T`` learners."""
        network = self.learner
        differentiable = self.training or support.keep_graph
        start = task_params(network, len(support.x)).values()
        theta = torch.cat([p.flatten(1) for p in start], 1)
        if not differentiable:
            theta = theta.detach()
        state = LSTMState(theta, torch.zeros_like(theta), torch.zeros_like(theta))
        while True:
            yield state
            with torch.enable_grad():
                theta = state.theta
                if not support.keep_graph:
                    theta = theta.detach().requires_grad_()
                outputs = network.forward_tasks(
                    split_coordinates(network, theta), support.x, twice=support.keep_graph
                )
                loss = self.problem.loss(outputs, support.y)
                (gradient,) = torch.autograd.grad(
                    loss.sum(), theta, create_graph=support.keep_graph
                )
            with torch.set_grad_enabled(differentiable):
                seen = loss if support.keep_graph else loss.detach()
                state = self.optimizer(self.max_rate * gradient, seen, state)


@dataclass
class LSTMState:
    """The state of the learned optimiser for ``T`` learners of ``N`` coordinates.

    Args:
        theta: The learners' parameters, which are the second layer's cell state, ``[T, N]``.
        forget: The last forget gate, ``[T, N]``.
        input: The last input gate, ``[T, N]``.
        lstm: Hidden and cell state of the first layer, ``[T, hidden, N]`` each; zero at the start.
    """

    theta: Tensor
    forget: Tensor
    input: Tensor
    lstm: tuple[Tensor, Tensor] | None = None


class LearnedOptimizer(nn.Module):
    r"""The learned optimiser: a two-layer LSTM that all coordinates of the learner share.

    It starts as gradient descent: the forget gate near 1, the input gate near 0.01 as in the paper.

    Args:
        hidden: Hidden units of the first layer.
        open_at: The mean initial bias of the input gate, before the sigmoid.
    """

    def __init__(self, hidden: int, *, open_at: float = -4.5) -> None:
        super().__init__()
        self.lstm = nn.LSTMCell(4, hidden)
        self.forget_gate = nn.Linear(hidden + 2, 1)
        self.input_gate = nn.Linear(hidden + 2, 1)
        for weight in [
            *self.lstm.parameters(),
            self.forget_gate.weight,
            self.input_gate.weight,
        ]:
            nn.init.uniform_(weight, -0.01, 0.01)
        nn.init.uniform_(self.forget_gate.bias, 4, 6)
        nn.init.uniform_(self.input_gate.bias, open_at - 0.5, open_at + 0.5)

    def forward(self, gradient: Tensor, loss: Tensor, state: LSTMState) -> LSTMState:
        """Update ``T`` learners once.

        Args:
            gradient: The gradient of the support loss, ``[T, N]``.
            loss: The support loss, ``[T]``.
            state: The state before the update.
        """
        hidden, cell = self._first_layer(gradient, loss, state.lstm)
        by_hidden, by_theta, by_last = self._second_layer(hidden.shape[1])
        logits = torch.matmul(by_hidden, hidden)
        theta = state.theta
        forget = (
            logits[:, 0] + theta * by_theta[0] + state.forget * by_last[0] + self.forget_gate.bias
        ).sigmoid()
        input_ = (
            logits[:, 1] + theta * by_theta[1] + state.input * by_last[1] + self.input_gate.bias
        ).sigmoid()
        return LSTMState(forget * theta - input_ * gradient, forget, input_, (hidden, cell))

    def _second_layer(self, hidden: int) -> tuple[Tensor, Tensor, Tensor]:
        """Returns the two gates' weights by their input: ``[2, hidden]``, ``[2]`` and ``[2]``."""
        weight = torch.cat([self.forget_gate.weight, self.input_gate.weight])
        return weight[:, :hidden], weight[:, hidden], weight[:, hidden + 1]

    def _first_layer(
        self, gradient: Tensor, loss: Tensor, last: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        """Run ``self.lstm`` with the coordinates last, where every gate is one block.

        Returns:
            Hidden and cell state, ``[T, hidden, N]`` each.
        """
        # Twice as fast as calling the cell: one product for all inputs, and a row of ones for the
        # bias, so that the gates are written once.
        by_gradient, by_loss = self.lstm.weight_ih.split(2, 1)
        bias = self.lstm.bias_ih + self.lstm.bias_hh + preprocess(loss) @ by_loss.T
        weights = [by_gradient.expand(len(loss), -1, -1), bias.unsqueeze(2)]
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


def preprocess(x: Tensor) -> Tensor:
    r"""Map numbers of any magnitude to two numbers of about 1.

    .. math::
        x \mapsto \begin{cases}
            (\log|x| / p, \; \mathrm{sign}(x)) & \text{if } |x| \ge e^{-p} \\
            (-1, \; e^p x) & \text{otherwise}
        \end{cases}

    Reference: Andrychowicz et al. 2016, arXiv:1606.04474, appendix A.

    Args:
        x: Any shape.

    Returns:
        ``[*x.shape, 2]``.
    """
    large = x.abs() >= math.exp(-P)
    logarithm = x.abs().clamp(min=math.exp(-P)).log() / P
    return torch.stack(
        [torch.where(large, logarithm, -1.0), torch.where(large, x.sign(), math.exp(P) * x)],
        -1,
    )


def split_coordinates(network: Network, theta: Tensor) -> Params:
    """Split coordinates ``[T, N]`` into the parameters ``[T, ...]`` of ``T`` networks by name."""
    names, params = zip(*network.named_parameters(), strict=True)
    parts = theta.split([p.numel() for p in params], 1)
    return {n: part.unflatten(1, p.shape) for n, part, p in zip(names, parts, params, strict=True)}


def _tanh(x: Tensor) -> Tensor:
    # By the sigmoid, which PyTorch computes in a fifth of the time on a CPU.
    return 2 * (2 * x).sigmoid() - 1
