"""Compare one method by several libraries: accuracy, speed and memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tabulate import tabulate

from metabench.errors import NothingSelected
from metabench.leaderboard.build import build
from metabench.leaderboard.render import by_benchmark
from metabench.leaderboard.rows import LeaderboardRow
from metabench.records.costs import median
from metabench.records.schema import Record
from metabench.runtime.provenance import machine_of

BACKENDS = ("maml", "l2l-maml", "higher-maml", "torchopt-maml", "torchfunc-maml")
"""MAML by each library; speeds are relative to the first."""

_ABOUT = """\
# One method by several libraries

Each row is the same method on the same training tasks and the same frozen test episodes. With equal
hyper-parameters and one seed, all start from the same parameters; they differ in the library that
runs the inner loop.

Speed is the number of meta-training tasks in a second, without validation and test. Memory is the
peak of the cell's process, or of the device on a GPU. Both are medians over the seeds, and compare
within one machine only.

This page is generated from records: `metabench backends {folder} > leaderboards/backends.md`."""


def render(
    records: Iterable[Record],
    *,
    names: Sequence[str] = BACKENDS,
    folder: str = "leaderboards/backends",
) -> str:
    """Returns the page in Markdown; it does not depend on the order of the records.

    Args:
        records: The records. Those of other algorithms and of ``--quick`` runs are left out.
        names: The algorithms. Speeds are relative to the first. Each set of overridden
            hyper-parameters is a row of its own.
        folder: The folder of the records, for the command that the page states.

    Raises:
        NothingSelected: If no record is of these algorithms.
        ResultsError: If the records are not comparable.
    """
    # One method, whose budget is the same in all rows: a page of speeds may set a lower one.
    board = build((r for r in records if r.algorithm.name in names), any_budget=True)
    if not board.rows:
        raise NothingSelected(
            f"there is no record of {', '.join(names)}.", hint="`metabench run -a NAME` makes one."
        )
    kept = board.selection.by_algorithm()
    parts = [_ABOUT.format(folder=folder)]
    for benchmark, rows in by_benchmark(board.rows).items():
        groups = {row.algorithm: kept[benchmark, row.algorithm] for row in rows}
        parts += [
            f"## {benchmark}",
            _table(rows, groups, names),
            _settings(groups.values()),
            _machines(groups.values()),
        ]
    return "\n\n".join(parts)


def tasks_per_second(record: Record) -> float | None:
    """Returns the meta-training tasks in a second of meta-training, or nothing if unknown."""
    training = record.training
    tasks = training.tasks
    if not tasks:
        # Older records do not count tasks; an outer step drew as many as the hyper-parameter says.
        per_step = record.algorithm.hyperparameters.get("tasks")
        tasks = training.steps * per_step if isinstance(per_step, int) else 0
    if record.status != "ok" or not tasks or not training.seconds:
        return None
    return tasks / training.seconds


def _table(
    rows: Sequence[LeaderboardRow], groups: Mapping[str, Sequence[Record]], names: Sequence[str]
) -> str:
    algorithms = {label: records[0].algorithm.name for label, records in groups.items()}
    speeds = {label: median(map(tasks_per_second, records)) for label, records in groups.items()}
    order = sorted(rows, key=lambda row: (names.index(algorithms[row.algorithm]), row.algorithm))
    body = [_cells(row, speeds[row.algorithm], speeds.get(names[0])) for row in order]
    body += [
        {"algorithm": name, "status": "no record"}
        for name in names
        if name not in algorithms.values()
    ]
    shown = [{k: v.replace("|", "\\|") for k, v in cells.items()} for cells in body]
    return tabulate(shown, headers="keys", tablefmt="pipe", disable_numparse=True)


def _cells(row: LeaderboardRow, speed: float | None, base: float | None) -> dict[str, str]:
    percent = row.metric == "accuracy"
    scale, form = (100, ".2f") if percent else (1, ".3f")
    score = "" if row.score is None else f"{scale * row.score:{form}}"
    if score and row.ci95 is not None:
        score += f" ± {scale * row.ci95:{form}}"
    return {
        "algorithm": row.algorithm,
        "library": row.library,
        row.metric: f"{score} %" if score and percent else score,
        "seeds": str(row.seeds),
        "tasks/s": "" if speed is None else f"{speed:.3g}" if speed < 100 else f"{speed:,.0f}",
        "relative": "" if speed is None or not base else f"{speed / base:.2f}",
        "peak MB": "" if row.peak_mb is None else f"{row.peak_mb:.0f}",
        "status": row.status if not row.reason else f"{row.status}: {row.reason}",
    }


def _settings(groups: Iterable[Sequence[Record]]) -> str:
    """Returns a sentence on the hyper-parameters that differ between the rows."""
    known = [r.algorithm.hyperparameters for records in groups for r in records if r.status == "ok"]
    names = sorted({name for values in known for name in values})
    different = [name for name in names if len({str(values.get(name)) for values in known}) > 1]
    if different:
        return f"**Hyper-parameters that differ between the rows: {', '.join(different)}.**"
    return "All rows have the same hyper-parameters."


def _machines(groups: Iterable[Sequence[Record]]) -> str:
    machines = sorted(
        {machine_of(r.environment) for records in groups for r in records if r.environment}
    )
    if not machines:
        return "The records do not state the machine."
    if len(machines) == 1:
        return f"Measured on {machines[0]}."
    listed = "\n".join(f"* {machine}" for machine in machines)
    return (
        f"**Measured on different machines, so speed and memory are not comparable:**\n\n{listed}"
    )
