"""MAML and its relatives by higher for metabench; higher is imported on first use."""

from __future__ import annotations

from pathlib import Path

from metabench import Spec, describe_library, hookimpl

LIBRARY = describe_library("higher")
"""The library that does the work, with its installed version."""


@hookimpl
def metabench_algorithms() -> list[Spec]:
    """Return the algorithms, each named after its native namesake if it has one."""
    at = "metabench_higher"
    found = [
        ("higher-adam", "adam:HigherAdam", "MAML through a differentiable Adam, by higher"),
        ("higher-fomaml", "maml:HigherFOMAML", "First-order MAML by higher"),
        (
            "higher-learned-lr",
            "learned_lr:HigherLearnedLR",
            "MAML with learned inner rates, by higher",
        ),
        ("higher-maml", "maml:HigherMAML", "MAML by higher"),
    ]
    return [Spec(name, f"{at}.{place}", "3", summary, LIBRARY) for name, place, summary in found]


@hookimpl
def metabench_recipes() -> list[Path]:
    """Return the recipes of algorithms that have others than their native namesakes."""
    return sorted(Path(__file__).parent.joinpath("recipes").glob("*.toml"))
