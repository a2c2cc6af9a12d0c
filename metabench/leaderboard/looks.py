"""The ledger of a leaderboard: every record that was ever scored on meta-test for it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from metabench.errors import ResultsError
from metabench.leaderboard.csv_files import read_rows
from metabench.records.schema import Record
from metabench.utils.csv_text import rows_text

LEDGER = "evaluations.csv"


@dataclass(frozen=True, order=True)
class Evaluation:
    """One record that was scored on meta-test.

    Attributes:
        finished: When, in ISO 8601, UTC.
        benchmark: ``name@version``.
        algorithm: Its name.
        version: Its version.
        seed: The seed.
        recipe: The name of the recipe.
        overrides: The hyper-parameters that differ from it, as JSON.
        key: The key of the record.
    """

    finished: str
    benchmark: str
    algorithm: str
    version: str
    seed: int
    recipe: str
    overrides: str
    key: str

    @classmethod
    def of(cls, record: Record) -> Evaluation:
        """Returns the line of a record."""
        algorithm = record.algorithm
        return cls(
            finished=record.finished,
            benchmark=record.benchmark.title,
            algorithm=algorithm.name,
            version=algorithm.version,
            seed=record.seed,
            recipe=algorithm.recipe,
            overrides=json.dumps(algorithm.overrides, sort_keys=True),
            key=record.key,
        )


_COLUMNS = [field.name for field in fields(Evaluation)]


def read_ledger(folder: Path) -> frozenset[Evaluation]:
    """Returns the lines of a folder's ledger; none if it has no such file.

    Raises:
        ResultsError: If the file is not a ledger.
    """
    path = folder / LEDGER
    hint = "Restore it from version control: it lists records that are no longer there."
    rows = read_rows(path, _COLUMNS, kind="a ledger of evaluations", hint=hint)
    try:
        return frozenset(
            Evaluation(seed=int(row["seed"]), **{k: row[k] for k in _COLUMNS if k != "seed"})
            for row in rows
        )
    except ValueError as error:
        raise ResultsError(
            f"'{path}' is not a ledger of evaluations: {error}.", hint=hint
        ) from error


def with_records(ledger: Iterable[Evaluation], records: Iterable[Record]) -> set[Evaluation]:
    """Returns a ledger with the scored records added. Nothing is ever removed from it."""
    return {*ledger, *(Evaluation.of(record) for record in records if record.status == "ok")}


def ledger_text(ledger: Iterable[Evaluation]) -> str:
    """Returns a ledger as CSV, the oldest line first."""
    return rows_text(_COLUMNS, map(asdict, sorted(ledger)))


def looks_of(ledger: Iterable[Evaluation]) -> Mapping[tuple[str, str], int]:
    """Returns how often each algorithm was scored on each benchmark: its looks at meta-test.

    Several seeds of one configuration are one look: they were not chosen among. So the looks are
    counted for each seed, by different keys, and the largest count holds. A key includes the
    version and all hyper-parameters.

    Returns:
        The looks by algorithm and ``name@version`` of the benchmark.
    """
    keys: defaultdict[tuple[str, str, int], set[str]] = defaultdict(set)
    for line in ledger:
        keys[line.algorithm, line.benchmark, line.seed].add(line.key)
    looks: dict[tuple[str, str], int] = {}
    for (algorithm, benchmark, _), found in keys.items():
        place = algorithm, benchmark
        looks[place] = max(looks.get(place, 0), len(found))
    return looks
