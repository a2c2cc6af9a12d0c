"""The built-in algorithms pass the kit."""

from typing import Any

import pytest

from metabench import builtins
from metabench.algorithms.anil_zero_head import ANILZeroHead
from metabench.algorithms.cavia import CAVIA
from metabench.algorithms.maml import MAML
from metabench.algorithms.meta_lstm import MetaLSTM
from metabench.algorithms.reptile import Reptile
from metabench.algorithms.task_embedding import TaskEmbedding
from metabench.testing import Report, check_algorithm
from metabench.testing.checks import CHECKS

NAMES = [spec.name for spec in builtins.metabench_algorithms()]
SHORT: dict[str, dict[str, Any]] = {
    "anil": {"tasks": 2, "inner_steps": 2, "test_steps": 2},
    "cavia": {"tasks": 2, "train_queries": 2},
    "finetune": {"test_steps": 3},
    "finetune-cosine": {"test_steps": 3},
    "fomaml": {"tasks": 2, "test_steps": 2},
    "from-scratch": {"test_steps": 3},
    "maml": {"tasks": 2, "test_steps": 2},
    "meta-lstm": {"inner_steps": 2, "channels": 4, "train_queries": 2},
    "meta-sgd": {"tasks": 2, "train_queries": 2},
    "multi-task": {"tasks": 2, "test_steps": 2},
    "reptile": {"tasks": 2, "inner_steps": 2, "test_steps": 2},
    "anil-zero-head": {"tasks": 2, "train_ways": 4, "inner_steps": 2, "test_steps": 2},
    "fomaml-zero-head": {"tasks": 2, "train_ways": 4, "test_steps": 2},
    "maml-zero-head": {"tasks": 2, "train_ways": 4, "test_steps": 2},
    "meta-sgd-zero-head": {"tasks": 2, "train_ways": 4},
    "reptile-zero-head": {"tasks": 2, "train_ways": 4, "inner_steps": 2, "test_steps": 2},
}
"""Fewer tasks and steps, for algorithms whose defaults take long."""

EPISODIC = {"matchingnet", "protonet", "r2d2", "relationnet", "task-embedding"}


def assert_passes(report: Report) -> None:
    report.raise_for_failures()
    assert report.passed + report.not_applicable == len(CHECKS)
    assert report.passed >= 11, str(report)


@pytest.mark.parametrize("name", NAMES)
def test_a_builtin_algorithm_keeps_the_contract(name: str) -> None:
    given = {"train_ways": 4, "train_queries": 2} if name in EPISODIC else SHORT.get(name, {})
    assert_passes(check_algorithm(name, hyperparameters=given))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_builtin_algorithm_keeps_the_contract_with_default_hyper_parameters(name: str) -> None:
    assert_passes(check_algorithm(name))


DECLARATIONS = ["label-order", "transduction", "gradient-order"]


@pytest.mark.parametrize(
    ("cls", "given"),
    [
        (MAML, {"norm": "running", "tasks": 2}),
        (MAML, {"norm": "per-step", "tasks": 2}),
        (MAML, {"backbone": "conv4", "tasks": 2}),
        (MAML, {"backbone": "mlp", "tasks": 2}),
        (MAML, {"norm": "batch", "tasks": 2}),
        (ANILZeroHead, {"train_ways": 4, "tasks": 2, "inner_steps": 2, "test_steps": 2}),
        (CAVIA, {"first_order": True, "tasks": 2}),
        (Reptile, {"norm": "batch", "test_steps": 2, "inner_steps": 2}),
        (MetaLSTM, {"norm": "batch", "inner_steps": 2, "channels": 4}),
        (TaskEmbedding, {"inner_steps": 1, "test_steps": 1, "tasks": 1}),
    ],
)
def test_declarations_follow_the_hyper_parameters(cls: Any, given: dict[str, Any]) -> None:
    check_algorithm(cls, checks=DECLARATIONS, hyperparameters=given).raise_for_failures()
