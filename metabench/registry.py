"""The registry: names of plugins' contributions, which are imported on first use."""

from __future__ import annotations

import fnmatch
import importlib
import re
import reprlib
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from metabench.errors import PluginError, UnknownName
from metabench.utils.redirect import stdout_to_stderr

Kind = Literal[
    "algorithm", "dataset", "backbone", "metric", "suite", "recipe", "executor", "format"
]
KINDS: tuple[Kind, ...] = get_args(Kind)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Spec:
    """A named contribution of a plugin: an algorithm, a data set, a metric, ...

    Args:
        name: The name on the command line.
        target: The object itself, or ``"package.module:attribute"`` to import it on first use.
        version: Increased whenever its results change.
        summary: One line for listings.
        library: The library that does its work, if that is not the plugin itself.
        distribution: The distribution that provides it. The registry fills this in.
    """

    name: str
    target: Any
    version: str = "1"
    summary: str = ""
    library: str = ""
    distribution: str = ""

    def load(self) -> Any:
        """Returns the object, importing it if needed.

        Raises:
            PluginError: If it cannot be imported.
        """
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        try:
            with stdout_to_stderr():  # stdout may hold a JSON document
                return getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:  # a plugin's module can raise anything
            reason = describe_error(error)
            raise PluginError(
                f"'{self.name}' of '{self.distribution}' cannot be imported: {reason}",
                hint="`metabench plugins` shows what each plugin provides.",
            ) from error

    @classmethod
    def of(cls, entry: Any) -> Spec:
        """Returns the spec of an entry that a hook returned: a spec, a class or a callable.

        Raises:
            PluginError: If the entry is none of these, or its name or target is invalid.
        """
        name = getattr(entry, "name", None)
        if not isinstance(entry, Spec) and not callable(entry):
            raise PluginError(
                f"returned {reprlib.repr(entry)}, which is neither a class nor a Spec"
            )
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            wrong = "has no `name`" if name is None else f"has the `name` {reprlib.repr(name)}"
            raise PluginError(
                f"returned {reprlib.repr(entry)}, which {wrong}; "
                "a name consists of letters, digits and '._+-'"
            )
        target = entry.target if isinstance(entry, Spec) else entry
        if not (_TARGET.fullmatch(target) if isinstance(target, str) else callable(target)):
            raise PluginError(
                f"returned '{name}' with the target {reprlib.repr(target)}, which is neither a "
                "class nor text of the form 'module:attribute'"
            )
        summary = entry.summary if isinstance(entry, Spec) else getattr(entry, "__doc__", "")
        return cls(
            name=name,
            target=target,
            version=str(getattr(entry, "version", "1")),
            summary=first_line(str(summary or "")),
            library=str(getattr(entry, "library", "") or ""),
        )

    def provided_by(self, distribution: str) -> Spec:
        """Returns the same spec with the distribution that provides it."""
        return replace(self, distribution=distribution)


@dataclass(frozen=True)
class BrokenPlugin:
    """A plugin that cannot be used.

    Args:
        name: The name of its entry point.
        distribution: The distribution that declares it.
        reason: Its status, and what is wrong with it.
        algorithms: The algorithms that it listed before it failed.
    """

    name: str
    distribution: str
    reason: str
    algorithms: tuple[str, ...] = ()


class Registry:
    """All specs by kind and name.

    A name that two distributions provide belongs to the one that is added first; built-ins are. The
    other is listed as ``distribution:name``, and both answer to that form.

    Args:
        on_broken: Called with a spec that turns out to be broken on use, and the reason.
    """

    def __init__(
        self, on_broken: Callable[[Kind, Spec, str], None] = lambda kind, spec, reason: None
    ) -> None:
        self._specs: dict[Kind, dict[str, Spec]] = {kind: {} for kind in KINDS}
        self._broken: list[BrokenPlugin] = []
        self.on_broken = on_broken

    def add(self, kind: Kind, spec: Spec, *, replacing: bool = False) -> str:
        """Add a spec.

        Args:
            kind: Its kind.
            spec: The spec.
            replacing: Whether to replace an earlier one of the same distribution, as a notebook
                does that defines a class again.

        Returns:
            The name it is listed under.
        """
        known = self._specs[kind].get(spec.name)
        taken = known is not None and not (replacing and known.distribution == spec.distribution)
        listed = f"{spec.distribution}:{spec.name}" if taken else spec.name
        self._specs[kind][listed] = replace(spec, name=listed)
        return listed

    def owner(self, kind: Kind, name: str) -> str:
        """Returns the distribution that provides a name, or an empty string."""
        spec = self._specs[kind].get(name)
        return spec.distribution if spec is not None else ""

    def add_broken(self, plugin: BrokenPlugin) -> None:
        """Add a plugin that cannot be used."""
        self._broken.append(plugin)

    @property
    def broken(self) -> dict[str, str]:
        """The reason for each algorithm that cannot be used, by the name it is listed under.

        A plugin that failed before it listed its algorithms is included by its own name.
        """
        return {listed: reason for listed, _, reason in self._broken_algorithms()}

    def _broken_algorithms(self) -> list[tuple[str, str, str]]:
        """Returns the listed name, the name with its distribution, and the reason for each."""
        rows: dict[str, tuple[str, str, str]] = {}
        for plugin in self._broken:
            for name in plugin.algorithms or (plugin.name,):
                qualified = f"{plugin.distribution}:{name}"
                taken = name in self._specs["algorithm"] or name in rows
                listed = qualified if taken else name
                rows[listed] = (listed, qualified, f"its plugin is {plugin.reason}")
        return list(rows.values())

    def get(self, kind: Kind, name: str) -> Spec:
        """Returns the spec of this name, or of the form ``distribution:name``.

        Raises:
            PluginError: If the plugin that provides it is broken.
            UnknownName: If there is none.
        """
        distribution, _, plain = name.rpartition(":")
        spec = self._specs[kind].get(name)
        if spec is None and distribution and self.owner(kind, plain) == distribution:
            spec = self._specs[kind][plain]
        if spec is not None:
            return spec
        # A broken plugin may have listed the name, or be called like its algorithm.
        for listed, qualified, reason in self._broken_algorithms() if kind == "algorithm" else ():
            if name == qualified or fnmatch.fnmatchcase(listed, name):
                raise PluginError(
                    f"algorithm '{listed}' cannot be used: {reason}",
                    hint="`metabench plugins` shows the status of every plugin.",
                )
        # Any broken plugin may be the one: it failed before it listed its names.
        error = UnknownName(kind, name, self._specs[kind])
        for plugin in self._broken:
            error.hint += f"\nPlugin '{plugin.name}' may provide it, and is {plugin.reason}"
        raise error

    def names(self, kind: Kind) -> list[str]:
        """Returns all names of a kind, in natural order."""
        return sorted(self._specs[kind], key=natural_order)

    def specs(self, kind: Kind, *, as_added: bool = False) -> Iterator[Spec]:
        """Returns all specs of a kind.

        Args:
            kind: The kind.
            as_added: Whether they come in the order in which they were added, built-ins first;
                otherwise they come in natural order of their names.
        """
        names = self._specs[kind] if as_added else self.names(kind)
        return (self._specs[kind][name] for name in names)

    def match(self, kind: Kind, patterns: Iterable[str]) -> list[str]:
        """Returns the names that match any of these globs, in natural order.

        Raises:
            PluginError: If a pattern is the name of an algorithm of a broken plugin.
            UnknownName: If a pattern matches nothing.
        """
        return match_names(kind, self.names(kind), patterns, lambda name: self.get(kind, name).name)


def match_names(
    kind: str,
    names: list[str],
    patterns: Iterable[str],
    resolve: Callable[[str], str] | None = None,
    *,
    hint: str = "",
) -> list[str]:
    """Returns the names that match any of these globs, in the order of ``names``.

    Args:
        kind: The kind of the names, for the message.
        names: All names.
        patterns: The globs.
        resolve: Called with a pattern that matches nothing; returns a name or raises.
        hint: What to do about such a pattern, if ``names`` are not all that are installed.

    Raises:
        UnknownName: If a pattern matches nothing.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        found = fnmatch.filter(names, pattern)
        if not found:  # perhaps `distribution:name`, or a name of a broken plugin
            if resolve is None:
                raise UnknownName(kind, pattern, names, hint=hint)
            found = [resolve(pattern)]
        chosen.update(found)
    return [name for name in names if name in chosen]


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Returns a sort key that compares digits as numbers: ``5w`` before ``20w``."""
    # Not natsort (8.4): importing it takes 10 ms of the 0.2 s that a listing may take.
    return [(0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"(\d+)", name) if p]


def first_line(doc: str) -> str:
    """Returns the first line of a docstring as messages are written, without Sphinx's markup.

    >>> first_line("Wraps :class:`~metabench.Algorithm`, as ``x`` [E].")
    'Wraps `Algorithm`, as `x` [E].'
    """
    line = doc.strip().partition("\n")[0].strip()
    line = re.sub(r":[\w:]+:`(?:~[\w.]*\.)?([^`<]+?)(?: <[^`>]*>)?`", r"`\1`", line)
    return line.replace("``", "`")


def describe_error(error: BaseException) -> str:
    """Returns an error of a plugin in one line, with the last line of its own code."""
    if isinstance(error, PluginError):
        return error.message
    if isinstance(error, SystemExit):
        what = f"it called sys.exit({error.code!r})"
    else:
        try:
            text = " ".join(str(error).split())
        except Exception:  # a plugin's __str__ can raise too
            text = "(its message cannot be shown)"
        what = f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
    if isinstance(error, SyntaxError):  # its text includes the place
        return what
    # The user can change their own code: skip the frames of metabench and of the import system.
    ours = (str(Path(__file__).parent), str(Path(importlib.__file__).parent), "<frozen")
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(ours):
            return f"{what} ({'/'.join(Path(frame.filename).parts[-2:])}, line {frame.lineno})"
    return what
