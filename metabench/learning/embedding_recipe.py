"""What recipes of methods that learn an embedding have in common: examples, and steps that suit so many."""

from __future__ import annotations

from metabench.algorithms.base import Value
from metabench.algorithms.problem import Problem

EMBEDDING_BUDGET = 1_260_000
"""Examples: those of 3,500 episodes of 60 classes with six examples each."""

LEAST_STEPS = 200
"""Outer steps that a budget is spread over (:func:`affordable_ways`)."""

SMALL_BUDGET = 100_000
"""Examples below which larger steps get further than careful ones (:func:`is_small`)."""

SMALL_BUDGET_LR = 4e-3
"""Adam's learning rate there."""


def embedding_recipe(
    problem: Problem, *, ways: int, queries: int, tasks: int = 1
) -> dict[str, Value]:
    """The budget, the training episodes and, where the budget is small, the learning rate.

    Measured on 200 meta-validation episodes of glyphs, one seed, 16,000 examples of 5 shots / 24,000 of 1:
    ProtoNet with 60 classes at 2e-3 79.4 / 87.4 %, with as many as are affordable 96.2 / 90.5 %, and those at
    4e-3 95.9 / 92.5 %.

    Args:
        problem: tells the budget of the benchmark, and the ways and shots of the test.
        ways: classes in a training episode that are wanted.
        queries: queries for each class in a training episode.
        tasks: episodes in an outer step.
    """
    recipe: dict[str, Value] = {
        "budget": embedding_budget(problem),
        "train_ways": affordable_ways(problem, ways=ways, queries=queries, tasks=tasks),
        "train_queries": queries,
    }
    return recipe | {"lr": SMALL_BUDGET_LR} if is_small(problem) else recipe


def embedding_budget(problem: Problem) -> int:
    """The examples that recipes of methods that learn an embedding take at most, to be trained in minutes.

    Half of :data:`EMBEDDING_BUDGET` where five shots or more are to tell a few classes apart, which asks less
    of an embedding.
    """
    return EMBEDDING_BUDGET // 2 if problem.shots >= 5 and problem.ways < 20 else EMBEDDING_BUDGET


def is_small(problem: Problem) -> bool:
    """Whether the benchmark allows fewer than :data:`SMALL_BUDGET` examples."""
    return 0 < problem.budget < SMALL_BUDGET


def affordable_ways(problem: Problem, *, ways: int, queries: int, tasks: int = 1) -> int:
    """The classes of a training episode: those that are wanted, or fewer where the budget is small.

    Many classes make the better embedding, but each outer step then takes hundreds of examples, and a budget
    of some ten thousand ends after a few dozen steps: too few for the weights, and for the running statistics
    of batch norm. So there are to be :data:`LEAST_STEPS` of them, or as many as come of episodes with the
    ways of the test.

    Args:
        problem: tells the budget of the benchmark, and the ways and shots of the test.
        ways: classes in a training episode that are wanted.
        queries: queries for each class in a training episode.
        tasks: episodes in an outer step.
    """
    if not problem.budget:
        return ways
    budget = min(problem.budget, embedding_budget(problem))
    affordable = budget // (LEAST_STEPS * tasks * (problem.shots + queries))
    return min(ways, max(affordable, problem.ways))
