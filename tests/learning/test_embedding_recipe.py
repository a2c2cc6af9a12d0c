"""A small budget is spread over enough outer steps, of episodes with fewer classes."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabench.algorithms.base import resolve_hyperparameters
from metabench.algorithms.matchingnet import MatchingNet
from metabench.algorithms.protonet import ProtoNet
from metabench.algorithms.r2d2 import R2D2
from metabench.algorithms.relationnet import RelationNet
from metabench.algorithms.task_embedding import TaskEmbedding
from metabench.learning.embedding_recipe import LEAST_STEPS, affordable_ways
from tests.helpers.few_shot import classification

EPISODES = {ProtoNet: 1, R2D2: 1, MatchingNet: 1, RelationNet: 1, TaskEmbedding: 3}


@given(
    budget=st.integers(1, 10**7),
    ways=st.integers(2, 30),
    shots=st.integers(1, 10),
    queries=st.integers(1, 15),
    tasks=st.integers(1, 4),
)
def test_the_budget_makes_the_steps_or_the_episodes_have_the_ways_of_the_test(
    budget: int, ways: int, shots: int, queries: int, tasks: int
) -> None:
    wanted = 60
    problem = replace(classification(ways, shots), budget=budget)
    found = affordable_ways(problem, ways=wanted, queries=queries, tasks=tasks)
    step = tasks * found * (shots + queries)
    assert ways <= found <= wanted
    assert found == ways or step * LEAST_STEPS <= budget
    more = tasks * (found + 1) * (shots + queries)
    assert found == wanted or more * LEAST_STEPS > min(budget, 630_000)


@pytest.mark.parametrize("shots", [1, 5])
@pytest.mark.parametrize("cls", EPISODES, ids=lambda cls: cls.name)
def test_recipes_take_many_classes_only_where_the_budget_affords_them(
    cls: type, shots: int
) -> None:
    unknown, small, large = (
        resolve_hyperparameters(cls, replace(classification(5, shots), budget=budget), {})
        for budget in (0, 16_000, 4_000_000)
    )
    assert large == unknown
    assert float(small["lr"]) > float(large["lr"])
    per_class = shots + int(small["train_queries"])
    steps = 16_000 // (EPISODES[cls] * int(small["train_ways"]) * per_class)
    assert steps >= min(LEAST_STEPS, 16_000 // (EPISODES[cls] * 5 * per_class))
    assert int(small["train_ways"]) < int(large["train_ways"])
