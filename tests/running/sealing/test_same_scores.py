"""A sealed cell has the scores of the same cell in one process, to the bit."""

from typing import Any

import pytest

from metabench.executors.inprocess import InProcessExecutor
from metabench.executors.processes import ProcessExecutor
from metabench.records.schema import Record
from metabench.running.cell import Cell
from metabench.running.job import Job, Terms
from metabench.running.run_cell import Conditions
from tests.helpers.cells import blobs, cell, curve_of, waves

METRICS: dict[str, dict[str, Any]] = {
    "adaptation": {"episodes": 3},
    "adversarial": {
        "episodes": 4,
        "radii": (0.1,),
        "l2_radii": (1.0,),
        "steps": 2,
        "restarts": 2,
        "wheres": ("query", "support", "both"),
        "black_box_episodes": 2,
        "black_box_steps": 3,
        "poisoned": 0.5,
    },
    "cost": {},
    "noise": {"episodes": 3, "severities": (3,)},
    "shift": {"episodes": 3},
    "transduction": {"episodes": 3},
}
"""All metrics, with the options that make them fast."""

TIMES = ("ms", "timed", "time", "second", "peak", "joules", "examples_per", "shots_ms")


def timeless(value: Any) -> Any:
    """Returns the values of a metric without those that a clock measured."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if not any(t in k for t in TIMES)}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def both(plugins: Any, *cells: Cell) -> list[list[Record]]:
    """Run cells in one process, and sealed."""
    jobs = [
        Job(what, f"{number:064x}", Conditions(), ("metabench-planted",))
        for number, what in enumerate(cells)
    ]
    runs = []
    for executor in (InProcessExecutor, ProcessExecutor):
        records = executor(Terms(plugins.registry, jobs=1)).run(jobs)
        runs.append(sorted(records, key=lambda r: str(r.algorithm.overrides)))
    return runs


def assert_same(here: Record, sealed: Record) -> None:
    assert (here.status, sealed.status) == ("ok", "ok"), here.reason + sealed.traceback
    assert (here.key, here.algorithm) == (sealed.key, sealed.algorithm)
    assert here.data_digest == sealed.data_digest
    assert here.code == sealed.code != ""
    assert here.episode_digest == sealed.episode_digest
    assert curve_of(here) == curve_of(sealed)
    assert list(here.metrics) == list(sealed.metrics)
    for name, found in here.metrics.items():
        other = sealed.metrics[name]
        assert (name, found.status, found.reason) == (name, other.status, other.reason)
        if name != "adaptation":  # its scores are milliseconds
            assert found.episodes == other.episodes, name
        assert timeless(found.values) == timeless(other.values), name
    assert (here.track, here.track_evidence) == (sealed.track, sealed.track_evidence)
    assert here.track is not None
    assert here.notes == sealed.notes


@pytest.mark.parametrize("algorithm", ["maml", "protonet", "random"])
def test_of_images(planted, algorithm: str) -> None:
    benchmark = blobs(
        backbone="conv4", metrics=("accuracy", *METRICS), metric_options=METRICS, budget=240
    )
    (here,), (sealed,) = both(planted, cell(algorithm, benchmark))
    assert_same(here, sealed)
    assert (here.sealed, sealed.sealed) == (False, True)


def test_of_regression(planted) -> None:
    names = ("mse", "adaptation", "cost", "transduction")
    options = {name: METRICS[name] for name in names if name in METRICS}
    benchmark = waves(metrics=names, metric_options=options, budget=1000)
    (here,), (sealed,) = both(planted, cell("maml", benchmark, tasks=10))
    assert_same(here, sealed)


def test_of_an_algorithm_whose_adaptation_changes_its_state(planted) -> None:
    (here,), (sealed,) = both(planted, cell("drifter"))
    assert here.notes == ["adaptation changed seen, weight; it was put back"]
    # The planted distribution provides the data set too.
    assert sealed.notes[1:] == here.notes
    assert "which provides the data or a metric too" in sealed.notes[0]
    assert sealed.sealed is False


def test_a_failure_has_the_same_status_and_reason(planted) -> None:
    kinds = ("raise", "memory", "skip", "exit", "nan-loss", "shape", "nan")
    runs = both(planted, *(cell("trouble", how=how) for how in kinds))
    for here, sealed in zip(*runs, strict=True):
        assert (here.status, here.reason) == (sealed.status, sealed.reason)
        assert here.status != "ok"
        assert here.algorithm == sealed.algorithm
        assert here.training.steps == sealed.training.steps
        assert bool(here.traceback) == bool(sealed.traceback)


def test_a_note_that_meta_training_drew_nothing(planted) -> None:
    (here,), (sealed,) = both(planted, cell("protonet", blobs(budget=1)))
    assert_same(here, sealed)
    assert sealed.notes == [
        "meta-training drew nothing: an outer step exceeds the budget, 1 example"
    ]
