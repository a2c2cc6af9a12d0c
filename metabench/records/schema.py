"""Records: one JSON file for each cell, written whole or not at all."""

from __future__ import annotations

import datetime
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from metabench.benchmarks.model import Benchmark
from metabench.utils.digest import digest_of
from metabench.utils.values import Value as Value

SCHEMA_VERSION: Literal[1] = 1

Status = Literal[
    "ok", "failed", "timeout", "out-of-memory", "skipped", "broken-plugin", "interrupted"
]
FINAL: frozenset[str] = frozenset({"ok", "skipped"})
"""What a later run need not try again."""

MetricStatus = Literal["ok", "n/a", "failed", "out-of-memory"]
"""``n/a``: the metric does not fit the method or the benchmark, and the reason says why."""


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
            raise ValueError(
                f"it is ok, and holds no {self.benchmark.metrics[0]} of every test episode"
            )
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
