"""Lazy imports of a package's public names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Returns a module-level ``__getattr__`` (PEP 562) that imports each name on first use.

    Args:
        package: The ``__name__`` of the package.
        modules: The module that defines each name.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807 - it becomes the package's __getattr__
        if name not in modules:
            raise AttributeError(f"module '{package}' has no attribute {name!r}")
        value = getattr(importlib.import_module(modules[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__
