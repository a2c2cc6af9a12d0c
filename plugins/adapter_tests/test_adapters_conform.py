"""The adapters pass the conformance kit with the real libraries."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_tests.adapter_kit import adapter
from metabench.plugins import installed_plugins
from metabench.testing import check_algorithm
from metabench.testing.checks import CHECKS

ADAPTERS = {f"metabench-{name}" for name in ("learn2learn", "higher", "torchopt", "torchfunc")}
SHORT: dict[str, dict[str, Any]] = {
    "l2l-anil": {"tasks": 2, "inner_steps": 2, "test_steps": 2},
    "l2l-fomaml": {"tasks": 2, "test_steps": 2},
    "l2l-maml": {"tasks": 2, "test_steps": 2},
    "l2l-meta-curvature": {"tasks": 2, "test_steps": 2},
    "l2l-meta-sgd": {"tasks": 2, "train_queries": 2},
    "l2l-protonet": {"train_ways": 4, "train_queries": 2},
    "higher-adam": {"tasks": 2, "test_steps": 2},
    "higher-fomaml": {"tasks": 2, "test_steps": 2},
    "higher-learned-lr": {"tasks": 2, "test_steps": 2},
    "higher-maml": {"tasks": 2, "test_steps": 2},
    "torchopt-maml": {"tasks": 2, "test_steps": 2},
    "torchfunc-maml": {"tasks": 2, "test_steps": 2},
}
"""Fewer tasks and steps than the defaults, which take minutes."""


@pytest.mark.parametrize("name", SHORT)
def test_an_adapter_meets_the_contract(name: str) -> None:
    adapter(name)
    report = check_algorithm(name, hyperparameters=SHORT[name])
    report.raise_for_failures()
    assert report.passed + report.not_applicable == len(CHECKS)
    assert report.passed >= 11, str(report)


def test_every_adapter_is_tested() -> None:
    brought = {
        s.name
        for s in installed_plugins().registry.specs("algorithm")
        if s.distribution in ADAPTERS
    }
    assert brought <= SHORT.keys()
