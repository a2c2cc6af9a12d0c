"""Digests of an algorithm's code: for its record, and for checkpoints, which other code ignores."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

from metabench.algorithms.base import Algorithm
from metabench.utils.python_source import normalized

COUNTED = (
    "metabench.algorithms",
    "metabench.backbones",
    "metabench.learning",
)
"""The parts of metabench that an algorithm's steps depend on."""


def code_digest(algorithm: Algorithm) -> str:
    """Returns the sha256 of the files of an algorithm and its networks, and of PyTorch's version.

    It covers the files of their classes and, following imports, every file of the algorithm's own
    package and of :data:`COUNTED`. A class that was defined in an interpreter has no file and is
    not covered.
    """
    digest = hashlib.sha256(torch.__version__.encode())
    for name, source in sorted(_sources(algorithm).items()):
        digest.update(name.encode() + (source or b""))
    return digest.hexdigest()


def code_of(algorithm: Algorithm) -> str:
    """Returns the sha256 of the same code for a record; empty if it is unknown.

    Comments, docstrings, formatting, paths, and the versions of Python and PyTorch leave it as it
    is. The code of a class is unknown if an interpreter or a script defines it, or if its module is
    not Python source.
    """
    digest = hashlib.sha256()
    for name, source in sorted(_sources(algorithm).items()):
        if source is None:
            return ""
        try:
            text = normalized(source)
        except (SyntaxError, ValueError):
            return ""
        digest.update(f"{name}\n{text}\n".encode())
    return digest.hexdigest()


def _sources(algorithm: Algorithm) -> dict[str, bytes | None]:
    """Returns the source of every module that is covered, by name; ``None`` if a class has none."""
    own = {_package(base.__module__) for base in type(algorithm).__mro__}
    sources: dict[str, bytes | None] = {}
    waiting = _modules(algorithm)
    defining = frozenset(waiting)
    while waiting:
        name = waiting.pop()
        if name in sources or (_package(name) == "metabench" and not _is_counted(name)):
            continue
        path = _path(name)
        if path is None:
            if name in defining:
                sources[name] = None
            continue  # else an attribute of a module was imported
        source = sources[name] = path.read_bytes()
        # Not everything that a network of another library imports: its class is enough.
        if _package(name) in own:
            is_package = path.name == "__init__.py"
            waiting += [
                other
                for other in _imported(name, source, is_package=is_package)
                if _package(other) == _package(name) or _is_counted(other)
            ]
    return sources


def _modules(algorithm: nn.Module) -> list[str]:
    """Returns the modules that define an algorithm and its networks, except PyTorch and Python."""
    excluded = {"torch", *sys.stdlib_module_names}
    kinds = {type(module) for module in algorithm.modules()}
    names = {base.__module__ for kind in kinds for base in kind.__mro__}
    return sorted(name for name in names if _package(name) not in excluded)


def _package(module: str) -> str:
    return module.partition(".")[0]


def _is_counted(module: str) -> bool:
    return any(module == part or module.startswith(f"{part}.") for part in COUNTED)


def _path(name: str) -> Path | None:
    """Returns the file of a module; ``None`` if there is none.

    Below its top-level package it is found on the disk and not in ``sys.modules``: what happens to
    be imported must not change a digest.
    """
    package, *parts = name.split(".")
    top = sys.modules.get(package)
    # A script or an interpreter is another program each time.
    if top is None or package == "__main__":
        return None
    if not parts:
        return _source_file(top)
    for root in map(Path, getattr(top, "__path__", ())):
        place = root.joinpath(*parts)
        for path in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if path.is_file():
                return path
    return None


def _source_file(module: ModuleType) -> Path | None:
    path = Path(getattr(module, "__file__", None) or "")
    return path if path.suffix == ".py" and path.is_file() else None


@functools.lru_cache(maxsize=1024)
def _imported(name: str, source: bytes, *, is_package: bool) -> tuple[str, ...]:
    """Returns the names that a module imports anywhere: modules, and attributes of modules."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ()
    package = name if is_package else name.rpartition(".")[0]
    return tuple(other for node in ast.walk(tree) for other in _names(node, package))


def _names(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        name = "." * node.level + (node.module or "")
        if node.level:
            # An import beyond the top-level package fails when it runs, and names nothing.
            if node.level > len(package.split(".")):
                return
            name = importlib.util.resolve_name(name, package)
        yield name
        yield from (f"{name}.{alias.name}" for alias in node.names)
