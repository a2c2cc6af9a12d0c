"""Running planned cells, with their progress on stderr."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metabench.utils.text import counted

if TYPE_CHECKING:
    from rich.console import Console

    from metabench.config import Resources
    from metabench.plugins import Plugins
    from metabench.records.schema import Record
    from metabench.records.store import ResultsFolder
    from metabench.running.plan import Planned


def run_cells(
    planned: Sequence[Planned],
    resources: Resources,
    plugins: Plugins,
    folder: ResultsFolder,
    console: Console,
    *,
    noun: str = "cell",
) -> list[Record]:
    """Run the cells that are not stored. Returns the records of all.

    Args:
        planned: The cells.
        resources: What the run may use.
        plugins: The installed plugins.
        folder: Where the records are stored.
        console: The console on stderr.
        noun: What a cell is called there.
    """
    # Here: `metabench run --help` imports this module, and must not import rich or torch.
    from metabench.cli.progress import make_watcher
    from metabench.executors.guard import guarded
    from metabench.running.runner import run_planned
    from metabench.utils.redirect import stdout_to_stderr

    stored = sum(p.state == "stored" for p in planned)
    skipped = sum(p.state == "skipped" for p in planned)
    todo = len(planned) - stored - skipped
    rest = f", {skipped} skipped" if skipped else ""
    say(console, f"{counted(len(planned), noun)}: {stored} stored, {todo} to run{rest}")
    # A cell in this process may print; stdout is for the table alone.
    with stdout_to_stderr(), make_watcher(console) as watcher:
        executor = guarded(plugins.registry, resources.executor)
        return run_planned(planned, plugins, folder, resources, executor, [watcher])


def say(console: Console, text: str) -> None:
    """Print a line as it is."""
    # Paths and names of plugins may contain brackets, which rich would read as markup.
    console.print(text, markup=False, highlight=False, soft_wrap=True)
