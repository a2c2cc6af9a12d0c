"""Small benchmarks, their cells and episodes, and records that are built without a run."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from metabench.benchmarks.model import Benchmark
from metabench.benchmarks.tasks import BenchmarkTasks, open_tasks
from metabench.config import Resources
from metabench.executors.guard import guarded
from metabench.plugins import Plugins
from metabench.records.schema import AlgorithmId, MetricResult, Record
from metabench.records.store import ResultsFolder
from metabench.running import runner
from metabench.running.cell import Cell
from metabench.running.plan import Planned
from metabench.running.run_cell import Conditions, run_cell
from metabench.running.runner import Watcher
from metabench.stats import t_interval
from metabench.utils.digest import digest_of

BLOBS: dict[str, Any] = {
    "name": "blobs-3w1s",
    "dataset": "blobs",
    "ways": 3,
    "shots": 1,
    "queries": 3,
    "backbone": "mlp",
    "budget": 480,  # 20 outer steps of two tasks of twelve examples
    "validations": 4,
    "validation_episodes": 4,
    "test_episodes": 30,
    "metrics": ("accuracy",),
}
WAVES: dict[str, Any] = BLOBS | {
    "name": "waves",
    "dataset": "sinusoid",
    "ways": 0,
    "shots": 5,
    "queries": 5,
    "budget": 10_000,
    "metrics": ("mse",),
}


def blobs(**changes: Any) -> Benchmark:
    """Returns a benchmark whose cells take milliseconds."""
    return Benchmark(**BLOBS | changes)


def waves(**changes: Any) -> Benchmark:
    """Returns a benchmark of regression whose cells take milliseconds."""
    return Benchmark(**WAVES | changes)


def suite_file(path: Path, *benchmarks: dict[str, Any], name: str = "tiny") -> Path:
    """Write a suite of some benchmarks, by default of the small one."""
    lines = [f'name = "{name}"']
    for benchmark in benchmarks or (BLOBS,):
        lines += [
            "[[benchmark]]",
            *(f"{key} = {_toml(value)}" for key, value in benchmark.items() if key != "quick"),
        ]
    path.write_text("\n".join(lines))
    return path


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"'{value}'"
        if isinstance(value, str)
        else str(value)
    )


def cell(
    algorithm: str, benchmark: Benchmark | None = None, seed: int = 0, **overrides: Any
) -> Cell:
    """Returns a cell of the small benchmark."""
    return Cell(algorithm, benchmark or blobs(), seed, overrides)


def run_here(plugins: Plugins, to_run: Cell, checkpoint: Path | None = None) -> Record:
    """Run a cell in this process."""
    return run_cell(to_run, plugins.registry, Conditions(checkpoint=checkpoint))


def run_planned(
    planned: list[Planned],
    plugins: Plugins,
    folder: ResultsFolder,
    resources: Resources,
    watchers: Iterable[Watcher] = (),
) -> list[Record]:
    """Run planned cells with the executor that the resources name."""
    executor = guarded(plugins.registry, resources.executor)
    return runner.run_planned(planned, plugins, folder, resources, executor, watchers)


def tasks_of(plugins: Plugins, benchmark: Benchmark, seed: int = 0) -> BenchmarkTasks:
    """Returns the episodes of a benchmark."""
    return open_tasks(plugins.registry, benchmark, None, torch.device("cpu"), seed)


def records_in(results: Path) -> dict[str, Record]:
    """Returns the records of a results folder by algorithm."""
    records, unreadable = ResultsFolder(results).load()
    assert not unreadable
    return {record.algorithm.name: record for record in records}


def scores_of(record: Record) -> dict[str, list[float]]:
    """Returns the score of every episode by every metric."""
    return {name: metric.episodes for name, metric in record.metrics.items()}


def curve_of(record: Record) -> list[dict[str, Any]]:
    """Returns the learning curve without its seconds."""
    return [point.model_dump(exclude={"seconds"}) for point in record.training.curve]


def make_record(
    algorithm: str = "maml",
    scores: tuple[float, ...] | None = (0.25, 0.75),
    *,
    seed: int = 0,
    metric: str = "accuracy",
    direction: str = "higher",
    version: str = "1",
    hyperparameters: dict[str, Any] | None = None,
    benchmark: dict[str, Any] | None = None,
    cost: dict[str, Any] | None = None,
    **changes: Any,
) -> Record:
    """Returns a record with these scores, or a failed one without scores."""
    definition = {"metrics": (metric,), "test_episodes": len(scores or (0, 0))} | (benchmark or {})
    metrics = {}
    if scores is not None:
        mean, half_width = t_interval(scores)
        metrics[metric] = MetricResult(
            version="1",
            direction=direction,
            unit="",
            mean=mean,
            ci95=half_width,
            episodes=list(scores),
        )
        if cost is not None:
            metrics["cost"] = MetricResult(version="1", direction="lower", unit="ms", values=cost)
    made_of = [algorithm, version, hyperparameters, seed, definition]
    fields: dict[str, Any] = {
        "key": digest_of({"made of": made_of}),
        "algorithm": AlgorithmId(
            name=algorithm,
            version=version,
            distribution="metabench",
            hyperparameters=hyperparameters or {},
        ),
        "benchmark": blobs(**definition),
        "seed": seed,
        "status": "failed" if scores is None else "ok",
        "episode_digest": "e" * 64 if scores is not None else "",
        "code": "c" * 64 if scores is not None else "",
        "metrics": metrics,
        "finished": "2026-01-01T00:00:00+00:00",
    }
    return Record(**fields | changes)


def with_seeds(*records: Record, seeds: int = 3) -> list[Record]:
    """Returns copies of records for several seeds, with the same scores."""
    return [
        record.model_copy(
            update={"seed": seed, "key": digest_of({"of": record.key, "seed": seed})}, deep=True
        )
        for record in records
        for seed in range(seeds)
    ]


def child_environment() -> dict[str, str]:
    """Returns the environment of a process that can import the test helpers."""
    here = str(Path(__file__).parent)
    return {**os.environ, "PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{here}"}
