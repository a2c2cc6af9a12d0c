"""Records: one JSON file for each cell, written whole or not at all."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from metabench.errors import ResultsError
from metabench.metrics.status import MetricStatus
from metabench.suites.model import Benchmark

SCHEMA_VERSION: Literal[1] = 1

Status = Literal["ok", "failed", "timeout", "out-of-memory", "skipped", "broken-plugin", "interrupted"]
FINAL: frozenset[str] = frozenset({"ok", "skipped"})
"""What a later run need not try again."""

Value = bool | int | float | str

LARGEST_FILE = 64 * 2**20
"""Bytes of the largest file that is read as a record; real ones have a hundredth of it."""

_STALE_SECONDS = 3600.0


class _Part(BaseModel):
    """A part of a record: nothing unknown, and no number that is none."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class AlgorithmId(_Part):
    """Which algorithm ran, and with what.

    Attributes:
        name: what the command line calls it.
        version: its own version.
        distribution: what brings it, with the version of that.
        library: the library that does its work, where that is another.
        hyperparameters: every value that it ran with.
        overrides: those that were chosen by hand.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    version: str = ""
    distribution: str = ""
    distribution_version: str = ""
    library: str = ""
    hyperparameters: dict[str, Value] = {}
    overrides: dict[str, Value] = {}

    @property
    def label(self) -> str:
        """The name, with what was chosen by hand: ``maml[inner_lr=0.1]``."""
        if not self.overrides:
            return self.name
        return f"{self.name}[{','.join(f'{k}={v}' for k, v in sorted(self.overrides.items()))}]"


class CurvePoint(_Part):
    """One point of the learning curve."""

    model_config = ConfigDict(extra="forbid")

    examples: int
    steps: int
    seconds: float
    loss: float | None
    score: float


class Training(_Part):
    """What meta-training took.

    Attributes:
        examples: examples drawn.
        steps: outer steps.
        tasks: episodes drawn; 0 where single examples are drawn, and in records from before this was counted.
        seconds: time in training alone, over all sittings.
        joules: what the whole card used in that time; nothing where no driver tells it.
        sittings: in how many runs it was done; more than one where it was killed and went on.
        best_examples: where on the curve the state that was tested stands.
        curve: meta-validation along the way.
    """

    model_config = ConfigDict(extra="forbid")

    examples: int = 0
    steps: int = 0
    tasks: int = 0
    seconds: float = 0.0
    joules: float | None = None
    sittings: int = 1
    best_examples: int = 0
    curve: list[CurvePoint] = []


class MetricResult(_Part):
    """What a metric found, or why it found nothing.

    Attributes:
        status: ``ok``, ``n/a`` where it does not fit, or how it failed; the metric that ranks is ``ok``.
        reason: why it is not ``ok``.
        mean: the mean over the episodes.
        ci95: half the width of the 95 % t-interval over the episodes.
        episodes: the score of each episode.
        values: further numbers.
    """

    model_config = ConfigDict(extra="forbid")

    version: str
    direction: Literal["higher", "lower"]
    unit: str
    status: MetricStatus = "ok"
    reason: str = ""
    mean: float | None = None
    ci95: float | None = None
    episodes: list[float] = []
    values: dict[str, Any] = {}


class Record(_Part):
    """All that is known of a cell that was run."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = SCHEMA_VERSION
    key: str = Field(pattern=r"^[0-9a-f]{64}$")
    algorithm: AlgorithmId
    benchmark: Benchmark
    seed: int
    status: Status
    reason: str = ""
    traceback: str = ""
    data_digest: str = ""
    episode_digest: str = ""
    training: Training = Training()
    metrics: dict[str, MetricResult] = {}
    notes: list[str] = []
    environment: dict[str, Value | None] = {}
    started: str = ""
    finished: str = ""

    @model_validator(mode="after")
    def _ok_means_scored(self) -> Record:
        main = self.metrics.get(self.benchmark.metrics[0])
        if self.status == "ok" and (
            main is None or main.mean is None or len(main.episodes) != self.benchmark.test_episodes
        ):
            raise ValueError(f"it is ok, and holds no {self.benchmark.metrics[0]} of every test episode")
        return self

    @property
    def score(self) -> float | None:
        """The mean of the metric that ranks."""
        main = self.metrics.get(self.benchmark.metrics[0])
        return None if main is None else main.mean

    @property
    def file_name(self) -> str:
        """The place of its file in the records folder; a name of a plugin's never leaves that folder."""
        safe = re.sub(r"[^A-Za-z0-9._-]+", "_", self.algorithm.name).strip(".")[:80] or "_"
        return f"{self.benchmark.title}/{safe}-s{self.seed}-{self.key[:10]}.json"


def now() -> str:
    """The time as it stands in records: ISO 8601, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def digest_of(parts: dict[str, Any]) -> str:
    """The sha256 of some JSON values, the same for every order of their keys."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def key_of(algorithm: AlgorithmId, benchmark: Benchmark, seed: int, data_digest: str) -> str:
    """The key of a cell: what its scores depend on, and nothing else."""
    return digest_of(
        {
            "algorithm": f"{algorithm.distribution}:{algorithm.name}@{algorithm.version}",
            "hyperparameters": algorithm.hyperparameters,
            "benchmark": benchmark.title,
            "seed": seed,
            "data": data_digest,
        }
    )


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path to write to that takes the place of ``path`` only when all is written.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@dataclass(frozen=True)
class Unreadable:
    """A file among the records that is none."""

    path: Path
    reason: str


class ResultsFolder:
    """A folder of results: ``records/`` for the cells and ``checkpoints/`` for their states.

    The checkpoint of a cell that is done is its trained state: a metric asked for later is measured on that.

    Args:
        path: the folder; made when something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = path / "records"
        self.checkpoints = path / "checkpoints"

    def check_writable(self) -> None:
        """Raise ResultsError where records could not be written, before anything is run."""
        try:
            with atomic_path(self.records / ".writable") as probe:
                probe.write_text("")
            (self.records / ".writable").unlink()
            self._sweep()
        except OSError as error:
            raise ResultsError(
                f"the results folder '{self.path}' cannot be written: {error.strerror or error}.",
                hint="Choose another with --results.",
            ) from error

    def save(self, record: Record) -> Path:
        """Write a record. One that did not go well never takes the place of one that did."""
        path = self.records / record.file_name
        beside = path.with_suffix(".failed.json")
        if record.status != "ok" and path.exists():
            with contextlib.suppress(ResultsError):
                if read_record(path).status == "ok":
                    path = beside
        with atomic_path(path) as temporary:
            temporary.write_text(record.model_dump_json() + "\n", encoding="utf-8")
        if path != beside:
            beside.unlink(missing_ok=True)
        return path

    def checkpoint(self, key: str) -> Path:
        """Where the checkpoint of a cell stands."""
        return self.checkpoints / f"{key[:32]}.pt"

    def _sweep(self) -> None:
        """Remove what a run that was killed left half-written; another run may be writing the newer ones."""
        for folder in (self.records, self.checkpoints):
            for path in folder.rglob(".*.tmp"):
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                        path.unlink()

    def load(self) -> tuple[list[Record], list[Unreadable]]:
        """Every record, and every file that is none with the reason.

        A folder of JSON files without ``records/`` is read as well.
        """
        root = self.records if self.records.is_dir() else self.path
        records: list[Record] = []
        unreadable: list[Unreadable] = []
        for path in sorted(root.rglob("*.json")):
            if path.name.startswith("."):
                continue
            try:
                records.append(read_record(path))
            except ResultsError as error:
                unreadable.append(Unreadable(path, error.message))
        return records, unreadable


def read_record(path: Path) -> Record:
    """Read a record.

    Raises:
        ResultsError: the file is truncated, foreign, too large, or of another schema version.
    """
    try:
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise ResultsError(f"is no record: it has {size / 2**20:.0f} MiB, and a record at most 64")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"cannot be read: {error}") from error
    try:
        record = Record.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        if first["loc"] == ("schema_version",):
            raise ResultsError(
                f"is a record of schema version {first['input']!r}, and this metabench reads {SCHEMA_VERSION}"
            ) from error
        where = ".".join(map(str, first["loc"]))
        raise ResultsError(f"is not a record: {where + ': ' if where else ''}{first['msg']}") from error
    for name, metric in record.metrics.items():
        try:
            json.dumps(metric.values, allow_nan=False)
        except ValueError as error:
            raise ResultsError(f"is not a record: metrics.{name}.values: a number is not finite") from error
    return record
