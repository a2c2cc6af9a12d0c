"""A cell is run here, and only here: training and testing meet in no other place."""

from __future__ import annotations

import contextlib
import math
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from metabench.algorithms.base import Algorithm
from metabench.benchmarks.cross_domain import Elsewhere
from metabench.benchmarks.tasks import BenchmarkTasks, open_tasks
from metabench.errors import CellFailed, MetabenchError, NotApplicable, PluginError
from metabench.learning.outer_gradient.shared import lent_processes
from metabench.metrics.base import EpisodeMetric
from metabench.metrics.measure import measure, unavailable
from metabench.metrics.options import make_metric
from metabench.metrics.trial import Predictions, Trial
from metabench.records.schema import AlgorithmId, MetricResult, Record, Status, now
from metabench.registry import Registry, Spec
from metabench.running.cell import BUDGET, Cell, identify
from metabench.running.trainer import Trainer
from metabench.runtime.counter_rng import make_key
from metabench.runtime.exclusive import working
from metabench.runtime.memory import keep_freed_memory
from metabench.runtime.precision import Precision, computing_in
from metabench.runtime.provenance import environment
from metabench.runtime.rng_state import random_state_kept, seed_everything

Report = Callable[[dict[str, Any]], None]
"""Takes the events of a cell: ``phase``, ``done``, ``total``, ``score``."""


@dataclass(frozen=True)
class Conditions:
    """How a cell is run; none of it belongs to its identity.

    Args:
        device: where it runs.
        threads: threads that PyTorch may use.
        precision: how precisely it computes, see :func:`metabench.runtime.precision.computing_in`.
        data: the folder that holds one folder per data set.
        checkpoint: where checkpoints are written.
    """

    device: str = "cpu"
    threads: int = 1
    precision: Precision = "highest"
    data: Path | None = None
    checkpoint: Path | None = None


def run_cell(
    cell: Cell,
    registry: Registry,
    conditions: Conditions = Conditions(),
    report: Report = lambda event: None,
    *,
    key: str = "",
) -> Record:
    """Meta-train and meta-test one algorithm on one benchmark with one seed.

    Whatever goes wrong becomes the status of the record; only a KeyboardInterrupt leaves this function.

    Args:
        cell: the cell.
        registry: what is installed.
        conditions: how it is run.
        report: takes its events.
        key: its key, which stands in the record also where the cell fails before it is worked out.
    """
    keep_freed_memory()
    record = Record(
        key=key or "0" * 64,
        algorithm=AlgorithmId(name=cell.algorithm, overrides=cell.overrides),
        benchmark=cell.benchmark,
        seed=cell.seed,
        status="failed",
        started=now(),
    )
    with _as_status(record), working(), _settings(conditions), random_state_kept():
        _run(cell, registry, conditions, report, record)
        record.status = "ok"
    record.finished = now()
    return record


def _run(
    cell: Cell, registry: Registry, conditions: Conditions, report: Report, record: Record
) -> None:
    report({"phase": "load"})
    device = torch.device(conditions.device)
    record.environment = environment(
        device=device, threads=conditions.threads, precision=conditions.precision
    )
    benchmark = cell.benchmark
    tasks = open_tasks(registry, benchmark, conditions.data, device, cell.seed)
    spec = registry.get("algorithm", cell.algorithm)
    identity = identify(cell, spec, tasks, registry)
    record.key, record.algorithm, record.data_digest = (
        identity.key,
        identity.algorithm,
        identity.data_digest,
    )
    tasks.check()

    values = dict(identity.algorithm.hyperparameters)
    budget = int(values.pop(BUDGET))
    seed_everything(make_key("cell", benchmark.title, cell.seed))
    cls: type[Algorithm] = spec.load()
    algorithm = cls(tasks.problem(registry), **values).to(device)

    specs = {name: registry.get("metric", name) for name in cell.measured}
    options = benchmark.metric_options
    main = make_metric(specs[benchmark.metrics[0]], options.get(benchmark.metrics[0], {}))
    if not isinstance(main, EpisodeMetric):
        raise CellFailed(
            f"'{main.name}' cannot rank: the first metric of a benchmark scores each episode."
        )

    trainer = Trainer(
        algorithm,
        tasks,
        budget=budget,
        validate=lambda: _validate(algorithm, tasks, main),
        direction=main.direction,
        key=identity.key,
        checkpoint=conditions.checkpoint,
        report=lambda done, score: report(
            {"phase": "train", "done": done, "total": budget, "score": score}
        ),
    )
    try:
        trainer.run()
    finally:
        record.training = trainer.training

    def on_episode(done: int, parts: list[Predictions]) -> None:
        score = sum(map(sum, map(main.scores, parts))) / done
        report({"phase": "test", "done": done, "total": benchmark.test_episodes, "score": score})

    algorithm.eval()
    sampler = tasks.held_out("test")
    elsewhere = Elsewhere(tasks, registry, conditions.data)
    trial = Trial(
        algorithm, sampler, benchmark.test_episodes, on_episode=on_episode, elsewhere=elsewhere
    )
    tasks.audit.check(
        sorted(tasks.drawn_origins("test", trial.predictions().classes)), split="test"
    )
    record.episode_digest = sampler.digest(benchmark.test_episodes)
    record.metrics[benchmark.metrics[0]] = measure(main, trial, required=True)
    for done, name in enumerate(others := cell.measured[1:]):
        report({"phase": "measure", "done": done, "total": len(others)})
        record.metrics[name] = _other_result(specs[name], options.get(name, {}), trial)
    if trial.leaked_state:
        record.notes.append(
            f"adaptation changed {', '.join(sorted(trial.leaked_state))}; it was put back"
        )


def _validate(algorithm: Algorithm, tasks: BenchmarkTasks, metric: EpisodeMetric) -> float:
    """The mean score on the meta-validation episodes."""
    trial = Trial(algorithm, tasks.held_out("validation"), tasks.benchmark.validation_episodes)
    scores = metric.scores(trial.predictions())
    return math.fsum(scores) / len(scores)


def _other_result(spec: Spec, options: Mapping[str, Any], trial: Trial) -> MetricResult:
    """The result of a metric that does not rank; an error of its class becomes its status."""
    try:
        metric = make_metric(spec, options)
    except Exception as error:  # its class can be a plugin's
        return unavailable(spec, error)
    return measure(metric, trial)


@contextlib.contextmanager
def _as_status(record: Record) -> Iterator[None]:
    """What goes wrong inside becomes the status of the record."""
    try:
        yield
    except NotApplicable as error:
        record.status, record.reason = "skipped", error.message
    except PluginError as error:
        record.status, record.reason = "broken-plugin", error.message
    except MetabenchError as error:
        _fail(record, "failed", str(error))
    except (MemoryError, torch.OutOfMemoryError) as error:
        _fail(record, "out-of-memory", f"{type(error).__name__}: {error}")
    except SystemExit as error:
        _fail(record, "failed", f"it called sys.exit({error.code!r})")
    except Exception as error:
        _fail(record, "failed", f"{type(error).__name__}: {error}")


def _fail(record: Record, status: Status, reason: str) -> None:
    record.status, record.reason = status, reason
    record.traceback = traceback.format_exc()[-4000:]


@contextlib.contextmanager
def _settings(conditions: Conditions) -> Iterator[None]:
    """The same bits from the same inputs, also on a GPU where it can; put back afterwards.

    What threads could do for each operation, processes do better for whole outer steps, where they can.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark, torch.get_num_threads()
    cudnn.deterministic, cudnn.benchmark = True, False
    torch.set_num_threads(conditions.threads)
    try:
        with (
            lent_processes(conditions.threads),
            computing_in(conditions.precision, torch.device(conditions.device)),
        ):
            yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before[:2]
        torch.set_num_threads(before[2])
