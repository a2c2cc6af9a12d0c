"""The recipe files that are installed, and those that an algorithm takes its values from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from metabench.config import DEFAULT_RECIPE
from metabench.errors import PluginError, UnknownName
from metabench.plugins import OWN_DISTRIBUTION
from metabench.recipes.model import Recipe, RecipeFile, fault
from metabench.recipes.read import read_recipes
from metabench.registry import Registry, Spec


def names_of(cls: type, name: str) -> list[str]:
    """Returns the names that recipes of an algorithm may stand under: its own, then its bases'.

    Args:
        cls: the class of the algorithm.
        name: the name that it is listed under, ``distribution:name`` where its own is taken.
    """
    first, *bases = (vars(base).get("name") for base in cls.__mro__)
    # A Spec may install a class under another name than its own, whose recipes then are inherited.
    inherited = bases if first in (_bare(name), None) else [first, *bases]
    return [name, *(base for base in inherited if isinstance(base, str))]


def recipes_of(
    registry: Registry, names: Sequence[str], distribution: str = OWN_DISTRIBUTION
) -> tuple[RecipeFile, ...]:
    """Read the recipe files of an algorithm; later files override earlier ones.

    The first of the names that has a file decides. The files that it extends come before it.

    Args:
        registry: what is installed.
        names: the name of the algorithm and those of its base classes, see :func:`names_of`.
        distribution: the distribution that brings the algorithm.

    Raises:
        ConfigError: If a file is not valid, or extends an algorithm without recipes or itself.
        PluginError: The same for the file of a plugin.
    """
    own, *bases = names
    # An algorithm may share its name with one of another distribution, not its recipes.
    spec = next((s for s in _named(registry, own) if s.distribution == distribution), None)
    if spec is None:
        spec = next((s for base in bases for s in _preferred(registry, base, distribution)), None)
    return _chain(registry, spec)


def recipe_rows(registry: Registry) -> list[dict[str, object]]:
    """Returns a row for each entry of each algorithm, for ``metabench list recipes``.

    Algorithms that only inherit recipes from a base class have no rows. A file of a plugin that is
    not valid is left out and reported as the fault of its plugin.

    Raises:
        ConfigError: If a file that ships with metabench is not valid.
    """
    return [
        {
            "name": recipe.name,
            "algorithm": spec.name,
            "condition": str(recipe.when),
            "values": dict(recipe.values),
            "source": recipe.source,
        }
        for spec, recipe in _all(registry)
    ]


def check_recipe_files(registry: Registry) -> None:
    """Read every recipe file; a plugin with an invalid or missing one is marked as broken.

    Raises:
        ConfigError: If a file that ships with metabench is not valid.
    """
    for _ in _all(registry):
        pass


def check_recipe_name(registry: Registry, name: str) -> None:
    """Check that some algorithm has a recipe of this name.

    Raises:
        UnknownName: If none has.
        ConfigError: If a file that ships with metabench is not valid.
    """
    known = {recipe.name for _, recipe in _all(registry)}
    if name not in known | {DEFAULT_RECIPE}:
        names = ", ".join(sorted(known | {DEFAULT_RECIPE}))
        hint = (
            f"The recipes are {names}; `metabench list recipes` shows which algorithms have each."
        )
        raise UnknownName("recipe", name, known, hint=hint)


def _all(registry: Registry) -> Iterator[tuple[Spec, Recipe]]:
    """Yield the entries of every file, after those that it extends, with the file's spec."""
    for spec in registry.specs("recipe"):
        try:
            files = _chain(registry, spec)
        except PluginError as error:
            registry.on_broken("recipe", spec, error.one_line)
        else:
            yield from ((spec, recipe) for file in files for recipe in file.document.recipe)


def _chain(registry: Registry, spec: Spec | None) -> tuple[RecipeFile, ...]:
    """Read a file and all that it extends, the last of these first."""
    files: list[RecipeFile] = []
    while spec is not None:
        # In front: what a file states overrides what it extends.
        files.insert(0, read_recipes(spec.target, spec.distribution))
        spec = _extended(registry, files)
    return tuple(files)


def _bare(name: str) -> str:
    """Returns a name without the distribution that qualifies it."""
    return name.rpartition(":")[2]


def _named(registry: Registry, algorithm: str) -> list[Spec]:
    """Returns the specs of an algorithm's recipe files, of whatever distribution."""
    bare = _bare(algorithm)
    # As added: the built-in comes first, and a plugin's file is listed under a qualified name.
    return [s for s in registry.specs("recipe", as_added=True) if s.target.stem == bare]


def _preferred(registry: Registry, algorithm: str, distribution: str) -> list[Spec]:
    """Returns the same, those of one distribution first."""
    # A stable sort leaves the built-in first among the rest.
    return sorted(_named(registry, algorithm), key=lambda s: s.distribution != distribution)


def _extended(registry: Registry, files: list[RecipeFile]) -> Spec | None:
    """Returns the file that the first one extends, or None."""
    first = files[0]
    extends = first.document.extends
    if extends is None:
        return None
    read = [file.path for file in files]
    found = _preferred(registry, extends, first.distribution)
    fresh = [spec for spec in found if spec.target not in read]
    if not fresh:
        why = "which extends this file" if found else "which has no recipes"
        raise fault(
            first.distribution,
            f"recipe file '{first.path}': extends = '{extends}', {why}.",
            hint="`metabench list recipes` shows the algorithms that have recipes.",
        )
    return fresh[0]
