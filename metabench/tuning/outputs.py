"""The results of a study as rows, as a CSV file and as recipes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from metabench.benchmarks.model import Benchmark
from metabench.config import DEFAULT_RECIPE
from metabench.errors import ConfigError, UsageError
from metabench.tuning.space import Space
from metabench.tuning.study import Outcome, Tuned
from metabench.utils.csv_text import rows_text
from metabench.utils.values import Value

MARK = "# Below this line: written by `metabench tune`, which replaces it."

TRAIN_WAYS = "train_ways"
"""The hyper-parameter with the number of classes in a training episode; 0 is as at test."""

_ENTRY = "[[recipe]]"

COLUMNS = (
    "benchmark",
    "algorithm",
    "trial",
    "score",
    "ci95",
    "status",
    "seconds",
    "budget",
    "episodes",
    "seed",
    "changed",
)


def trial_rows(studies: Iterable[Tuned]) -> list[dict[str, Any]]:
    """Returns a row for each trial with the names in :data:`COLUMNS`."""
    return [_trial_row(outcome) for tuned in studies for outcome in tuned.outcomes]


def _trial_row(outcome: Outcome) -> dict[str, Any]:
    record = outcome.record
    main = record.metrics.get(record.metric)
    return {
        "benchmark": outcome.trial.benchmark.title,
        "algorithm": record.algorithm.name,
        "trial": outcome.trial.number,
        "score": outcome.score,
        "ci95": None if main is None else main.ci95,
        "status": record.status,
        "seconds": round(record.training.seconds, 2),
        "budget": record.benchmark.budget,
        "episodes": record.benchmark.test_episodes,
        "seed": record.seed,
        "changed": outcome.trial.changed,
    }


def best_rows(studies: Iterable[Tuned]) -> list[dict[str, Any]]:
    """Returns a row for each algorithm and benchmark: the default, the best trial, its values."""
    return [
        {
            "benchmark": tuned.best.trial.benchmark.title,
            "algorithm": tuned.best.record.algorithm.name,
            "default": tuned.default.score,
            "best": tuned.best.score,
            "trial": tuned.best.trial.number,
            "trials": len(tuned.outcomes),
            "failed": sum(o.score is None for o in tuned.outcomes),
            "changed": tuned.best.trial.changed,
        }
        for tuned in studies
    ]


def to_csv(studies: Iterable[Tuned]) -> str:
    """Returns all trials as CSV; the column ``changed`` is JSON."""
    rows = trial_rows(studies)
    return rows_text(
        COLUMNS, ({**row, "changed": json.dumps(row["changed"], sort_keys=True)} for row in rows)
    )


def write_recipes(studies: Sequence[Tuned], folder: Path, space: Space, study: str) -> list[Path]:
    """Write the best trial of each algorithm into its recipe file.

    What stands above the line :data:`MARK` of a file is kept. Below it, entries with the conditions
    of the study are replaced. An entry is for the kind of its benchmark, classification or
    regression. Where a study has several benchmarks of a kind, it is also for the data set, ways
    and shots that distinguish them. With more ways than those of the study, the classes of a
    training episode (:data:`TRAIN_WAYS`) are those of a test episode.

    Args:
        studies: The outcomes.
        folder: The folder of the recipe files; a missing file is created.
        space: What the trials varied: an entry has all of these values, changed or not.
        study: The name of the study, for the sources of the entries.

    Returns:
        The files.

    Raises:
        UsageError: If two benchmarks of the study have the same data set, ways and shots.
        ConfigError: If a file cannot be read or written.
    """
    by_algorithm: dict[str, list[Tuned]] = {}
    benchmarks = {tuned.best.trial.benchmark.title: tuned.best.trial.benchmark for tuned in studies}
    for tuned in studies:
        by_algorithm.setdefault(tuned.best.record.algorithm.name, []).append(tuned)
    blocks = {
        folder / f"{name}.toml": _entries(group, list(benchmarks.values()), space, study)
        for name, group in by_algorithm.items()
    }
    for path, entries in blocks.items():
        try:
            known = path.read_text(encoding="utf-8") if path.exists() else ""
            by_hand, _, studied = known.partition(MARK)
            block = "\n".join([MARK + "\n", *_others(studied, entries), *entries.values()])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{by_hand.rstrip()}\n\n{block}".lstrip(), encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"recipe file '{path}' cannot be written: {error}") from error
    return list(blocks)


def _others(studied: str, conditions: Iterable[str]) -> list[str]:
    """Returns the entries below :data:`MARK` of a recipe file with other conditions."""
    replaced = tuple(f"when = {{ {condition} }}\n" for condition in conditions)
    return [
        f"{_ENTRY}{entry.rstrip()}\n"
        for entry in studied.split(_ENTRY)[1:]
        if not any(condition in entry for condition in replaced)
    ]


def _entries(
    group: Sequence[Tuned], benchmarks: Sequence[Benchmark], space: Space, study: str
) -> dict[str, str]:
    """Returns the entries of one algorithm as TOML, by condition."""
    entries: dict[str, str] = {}
    for tuned in group:
        best = tuned.best
        condition = _condition(best.trial.benchmark, benchmarks)
        if condition in entries:
            raise UsageError(
                f"two benchmarks of the study have the condition {{ {condition} }}.",
                hint="A recipe cannot distinguish them: tune on one of them.",
            )
        source = (
            f"study: {study}, best of {len(tuned.outcomes)} trials on meta-validation, "
            f"trial {best.trial.number}"
        )
        values = {
            name: value
            for name, value in best.trial.planned.hyperparameters.items()
            if name in space.names
        }
        entries[condition] = _entry(condition, source, values)
        if TRAIN_WAYS in values and "ways" not in condition:
            more = f'{condition}, ways = ">{best.trial.benchmark.ways}"'
            source = "rule of `metabench tune`: with more ways than in the study, as at test"
            entries[more] = _entry(more, source, {TRAIN_WAYS: 0})
    return entries


def _entry(condition: str, source: str, values: Mapping[str, Value]) -> str:
    return (
        f"{_ENTRY}\nname = {_toml(DEFAULT_RECIPE)}\nsource = {_toml(source)}\n"
        f"when = {{ {condition} }}\n[recipe.values]\n"
        + "".join(f"{name} = {_toml(value)}\n" for name, value in values.items())
    )


def _condition(benchmark: Benchmark, benchmarks: Sequence[Benchmark]) -> str:
    """Returns the condition of a benchmark, which distinguishes it from the others of a study."""
    kind = "classification" if benchmark.ways else "regression"
    same = [other for other in benchmarks if bool(other.ways) == bool(benchmark.ways)]
    condition = f"kind = {_toml(kind)}"
    for name in ("dataset", "ways", "shots"):
        if len({getattr(other, name) for other in same}) > 1:
            condition += f", {name} = {_toml(getattr(benchmark, name))}"
    return condition


def _toml(value: Value) -> str:
    # JSON's strings, numbers and truth values are TOML's too. repr of a float keeps its point.
    return repr(value) if isinstance(value, float) else json.dumps(value)
