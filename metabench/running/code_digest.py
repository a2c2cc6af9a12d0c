"""The code that a trained state came from: whoever changes it starts again from zero."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from metabench.algorithms.base import Algorithm

OURS = (
    "metabench.algorithms",
    "metabench.backbones",
    "metabench.episodes.augmentation",
    "metabench.learning",
)
"""What counts of metabench itself; the rest of it takes no part in an algorithm's steps."""


def code_digest(algorithm: Algorithm) -> str:
    """Stands for the code of an algorithm and of the networks in it, and for the PyTorch they run on.

    Counted are the files of their classes and, from import to import, every file of the algorithm's own
    package and of metabench's algorithms and backbones: a helper that is changed is changed code. A class
    that was typed into an interpreter has no file, and counts for nothing.
    """
    digest = hashlib.sha256(torch.__version__.encode())
    for name, source in sorted(_sources(algorithm).items()):
        digest.update(name.encode() + source)
    return digest.hexdigest()


def _sources(algorithm: Algorithm) -> dict[str, bytes]:
    """Every module that counts, and its source."""
    own = {_package(base.__module__) for base in type(algorithm).__mro__}
    sources: dict[str, bytes] = {}
    waiting = list(_modules(algorithm))
    while waiting:
        module = waiting.pop()
        name = module.__name__
        if name in sources or (_package(name) == "metabench" and not name.startswith(OURS)):
            continue
        with contextlib.suppress(OSError, TypeError, SyntaxError, ImportError, ValueError):
            source = Path(inspect.getfile(module)).read_bytes()
            sources[name] = source
            if _package(name) in own:
                found = [sys.modules.get(other) for other in _imported(module, source)]
                waiting += [
                    m for m in found if m is not None and _package(m.__name__) == _package(name)
                ]
    return sources


def _modules(algorithm: nn.Module) -> Iterator[ModuleType]:
    """The modules that define an algorithm and the networks in it, PyTorch and Python left out."""
    for kind in {type(module) for module in algorithm.modules()}:
        for base in kind.__mro__:
            module = sys.modules.get(base.__module__)
            if module is not None and _package(base.__module__) not in {
                "torch",
                *sys.stdlib_module_names,
            }:
                yield module


def _package(module: str) -> str:
    return module.partition(".")[0]


def _imported(module: ModuleType, source: bytes) -> Iterator[str]:
    """The names that a module imports, wherever in it; some may be no modules but what is in one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            if node.level:
                name = importlib.util.resolve_name(name, module.__package__)
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)
