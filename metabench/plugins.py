"""Plugins: discovery, isolation of the broken ones, and their status."""

from __future__ import annotations

import copy
import itertools
import os
import reprlib
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Literal

import pluggy

from metabench import hookspecs
from metabench.config import parse_list
from metabench.errors import PluginError, UnknownName, UsageError
from metabench.registry import KINDS, BrokenPlugin, Kind, Registry, Spec, describe_error
from metabench.utils.entry_points import (
    distribution_of,
    find_entry_points,
    sorted_entry_points,
    unmet_requirement,
    version_of,
)
from metabench.utils.redirect import stdout_to_stderr

GROUP = "metabench"
OWN_DISTRIBUTION = "metabench"
SLOW_IMPORT_SECONDS = 2.0

PluginStatus = Literal["ok", "broken", "blocked"]


@dataclass
class PluginInfo:
    """The status of a plugin.

    Attributes:
        name: The name of its entry point.
        distribution: The distribution that declares it.
        version: The version of that distribution.
        status: ``ok``, ``broken`` (some of its code failed, or it needs another metabench), or
            ``blocked`` (excluded by an option).
        reason: Why it is not ok, or a remark on it.
        provides: The names that it provides, by kind.
    """

    name: str
    distribution: str
    version: str
    status: PluginStatus = "ok"
    reason: str = ""
    provides: dict[str, list[str]] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """The names that ``--no-plugin`` and ``METABENCH_PLUGINS`` accept for it."""
        return {self.name, self.distribution, f"{self.distribution}:{self.name}"}


class Plugins:
    """The plugins of this installation. An error in one does not affect the others.

    Args:
        only: Names of the plugins to load, besides metabench's own; ``None`` means all.
        without: Names of plugins to exclude.
        entry_points: The entry points of the plugins; by default the installed ones.

    Raises:
        UnknownName: If ``only`` or ``without`` has a name that is not installed.
    """

    # pluggy alone is not enough: its loader of entry points stops at the first that fails, one hook
    # that raises ends the call for all, and a misspelt hook is ignored. So each plugin is loaded,
    # checked and called by itself.
    def __init__(
        self,
        *,
        only: Iterable[str] | None = None,
        without: Iterable[str] = (),
        entry_points: Iterable[EntryPoint] | None = None,
    ) -> None:
        self.registry = Registry(on_broken=self._broke_on_use)
        self._manager = pluggy.PluginManager("metabench")
        self._manager.add_hookspecs(hookspecs)
        self._loaded: list[tuple[PluginInfo, object]] = []
        self._failed_hooks: set[tuple[str, str, str]] = set()
        found, damaged = find_entry_points(GROUP) if entry_points is None else (entry_points, [])
        entries = sorted_entry_points(found, first=OWN_DISTRIBUTION)
        self.infos = [PluginInfo(e.name, distribution_of(e), version_of(e)) for e in entries]
        for name, folder, error in damaged:
            reason = f"the metadata in '{folder}' cannot be read: {describe_error(error)}"
            self.infos.append(PluginInfo(name, name, "", "broken", reason))
        # An empty list is not the same as none: it loads metabench alone.
        chosen, excluded = None if only is None else set(only), set(without)
        _check_names(self.infos, (chosen or set()) | excluded, excluded)
        for info, entry in itertools.zip_longest(self.infos, entries):  # damaged ones have no entry
            if info.distribution != OWN_DISTRIBUTION:
                _screen(info, entry, chosen, excluded)
            if info.status == "broken":
                self._add_broken(info)
            elif info.status == "ok" and entry is not None:
                self._load(entry, info)

    @property
    def broken(self) -> list[PluginInfo]:
        """The broken plugins."""
        return [info for info in self.infos if info.status == "broken"]

    def check(self) -> None:
        """Raise PluginError if any plugin is broken, for ``--strict``."""
        if self.broken:
            first, count = self.broken[0], len(self.broken)
            raise PluginError(
                f"{f'{count} plugins are' if count > 1 else 'a plugin is'} broken; "
                f"'{first.name}' of '{first.distribution}' is {first.status}: {first.reason}",
                hint="`metabench plugins` shows all of them; --no-plugin excludes one.",
            )

    def notify(self, hook: str, **arguments: Any) -> None:
        """Call a life-cycle hook of every plugin; one that raises is not called again."""
        for info, plugin in self._loaded:
            implementation = _implementation(self._manager, plugin, hook)
            call = (info.distribution, info.name, hook)
            if implementation is None or call in self._failed_hooks:
                continue
            # Copies: a plugin that changes its arguments must not change the run.
            given = {name: copy.deepcopy(arguments[name]) for name in implementation.argnames}
            try:
                with stdout_to_stderr():
                    implementation.function(**given)
            except (Exception, SystemExit) as error:
                self._failed_hooks.add(call)
                _report(info, f"{hook} failed: {describe_error(error)}; it is not called again")

    def _load(self, entry: EntryPoint, info: PluginInfo) -> None:
        """Import a plugin and add to the registry what it provides, all of it or nothing."""
        start = time.perf_counter()
        provided: dict[Kind, list[Spec]] = {}
        try:
            with stdout_to_stderr():
                plugin = entry.load()
                self._register(plugin, info)
                self._collect(plugin, provided)
                _check_hooks(self._manager, plugin)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: a plugin may call sys.exit
            info.status, info.reason = "broken", describe_error(error)
            self._add_broken(info, tuple(spec.name for spec in provided.get("algorithm", ())))
            return
        self._loaded.append((info, plugin))
        notes = [
            self._add(kind, spec.provided_by(info.distribution), info)
            for kind, specs in provided.items()
            for spec in specs
        ]
        seconds = time.perf_counter() - start
        if seconds > SLOW_IMPORT_SECONDS and info.distribution != OWN_DISTRIBUTION:
            notes.append(f"slow: it took {seconds:.1f} s to import")
        if not self._manager.get_hookcallers(plugin):
            notes.append("it implements no hook: is @hookimpl missing?")
        info.reason = "; ".join(note for note in notes if note)

    def _register(self, plugin: object, info: PluginInfo) -> None:
        for other, loaded in self._loaded:  # pluggy's own message names neither distribution
            if loaded is plugin:
                raise PluginError(
                    f"its module is already loaded as plugin '{other.name}' of "
                    f"'{other.distribution}'"
                )
        self._manager.register(plugin, name=f"{info.distribution}:{info.name}")

    def _collect(self, plugin: object, provided: dict[Kind, list[Spec]]) -> None:
        """Call the hooks of a plugin that return specs; those before an error stay in the dict."""
        for kind in KINDS:
            hook = f"metabench_{kind}s"
            implementation = _implementation(self._manager, plugin, hook)
            if implementation is not None:
                provided[kind] = _specs(kind, hook, implementation.function())

    def _add(self, kind: Kind, spec: Spec, info: PluginInfo) -> str:
        """Add a spec. Returns a remark if its name is taken."""
        owner = self.registry.owner(kind, spec.name)
        listed = self.registry.add(kind, spec)
        info.provides.setdefault(f"{kind}s", []).append(listed)
        if listed == spec.name:
            return ""
        return f"'{owner}' already provides the {kind} '{spec.name}'; this one is '{listed}'"

    def _add_broken(self, info: PluginInfo, algorithms: tuple[str, ...] = ()) -> None:
        reason = f"{info.status}: {info.reason}"
        self.registry.add_broken(BrokenPlugin(info.name, info.distribution, reason, algorithms))

    def _broke_on_use(self, kind: Kind, spec: Spec, reason: str) -> None:
        for info in self.infos:
            provided = info.provides.get(f"{kind}s", ())
            if info.distribution == spec.distribution and spec.name in provided:
                _report(info, reason)


@lru_cache(maxsize=1)
def installed_plugins() -> Plugins:
    """Returns the installed plugins that the environment selects; they are loaded once.

    ``METABENCH_PLUGINS`` lists those to load, ``METABENCH_NO_PLUGINS`` those to exclude.

    Raises:
        UnknownName: If one of the variables has a name that is not installed.
    """
    chosen = os.environ.get("METABENCH_PLUGINS")
    return Plugins(
        only=None if chosen is None else parse_list(chosen),
        without=parse_list(os.environ.get("METABENCH_NO_PLUGINS", "")),
    )


def _check_names(infos: list[PluginInfo], names: set[str], excluded: set[str]) -> None:
    known = {name for info in infos for name in info.names}
    for name in sorted(names - known):
        plain = [info.name for info in infos if info.distribution != OWN_DISTRIBUTION]
        hint = f"Installed are {', '.join(plain)}." if plain else "None is installed."
        raise UnknownName("plugin", name, known, hint=hint)
    if OWN_DISTRIBUTION in excluded:
        raise UsageError(
            "'metabench' is not a plugin that can be excluded.",
            hint="Choose what runs with `metabench run --algorithm`.",
        )


def _screen(
    info: PluginInfo, entry: EntryPoint | None, chosen: set[str] | None, excluded: set[str]
) -> None:
    """Set the status of a plugin that is not to be imported."""
    if info.names & excluded:
        info.status, info.reason = "blocked", "excluded by --no-plugin or METABENCH_NO_PLUGINS"
    elif chosen is not None and not info.names & chosen:
        info.status, info.reason = "blocked", "not in METABENCH_PLUGINS"
    elif entry is not None and (reason := unmet_requirement(entry, OWN_DISTRIBUTION)):
        info.status, info.reason = "broken", reason


def _check_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    """Raise PluginError for a misspelt or unmarked hook, which pluggy ignores."""
    known = {name for name in vars(hookspecs) if name.startswith("metabench_")}
    for name in dir(plugin):
        if not name.startswith("metabench_") or not callable(getattr(plugin, name)):
            continue
        if name not in known:
            raise PluginError(f"'{name}' is not a hook; the hooks are {', '.join(sorted(known))}")
        if _implementation(manager, plugin, name) is None:
            raise PluginError(f"'{name}' is not marked as a hook: put @metabench.hookimpl above it")


def _implementation(
    manager: pluggy.PluginManager, plugin: object, hook: str
) -> pluggy.HookImpl | None:
    """Returns a plugin's implementation of a hook, if it has one."""
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        if implementation.plugin is plugin:
            found: pluggy.HookImpl = implementation
            return found
    return None


def _specs(kind: Kind, hook: str, returned: Any) -> list[Spec]:
    """Returns the specs of what a hook returned."""
    if isinstance(returned, (str, bytes)) or not isinstance(returned, Iterable):
        raise PluginError(f"{hook} returned {reprlib.repr(returned)}, which is not a list")
    specs: dict[str, Spec] = {}
    for entry in returned:
        try:
            spec = _file(entry) if kind in ("suite", "recipe") else Spec.of(entry)
        except PluginError as error:
            raise PluginError(f"{hook} {error.message}") from error
        if spec.name in specs:
            raise PluginError(f"{hook} returned two entries with the name '{spec.name}'")
        specs[spec.name] = spec
    return list(specs.values())


def _file(entry: Any) -> Spec:
    if not isinstance(entry, (str, Path)):
        raise PluginError(f"returned {reprlib.repr(entry)}, which is not the path of a TOML file")
    return Spec(name=Path(entry).stem, target=Path(entry))


def _report(info: PluginInfo, reason: str) -> None:
    """Mark a plugin as broken that failed after it was loaded, with one warning per reason."""
    reason = " ".join(reason.split())
    if reason not in info.reason:  # a broken executor fails once for every cell
        info.reason = f"{info.reason}; {reason}" if info.reason else reason
        text = f"warning: plugin '{info.name}' of '{info.distribution}': {reason}"
        print(text, file=sys.stderr)  # noqa: T201
    info.status = "broken"
