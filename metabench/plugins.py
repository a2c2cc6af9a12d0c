"""Finding plugins, keeping the broken ones from doing harm, and telling about all of them."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pluggy
from packaging.requirements import InvalidRequirement, Requirement

from metabench import hookspecs
from metabench.errors import PluginError
from metabench.registry import KINDS, Kind, Registry, Spec

GROUP = "metabench"
OWN_DISTRIBUTION = "metabench"
SLOW_IMPORT_SECONDS = 2.0


@dataclass
class PluginInfo:
    """What is known of one plugin.

    Attributes:
        name: the name of its entry point.
        distribution: the distribution that declares it.
        version: the version of that distribution.
        status: ``ok``; ``broken`` (it failed); ``blocked`` (it was left out on purpose).
        reason: why it is broken or blocked, or what is worth knowing of it.
        provides: the names it brings, by kind.
    """

    name: str
    distribution: str
    version: str
    status: Literal["ok", "broken", "blocked"] = "ok"
    reason: str = ""
    provides: dict[str, list[str]] = field(default_factory=dict)


class Plugins:
    """The plugins of this installation, each loaded and called apart from the others.

    Args:
        only: names of the entry points to load, besides metabench's own; ``None`` means all.
        without: names of entry points to leave out.
        entry_points: the entry points to look at; by default the installed ones.
    """

    def __init__(
        self,
        *,
        only: Iterable[str] | None = None,
        without: Iterable[str] = (),
        entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
    ) -> None:
        self.registry = Registry()
        self.infos: list[PluginInfo] = []
        self._manager = pluggy.PluginManager("metabench")
        self._manager.add_hookspecs(hookspecs)
        self._loaded: list[tuple[PluginInfo, object]] = []
        chosen = None if only is None else set(only)
        left_out = set(without)
        for entry in _in_order(entry_points):
            info = _describe(entry)
            self.infos.append(info)
            if _is_own(info):
                self._load(entry, info)
            elif info.name in left_out or info.distribution in left_out:
                info.status, info.reason = "blocked", "left out by --no-plugin"
            elif chosen is not None and info.name not in chosen:
                info.status, info.reason = "blocked", "not in METABENCH_PLUGINS"
            elif reason := _unmet_requirement(entry):
                info.status, info.reason = "blocked", reason
                self.registry.add_broken(info.name, f"its plugin is blocked: {reason}.")
            else:
                self._load(entry, info)

    @property
    def broken(self) -> list[PluginInfo]:
        """The plugins that failed."""
        return [info for info in self.infos if info.status == "broken"]

    def check(self) -> None:
        """Raise PluginError where any plugin is broken, for ``--strict``."""
        if self.broken:
            first = self.broken[0]
            raise PluginError(
                f"{len(self.broken)} plugin(s) are broken, '{first.name}' among them: {first.reason}",
                hint="`metabench plugins` shows all of them; --no-plugin leaves one out.",
            )

    def notify(self, hook: str, **arguments: Any) -> None:
        """Call a life-cycle hook of every plugin; one that raises is reported and not called again."""
        for info, plugin in self._loaded:
            function = _implementation(self._manager, plugin, hook)
            if function is None or info.status != "ok":
                continue
            try:
                _call(function, arguments)
            except Exception as error:
                info.status, info.reason = "broken", f"{hook} raised {_brief(error)}"
                print(f"warning: plugin '{info.name}': {info.reason}", file=sys.stderr)  # noqa: T201

    def _load(self, entry: importlib.metadata.EntryPoint, info: PluginInfo) -> None:
        began = time.perf_counter()
        plugin: object = None
        try:
            with _quiet():
                plugin = entry.load()
                self._manager.register(plugin, name=f"{info.distribution}:{info.name}")
                self._check_hook_names(plugin)
                offered = self._collect(plugin)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may even call sys.exit
            if plugin is not None and self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            info.status, info.reason = "broken", _brief(error)
            self.registry.add_broken(info.name, f"its plugin is broken: {info.reason}")
            return
        self._loaded.append((info, plugin))
        notes = [
            self._add(kind, spec.brought_by(info.distribution), info)
            for kind, specs in offered.items()
            for spec in specs
        ]
        seconds = time.perf_counter() - began
        if seconds > SLOW_IMPORT_SECONDS and not _is_own(info):
            notes.append(f"took {seconds:.1f} s to import")
        info.reason = "; ".join(note for note in notes if note)

    def _add(self, kind: Kind, spec: Spec, info: PluginInfo) -> str:
        listed = self.registry.add(kind, spec)
        info.provides.setdefault(f"{kind}s", []).append(listed)
        if listed == spec.name:
            return ""
        return f"{kind} '{spec.name}' is taken; this one is '{listed}'"

    def _collect(self, plugin: object) -> dict[Kind, list[Spec]]:
        offered: dict[Kind, list[Spec]] = {}
        for kind in KINDS:
            hook = f"metabench_{kind}s"
            function = _implementation(self._manager, plugin, hook)
            if function is not None:
                offered[kind] = _specs(kind, hook, function())
        return offered

    def _check_hook_names(self, plugin: object) -> None:
        """A misspelt hook would otherwise be ignored in silence."""
        known = {name for name in vars(hookspecs) if name.startswith("metabench_")}
        for name in dir(plugin):
            if name.startswith("metabench_") and name not in known and callable(getattr(plugin, name)):
                raise PluginError(f"'{name}' is not a hook; there are {', '.join(sorted(known))}")


@lru_cache(maxsize=1)
def installed_plugins() -> Plugins:
    """The installed plugins, as ``METABENCH_PLUGINS`` and ``METABENCH_NO_PLUGINS`` choose; loaded once."""
    chosen = os.environ.get("METABENCH_PLUGINS")
    without = os.environ.get("METABENCH_NO_PLUGINS", "")
    return Plugins(
        only=None if chosen is None else _words(chosen),
        without=_words(without),
    )


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _in_order(
    entry_points: Iterable[importlib.metadata.EntryPoint] | None,
) -> list[importlib.metadata.EntryPoint]:
    """Built-ins first, so that a plain name stays theirs; then by distribution and name; each once."""
    if entry_points is None:
        entry_points = importlib.metadata.entry_points(group=GROUP)
    unique = {(_distribution(e), e.name, e.value): e for e in entry_points}
    return [unique[k] for k in sorted(unique, key=lambda k: (k[0] != OWN_DISTRIBUTION, *k))]


def _distribution(entry: importlib.metadata.EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else ""


def _describe(entry: importlib.metadata.EntryPoint) -> PluginInfo:
    version = entry.dist.version if entry.dist is not None else ""
    return PluginInfo(name=entry.name, distribution=_distribution(entry), version=version)


def _is_own(info: PluginInfo) -> bool:
    return info.distribution == OWN_DISTRIBUTION


def _unmet_requirement(entry: importlib.metadata.EntryPoint) -> str:
    """Why a plugin cannot run with this metabench, or nothing."""
    own = importlib.metadata.version(OWN_DISTRIBUTION)
    for line in (entry.dist.requires if entry.dist is not None else None) or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.name == OWN_DISTRIBUTION and not requirement.specifier.contains(own, prereleases=True):
            return f"it needs metabench{requirement.specifier}, and this is {own}"
    return ""


def _implementation(manager: pluggy.PluginManager, plugin: object, hook: str) -> Callable[..., Any] | None:
    caller = getattr(manager.hook, hook)
    for implementation in caller.get_hookimpls():
        if implementation.plugin is plugin:
            function: Callable[..., Any] = implementation.function
            return function
    return None


def _call(function: Callable[..., Any], arguments: dict[str, Any]) -> None:
    """Call a hook with those of the arguments that it asks for, as pluggy does."""
    code = function.__code__
    wanted = code.co_varnames[: code.co_argcount]
    function(**{name: value for name, value in arguments.items() if name in wanted})


def _specs(kind: Kind, hook: str, offered: Any) -> list[Spec]:
    if isinstance(offered, (str, bytes)) or not isinstance(offered, Iterable):
        raise PluginError(f"{hook} returned {offered!r}, which is no list")
    try:
        if kind == "suite":
            return [Spec(name=Path(path).stem, target=Path(path)) for path in offered]
        return [Spec.of(thing) for thing in offered]
    except (PluginError, TypeError) as error:
        raise PluginError(f"{hook} {error}") from error


def _brief(error: BaseException) -> str:
    """An error in one line, with the line of the plugin that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    if isinstance(error, PluginError):
        return error.message
    return f"{type(error).__name__}: {error}{where}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What a plugin prints goes to stderr: stdout may be a JSON document."""
    with contextlib.redirect_stdout(sys.stderr):
        yield
