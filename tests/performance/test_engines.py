"""The implementation that a network uses on a CPU is its fastest one for common sizes.

Eight tasks forward and backward, twice backward for second derivatives, with the examples of a 5-way 1-shot
support set, of a 5-shot one, and of a 20-way 5-shot one.
"""

from collections.abc import Callable

import pytest
import torch

from metabench.backbones.conv4 import Conv4, Conv4Strided
from metabench.backbones.implementations import Implementation, forward_and_backward
from metabench.learning.inner_loop import task_params
from tests.performance.comparison import Comparison
from tests.performance.sides import Side

MOST = 1.15
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
def test_no_implementation_is_much_faster_than_the_one_that_is_used(
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
    taken = network.fastest_on_cpu(x, twice=twice)
    others = {k: side(made) for k, made in implementations.items() if k != taken}
    order = "second derivatives" if twice else "first derivatives"
    figure = comparison.against_peers(
        f"engine-{'strided' if network.strided else 'pooled'}-{'twice' if twice else 'once'}-{examples}",
        side(implementations[taken]),
        others,
        rounds=ROUNDS,
        unit="tasks",
        what=f"the engine taken (`{taken}`), {name}, {order}",
        setting=f"{TASKS} tasks of {examples} examples, batch norm by the batch's statistics",
        bar=round(1 / MOST, 2),
    )
    assert figure.met, str(figure)
