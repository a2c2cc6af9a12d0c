"""Names and what they stand for, without importing it until it is needed."""

from __future__ import annotations

import fnmatch
import importlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from metabench.errors import PluginError, UnknownName

Kind = Literal["algorithm", "dataset", "backbone", "metric", "suite"]
KINDS: tuple[Kind, ...] = ("algorithm", "dataset", "backbone", "metric", "suite")


@dataclass(frozen=True)
class Spec:
    """A thing that a plugin brings, by name.

    Args:
        name: what it is called on the command line.
        target: the thing, or ``"package.module:attribute"`` to import it only when it is used.
        version: raised whenever its results change.
        summary: one line for listings.
        library: the library that does its work, where that is not the plugin itself.
        distribution: the distribution that brings it; filled in by the registry.
    """

    name: str
    target: Any
    version: str = "1"
    summary: str = ""
    library: str = ""
    distribution: str = ""

    def load(self) -> Any:
        """The thing itself.

        Raises:
            PluginError: it cannot be imported.
        """
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise PluginError(
                f"'{self.name}' of '{self.distribution}' cannot be imported: {error}",
                hint="`metabench plugins` tells what each plugin brings.",
            ) from error

    @classmethod
    def of(cls, thing: Any) -> Spec:
        """The spec of an entry that a hook returned: itself, or one read off a class.

        Raises:
            PluginError: the entry is neither.
        """
        if isinstance(thing, Spec):
            return thing
        name = getattr(thing, "name", None)
        if not isinstance(name, str) or not name or not callable(thing):
            raise PluginError(f"returned {thing!r}, which is neither a class with a `name` nor a Spec")
        return cls(
            name=name,
            target=thing,
            version=str(getattr(thing, "version", "1")),
            summary=first_line(getattr(thing, "__doc__", "") or ""),
            library=str(getattr(thing, "library", "")),
        )

    def brought_by(self, distribution: str) -> Spec:
        """The same, with the distribution that brings it."""
        return replace(self, distribution=distribution)


class Registry:
    """Every spec of every kind, by name.

    Two distributions that bring the same name can both be reached as ``distribution:name``; the plain name
    then belongs to the one that was added first, and built-ins are added first.
    """

    def __init__(self) -> None:
        self._specs: dict[Kind, dict[str, Spec]] = {kind: {} for kind in KINDS}
        self._qualified: dict[Kind, dict[str, Spec]] = {kind: {} for kind in KINDS}
        self._broken: dict[str, str] = {}

    def add(self, kind: Kind, spec: Spec, *, replacing: bool = False) -> str:
        """Add a spec.

        Args:
            kind: what it is.
            spec: the spec.
            replacing: take the place of an earlier one of the same distribution, as in a notebook whose
                class is defined again.

        Returns:
            The name it is listed under: its own, or ``distribution:name`` where its own is taken.
        """
        known = self._specs[kind].get(spec.name)
        taken = known is not None and not (replacing and known.distribution == spec.distribution)
        listed = f"{spec.distribution}:{spec.name}" if taken else spec.name
        self._specs[kind][listed] = replace(spec, name=listed)
        self._qualified[kind][f"{spec.distribution}:{spec.name}"] = replace(spec, name=listed)
        return listed

    def add_broken(self, name: str, reason: str) -> None:
        """Note an algorithm that its broken plugin would have brought."""
        self._broken[name] = reason

    @property
    def broken(self) -> dict[str, str]:
        """Algorithms that cannot be used, with the reason."""
        return dict(self._broken)

    def get(self, kind: Kind, name: str) -> Spec:
        """The spec of this name.

        Raises:
            PluginError: the plugin that brings it is broken.
            UnknownName: nothing answers to it.
        """
        spec = self._specs[kind].get(name) or self._qualified[kind].get(name)
        if spec is not None:
            return spec
        if kind == "algorithm" and name in self._broken:
            raise PluginError(
                f"algorithm '{name}' cannot be used: {self._broken[name]}",
                hint="`metabench plugins` shows every plugin with its status.",
            )
        raise UnknownName(kind, name, self._specs[kind])

    def names(self, kind: Kind) -> list[str]:
        """All names of a kind, in natural order."""
        return sorted(self._specs[kind], key=natural_order)

    def specs(self, kind: Kind) -> Iterator[Spec]:
        """All specs of a kind, in natural order."""
        return (self._specs[kind][name] for name in self.names(kind))

    def match(self, kind: Kind, patterns: Iterable[str]) -> list[str]:
        """The names that match any of these globs, in natural order.

        Raises:
            PluginError: a pattern names an algorithm of a broken plugin.
            UnknownName: a pattern matches nothing.
        """
        return match_names(kind, self.names(kind), patterns, lambda name: self.get(kind, name).name)


def match_names(kind: str, names: list[str], patterns: Iterable[str], resolve: Any = None) -> list[str]:
    """The names that match any of these globs, in the order of ``names``.

    Args:
        kind: what the names are of, for the message.
        names: all there are.
        patterns: globs.
        resolve: turns a pattern that matches nothing into a name, or raises.

    Raises:
        UnknownName: a pattern matches nothing.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        found = fnmatch.filter(names, pattern)
        if not found:
            if resolve is None:
                raise UnknownName(kind, pattern, names)
            found = [resolve(pattern)]
        chosen.update(found)
    return [name for name in names if name in chosen]


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """A sort key that counts numbers as numbers: ``5w`` before ``20w``."""
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"(\d+)", name) if p]


def first_line(doc: str) -> str:
    """The first line of a docstring."""
    return doc.strip().partition("\n")[0].strip()
