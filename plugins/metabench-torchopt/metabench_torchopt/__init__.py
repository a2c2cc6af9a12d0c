"""MAML by TorchOpt, run by metabench; nothing is imported until it is used."""

from __future__ import annotations

import importlib.metadata

from metabench import Spec, hookimpl


def _library() -> str:
    try:
        return f"torchopt {importlib.metadata.version('torchopt')}"
    except importlib.metadata.PackageNotFoundError:
        return "torchopt (not installed)"


LIBRARY = _library()
"""The library that does the work, with the version that is installed."""


@hookimpl
def metabench_algorithms() -> list[Spec]:
    """The algorithms, each named as its native namesake."""
    return [Spec("torchopt-maml", "metabench_torchopt.maml:TorchOptMAML", "1", "MAML by TorchOpt", LIBRARY)]
