import itertools
import math

import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from metabench.algorithms.meta_lstm import MetaLSTM, preprocess, split_coordinates
from metabench.algorithms.problem import Problem
from metabench.episodes import Support
from metabench.learning.predictors import after
from tests.helpers.gradient_kit import (
    LEARNED_HEAD,
    Tasks,
    build,
    classification,
    first_step,
    regression,
)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (1.0, (0.0, 1.0)),
        (-math.e, (0.1, -1.0)),
        (math.exp(-10), (-1.0, 1.0)),
        (-math.exp(-11), (-1.0, -math.exp(-1))),
        (0.0, (-1.0, 0.0)),
    ],
)
def test_gradients_are_preprocessed_as_in_the_paper(
    x: float, expected: tuple[float, float]
) -> None:
    found = preprocess(torch.tensor([x], dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor([expected], dtype=torch.float64))


def updates_by_scalar_formulas(
    algorithm: MetaLSTM, x: Tensor, y: Tensor, steps: int
) -> dict[str, Tensor]:
    """Returns a learner's parameters after some updates, by the formulas for each coordinate."""
    lstm, w = algorithm.optimizer.lstm, algorithm.optimizer
    theta = dict(algorithm.learner.named_parameters())
    flat = torch.cat([p.flatten() for p in theta.values()])
    n, size = len(flat), lstm.hidden_size
    h, c = (torch.zeros(n, size, dtype=flat.dtype) for _ in range(2))
    forget = input_ = torch.zeros(n, dtype=flat.dtype)
    for _ in range(steps):
        leaves, start = {}, 0
        for name, p in theta.items():
            leaves[name] = flat[start : start + p.numel()].view(p.shape).detach().requires_grad_()
            start += p.numel()
        loss = algorithm.problem.loss(functional_call(algorithm.learner, leaves, x), y)
        slopes = torch.autograd.grad(loss, list(leaves.values()))
        gradient = torch.cat([g.flatten() for g in slopes]).detach()
        inputs = torch.cat([preprocess(gradient), preprocess(loss.detach()).expand(n, 2)], 1)
        gates = inputs @ lstm.weight_ih.T + lstm.bias_ih + h @ lstm.weight_hh.T + lstm.bias_hh
        i, f, g, o = gates.split(size, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        forget, input_ = (
            (
                h @ gate.weight[0, :size]
                + flat * gate.weight[0, size]
                + last * gate.weight[0, size + 1]
                + gate.bias
            ).sigmoid()
            for gate, last in ((w.forget_gate, forget), (w.input_gate, input_))
        )
        flat = forget * flat - input_ * gradient
    sizes = [p.numel() for p in theta.values()]
    parts = zip(theta.items(), flat.split(sizes), strict=True)
    return {name: part.view(p.shape) for (name, p), part in parts}


def with_random_gates(algorithm: MetaLSTM) -> MetaLSTM:
    """Give the optimizer of an algorithm gates that are neither open nor closed."""
    with torch.no_grad():
        for p in algorithm.optimizer.parameters():
            p.normal_(std=0.5)
    return algorithm


@pytest.mark.parametrize("zero_head", [True, False])
@pytest.mark.parametrize("problem", [classification(), regression()], ids=["blobs", "sinusoid"])
def test_the_updates_match_the_scalar_formulas(problem: Problem, zero_head: bool) -> None:
    given = LEARNED_HEAD | {"zero_head": zero_head and not problem.regression}
    algorithm = with_random_gates(build(MetaLSTM, problem, hidden=4, **given))
    batch = Tasks(problem, torch.float64).test(2)
    predictions = after(3, algorithm.eval().trajectory(batch.support))(batch.query_x)
    for t, task in enumerate(batch):
        theta = updates_by_scalar_formulas(algorithm, task.support.x, task.support.y, 3)
        expected = functional_call(algorithm.learner, theta, task.query_x)
        torch.testing.assert_close(predictions[t], expected)


def test_the_outer_gradient_flows_through_the_cell_but_not_through_the_inner_gradients() -> None:
    algorithm = with_random_gates(
        build(
            MetaLSTM, classification(), hidden=4, inner_steps=3, tasks=2, clip=1e9, **LEARNED_HEAD
        )
    )
    batch, gradients, loss = first_step(algorithm)
    total = torch.zeros((), dtype=torch.float64)
    for task in batch:
        theta = updates_by_scalar_formulas(algorithm, task.support.x, task.support.y, 3)
        outputs = functional_call(algorithm.learner, theta, task.query_x)
        total = total + algorithm.problem.loss(outputs, task.query_y) / len(batch)
    params = dict(algorithm.named_parameters())
    expected = torch.autograd.grad(total, list(params.values()))
    assert loss == pytest.approx(float(total.detach()))
    for name, g in zip(params, expected, strict=True):
        torch.testing.assert_close(gradients[name], g)


def test_the_outer_gradient_is_clipped() -> None:
    algorithm = with_random_gates(
        build(MetaLSTM, classification(), hidden=4, inner_steps=3, clip=1e-3)
    )
    _, gradients, _ = first_step(algorithm)
    norm = torch.cat([g.flatten() for g in gradients.values()]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=1e-3)


def test_the_initialisation_is_the_learned_initial_cell_state() -> None:
    algorithm = build(MetaLSTM, classification(), **LEARNED_HEAD)
    batch, gradients, _ = first_step(algorithm)
    assert any(name.startswith("learner.") and g.abs().sum() > 0 for name, g in gradients.items())
    start = next(algorithm.eval().trajectory(batch.support))
    torch.testing.assert_close(
        start(batch.query_x),
        algorithm.learner(batch.query_x.flatten(0, 1)).view(*batch.query_x.shape[:2], -1),
    )


@pytest.mark.parametrize("training", [True, False])
def test_queries_are_independent_unless_transductive(training: bool) -> None:
    for transductive in (True, False):
        algorithm = build(MetaLSTM, classification("conv"), transductive=transductive, channels=3)
        batch = Tasks(algorithm.problem, torch.float64).test(2)
        if training:
            predict = after(2, algorithm.train().trajectory(batch.support))
        else:
            predict = algorithm.eval().adapt_batch(batch.support)
        alone, together = predict(batch.query_x[:, :1]), predict(batch.query_x)[:, :1]
        assert torch.allclose(alone, together) is not transductive


def test_the_optimizer_reads_the_same_gradients_and_loss_for_any_number_of_ways() -> None:
    algorithm = build(MetaLSTM, classification(), hidden=4, zero_head=True).eval()
    seen = []
    algorithm.optimizer.register_forward_pre_hook(lambda module, given: seen.append(given[:2]))
    x = torch.rand(1, 3, 6, dtype=torch.float64)
    for ways in (3, 6):  # three examples as three classes, and twice as six
        support = Support(x.repeat(1, ways // 3, 1), torch.arange(ways)[None], ways)
        learner = algorithm.learner.for_classes_of(support)
        after(1, algorithm.updates(learner, support))
    (slopes, loss), (slopes_of_more, loss_of_more) = seen
    column = split_coordinates(algorithm.learner, slopes)["head.weight"][..., 0]
    assert column.abs().max() > 1e-3
    torch.testing.assert_close(
        split_coordinates(learner, slopes_of_more)["head.weight"][..., 0], column
    )
    torch.testing.assert_close(loss_of_more, loss)
    assert float(loss) == pytest.approx(math.log(3))


def test_an_open_input_gate_takes_steps_of_the_largest_rate() -> None:
    algorithm = build(MetaLSTM, classification(), max_rate=0.2, open_at=30.0, **LEARNED_HEAD).eval()
    with torch.no_grad():
        algorithm.optimizer.forget_gate.bias.fill_(100.0)  # nothing is forgotten
    batch = Tasks(algorithm.problem, torch.float64).test(2)
    start, after_one = (
        state.theta
        for state in itertools.islice(algorithm.updates(algorithm.learner, batch.support), 2)
    )
    theta = start.detach().requires_grad_()
    outputs = algorithm.learner.forward_tasks(
        split_coordinates(algorithm.learner, theta), batch.support_x
    )
    (slope,) = torch.autograd.grad(algorithm.problem.loss(outputs, batch.support_y).sum(), theta)
    torch.testing.assert_close(after_one, start - 0.2 * slope)


def test_the_input_gate_starts_almost_closed_as_in_the_paper() -> None:
    assert (
        -5
        <= build(MetaLSTM, classification(), **LEARNED_HEAD).optimizer.input_gate.bias.item()
        <= -4
    )
