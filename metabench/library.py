"""What an adapter says of the library that does its work."""

from __future__ import annotations

import importlib.metadata


def describe_library(distribution: str) -> str:
    """A library with the version that is installed, for :attr:`Spec.library`; it is not imported.

    Args:
        distribution: the name it is installed by: ``"learn2learn"`` gives ``"learn2learn 0.2.0"``, or
            ``"learn2learn (not installed)"``.
    """
    try:
        return f"{distribution} {importlib.metadata.version(distribution)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{distribution} (not installed)"
