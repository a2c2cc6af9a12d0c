"""One method by several libraries, side by side: accuracy, speed and memory, as a page made from records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from tabulate import tabulate

from metabench.errors import NothingSelected
from metabench.leaderboard.build import build, by_benchmark, newest
from metabench.leaderboard.rows import Row
from metabench.records.schema import Record
from metabench.runtime.provenance import machine_of

BACKENDS = ("maml", "l2l-maml", "higher-maml", "torchopt-maml", "torchfunc-maml")
"""MAML five times; the first is what the others are held against."""

_ABOUT = """\
# The same method by several libraries

Each row is the same method on the same training tasks and the same frozen test episodes. With equal
hyper-parameters one seed starts all of them at the same parameters, and what differs is whose code runs the
inner loop.

Speed is meta-training tasks in a second, validation and test apart; memory is the most that the cell's
process (on a GPU, the device) held. Both are medians over the seeds. They compare within one machine only.

This page is made from records: `metabench backends {folder} > leaderboards/backends.md`."""


def render(
    records: Iterable[Record],
    *,
    names: Sequence[str] = BACKENDS,
    folder: str = "leaderboards/backends",
) -> str:
    """The page, in markdown: the same text for the same records in any order.

    Args:
        records: the records; ``--quick`` ones and those of other algorithms are left out.
        names: the algorithms, the first of which the others' speed is given relative to; one of them with a
            hyper-parameter chosen by hand is a row of its own.
        folder: where the records lie, for the line that tells how the page is made.

    Raises:
        NothingSelected: none of the records is of these algorithms.
        ResultsError: the records cannot be compared.
    """
    chosen = [r for r in records if r.algorithm.name in names and not r.benchmark.quick]
    if not chosen:
        raise NothingSelected(f"there is no record of {', '.join(names)}.")
    board = build(chosen)
    kept: dict[tuple[str, str], list[Record]] = {}
    for record in newest(chosen):
        kept.setdefault((record.benchmark.title, record.algorithm.label), []).append(record)
    parts = [_ABOUT.format(folder=folder)]
    for benchmark, rows in by_benchmark(board.rows):
        of = {row.algorithm: kept[benchmark, row.algorithm] for row in rows}
        parts += [
            f"## {benchmark}",
            _table(rows, of, names),
            _settings(of.values()),
            _where(of.values()),
        ]
    return "\n\n".join(parts)


def tasks_per_second(record: Record) -> float | None:
    """Meta-training tasks in a second of meta-training; nothing where it is not known.

    An outer step has as many tasks as the hyper-parameter ``tasks`` says.
    """
    tasks = record.algorithm.hyperparameters.get("tasks")
    training = record.training
    if (
        record.status != "ok"
        or not isinstance(tasks, int)
        or not training.steps
        or not training.seconds
    ):
        return None
    return training.steps * tasks / training.seconds


def _table(rows: Sequence[Row], of: dict[str, list[Record]], names: Sequence[str]) -> str:
    speeds = {label: _median(map(tasks_per_second, records)) for label, records in of.items()}
    base = speeds.get(names[0])
    order = sorted(
        rows, key=lambda row: (names.index(of[row.algorithm][0].algorithm.name), row.algorithm)
    )
    body = [_cells(row, speeds[row.algorithm], base) for row in order]
    missing = set(names) - {records[0].algorithm.name for records in of.values()}
    body += [{"algorithm": name, "status": "no record"} for name in names if name in missing]
    shown = [{k: v.replace("|", "\\|") for k, v in cells.items()} for cells in body]
    return tabulate(shown, headers="keys", tablefmt="pipe", disable_numparse=True)


def _cells(row: Row, speed: float | None, base: float | None) -> dict[str, str]:
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
    """Whether all ran with the same hyper-parameters, and else which differ."""
    known = [r.algorithm.hyperparameters for records in groups for r in records if r.status == "ok"]
    names = sorted({name for values in known for name in values})
    other = [name for name in names if len({str(values.get(name)) for values in known}) > 1]
    if other:
        return f"**These hyper-parameters are not the same in all rows: {', '.join(other)}.**"
    return "All rows have the same hyper-parameters."


def _where(groups: Iterable[Sequence[Record]]) -> str:
    """The machines that the records tell of; more than one, and speed and memory do not compare."""
    machines = sorted(
        {machine_of(r.environment) for records in groups for r in records if r.environment}
    )
    if not machines:
        return "The records tell no machine."
    if len(machines) == 1:
        return f"Measured on {machines[0]}."
    listed = "\n".join(f"* {machine}" for machine in machines)
    return (
        f"**Measured on different machines, so that speed and memory do not compare:**\n\n{listed}"
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
