"""MAML by TorchOpt for metabench; TorchOpt is imported on first use."""

from __future__ import annotations

from metabench import Spec, describe_library, hookimpl

LIBRARY = describe_library("torchopt")
"""The library that does the work, with its installed version."""


@hookimpl
def metabench_algorithms() -> list[Spec]:
    """Return the algorithms, each named after its native namesake."""
    return [
        Spec(
            "torchopt-maml",
            "metabench_torchopt.maml:TorchOptMAML",
            "3",
            "MAML by TorchOpt",
            LIBRARY,
        )
    ]
