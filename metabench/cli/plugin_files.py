"""The suite and recipe files of plugins, which are read on use."""

from __future__ import annotations

from metabench.plugins import Plugins


def check_files(plugins: Plugins) -> None:
    """Read all suite and recipe files, and mark the plugins whose files are invalid as broken."""
    from metabench.benchmarks.model import load_suites
    from metabench.recipes.load import check_recipe_files

    load_suites(plugins.registry)
    check_recipe_files(plugins.registry)
