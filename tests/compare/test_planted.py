"""Typical programming errors, planted in algorithms that are then trained briefly."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from metabench.algorithms import protonet
from metabench.benchmarks.model import Benchmark
from metabench.compare import Comparison, compare
from metabench.learning import learner
from metabench.plugins import installed_plugins
from metabench.records.schema import Record
from metabench.running.cell import Cell
from metabench.running.run_cell import Conditions, run_cell

SEEDS = range(3)
LEARNED_HEAD = {"zero_head": False, "train_ways": 0, "tasks": 4, "inner_steps": 1}
OPTIONS = {"maml": {"backbone": "mlp", "inner_lr": 0.5, **LEARNED_HEAD}, "protonet": {}}
BUDGETS = {"maml": 20_000, "protonet": 60_000}


def train(algorithm: str, seed: int, **hidden: Any) -> Record:
    """Train and test on glyphs with a small network.

    Args:
        algorithm: The algorithm.
        seed: The seed.
        **hidden: Hyper-parameters that the record does not show as overrides.
    """
    benchmark = Benchmark(
        name=f"planted-{algorithm}",
        dataset="glyphs",
        ways=5,
        shots=1,
        queries=5,
        backbone="mlp",
        budget=hidden.pop("budget", BUDGETS[algorithm]),
        validations=1,
        validation_episodes=2,
        test_episodes=200,
        metrics=("accuracy",),
    )
    shown = OPTIONS[algorithm]
    cell = Cell(algorithm, benchmark, seed, {**shown, **hidden})
    record = run_cell(cell, installed_plugins().registry, Conditions(threads=1))
    assert record.status == "ok", record.traceback
    record.algorithm.overrides = shown
    return record


@pytest.fixture(scope="module")
def base() -> list[Record]:
    """Records of both algorithms without errors."""
    return [train(name, seed) for name in OPTIONS for seed in SEEDS]


def with_planted(base: list[Record], algorithm: str, **hidden: Any) -> Comparison:
    """Returns the comparison after one of the algorithms was trained again."""
    again = [train(algorithm, seed, **hidden) for seed in SEEDS]
    return compare(base, [r for r in base if r.algorithm.name != algorithm] + again)


def verdicts(found: Comparison) -> dict[str, str]:
    return {row.algorithm.partition("[")[0]: row.verdict for row in found.rows}


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """A wrong distance: the cosine without the scale that training needs."""
    return -F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).transpose(-1, -2)


def one_by_one(a: Tensor, b: Tensor) -> Tensor:
    """The same distance, summed in another order."""
    return (a.unsqueeze(-2) - b.unsqueeze(-3)).square().sum(-1)


def first_order(steps: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *arguments, **options: steps(*arguments, **options | {"second_order": False})


def test_maml_without_its_second_order_term_is_detected(base, monkeypatch) -> None:
    monkeypatch.setattr(learner, "gradient_steps", first_order(learner.gradient_steps))
    assert verdicts(with_planted(base, "maml")) == {"maml": "worse", "protonet": "equivalent"}


def test_an_inner_rate_ten_times_too_small_is_detected_and_named(base) -> None:
    found = with_planted(base, "maml", inner_lr=0.05)
    assert verdicts(found) == {"maml": "worse", "protonet": "equivalent"}
    assert "inner_lr was 0.5 and is 0.05" in found.rows[0].notes


def test_protonet_with_a_wrong_distance_is_detected(base, monkeypatch) -> None:
    monkeypatch.setattr(protonet, "squared_distances", cosines)
    assert verdicts(with_planted(base, "protonet")) == {"maml": "equivalent", "protonet": "worse"}


def test_an_equivalent_implementation_is_equivalent_over_20_seeds(monkeypatch) -> None:
    before = [train("protonet", seed, budget=6000) for seed in range(20)]
    monkeypatch.setattr(protonet, "squared_distances", one_by_one)
    after = [train("protonet", seed, budget=6000) for seed in range(20)]
    alone = [compare([b], [a]).rows[0] for b, a in zip(before, after, strict=True)]
    assert {row.verdict for row in alone} <= {"equivalent", "undecided"}
    assert not any(row.warnings for row in alone)
    (together,) = compare(before, after).rows
    assert (together.verdict, len(together.seeds)) == ("equivalent", 20)


def test_training_again_with_the_same_code_gives_the_same_records(base) -> None:
    assert torch.get_num_threads() == 1
    found = with_planted(base, "maml")
    assert {row.reason for row in found.rows} == {"no difference"}
