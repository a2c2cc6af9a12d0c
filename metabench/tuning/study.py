"""A study: the trials of each algorithm on each benchmark, and the best of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from metabench.benchmarks.model import Benchmark
from metabench.config import Selection
from metabench.errors import CellFailed, NothingSelected, UsageError
from metabench.records.schema import Record
from metabench.registry import Registry
from metabench.running.cell import Cell
from metabench.running.job import place_of
from metabench.running.plan import Planned, open_benchmark, plan_cell
from metabench.running.selection import check_benchmark, select_algorithms, select_benchmarks
from metabench.running.stored import StoredRecords
from metabench.runtime.counter_rng import make_key
from metabench.tuning.settings import StudySettings
from metabench.tuning.space import Space
from metabench.utils.values import Value


@dataclass(frozen=True)
class Trial:
    """A trial of a study.

    Attributes:
        number: Its place in the study; 0 is the default recipe.
        benchmark: The benchmark that is tuned for, with its whole budget.
        planned: The cell that runs.
    """

    number: int
    benchmark: Benchmark
    planned: Planned

    @property
    def changed(self) -> dict[str, Value]:
        """The hyper-parameters that differ from the default recipe."""
        return self.planned.cell.overrides


@dataclass(frozen=True)
class Outcome:
    """A trial with the record of its cell."""

    trial: Trial
    record: Record

    @property
    def score(self) -> float | None:
        """The mean on meta-validation; ``None`` if the trial failed."""
        return self.record.score if self.record.status == "ok" else None


@dataclass(frozen=True)
class Tuned:
    """The trials of one algorithm on one benchmark.

    Attributes:
        outcomes: The trials in order.
    """

    outcomes: tuple[Outcome, ...]

    @property
    def default(self) -> Outcome:
        """The trial of the default recipe."""
        return self.outcomes[0]

    @property
    def failure(self) -> str:
        """Why no trial has a score, as a sentence; empty if one has."""
        if any(outcome.score is not None for outcome in self.outcomes):
            return ""
        record = self.default.record
        return (
            f"every trial of {record.algorithm.name} on {record.benchmark.name} failed: "
            f"{record.reason}"
        )

    @property
    def best(self) -> Outcome:
        """The trial with the best score; of equal ones the first.

        Raises:
            CellFailed: If no trial has a score.
        """
        if self.failure:
            raise CellFailed(self.failure)
        scored = [o for o in self.outcomes if o.score is not None]
        record = scored[0].record
        sign = -1.0 if record.metrics[record.metric].direction == "lower" else 1.0
        return max(scored, key=lambda o: sign * (o.score or 0.0))  # max returns the first


def plan_study(
    registry: Registry, settings: StudySettings, space: Space, stored: Iterable[Record]
) -> list[Trial]:
    """Returns the trials of a study: by benchmark, then by algorithm, then by number.

    Algorithms that have none of the hyper-parameters of the space, or do not apply to a benchmark,
    have no trials there.

    Args:
        registry: What is installed.
        settings: The study.
        space: What the trials vary.
        stored: The records of earlier runs of the study.

    Raises:
        UsageError: If the fraction is over 1.
        NothingSelected: If no algorithm can be tuned.
        MetabenchError: If the selection is invalid.
    """
    if settings.fraction > 1:
        raise UsageError(
            f"--fraction {settings.fraction:g} is more than the whole budget.",
            hint="Give a number between 0 and 1; 0.1 is the default.",
        )
    selection = Selection(
        algorithm=settings.algorithm, benchmark=settings.benchmark, suite=settings.suite
    )
    algorithms = select_algorithms(registry, selection)
    benchmarks = select_benchmarks(registry, selection)
    for benchmark in benchmarks:
        check_benchmark(registry, benchmark)
    records = StoredRecords(stored)
    trials: list[Trial] = []
    for benchmark in benchmarks:
        reduced = benchmark.for_tuning(settings.fraction, settings.episodes)
        tasks = open_benchmark(registry, reduced, data=settings.data)
        for name in algorithms:
            default = plan_cell(Cell(name, reduced, settings.seed, {}), tasks, registry, records)
            key = make_key("study", settings.seed, name, benchmark.title)
            changes = _changes(default.hyperparameters, space, settings.trials, key)
            for number, changed in enumerate(changes):
                cell = Cell(name, reduced, settings.seed, changed)
                planned = plan_cell(cell, tasks, registry, records)
                trials.append(Trial(number, benchmark, planned))
    if not trials:
        raise NothingSelected(
            "no selected algorithm has a hyper-parameter of the search space.",
            hint="`metabench list recipes` shows what algorithms have; --space names another file.",
        )
    return trials


def _changes(
    defaults: Mapping[str, Value], space: Space, trials: int, key: int
) -> list[dict[str, Value]]:
    """Returns what each trial changes; none if the space has nothing that it could change."""
    rng = np.random.default_rng(key % 2**64)  # a key is a signed number of 64 bits
    changes: list[dict[str, Value]] = [{}]
    changes += [space.draw(defaults, rng) for _ in range(trials - 1)]
    return changes if any(changes) else []


def results_of(trials: Iterable[Trial], records: Iterable[Record]) -> list[Tuned]:
    """Returns the outcomes of a study by algorithm and benchmark.

    Algorithms that skipped a benchmark, because it is of the wrong kind, are left out.

    Args:
        trials: The trials, in the order of :func:`plan_study`.
        records: The records of their cells.
    """
    by_place = {place_of(record): record for record in records}
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for trial in trials:
        cell = trial.planned.cell
        outcome = Outcome(trial, by_place[place_of(cell)])
        if outcome.record.status != "skipped":
            groups.setdefault((cell.algorithm, trial.benchmark.title), []).append(outcome)
    return [Tuned(tuple(outcomes)) for outcomes in groups.values()]
