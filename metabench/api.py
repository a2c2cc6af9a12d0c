"""The Python interface: run cells and load results, as the command line does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from metabench.config import DEFAULT_RECIPE, Resources, Selection, validate
from metabench.errors import PluginError, ResultsError, UsageError
from metabench.executors.guard import guarded
from metabench.leaderboard import build as leaderboard
from metabench.leaderboard.build import Leaderboard
from metabench.plugins import installed_plugins
from metabench.records.schema import Record
from metabench.records.selection import RecordSelection
from metabench.records.store import ResultsFolder, Unreadable
from metabench.registry import Registry, Spec, match_names
from metabench.running.plan import plan
from metabench.running.runner import Watcher, run_planned
from metabench.utils.values import Value

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MatplotlibFigure

    from metabench.algorithms.base import Algorithm

_DEFAULTS = Resources()


@dataclass(frozen=True)
class Results:
    """Records, with views of them as data frames and tables.

    Attributes:
        records: The records.
        unreadable: The files among them that are not valid records.
    """

    records: list[Record]
    unreadable: list[Unreadable] = field(default_factory=list)

    def to_frame(self) -> pd.DataFrame:
        """Returns one row per cell."""
        return pd.DataFrame([_cell_row(record) for record in self.records])

    def episodes(self) -> pd.DataFrame:
        """Returns one row per episode: its cell, its index, and its score by each metric."""
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
        """Returns the ranked table; of ``--quick`` records if there are no others.

        Unlike ``metabench leaderboard`` it keeps records whose budget was lowered.

        Raises:
            ResultsError: If the records cannot be compared.
        """
        return leaderboard.build(self.records, quick=None, any_budget=True)

    def plot(self, kind: str, benchmarks: Iterable[str] | str = ()) -> MatplotlibFigure:
        """Returns a figure for a paper: ``results.plot("pareto").savefig("pareto.pdf")``.

        Args:
            kind: ``pareto``, ``adaptation``, ``learning`` or ``robustness``.
            benchmarks: Names or globs; by default all benchmarks of the records.

        Raises:
            UsageError: If there is no such kind, or matplotlib is not installed.
            NothingSelected: If no record has the values that the plot shows.
        """
        from metabench.report import gather
        from metabench.report.paper import plot

        names = sorted({r.benchmark.name for r in self.records})
        globs = (benchmarks,) if isinstance(benchmarks, str) else tuple(benchmarks)
        held = f"The records are of {', '.join(names)}." if names else "There are no records."
        chosen = match_names("benchmark", names, globs, hint=held) if globs else names
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
    recipe: str = DEFAULT_RECIPE,
    results: Path | str = Path("results"),
    resources: Resources = _DEFAULTS,
    watchers: Iterable[Watcher] = (),
) -> Results:
    """Run the selected cells that are not stored. Returns the records of all selected cells.

    ::

        results = metabench.run(["protonet", MyAlgorithm], benchmarks=["glyphs-5w1s"])
        results.to_frame()

    Args:
        algorithms: Names, globs or classes, or a single one; by default all installed algorithms.
            If there is a class among them, the cells run in this process, one after the other.
        benchmarks: Names or globs; by default all benchmarks of the suite.
        suite: A suite, or the path of its file; by default ``core``, unless benchmarks are given.
        seeds: The seeds.
        settings: Hyper-parameters by algorithm.
        recipe: The name of the recipe that sets the other hyper-parameters.
        quick: Whether to use a small budget and few episodes: a smoke test.
        fresh: Whether to run again what is stored.
        metrics: Names or globs of the metrics besides the one that ranks; by default those of each
            benchmark.
        results: The results folder.
        resources: Device, threads, precision, data folder, salt of the test episodes, jobs, time
            limit and executor.
        watchers: Objects that follow the run.

    Raises:
        MetabenchError: If an argument is invalid.
    """
    plugins = installed_plugins()
    names: list[str] = []
    for algorithm in [algorithms] if isinstance(algorithms, (str, type)) else algorithms:
        if isinstance(algorithm, str):
            names.append(algorithm)
        else:
            names.append(_register(plugins.registry, algorithm))
            resources = replace(resources, executor="in-process")  # a worker cannot import it
    asked = {
        "algorithm": tuple(names),
        "benchmark": _names(benchmarks),
        "suite": suite,
        "seeds": _seeds(seeds),
        "metrics": _names(metrics),
        "recipe": recipe,
        "quick": quick,
    }
    # Hyper-parameters are converted by their own types later, also from NumPy's scalars.
    hyperparameters = {name: dict(values) for name, values in (settings or {}).items()}
    selection = replace(validate(Selection, asked), set=hyperparameters)
    resources = validate(Resources, resources)
    folder = ResultsFolder(Path(results))
    stored, unreadable = folder.load()
    planned = plan(
        plugins.registry,
        selection,
        stored,
        data=resources.data,
        episodes_salt=resources.episodes_salt,
        fresh=fresh,
    )
    make_executor = guarded(plugins.registry, resources.executor)
    records = run_planned(planned, plugins, folder, resources, make_executor, watchers)
    return Results(records, unreadable)


def load_results(path: Path | str) -> Results:
    """Load the records of a results folder.

    Raises:
        ResultsError: If the folder does not exist.
    """
    if not Path(path).is_dir():
        raise ResultsError(
            f"there is no results folder '{path}'.",
            hint="`metabench.run` and `metabench run --all` create one.",
        )
    return Results(*ResultsFolder(Path(path)).load())


def _names(names: Iterable[str] | str) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)


def _seeds(seeds: Iterable[int]) -> tuple[Any, ...]:
    if isinstance(seeds, (str, bytes)) or not isinstance(seeds, Iterable):
        raise UsageError(
            f"seeds = {seeds!r} is not a list of numbers.",
            hint="Give each seed: seeds=[7] is one seed, seeds=range(3) are three.",
        )
    # NumPy's integers too: `seeds=np.arange(3)`. A bool is no seed: validation refuses it.
    return tuple(
        int(seed) if hasattr(seed, "__index__") and not isinstance(seed, bool) else seed
        for seed in seeds
    )


def _register(registry: Registry, algorithm: type[Algorithm]) -> str:
    """Register a class of this process. Returns the name it is listed under."""
    try:
        spec = Spec.of(algorithm)
    except PluginError as error:
        raise UsageError(
            f"{algorithm!r} is not an algorithm: {error.message}.",
            hint="Give names, or classes that derive from metabench.Algorithm and have a `name`.",
        ) from error
    # The module stands for the distribution: the key of a cell includes it.
    return registry.add("algorithm", spec.provided_by(algorithm.__module__), replacing=True)


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
        # Scalars only; lists and tables of a metric are in the record.
        row |= {f"{name}.{k}": v for k, v in metric.values.items() if isinstance(v, (int, float))}
    return row
