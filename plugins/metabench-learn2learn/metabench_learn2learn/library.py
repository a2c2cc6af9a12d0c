"""learn2learn itself, imported here and nowhere else."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import types
import warnings
from typing import Any

from torch import nn

_OPERATORS = "torchvision._meta_registrations"


def _import() -> Any:
    """Import learn2learn, which imports torchvision and gym, of which nothing is needed here."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stderr(io.StringIO()),
    ):  # gym says that it is old
        warnings.simplefilter("ignore")
        _import_torchvision()
        return importlib.import_module("learn2learn")


def _import_torchvision() -> None:
    """Import torchvision, without its compiled operators where they do not go with this PyTorch.

    The published wheel is linked to CUDA and registers nothing on a CPU build of PyTorch, and the module that
    describes those operators then fails: ``operator torchvision::nms does not exist``.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.modules[_OPERATORS] = types.ModuleType(_OPERATORS)
        importlib.import_module("torchvision")


l2l: Any = _import()


def own_buffers(clone: nn.Module) -> None:
    """Give a clone buffers of its own: learn2learn's clones write to those of what they were made from."""
    for module in clone.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.clone()


def hold(clone: nn.Module, names: set[str]) -> None:
    """Keep some parameters of a clone out of adaptation: ``adapt`` moves every parameter, and no buffer.

    Args:
        clone: what ``clone()`` gave; what it was made from is not touched.
        names: the parameters that stay where they are; gradients still flow to what they were cloned from.
    """
    for name in names:
        place, _, leaf = name.rpartition(".")
        module = clone.get_submodule(place)
        module._buffers[leaf] = module._parameters.pop(leaf)
