import itertools

import torch
from torch import Tensor
from torch.func import functional_call

from metabench.algorithms.reptile import BETA2, Reptile, class_by_class, mini_batches
from metabench.episodes import Support, TaskBatch
from tests.helpers.gradient_kit import Tasks, build, classification, first_step, regression, train


def sequential_reptile(
    algorithm: Reptile, batches: list[TaskBatch], optimizer: torch.optim.Adam, rates: list[float]
) -> None:
    """Train by Reptile as in the paper's code: task after task, with one Adam for all.

    Each inner step is on all examples of the task, so that their order does not matter.
    """
    learner = algorithm.learner
    for batch, rate in zip(batches, rates, strict=True):
        old = [p.detach().clone() for p in learner.parameters()]
        adapted_parameters = []
        for task in batch:
            x, y = (
                torch.cat([task.support.x, task.query_x]),
                torch.cat([task.support.y, task.query_y]),
            )
            for _ in range(algorithm.inner_steps):
                optimizer.zero_grad()
                # The code sums over the batch; Adam is invariant to the scale, except for epsilon.
                algorithm.problem.loss(learner(x), y).backward()
                optimizer.step()
            adapted_parameters.append([p.detach().clone() for p in learner.parameters()])
            restore(learner, old)
        for i, p in enumerate(learner.parameters()):
            mean = torch.stack([parameters[i] for parameters in adapted_parameters]).mean(0)
            p.data.copy_(old[i] + rate * (mean - old[i]))


def restore(learner: torch.nn.Module, values: list[Tensor]) -> None:
    for p, value in zip(learner.parameters(), values, strict=True):
        p.data.copy_(value)


def meta_train(algorithm: Reptile, outer_steps: int) -> list[TaskBatch]:
    seen: list[TaskBatch] = []
    tasks = Tasks(algorithm.problem, torch.float64)
    tasks.on_drawn = seen.append  # type: ignore[method-assign]
    cost = algorithm.tasks * algorithm.train_shots * max(algorithm.problem.ways, 1)
    algorithm.train()
    algorithm.meta_train(tasks.stream(outer_steps * cost))
    return seen


def test_with_one_task_per_outer_step_it_equals_the_code_of_the_paper() -> None:
    options = {"tasks": 1, "inner_steps": 3, "inner_batch": 12, "train_shots": 4}
    algorithm = build(Reptile, classification(), **options)
    reference = build(Reptile, classification(), **options)
    optimizer = torch.optim.Adam(
        reference.learner.parameters(), lr=reference.inner_lr, betas=(0.0, BETA2)
    )
    batches = meta_train(algorithm, 4)
    sequential_reptile(reference, batches, optimizer, [1.0, 0.75, 0.5, 0.25])
    for i, (name, p) in enumerate(reference.learner.named_parameters()):
        torch.testing.assert_close(algorithm.learner.get_parameter(name), p)
        kept = optimizer.state[p]["exp_avg_sq"]
        torch.testing.assert_close(algorithm.get_buffer(f"second_moment_{i}"), kept)
    assert int(algorithm.adam_steps) == 12


def test_an_outer_step_moves_to_the_mean_of_the_adapted_parameters() -> None:
    options = {"tasks": 3, "inner_steps": 2, "inner_batch": 12, "train_shots": 4}
    algorithm = build(Reptile, classification(), **options)
    start = [p.detach().clone() for p in algorithm.learner.parameters()]
    adapted_parameters, squares = [], []
    (batch,) = meta_train(algorithm, 1)
    for task in batch:
        theta = [p.clone() for p in start]
        second = [torch.zeros_like(p) for p in start]
        x, y = torch.cat([task.support.x, task.query_x]), torch.cat([task.support.y, task.query_y])
        for k in (1, 2):
            theta = [p.requires_grad_() for p in theta]
            names = [name for name, _ in algorithm.learner.named_parameters()]
            outputs = functional_call(algorithm.learner, dict(zip(names, theta, strict=True)), x)
            gradients = torch.autograd.grad(algorithm.problem.loss(outputs, y), theta)
            squares.append([g**2 for g in gradients])
            second = [
                BETA2 * v + (1 - BETA2) * g**2 for v, g in zip(second, gradients, strict=True)
            ]
            theta = [
                (p - algorithm.inner_lr * g / ((v / (1 - BETA2**k)).sqrt() + 1e-8)).detach()
                for p, g, v in zip(theta, gradients, second, strict=True)
            ]
        adapted_parameters.append(theta)
    for i, p in enumerate(algorithm.learner.parameters()):
        torch.testing.assert_close(
            p.detach(), torch.stack([theta[i] for theta in adapted_parameters]).mean(0)
        )
        in_sequence = torch.zeros_like(p)
        for square in squares:
            in_sequence = BETA2 * in_sequence + (1 - BETA2) * square[i]
        torch.testing.assert_close(algorithm.get_buffer(f"second_moment_{i}"), in_sequence.detach())


def test_a_head_of_zeros_trains_the_backbone_as_a_learned_head_that_starts_at_zero() -> None:
    options = {"tasks": 2, "inner_steps": 3, "inner_batch": 12, "train_shots": 4, "train_ways": 0}
    learned = build(Reptile, classification(), **options, zero_head=False)
    fixed = build(Reptile, classification(), **options, zero_head=True)
    with torch.no_grad():
        for p in learned.learner.head.parameters():
            p.zero_()
    meta_train(learned, 1)
    meta_train(fixed, 1)
    for i, (name, p) in enumerate(learned.learner.named_parameters()):
        found, kept = fixed.learner.get_parameter(name), fixed.get_buffer(f"second_moment_{i}")
        moment = learned.get_buffer(f"second_moment_{i}")
        if name.startswith("head."):
            assert p.any()
            assert not found.any()
            moment = moment.mean(-1, keepdim=True).expand_as(moment)
        else:
            torch.testing.assert_close(found, p)
        torch.testing.assert_close(kept, moment)


def test_second_moments_of_the_head_are_rescaled_to_the_ways_of_the_test() -> None:
    """A class has a quarter of the share in a mean loss over 12 classes that it has over 3."""
    options = {"zero_head": True, "train_ways": 12, "test_steps": 1, "test_batch": 6}
    algorithm = build(Reptile, classification(), **options).eval()
    torch.manual_seed(1)
    weight = algorithm.get_buffer("second_moment_2")
    assert weight.shape == algorithm.learner.head.weight.shape
    weight.copy_(torch.rand(weight.shape[0], 1).double())
    algorithm.adam_steps.fill_(10_000)
    support = Tasks(algorithm.problem, torch.float64).test(1).support
    query = torch.rand(1, 2, support.x.shape[-1]).double()
    features = algorithm.learner.backbone(support.x[0])
    slope = features.T @ (torch.full((6, 3), 1 / 3) - torch.eye(3)[support.y[0]]).double() / 6
    moved = -algorithm.inner_lr * slope / (BETA2 * 16 * weight + (1 - BETA2) * slope**2).sqrt()
    found = algorithm.adapt_batch(support)(query)[0]
    # The bias does not move, since all classes have equally many examples.
    torch.testing.assert_close(
        found, algorithm.learner.backbone(query[0]) @ moved, rtol=1e-3, atol=1e-5
    )


def test_second_moments_of_the_head_are_rescaled_if_there_are_fewer_classes_than_train_ways() -> (
    None
):
    options = {"tasks": 2, "inner_steps": 3, "train_shots": 4, "inner_batch": 10, "zero_head": True}
    classes = Tasks(classification()).train_classes
    enough = build(Reptile, classification(), **options, train_ways=classes)
    too_few = build(Reptile, classification(), **options, train_ways=2 * classes)
    for algorithm in (enough, too_few):
        torch.manual_seed(1)
        meta_train(algorithm, 5 * classes)
    for i, (name, p) in enumerate(enough.learner.named_parameters()):
        torch.testing.assert_close(too_few.learner.get_parameter(name), p)
        by_half_as_many = 4 if name.startswith("head.") else 1
        moment = too_few.get_buffer(f"second_moment_{i}")
        torch.testing.assert_close(
            by_half_as_many * moment, enough.get_buffer(f"second_moment_{i}")
        )


def test_adaptation_uses_the_second_moments_without_changing_them() -> None:
    algorithm = build(Reptile, classification())
    train(algorithm, 3)
    support = Tasks(algorithm.problem, torch.float64).test(1).support
    query = Tasks(algorithm.problem, torch.float64).test(1).query_x
    before = {k: v.clone() for k, v in algorithm.state_dict().items()}
    first = algorithm.adapt_batch(support)(query)
    assert all(torch.equal(v, before[k]) for k, v in algorithm.state_dict().items())
    algorithm.second_moment_0.zero_()
    assert not torch.allclose(algorithm.adapt_batch(support)(query), first)


def test_queries_are_independent_unless_transductive() -> None:
    for transductive in (True, False):
        algorithm = build(
            Reptile, classification("conv"), transductive=transductive, test_steps=2
        ).eval()
        batch = Tasks(algorithm.problem, torch.float64).test(2)
        predict = algorithm.adapt_batch(batch.support)
        alone, together = predict(batch.query_x[:, :1]), predict(batch.query_x)[:, :1]
        assert torch.allclose(alone, together) is not transductive


def test_mini_batches_visit_every_example_before_any_repeats() -> None:
    x = torch.arange(10.0).view(1, 10, 1)
    support = Support(x, torch.arange(10).view(1, 10), 10)
    orders = iter([torch.arange(10).view(1, 10), torch.arange(9, -1, -1).view(1, 10)])
    found = [b.y.flatten().tolist() for b in itertools.islice(mini_batches(support, orders, 4), 5)]
    assert found == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 9, 8], [7, 6, 5, 4], [3, 2, 1, 0]]


def test_class_by_class_cycles_through_the_classes() -> None:
    torch.manual_seed(0)
    y = torch.rand(2, 15).argsort(1) % 3
    order = torch.rand(2, 15).argsort(1)
    found = class_by_class(Support(torch.zeros(2, 15, 1), y, 3), order)
    assert torch.equal(found.sort(1).values, torch.arange(15).expand(2, 15))
    assert (y.gather(1, found).view(2, 5, 3).sort(-1).values == torch.arange(3)).all()
    for task, (row, labels) in enumerate(zip(found, y, strict=True)):
        for c in range(3):
            of_class = order[task][labels[order[task]] == c]
            assert torch.equal(row[labels[row] == c], of_class)


def test_class_by_class_puts_the_surplus_of_larger_classes_last() -> None:
    y = torch.tensor([[0, 0, 0, 1, 2, 2]])
    found = class_by_class(Support(torch.zeros(1, 6, 1), y, 3), torch.arange(6).view(1, 6))
    assert y.gather(1, found).tolist() == [[0, 1, 2, 0, 2, 0]]


def test_every_mini_batch_of_a_balanced_task_has_each_class_once() -> None:
    seen: list[Tensor] = []
    options = {"balanced": True, "inner_batch": 3, "inner_steps": 4, "train_shots": 4, "tasks": 2}
    algorithm = build(Reptile, classification(), **options)
    loss = algorithm.problem.loss

    def recording(predictions: Tensor, targets: Tensor) -> Tensor:
        seen.append(targets)
        return loss(predictions, targets)

    object.__setattr__(algorithm.problem, "loss", recording)
    meta_train(algorithm, 1)
    assert len(seen) == 4
    assert all((y.sort(1).values == torch.arange(3)).all() for y in seen)


def test_the_shift_and_scale_of_batch_norm_are_adapted() -> None:
    algorithm = build(Reptile, classification("conv"))
    batch, gradients, _ = first_step(algorithm)
    assert len(batch) == algorithm.tasks
    assert any(name.endswith("gamma") and g.abs().sum() > 0 for name, g in gradients.items())


def test_regression_trains_on_every_example_of_a_task() -> None:
    algorithm = build(Reptile, regression())
    (batch,) = meta_train(algorithm, 1)
    assert batch.support_x.shape[1] + batch.query_x.shape[1] == algorithm.train_shots
