"""The same as the command line, from Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from metabench.errors import PluginError, ResultsError, UsageError
from metabench.executors.guard import guarded
from metabench.leaderboard import build as leaderboard
from metabench.leaderboard.build import Leaderboard
from metabench.plugins import installed_plugins
from metabench.records.schema import Record, Value
from metabench.records.selection import RecordSelection
from metabench.records.store import ResultsFolder, Unreadable
from metabench.registry import Registry, Spec, match_names
from metabench.running.plan import Selection, plan
from metabench.running.runner import Resources, Watcher, run_planned

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

    from metabench.algorithms.base import Algorithm

DEFAULT_RESULTS = Path("results")
_DEFAULTS = Resources()


@dataclass(frozen=True)
class Results:
    """Some records, as frames and tables.

    Attributes:
        records: the records.
        unreadable: files among them that are none.
    """

    records: list[Record]
    unreadable: list[Unreadable] = field(default_factory=list)

    def to_frame(self) -> pd.DataFrame:
        """One row a cell."""
        return pd.DataFrame([_cell_row(record) for record in self.records])

    def episodes(self) -> pd.DataFrame:
        """One row an episode: the cell, the episode's index, and its score by every metric that has one."""
        frames = []
        for record in self.records:
            scores = {
                name: pd.Series(m.episodes) for name, m in record.metrics.items() if m.episodes
            }
            frame = pd.DataFrame(scores)
            frame.insert(0, "episode", range(len(frame)))
            frame.insert(0, "seed", record.seed)
            frame.insert(0, "benchmark", record.benchmark.name)
            frame.insert(0, "algorithm", record.algorithm.label)
            frames.append(frame)
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def leaderboard(self) -> Leaderboard:
        """The ranked table; one of ``--quick`` records where there are no others.

        Raises:
            ResultsError: the records cannot be compared.
        """
        return leaderboard.build(self.records, quick=None)

    def plot(self, kind: str, benchmarks: Iterable[str] | str = ()) -> MatplotlibFigure:
        """A figure for a paper: ``results.plot("pareto").savefig("pareto.pdf")``.

        Args:
            kind: ``pareto``, ``adaptation``, ``learning`` or ``robustness``.
            benchmarks: names or globs; by default all of the records.

        Raises:
            UsageError: there is no such kind, or matplotlib is not installed.
            NothingSelected: no record holds what the plot shows.
        """
        from metabench.report import gather
        from metabench.report.paper import plot

        names = sorted({r.benchmark.name for r in self.records})
        globs = (benchmarks,) if isinstance(benchmarks, str) else tuple(benchmarks)
        chosen = match_names("benchmark", names, globs) if globs else names
        kept = RecordSelection(self.records).with_quick(None).records
        records = [r for r in kept if r.benchmark.name in chosen]
        return plot(gather(records, quick=None).benchmarks, kind)

    def _repr_html_(self) -> str:
        return self.leaderboard().render("html")

    def __str__(self) -> str:
        return self.leaderboard().render("table")


def run(
    algorithms: Iterable[str | type[Algorithm]] | str | type[Algorithm] = (),
    *,
    benchmarks: Iterable[str] | str = (),
    suite: str = "",
    seeds: Iterable[int] = (0,),
    settings: Mapping[str, Mapping[str, Value]] | None = None,
    quick: bool = False,
    fresh: bool = False,
    metrics: Iterable[str] | str = (),
    results: Path | str = DEFAULT_RESULTS,
    resources: Resources = _DEFAULTS,
    watchers: Iterable[Watcher] = (),
) -> Results:
    """Run cells that are not stored yet, and give the records of all that were asked for.

    ::

        results = metabench.run(["protonet", MyAlgorithm], benchmarks=["glyphs-5w1s"])
        results.to_frame()

    Args:
        algorithms: names, globs, or classes, or one of them alone; by default every installed algorithm.
            With a class among them the cells run in this process, one after the other: a worker could not
            import it.
        benchmarks: names or globs; by default all of the suite.
        suite: the suite, or the path of a ``.toml`` file that is one; by default ``core``, unless benchmarks
            are named.
        seeds: the seeds.
        settings: hyper-parameters by algorithm.
        quick: shrink every benchmark, to see that things work.
        fresh: run again what is stored.
        metrics: names or globs of what is measured beside the metric that ranks; by default what each
            benchmark names.
        results: the results folder.
        resources: device, jobs, threads, data folder, time limit, executor.
        watchers: whoever is told how the run goes.

    Raises:
        MetabenchError: something that was asked for cannot be.
    """
    plugins = installed_plugins()
    names: list[str] = []
    for algorithm in [algorithms] if isinstance(algorithms, (str, type)) else algorithms:
        if isinstance(algorithm, str):
            names.append(algorithm)
        else:
            names.append(_add(plugins.registry, algorithm))
            resources = replace(resources, executor="in-process")
    benchmarks = [benchmarks] if isinstance(benchmarks, str) else benchmarks
    folder = ResultsFolder(Path(results))
    stored, unreadable = folder.load()
    selection = Selection(
        tuple(names),
        tuple(benchmarks),
        suite,
        tuple(seeds),
        settings,
        quick=quick,
        fresh=fresh,
        metrics=(metrics,) if isinstance(metrics, str) else tuple(metrics),
    )
    planned = plan(plugins.registry, selection, stored, data=resources.data)
    make_executor = guarded(plugins.registry, resources.executor)
    records = run_planned(planned, plugins, folder, resources, make_executor, watchers)
    return Results(records, unreadable)


def load_results(path: Path | str) -> Results:
    """The records of a results folder.

    Raises:
        ResultsError: there is no such folder.
    """
    if not Path(path).is_dir():
        raise ResultsError(
            f"there is no results folder '{path}'.",
            hint="`metabench.run` and `metabench run --all` make one.",
        )
    return Results(*ResultsFolder(Path(path)).load())


def _add(registry: Registry, algorithm: type[Algorithm]) -> str:
    """Register a class that only this process knows, and give the name it is listed under."""
    try:
        spec = Spec.of(algorithm)
    except PluginError as error:
        raise UsageError(
            f"{algorithm!r} cannot be run: {error.message}.",
            hint="Give names, or classes that derive from metabench.Algorithm and have a `name`.",
        ) from error
    return registry.add("algorithm", spec.brought_by(algorithm.__module__), replacing=True)


def _cell_row(record: Record) -> dict[str, Any]:
    row: dict[str, Any] = {
        "algorithm": record.algorithm.label,
        "version": record.algorithm.version,
        "benchmark": record.benchmark.name,
        "benchmark_version": record.benchmark.version,
        "seed": record.seed,
        "quick": record.benchmark.quick,
        "status": record.status,
        "reason": record.reason,
        "train_examples": record.training.examples,
        "train_seconds": record.training.seconds,
        "episode_digest": record.episode_digest,
        "key": record.key,
    }
    for name, metric in record.metrics.items():
        if metric.mean is not None:
            row |= {name: metric.mean, f"{name}_ci95": metric.ci95}
        row |= {f"{name}.{k}": v for k, v in metric.values.items() if isinstance(v, (int, float))}
    return row
