"""Which benchmarks a condition matches."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from metabench.recipes.model import Condition, Facts

OMNIGLOT = Facts("classification", "image", 5, 1, 4_000_000, "omniglot")
SINUSOID = Facts("regression", "vector", 0, 5, 3_000_000, "sinusoid")


@pytest.mark.parametrize(
    ("when", "omniglot", "sinusoid"),
    [
        ({}, True, True),
        ({"kind": "classification"}, True, False),
        ({"kind": "regression"}, False, True),
        ({"modality": "image"}, True, False),
        ({"modality": "vector"}, False, True),
        ({"dataset": "omniglot"}, True, False),
        ({"dataset": ["sinusoid", "omniglot"]}, True, True),
        ({"dataset": "glyphs"}, False, False),
        ({"ways": 5}, True, False),
        ({"ways": "<20"}, True, True),
        ({"ways": 0}, False, True),
        ({"shots": ">1"}, False, True),
        ({"budget": ">=3_000_001"}, True, False),
        ({"ways": 5, "shots": 1, "kind": "classification", "dataset": "omniglot"}, True, False),
        ({"ways": 5, "shots": 5}, False, False),
    ],
)
def test_a_condition_matches_if_all_its_terms_hold(
    when: dict[str, Any], omniglot: bool, sinusoid: bool
) -> None:
    condition = Condition.model_validate(when)
    assert (condition.matches(OMNIGLOT), condition.matches(SINUSOID)) == (omniglot, sinusoid)


def test_no_condition_on_the_budget_matches_an_unknown_budget() -> None:
    unknown = dataclasses.replace(OMNIGLOT, budget=0)
    for budget in ("<100000", ">=0", 0):
        assert not Condition.model_validate({"budget": budget}).matches(unknown)
    assert Condition().matches(unknown)


def test_a_condition_and_facts_are_described_on_one_line() -> None:
    when = {"kind": "classification", "dataset": ["a", "b"], "ways": ">=5,<20", "shots": 1}
    assert str(Condition.model_validate(when)) == (
        "classification dataset=a|b ways>=5 ways<20 shots=1"
    )
    assert str(Condition()) == ""
    assert str(OMNIGLOT) == "classification, image, 5-way 1-shot, budget 4000000, omniglot"
    assert str(SINUSOID) == "regression, vector, 5-shot, budget 3000000, sinusoid"
