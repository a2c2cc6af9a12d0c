"""Conditions on an integer."""

from __future__ import annotations

import pytest

from metabench.recipes.comparison import Comparison


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (5, {5}),
        (0, {0}),
        (">=5", {5, 6, 20, 21}),
        (">5", {6, 20, 21}),
        ("<5", {0, 4}),
        ("<=5", {0, 4, 5}),
        (">=5,<20", {5, 6}),
        (" > 4 , <= 20 ", {5, 6, 20}),
        ("<1_000", {0, 4, 5, 6, 20, 21}),
    ],
)
def test_a_condition_holds_for_the_numbers_that_satisfy_all_comparisons(
    value: object, holds: set[int]
) -> None:
    comparison = Comparison.parse(value)
    assert {n for n in (0, 4, 5, 6, 20, 21) if comparison.holds(n)} == holds


@pytest.mark.parametrize(
    "value",
    [
        "5",
        "",
        ">",
        "=5",
        "==5",
        ">=x",
        ">=-1",
        ">=5,",
        ">=5;<20",
        "5<=6",
        ">=1__0",
        True,
        5.0,
        None,
        [5],
    ],
)
def test_an_invalid_condition_is_an_error(value: object) -> None:
    with pytest.raises(ValueError, match="not a condition on a number"):
        Comparison.parse(value)


@pytest.mark.parametrize("value", [">5,<6", ">=20,<5", "<0"])
def test_a_condition_that_no_number_satisfies_is_an_error(value: str) -> None:
    with pytest.raises(ValueError, match="No number satisfies"):
        Comparison.parse(value)


@pytest.mark.parametrize("value", [">=5,<=5", ">4,<6", "<1", 0])
def test_a_condition_that_one_number_satisfies_is_valid(value: object) -> None:
    comparison = Comparison.parse(value)
    assert sum(map(comparison.holds, range(20))) == 1


def test_a_condition_is_described_by_its_comparisons() -> None:
    assert Comparison.parse(">=5, <20").describe("ways") == "ways>=5 ways<20"
    assert Comparison.parse(5).describe("ways") == "ways=5"
