"""A cell is run here, and only here: training and testing meet in no other place."""

from __future__ import annotations

import contextlib
import json
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
from metabench.errors import CellFailed, DivergedError, MetabenchError, NotApplicable, PluginError
from metabench.metrics.base import EpisodeMetric, Metric, Outcome, measured
from metabench.metrics.options import make_metric
from metabench.metrics.trial import Predictions, Trial
from metabench.records.schema import AlgorithmId, MetricResult, Record, Status, now
from metabench.registry import Registry, Spec, describe_error
from metabench.running.cell import BUDGET, Cell, identify
from metabench.running.trainer import Trainer
from metabench.runtime.counter_rng import make_key
from metabench.runtime.exclusive import working
from metabench.runtime.memory import keep_freed_memory
from metabench.runtime.precision import Precision, computing_in
from metabench.runtime.provenance import environment
from metabench.runtime.rng_state import random_state_kept, seed_everything
from metabench.stats import t_interval

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
    record.metrics[benchmark.metrics[0]] = _main_result(main, trial)
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


def _main_result(metric: EpisodeMetric, trial: Trial) -> MetricResult:
    """What the metric that ranks found; it fails the cell where it fails."""
    found = metric.measure(trial)
    trial.restore()
    try:
        json.dumps(found.values, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CellFailed(
            f"metric '{metric.name}' gave values that a record cannot hold: {error}."
        ) from error
    for i, score in enumerate(found.episodes):
        if not math.isfinite(score):
            raise DivergedError(f"the {metric.name} of episode {i} is {score}.")
    return _result(metric, Outcome(measurement=found))


def _other_result(spec: Spec, options: Mapping[str, Any], trial: Trial) -> MetricResult:
    """What another metric found, or why it found nothing; no other metric is harmed."""
    try:
        metric = make_metric(spec, options)
    except Exception as error:  # its class can be a plugin's
        reason = error.message if isinstance(error, MetabenchError) else describe_error(error)
        return MetricResult(
            version=spec.version, direction="higher", unit="", status="failed", reason=reason
        )
    return _result(metric, measured(metric, trial))


def _result(metric: Metric, outcome: Outcome) -> MetricResult:
    found = outcome.measurement
    result = MetricResult(
        version=str(metric.version),
        direction=metric.direction,
        unit=metric.unit,
        status=outcome.status,
        reason=outcome.reason,
        values=found.values,
    )
    if found.episodes:
        result.episodes = [float(score) for score in found.episodes]
        mean, half_width = t_interval(result.episodes)
        result.mean, result.ci95 = mean, None if math.isnan(half_width) else half_width
    return result


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
    """The same bits from the same inputs, also on a GPU where it can; put back afterwards."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark, torch.get_num_threads()
    cudnn.deterministic, cudnn.benchmark = True, False
    torch.set_num_threads(conditions.threads)
    try:
        with computing_in(conditions.precision, torch.device(conditions.device)):
            yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before[:2]
        torch.set_num_threads(before[2])
