"""The implementation that a network chooses on a CPU is the fastest one for common sizes.

Eight tasks forward and backward, and backward again for second derivatives, with the examples of
support sets of 5-way 1-shot, 5-way 5-shot and 20-way 5-shot tasks.
"""

from collections.abc import Callable

import pytest
import torch

from metabench.backbones.conv4 import Conv4, Conv4Strided
from metabench.backbones.implementations import Implementation, forward_and_backward
from metabench.learning.inner_loop import task_params
from tests.performance.comparison import Comparison
from tests.performance.sides import Side

MAX_RATIO = 1.15
ROUNDS = 5
TASKS = 8
EXAMPLES = (5, 25, 100)
NETWORKS: dict[str, Callable[[], Conv4]] = {
    "Conv4-64 with pooling": lambda: Conv4((1, 28, 28), norm="batch"),
    "the stride-2 Conv-64": lambda: Conv4Strided((1, 28, 28)),
}


@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
@pytest.mark.parametrize("name", list(NETWORKS))
@pytest.mark.parametrize("examples", EXAMPLES)
def test_the_chosen_implementation_is_about_as_fast_as_the_fastest(
    name: str, examples: int, twice: bool, one_thread: None, comparison: Comparison
) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]()
    params = {
        k: p.detach().clone().requires_grad_() for k, p in task_params(network, TASKS).items()
    }
    x = torch.rand(TASKS, examples, 1, 28, 28)

    def side(implementation: Implementation) -> Side:
        def run() -> int:
            forward_and_backward(implementation, params, x, twice=twice)
            return TASKS

        return run

    implementations = network.implementations()
    chosen = network.fastest_on_cpu(x, twice=twice)
    alternatives = {
        k: side(implementation) for k, implementation in implementations.items() if k != chosen
    }
    order = "second derivatives" if twice else "first derivatives"
    figure = comparison.against_peers(
        f"engine-{'strided' if network.strided else 'pooled'}"
        f"-{'twice' if twice else 'once'}-{examples}",
        side(implementations[chosen]),
        alternatives,
        rounds=ROUNDS,
        unit="tasks",
        what=f"the engine taken (`{chosen}`), {name}, {order}",
        setting=f"{TASKS} tasks of {examples} examples, batch norm by the batch's statistics",
        bar=round(1 / MAX_RATIO, 2),
    )
    assert figure.met, str(figure)
