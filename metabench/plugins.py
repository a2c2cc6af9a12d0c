"""Finding plugins, keeping the broken ones from doing harm, and telling about all of them."""

from __future__ import annotations

import copy
import importlib.metadata
import os
import reprlib
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pluggy
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from metabench import hookspecs
from metabench.errors import PluginError, UnknownName, UsageError
from metabench.registry import KINDS, BrokenPlugin, Kind, Registry, Spec, describe_error
from metabench.utils.redirect import stdout_to_stderr

GROUP = "metabench"
OWN_DISTRIBUTION = "metabench"
SLOW_IMPORT_SECONDS = 2.0

Status = Literal["ok", "broken", "blocked"]


@dataclass
class PluginInfo:
    """What is known of one plugin.

    Attributes:
        name: the name of its entry point.
        distribution: the distribution that declares it.
        version: the version of that distribution.
        status: ``ok``; ``broken`` (something of it failed, or it needs another metabench); ``blocked`` (it
            was left out on purpose).
        reason: why it is not ok, or what is worth knowing of it.
        provides: the names it brings, by kind.
    """

    name: str
    distribution: str
    version: str
    status: Status = "ok"
    reason: str = ""
    provides: dict[str, list[str]] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """What ``--no-plugin`` and ``METABENCH_PLUGINS`` may call it."""
        return {self.name, self.distribution, f"{self.distribution}:{self.name}"}


class Plugins:
    """The plugins of this installation, each loaded and called apart from the others.

    Args:
        only: names of the plugins to load, besides metabench's own; ``None`` means all.
        without: names of plugins to leave out.
        entry_points: the entry points to look at; by default the installed ones.

    Raises:
        UnknownName: ``only`` or ``without`` names a plugin that is not installed.
    """

    def __init__(
        self,
        *,
        only: Iterable[str] | None = None,
        without: Iterable[str] = (),
        entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
    ) -> None:
        self.registry = Registry(on_broken=self._broke_later)
        self._manager = pluggy.PluginManager("metabench")
        self._manager.add_hookspecs(hookspecs)
        self._loaded: list[tuple[PluginInfo, object]] = []
        self._muted: set[tuple[str, str, str]] = set()
        damaged: list[PluginInfo] = []
        entries = _in_order(_installed(damaged) if entry_points is None else entry_points)
        self.infos = [_describe(entry) for entry in entries]
        chosen = None if only is None else set(only)
        left_out = set(without)
        _check_names([*self.infos, *damaged], (chosen or set()) | left_out, left_out)
        for entry, info in zip(entries, self.infos, strict=True):
            if _is_own(info):
                self._load(entry, info)
            elif info.names & left_out:
                info.status, info.reason = (
                    "blocked",
                    "left out by --no-plugin or METABENCH_NO_PLUGINS",
                )
            elif chosen is not None and not info.names & chosen:
                info.status, info.reason = "blocked", "not in METABENCH_PLUGINS"
            elif reason := _unmet_requirement(entry):
                info.status, info.reason = "broken", reason
                self._note_broken(info)
            else:
                self._load(entry, info)
        for info in damaged:
            self.infos.append(info)
            if info.names & left_out or (chosen is not None and not info.names & chosen):
                info.status = "blocked"
            else:
                self._note_broken(info)

    @property
    def broken(self) -> list[PluginInfo]:
        """The plugins that failed, or cannot work with this metabench."""
        return [info for info in self.infos if info.status == "broken"]

    def check(self) -> None:
        """Raise PluginError where any plugin is broken, for ``--strict``."""
        if self.broken:
            first, count = self.broken[0], len(self.broken)
            raise PluginError(
                f"{f'{count} plugins are' if count > 1 else 'a plugin is'} broken; "
                f"'{first.name}' of '{first.distribution}' is {first.status}: {first.reason}",
                hint="`metabench plugins` shows all of them; --no-plugin leaves one out.",
            )

    def notify(self, hook: str, **arguments: Any) -> None:
        """Call a life-cycle hook of every plugin; one that raises is reported and not called again."""
        for info, plugin in self._loaded:
            implementation = _implementation(self._manager, plugin, hook)
            call = (info.distribution, info.name, hook)
            if implementation is None or call in self._muted:
                continue
            given = {name: copy.deepcopy(arguments[name]) for name in implementation.argnames}
            try:
                with stdout_to_stderr():
                    implementation.function(**given)
            except (Exception, SystemExit) as error:
                self._muted.add(call)
                _report(info, f"{hook} failed: {describe_error(error)}; it is not called again")

    def _load(self, entry: importlib.metadata.EntryPoint, info: PluginInfo) -> None:
        began = time.perf_counter()
        offered: dict[Kind, list[Spec]] = {}
        try:
            with stdout_to_stderr():
                plugin = entry.load()
                self._register(plugin, info)
                self._collect(plugin, offered)
                _check_hooks(self._manager, plugin)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may even call sys.exit
            info.status, info.reason = "broken", describe_error(error)
            self._note_broken(info, tuple(spec.name for spec in offered.get("algorithm", ())))
            return
        self._loaded.append((info, plugin))
        notes = [
            self._add(kind, spec.brought_by(info.distribution), info)
            for kind, specs in offered.items()
            for spec in specs
        ]
        seconds = time.perf_counter() - began
        if seconds > SLOW_IMPORT_SECONDS and not _is_own(info):
            notes.append(f"slow: it took {seconds:.1f} s to import")
        if not self._manager.get_hookcallers(plugin):
            notes.append("it implements no hook: is @hookimpl missing?")
        info.reason = "; ".join(note for note in notes if note)

    def _register(self, plugin: object, info: PluginInfo) -> None:
        for other, loaded in self._loaded:
            if loaded is plugin:
                raise PluginError(
                    f"its module is loaded already, as plugin '{other.name}' of '{other.distribution}'"
                )
        self._manager.register(plugin, name=f"{info.distribution}:{info.name}")

    def _collect(self, plugin: object, offered: dict[Kind, list[Spec]]) -> None:
        for kind in KINDS:
            hook = f"metabench_{kind}s"
            implementation = _implementation(self._manager, plugin, hook)
            if implementation is not None:
                offered[kind] = _specs(kind, hook, implementation.function())

    def _add(self, kind: Kind, spec: Spec, info: PluginInfo) -> str:
        """Add a spec, and give a note where it cannot have the name it asked for."""
        owner = self.registry.owner(kind, spec.name)
        listed = self.registry.add(kind, spec)
        info.provides.setdefault(f"{kind}s", []).append(listed)
        if listed == spec.name:
            return ""
        return f"'{spec.name}' is {_article(kind)} of '{owner}' already; this one is '{listed}'"

    def _note_broken(self, info: PluginInfo, algorithms: tuple[str, ...] = ()) -> None:
        reason = f"{info.status}: {info.reason}"
        self.registry.add_broken(BrokenPlugin(info.name, info.distribution, reason, algorithms))

    def _broke_later(self, kind: Kind, spec: Spec, reason: str) -> None:
        for info in self.infos:
            if info.distribution == spec.distribution and spec.name in info.provides.get(
                f"{kind}s", ()
            ):
                _report(info, reason)


@lru_cache(maxsize=1)
def installed_plugins() -> Plugins:
    """The installed plugins, as ``METABENCH_PLUGINS`` and ``METABENCH_NO_PLUGINS`` choose; loaded once.

    Raises:
        UnknownName: one of these names a plugin that is not installed.
    """
    chosen = os.environ.get("METABENCH_PLUGINS")
    without = os.environ.get("METABENCH_NO_PLUGINS", "")
    return Plugins(
        only=None if chosen is None else _words(chosen),
        without=_words(without),
    )


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _installed(damaged: list[PluginInfo]) -> Iterator[importlib.metadata.EntryPoint]:
    """The entry points of every distribution; of two of one name those of the first on the path.

    One by one, because a single damaged distribution makes ``importlib.metadata.entry_points`` fail; those
    with a plugin among them are appended to ``damaged``.
    """
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        try:
            entries = distribution.entry_points.select(group=GROUP)
            name = canonicalize_name(distribution.metadata["Name"]) if entries else ""
        except Exception as error:
            folder = Path(str(getattr(distribution, "_path", "")))
            if f"[{GROUP}]" in (distribution.read_text("entry_points.txt") or ""):
                name = folder.stem.partition("-")[0]
                reason = f"the metadata in '{folder}' cannot be read: {describe_error(error)}"
                damaged.append(PluginInfo(name, name, "", "broken", reason))
            continue
        if entries and name not in seen:
            seen.add(name)
            yield from entries


def _in_order(
    entry_points: Iterable[importlib.metadata.EntryPoint],
) -> list[importlib.metadata.EntryPoint]:
    """Built-ins first, so that a plain name stays theirs; then by distribution and name; each once."""
    unique = {(_distribution(e), e.name, e.value): e for e in entry_points}
    return [unique[k] for k in sorted(unique, key=lambda k: (k[0] != OWN_DISTRIBUTION, *k))]


def _distribution(entry: importlib.metadata.EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else ""


def _describe(entry: importlib.metadata.EntryPoint) -> PluginInfo:
    versions = entry.dist.metadata.get_all("Version") if entry.dist is not None else None
    return PluginInfo(entry.name, _distribution(entry), versions[0] if versions else "")


def _is_own(info: PluginInfo) -> bool:
    return info.distribution == OWN_DISTRIBUTION


def _check_names(infos: list[PluginInfo], asked: set[str], left_out: set[str]) -> None:
    known = {name for info in infos for name in info.names}
    for name in sorted(asked - known):
        plain = [info.name for info in infos if not _is_own(info)]
        hint = f"Installed are {', '.join(plain)}." if plain else "None is installed."
        raise UnknownName("plugin", name, known, hint=hint)
    if OWN_DISTRIBUTION in left_out:
        raise UsageError(
            "'metabench' is not a plugin that can be left out.",
            hint="Choose what is run with `metabench run --algorithm`.",
        )


def _unmet_requirement(entry: importlib.metadata.EntryPoint) -> str:
    """Why a plugin cannot run with this metabench, or nothing."""
    own = importlib.metadata.version(OWN_DISTRIBUTION)
    for line in (entry.dist.requires if entry.dist is not None else None) or ():
        try:
            needed = Requirement(line)
        except InvalidRequirement:
            continue
        if canonicalize_name(needed.name) != OWN_DISTRIBUTION:
            continue
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        if not needed.specifier.contains(own, prereleases=True):
            return f"it needs metabench{needed.specifier}, and this is {own}"
    return ""


def _check_hooks(manager: pluggy.PluginManager, plugin: object) -> None:
    """A hook that is misspelt or not marked would otherwise be ignored in silence."""
    known = {name for name in vars(hookspecs) if name.startswith("metabench_")}
    for name in dir(plugin):
        if not name.startswith("metabench_") or not callable(getattr(plugin, name)):
            continue
        if name not in known:
            raise PluginError(f"'{name}' is not a hook; there are {', '.join(sorted(known))}")
        if _implementation(manager, plugin, name) is None:
            raise PluginError(f"'{name}' is not marked as a hook: put @metabench.hookimpl above it")


def _implementation(
    manager: pluggy.PluginManager, plugin: object, hook: str
) -> pluggy.HookImpl | None:
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        if implementation.plugin is plugin:
            found: pluggy.HookImpl = implementation
            return found
    return None


def _specs(kind: Kind, hook: str, offered: Any) -> list[Spec]:
    if isinstance(offered, (str, bytes)) or not isinstance(offered, Iterable):
        raise PluginError(f"{hook} returned {reprlib.repr(offered)}, which is no list")
    specs: dict[str, Spec] = {}
    for thing in offered:
        try:
            spec = _file(thing) if kind in ("suite", "recipe") else Spec.of(thing)
        except PluginError as error:
            raise PluginError(f"{hook} {error.message}") from error
        if spec.name in specs:
            raise PluginError(f"{hook} returned two of the name '{spec.name}'")
        specs[spec.name] = spec
    return list(specs.values())


def _file(thing: Any) -> Spec:
    if not isinstance(thing, (str, Path)):
        raise PluginError(f"returned {reprlib.repr(thing)}, which is not the path of a TOML file")
    return Spec(name=Path(thing).stem, target=Path(thing))


def _article(kind: Kind) -> str:
    return f"an {kind}" if kind in ("algorithm", "executor") else f"a {kind}"


def _report(info: PluginInfo, reason: str) -> None:
    """Mark a plugin as broken that was ok when it was loaded, and say so once."""
    reason = " ".join(reason.split())
    if reason not in info.reason:
        info.reason = f"{info.reason}; {reason}" if info.reason else reason
        _warn(f"plugin '{info.name}' of '{info.distribution}': {reason}")
    info.status = "broken"


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)  # noqa: T201
