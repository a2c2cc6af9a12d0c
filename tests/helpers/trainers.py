"""Trainers of small benchmarks, and comparisons of the states that they end with."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metabench.benchmarks.model import Benchmark
from metabench.plugins import Plugins
from metabench.running.trainer import Trainer
from metabench.runtime.rng_state import seed_everything
from tests.helpers.cells import tasks_of


def trainer_of(
    plugins: Plugins,
    algorithm: str,
    benchmark: Benchmark,
    checkpoint: Path | None = None,
    *,
    checkpoint_seconds: float = -1.0,
    **hyperparameters: Any,
) -> Trainer:
    """Returns a trainer that saves every step by default and validates by a sum of parameters."""
    tasks = tasks_of(plugins, benchmark)
    seed_everything(1)
    model = plugins.registry.get("algorithm", algorithm).load()(
        tasks.problem(plugins.registry), **hyperparameters
    )

    def validate() -> float:
        seed_everything(99)
        return float(sum(p.detach().sum() for p in model.parameters()))

    return Trainer(
        model,
        tasks,
        budget=benchmark.budget,
        validate=validate,
        direction="higher",
        key="k" * 64,
        checkpoint=checkpoint,
        checkpoint_seconds=checkpoint_seconds,
    )


def state_of(trainer: Trainer) -> dict[str, Tensor]:
    return trainer.algorithm.state_dict()


def assert_same(left: dict[str, Tensor], right: dict[str, Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        assert torch.equal(tensor, right[name]), name
