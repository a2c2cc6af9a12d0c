import torch

from metabench.algorithms.from_scratch import FromScratch
from tests.helpers.gradient_kit import Tasks, build, classification


def test_adaptation_is_adam_on_the_support_set() -> None:
    algorithm = build(FromScratch, classification(), test_steps=4)
    batch = Tasks(algorithm.problem, torch.float64).test(2)
    predictions = algorithm.adapt_batch(batch.support)(batch.query_x)
    for t, task in enumerate(batch):
        network = build(FromScratch, classification()).learner
        optimizer = torch.optim.Adam(network.parameters(), lr=algorithm.lr)
        for _ in range(4):
            optimizer.zero_grad()
            algorithm.problem.loss(network(task.support.x), task.support.y).backward()
            optimizer.step()
        torch.testing.assert_close(predictions[t], network(task.query_x))


def test_meta_train_is_not_defined() -> None:
    assert not FromScratch.offers("meta_train")


def test_all_logits_are_zero_before_the_first_step() -> None:
    algorithm = build(FromScratch, classification("conv"))
    batch = Tasks(algorithm.problem, torch.float64).test(2)
    assert not next(algorithm.trajectory(batch.support))(batch.query_x).any()
