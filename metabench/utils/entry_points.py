"""Entry points of installed distributions, read one distribution at a time."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name


class DamagedMetadata(NamedTuple):
    """A distribution that declares entry points and whose metadata cannot be read."""

    name: str
    folder: Path
    error: Exception


def find_entry_points(group: str) -> tuple[list[EntryPoint], list[DamagedMetadata]]:
    """Returns the entry points of a group.

    Of two distributions of one name, the first on ``sys.path`` counts.

    Returns:
        The entry points, and the distributions with entry points of this group that are damaged.
    """
    # Not importlib.metadata.entry_points(): one damaged distribution makes it raise for all.
    found: list[EntryPoint] = []
    damaged: list[DamagedMetadata] = []
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        try:
            entries = distribution.entry_points.select(group=group)
            name = canonicalize_name(distribution.metadata["Name"]) if entries else ""
        except Exception as error:
            folder = Path(str(getattr(distribution, "_path", "")))
            if f"[{group}]" in (distribution.read_text("entry_points.txt") or ""):
                damaged.append(DamagedMetadata(folder.stem.partition("-")[0], folder, error))
            continue
        if entries and name not in seen:
            seen.add(name)
            found.extend(entries)
    return found, damaged


def sorted_entry_points(entries: Iterable[EntryPoint], *, first: str) -> list[EntryPoint]:
    """Returns distinct entry points by distribution and name.

    Args:
        entries: The entry points.
        first: The distribution whose entry points come first.
    """
    unique = {(distribution_of(e), e.name, e.value): e for e in entries}
    return [unique[key] for key in sorted(unique, key=lambda key: (key[0] != first, *key))]


def distribution_of(entry: EntryPoint) -> str:
    """Returns the name of the distribution that declares an entry point."""
    return entry.dist.name if entry.dist is not None else ""


def version_of(entry: EntryPoint) -> str:
    """Returns the version of the distribution that declares an entry point."""
    versions = entry.dist.metadata.get_all("Version") if entry.dist is not None else None
    return versions[0] if versions else ""


def unmet_requirement(entry: EntryPoint, distribution: str) -> str:
    """Returns why an entry point cannot be used with an installed distribution, or nothing.

    Args:
        entry: The entry point.
        distribution: The distribution that it may require.
    """
    installed = importlib.metadata.version(distribution)
    for line in (entry.dist.requires if entry.dist is not None else None) or ():
        try:
            needed = Requirement(line)
        except InvalidRequirement:
            continue
        if canonicalize_name(needed.name) != distribution:
            continue
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        if not needed.specifier.contains(installed, prereleases=True):
            return f"it needs {distribution}{needed.specifier}, and this is {installed}"
    return ""
