"""Random guessing."""

import torch

from metabench.algorithms.random_guess import RandomGuess
from metabench.episodes import TaskBatch
from tests.helpers.few_shot import accuracy, classification, make, regression


def test_the_accuracy_is_that_of_chance(episodes: TaskBatch) -> None:
    guess = make(RandomGuess, classification())
    # 5,000 queries: 0.03 is more than five standard deviations.
    assert abs(sum(accuracy(guess, episodes) for _ in range(5)) / 5 - 0.2) < 0.03


def test_predictions_are_determined_by_the_seed(episodes: TaskBatch) -> None:
    guess, task = make(RandomGuess, classification()), next(iter(episodes))

    def answer(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return guess.adapt(task.support)(task.query_x)

    assert torch.equal(answer(0), answer(0))
    assert not torch.equal(answer(0), answer(1))


def test_in_regression_predictions_are_zero(waves: TaskBatch) -> None:
    guess, task = make(RandomGuess, regression()), next(iter(waves))
    assert torch.equal(guess.adapt(task.support)(task.query_x), torch.zeros_like(task.query_y))
