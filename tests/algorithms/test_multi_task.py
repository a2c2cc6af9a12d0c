import torch

from metabench.algorithms.multi_task import MultiTask
from tests.helpers.gradient_kit import (
    Tasks,
    build,
    classification,
    first_step,
    regression,
    score,
    train,
)


def test_the_training_head_has_a_row_for_every_class() -> None:
    algorithm = build(MultiTask, classification("mlp"), tasks=4)
    kept = []
    tasks = Tasks(algorithm.problem, torch.float64)
    stream = tasks.stream(4 * 2 * algorithm.train_shots * algorithm.problem.ways)
    keep = stream.keep
    stream.keep = lambda thing: kept.append(thing) or keep(thing)  # type: ignore[method-assign, func-returns-value]
    seen: list[set[int]] = []
    tasks.on_drawn = lambda batch: seen.append(set(batch.classes.flatten().tolist()))  # type: ignore[method-assign]
    algorithm.meta_train(stream)
    optimizer, rows = kept
    assert rows.weight.shape[0] == tasks.train_classes
    moved = rows.weight.grad.abs().sum(1).nonzero().flatten().tolist()
    assert set(moved) == seen[0]
    assert any(p is rows.weight for group in optimizer.param_groups for p in group["params"])


def test_after_meta_training_the_head_of_a_task_starts_at_zero() -> None:
    algorithm = build(MultiTask, classification("mlp"))
    train(algorithm, 3)
    batch = Tasks(algorithm.problem, torch.float64).test(2)
    assert not next(algorithm.trajectory(batch.support))(batch.query_x).any()


def test_in_regression_one_network_is_trained_on_the_examples_of_all_tasks() -> None:
    algorithm = build(MultiTask, regression(), tasks=3)
    batch, gradients, loss = first_step(algorithm)
    x = torch.cat([batch.support_x, batch.query_x], 1)
    y = torch.cat([batch.support_y, batch.query_y], 1)
    expected = (algorithm.learner(x.flatten(0, 1)) - y.flatten(0, 1)).square().mean()
    assert torch.isclose(expected, torch.tensor(loss, dtype=torch.float64))
    expected.backward()
    for name, p in algorithm.named_parameters():
        torch.testing.assert_close(gradients[name], p.grad)


def test_before_adaptation_a_joint_regressor_is_no_better_than_the_mean_of_the_tasks() -> None:
    algorithm = build(MultiTask, regression((40, 40)), double=False)
    train(algorithm, 300)
    batch = Tasks(algorithm.problem).test(200)
    assert score(algorithm, batch, 0) > 2.5
