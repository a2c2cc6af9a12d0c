"""Names and what they stand for, without importing it until it is needed."""

from __future__ import annotations

import fnmatch
import importlib
import re
import reprlib
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from metabench.errors import PluginError, UnknownName
from metabench.utils.redirect import stdout_to_stderr

Kind = Literal[
    "algorithm", "dataset", "backbone", "metric", "suite", "recipe", "executor", "format"
]
KINDS: tuple[Kind, ...] = (
    "algorithm",
    "dataset",
    "backbone",
    "metric",
    "suite",
    "recipe",
    "executor",
    "format",
)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


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
            with stdout_to_stderr():
                return getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:  # the module of a plugin can do anything
            raise PluginError(
                f"'{self.name}' of '{self.distribution}' cannot be imported: {describe_error(error)}",
                hint="`metabench plugins` tells what each plugin brings.",
            ) from error

    @classmethod
    def of(cls, thing: Any) -> Spec:
        """The spec of an entry that a hook returned: itself, or one read off a class.

        Raises:
            PluginError: the entry is neither, or has a name or a target that cannot be.
        """
        name = getattr(thing, "name", None)
        if not isinstance(thing, Spec) and not callable(thing):
            raise PluginError(
                f"returned {reprlib.repr(thing)}, which is neither a class nor a Spec"
            )
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            wrong = "has no `name`" if name is None else f"has the `name` {reprlib.repr(name)}"
            raise PluginError(
                f"returned {reprlib.repr(thing)}, which {wrong}; a name has letters, digits and '._+-'"
            )
        target = thing.target if isinstance(thing, Spec) else thing
        if not (_TARGET.fullmatch(target) if isinstance(target, str) else callable(target)):
            raise PluginError(
                f"returned '{name}' with the target {reprlib.repr(target)}, which is neither a class "
                "nor text of the form 'module:attribute'"
            )
        summary = thing.summary if isinstance(thing, Spec) else getattr(thing, "__doc__", "")
        return cls(
            name=name,
            target=target,
            version=str(getattr(thing, "version", "1")),
            summary=first_line(str(summary or "")),
            library=str(getattr(thing, "library", "") or ""),
        )

    def brought_by(self, distribution: str) -> Spec:
        """The same, with the distribution that brings it."""
        return replace(self, distribution=distribution)


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that cannot be used, with what is known of it.

    Args:
        name: the name of its entry point.
        distribution: the distribution that declares it.
        reason: what is wrong with it.
        algorithms: the algorithms it would have brought, as far as it told before it broke.
    """

    name: str
    distribution: str
    reason: str
    algorithms: tuple[str, ...] = ()


class Registry:
    """Every spec of every kind, by name.

    Two distributions that bring the same name can both be reached as ``distribution:name``; the plain name
    then belongs to the one that was added first, and built-ins are added first.

    Args:
        on_broken: told of a spec that turns out to be broken when it is used, with the reason.
    """

    def __init__(
        self, on_broken: Callable[[Kind, Spec, str], None] = lambda kind, spec, why: None
    ) -> None:
        self._specs: dict[Kind, dict[str, Spec]] = {kind: {} for kind in KINDS}
        self._qualified: dict[Kind, dict[str, Spec]] = {kind: {} for kind in KINDS}
        self._broken: list[BrokenPlugin] = []
        self.on_broken = on_broken

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

    def owner(self, kind: Kind, name: str) -> str:
        """The distribution that has a name, or nothing."""
        spec = self._specs[kind].get(name)
        return spec.distribution if spec is not None else ""

    def add_broken(self, plugin: BrokenPlugin) -> None:
        """Note a plugin that cannot be used."""
        self._broken.append(plugin)

    @property
    def broken(self) -> dict[str, str]:
        """Algorithms that cannot be used, with the reason; a plugin that told of none stands for itself."""
        return {listed: reason for listed, _, reason in self._broken_algorithms()}

    def _broken_algorithms(self) -> list[tuple[str, str, str]]:
        """The name each is listed under, the one with its distribution, and the reason."""
        rows: dict[str, tuple[str, str, str]] = {}
        for plugin in self._broken:
            for name in plugin.algorithms or (plugin.name,):
                qualified = f"{plugin.distribution}:{name}"
                taken = name in self._specs["algorithm"] or name in rows
                listed = qualified if taken else name
                rows[listed] = (listed, qualified, f"its plugin is {plugin.reason}")
        return list(rows.values())

    def get(self, kind: Kind, name: str) -> Spec:
        """The spec of this name.

        Raises:
            PluginError: the plugin that brings it is broken.
            UnknownName: nothing answers to it.
        """
        spec = self._specs[kind].get(name) or self._qualified[kind].get(name)
        if spec is not None:
            return spec
        for listed, qualified, reason in self._broken_algorithms() if kind == "algorithm" else ():
            if name == qualified or fnmatch.fnmatchcase(listed, name):
                raise PluginError(
                    f"algorithm '{listed}' cannot be used: {reason}",
                    hint="`metabench plugins` shows every plugin with its status.",
                )
        error = UnknownName(kind, name, self._specs[kind])
        for plugin in self._broken:
            error.hint += f"\nPlugin '{plugin.name}' may have brought it, and is {plugin.reason}"
        raise error

    def names(self, kind: Kind) -> list[str]:
        """All names of a kind, in natural order."""
        return sorted(self._specs[kind], key=natural_order)

    def specs(self, kind: Kind, *, as_added: bool = False) -> Iterator[Spec]:
        """All specs of a kind, in natural order of their names, or as they were added: built-ins first."""
        return (
            self._specs[kind][name]
            for name in (self._specs[kind] if as_added else self.names(kind))
        )

    def match(self, kind: Kind, patterns: Iterable[str]) -> list[str]:
        """The names that match any of these globs, in natural order.

        Raises:
            PluginError: a pattern names an algorithm of a broken plugin.
            UnknownName: a pattern matches nothing.
        """
        return match_names(kind, self.names(kind), patterns, lambda name: self.get(kind, name).name)


def match_names(
    kind: str, names: list[str], patterns: Iterable[str], resolve: Any = None
) -> list[str]:
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


def describe_error(error: BaseException) -> str:
    """An error of somebody else's code in one line, with the place that raised it."""
    if isinstance(error, PluginError):
        return error.message
    if isinstance(error, SystemExit):
        what = f"it called sys.exit({error.code!r})"
    else:
        try:
            text = " ".join(str(error).split())
        except Exception:  # even its own text can fail
            text = "(its message cannot be shown)"
        what = f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
    if isinstance(error, SyntaxError):  # whose text names the place already
        return what
    ours = (str(Path(__file__).parent), str(Path(importlib.__file__).parent), "<frozen")
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(ours):
            return f"{what} ({'/'.join(Path(frame.filename).parts[-2:])}, line {frame.lineno})"
    return what
