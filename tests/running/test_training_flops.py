"""The floating-point operations of meta-training."""

import math

import pytest
import torch
from torch import nn

from metabench.algorithms.base import Algorithm, Support
from metabench.running.training_flops import training_flops
from tests.helpers.cells import blobs, cell, run_here, tasks_of

BUDGET = 480
EXAMPLES = 3 * (1 + 3)  # a task of the small benchmark


class Linear(Algorithm):
    """One linear layer, so that its operations are known."""

    name = "linear-flops"

    def __init__(self, problem) -> None:
        super().__init__(problem)
        self.layer = nn.Linear(math.prod(problem.input_shape), 7, bias=False)

    def meta_train(self, tasks) -> None:
        optimizer = tasks.keep(torch.optim.SGD(self.parameters(), lr=0.1))
        for batch in tasks.batches(2):
            optimizer.zero_grad()
            loss = self.layer(batch.query_x.flatten(2)).square().mean()
            loss.backward()
            optimizer.step()
            tasks.log(loss)

    def adapt(self, support: Support):
        return lambda x: x.new_zeros(len(x), 3)


class Untrained(Algorithm):
    """Without meta-training."""

    name = "untrained-flops"

    def adapt(self, support: Support):
        return lambda x: x.new_zeros(len(x), 3)


class Uncopyable(Linear):
    """An algorithm that cannot be copied."""

    name = "uncopyable-flops"

    def __deepcopy__(self, memo):
        raise TypeError("planted")


def made(planted, cls):
    tasks = tasks_of(planted, blobs())
    return cls(tasks.problem(planted.registry)), tasks


def test_they_are_those_of_all_outer_steps_forward_and_backward(planted) -> None:
    algorithm, tasks = made(planted, Linear)
    features, queries = algorithm.layer.in_features, 3 * 3
    # A product of n x d with d x k has 2 n d k operations. Backward, the weights need one more; the
    # inputs need no gradient.
    of_a_step = 2 * (2 * 2 * queries * features * 7)
    steps = BUDGET / (2 * EXAMPLES)
    assert training_flops(algorithm, tasks, BUDGET) == pytest.approx(of_a_step * steps)


def test_counting_changes_neither_the_algorithm_nor_the_random_state(planted) -> None:
    algorithm, tasks = made(planted, Linear)
    before = algorithm.layer.weight.detach().clone()
    state = torch.get_rng_state()
    training_flops(algorithm, tasks, BUDGET)
    assert torch.equal(algorithm.layer.weight, before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("cls", [Untrained, Uncopyable])
def test_they_are_unknown_without_training_and_where_no_copy_can_be_made(planted, cls) -> None:
    algorithm, tasks = made(planted, cls)
    assert training_flops(algorithm, tasks, BUDGET) is None


@pytest.mark.parametrize("name", ["maml", "protonet", "finetune", "cavia"])
def test_the_record_of_a_trained_algorithm_has_them(planted, name: str) -> None:
    record = run_here(planted, cell(name))
    assert record.status == "ok", record.reason
    assert record.training.flops is not None
    assert record.training.flops > 1e4
