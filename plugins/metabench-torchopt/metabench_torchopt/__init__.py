"""MAML by TorchOpt, run by metabench; nothing is imported until it is used."""

from __future__ import annotations

from metabench import Spec, describe_library, hookimpl

LIBRARY = describe_library("torchopt")
"""The library that does the work, with the version that is installed."""


@hookimpl
def metabench_algorithms() -> list[Spec]:
    """The algorithms, each named as its native namesake."""
    return [
        Spec(
            "torchopt-maml",
            "metabench_torchopt.maml:TorchOptMAML",
            "2",
            "MAML by TorchOpt",
            LIBRARY,
        )
    ]
