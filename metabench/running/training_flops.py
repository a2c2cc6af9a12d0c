"""The floating-point operations of meta-training, from one outer step."""

from __future__ import annotations

import copy

from metabench.algorithms.base import Algorithm
from metabench.benchmarks.tasks import BenchmarkTasks
from metabench.episodes import TaskStream
from metabench.runtime.flops import FlopCounter
from metabench.runtime.rng_state import preserved_random_state
from metabench.runtime.threads import one_thread


class _FirstStepDone(Exception):
    """Ends a training after its first outer step."""


def training_flops(algorithm: Algorithm, tasks: BenchmarkTasks, budget: int) -> float | None:
    """Returns an estimate of the operations of a meta-training.

    One outer step of a copy of the algorithm is counted, and multiplied by the ratio of all
    examples to those of that step. Steps of unequal cost, as in a curriculum, are not told apart.

    Args:
        algorithm: The algorithm; neither it nor the random state is changed.
        tasks: The episodes of the benchmark.
        budget: The number of examples that the whole training drew.

    Returns:
        The operations; ``None`` if the algorithm does not train, cannot be copied, or does nothing
        that PyTorch counts.
    """
    if not algorithm.offers("meta_train"):
        return None
    stream = TaskStream(tasks, tasks.benchmark.protocol, budget, on_step=_stop)
    with preserved_random_state():
        try:
            trained = copy.deepcopy(algorithm).train()
            # With one thread no other process shares the step, whose operations would be missed.
            with one_thread(), FlopCounter() as counter:  # type: ignore[no-untyped-call]
                trained.meta_train(stream)
        except _FirstStepDone:
            pass
        except Exception:  # a plugin's code, under a mode that it was not written for
            return None
    if not (counter.total and stream.spent):
        return None
    return float(counter.total) * budget / stream.spent


def _stop(stream: TaskStream) -> None:
    raise _FirstStepDone
