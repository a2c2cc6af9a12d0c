"""learn2learn itself; nothing else imports it."""

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
    """Import learn2learn, which imports torchvision and gym."""
    # gym warns on stderr that it is not maintained.
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        _import_torchvision()
        return importlib.import_module("learn2learn")


def _import_torchvision() -> None:
    """Import torchvision, without its compiled operators if they do not match this PyTorch."""
    # The published wheel is linked to CUDA and registers no operators on a CPU build of PyTorch;
    # the module that describes them then fails: operator torchvision::nms does not exist.
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        sys.modules[_OPERATORS] = types.ModuleType(_OPERATORS)
        importlib.import_module("torchvision")


l2l: Any = _import()


def own_buffers(clone: nn.Module) -> None:
    """Give a clone its own buffers: learn2learn's clones share those of the original."""
    for module in clone.modules():
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = buffer.clone()


def hold(clone: nn.Module, names: set[str]) -> None:
    """Exclude parameters of a clone from adaptation: ``adapt`` moves every parameter and no buffer.

    Args:
        clone: The result of ``clone()``; the original is not changed.
        names: The parameters to exclude; gradients still flow to their originals.
    """
    for name in names:
        place, _, leaf = name.rpartition(".")
        module = clone.get_submodule(place)
        module._buffers[leaf] = module._parameters.pop(leaf)
