"""MAML in plain ``torch.func``, run by metabench; nothing is imported until it is used."""

from __future__ import annotations

from metabench import Spec, describe_library, hookimpl

LIBRARY = f"torch.func of {describe_library('torch')}"
"""What does the work, with the version that is installed."""


@hookimpl
def metabench_algorithms() -> list[Spec]:
    """The algorithms, each named as its native namesake."""
    at = "metabench_torchfunc"
    summary = "MAML in plain torch.func, task by task"
    return [Spec("torchfunc-maml", f"{at}.maml:TorchFuncMAML", "3", summary, LIBRARY)]
