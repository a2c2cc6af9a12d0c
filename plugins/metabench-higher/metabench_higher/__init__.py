"""MAML and its relatives by higher, run by metabench; nothing is imported until it is used."""

from __future__ import annotations

from metabench import Spec, describe_library, hookimpl

LIBRARY = describe_library("higher")
"""The library that does the work, with the version that is installed."""


@hookimpl
def metabench_algorithms() -> list[Spec]:
    """The algorithms, each named as its native namesake where it has one."""
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
    return [Spec(name, f"{at}.{place}", "2", summary, LIBRARY) for name, place, summary in found]
