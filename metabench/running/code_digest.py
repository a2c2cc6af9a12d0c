"""The digest of an algorithm's code: a checkpoint of other code is not resumed."""

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

COUNTED = (
    "metabench.algorithms",
    "metabench.backbones",
    "metabench.learning",
)
"""The parts of metabench that an algorithm's steps depend on."""


def code_digest(algorithm: Algorithm) -> str:
    """Returns the sha256 of the code of an algorithm and its networks, and of PyTorch's version.

    It covers the files of their classes and, following imports, every file of the algorithm's own
    package and of :data:`COUNTED`. A class that was defined in an interpreter has no file and is
    not covered.
    """
    digest = hashlib.sha256(torch.__version__.encode())
    for name, source in sorted(_sources(algorithm).items()):
        digest.update(name.encode() + source)
    return digest.hexdigest()


def _sources(algorithm: Algorithm) -> dict[str, bytes]:
    """Returns the source of every module that is covered, by name."""
    own = {_package(base.__module__) for base in type(algorithm).__mro__}
    sources: dict[str, bytes] = {}
    waiting = list(_modules(algorithm))
    while waiting:
        module = waiting.pop()
        name = module.__name__
        if name in sources or (_package(name) == "metabench" and not name.startswith(COUNTED)):
            continue
        # A module may have no file, no Python source, or imports that do not resolve.
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
    """Yields the modules that define an algorithm and its networks, except PyTorch and Python."""
    excluded = {"torch", *sys.stdlib_module_names}
    for kind in {type(module) for module in algorithm.modules()}:
        for base in kind.__mro__:
            module = sys.modules.get(base.__module__)
            if module is not None and _package(base.__module__) not in excluded:
                yield module


def _package(module: str) -> str:
    return module.partition(".")[0]


def _imported(module: ModuleType, source: bytes) -> Iterator[str]:
    """Yields the names that a module imports anywhere: modules, and attributes of modules."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            if node.level:
                name = importlib.util.resolve_name(name, module.__package__)
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)
