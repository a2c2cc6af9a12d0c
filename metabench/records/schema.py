"""The JSON schema of a record."""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from metabench.benchmarks.model import Benchmark
from metabench.config import DEFAULT_RECIPE
from metabench.utils.digest import digest_of
from metabench.utils.values import Value as Value

SCHEMA_VERSION: Literal[1] = 1

Status = Literal[
    "ok", "failed", "timeout", "out-of-memory", "skipped", "broken-plugin", "interrupted"
]
FINAL: frozenset[str] = frozenset({"ok", "skipped"})
"""The statuses that a later run does not try again."""

MetricStatus = Literal["ok", "n/a", "failed", "out-of-memory"]
"""``n/a``: the metric does not apply to the method or the benchmark."""

SHARE = "share"
"""The unit of a score between 0 and 1."""


class _Model(BaseModel):
    """Base of the models: unknown fields, infinities and NaN are invalid."""

    # Unknown fields may change the meaning of the known ones: a newer schema is not read in part.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class AlgorithmId(_Model):
    """The algorithm that ran, with its hyper-parameters.

    Attributes:
        name: Its name on the command line.
        version: Its own version.
        distribution: The distribution that provides it.
        distribution_version: The version of that distribution.
        library: The library that does its computations, if that is another distribution.
        recipe: The recipe of the hyper-parameters that the user did not set; empty in records
            that are older than recipes.
        hyperparameters: All hyper-parameters.
        overrides: Those that differ from the recipe because the user set them.
        pretrained_on: What the weights that it starts from have seen, as its author declares.
    """

    name: str
    version: str = ""
    distribution: str = ""
    distribution_version: str = ""
    library: str = ""
    recipe: str = ""
    hyperparameters: dict[str, Value] = {}
    overrides: dict[str, Value] = {}
    pretrained_on: str = ""

    @property
    def label(self) -> str:
        """The name with another recipe and the overrides: ``maml[recipe=paper,inner_lr=0.1]``."""
        # Sorted: the order of options on the command line must not create another row.
        settings = [f"{name}={value}" for name, value in sorted(self.overrides.items())]
        if self.recipe not in ("", DEFAULT_RECIPE):
            settings.insert(0, f"recipe={self.recipe}")
        return f"{self.name}[{','.join(settings)}]" if settings else self.name


class CurvePoint(_Model):
    """One point of the learning curve."""

    examples: int
    steps: int
    seconds: float
    loss: float | None
    score: float


class Training(_Model):
    """What meta-training used.

    Attributes:
        examples: Examples drawn.
        steps: Outer steps.
        tasks: Episodes drawn. 0 if single examples are drawn, and in records that are older than
            this count.
        seconds: Seconds of training alone, summed over all sessions.
        flops: An estimate of its floating-point operations, from one outer step; ``None`` if they
            are unknown, and in records that are older than this count.
        joules: Energy of the whole device in that time; ``None`` if no driver reports it.
        sittings: Number of sessions; more than one if a killed run was resumed.
        best_examples: Position on the curve of the state that was tested, in examples.
        validation_examples: Examples of meta-validation, each as often as it was used. 0 in records
            that are older than this count.
        curve: The meta-validation scores during training.
    """

    examples: int = 0
    steps: int = 0
    tasks: int = 0
    seconds: float = 0.0
    flops: float | None = None
    joules: float | None = None
    sittings: int = 1
    best_examples: int = 0
    validation_examples: int = 0
    curve: list[CurvePoint] = []


class MetricResult(_Model):
    """The result of a metric.

    Attributes:
        version: The version of the metric.
        direction: Whether a higher or a lower score is better.
        unit: The unit of the scores.
        status: ``ok``, ``n/a`` or how it failed. The metric that ranks is ``ok``.
        reason: Why the status is not ``ok``.
        mean: The mean over the episodes.
        ci95: Half the width of the 95 % t-interval over the episodes.
        episodes: The score of each episode.
        values: Further results; any JSON.
    """

    version: str
    direction: Literal["higher", "lower"]
    unit: str
    status: MetricStatus = "ok"
    reason: str = ""
    mean: float | None = None
    ci95: float | None = None
    episodes: list[float] = []
    values: dict[str, Any] = {}


Track = Literal["inductive", "transductive"]
"""``inductive``: each query is predicted from the support set alone."""


class TrackEvidence(_Model):
    """What the track of a cell was found from.

    Attributes:
        queries: The number of queries that were predicted with the others of their episode and
            without them, over all test episodes.
        changed: The share of them whose prediction changed.
        inductive_score: The score of a transductive method with each query alone.
        unbalanced_score: Its score with classes of unequal frequency among the queries.
        reason: Why a score is missing, or why the track is the declared one.
    """

    queries: int
    changed: float
    inductive_score: float | None = None
    unbalanced_score: float | None = None
    reason: str = ""


Code = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
"""The sha256 of an algorithm's code, or nothing."""


class Record(_Model):
    """Everything that is stored of one cell.

    Attributes:
        schema_version: The version of this schema.
        key: The digest of all that the scores depend on (:func:`key_of`).
        algorithm: The algorithm.
        benchmark: The full definition of the benchmark.
        seed: The seed.
        status: How the cell ended.
        reason: Why the status is not ``ok``.
        traceback: The traceback of an exception.
        data_digest: The sha256 of the data set.
        episode_digest: The sha256 of the test episodes.
        training: What meta-training used.
        metrics: The result of each metric, by name.
        track: The measured track; ``None`` in records that are older than it.
        track_evidence: What it was found from.
        notes: Remarks for the reader, such as a deviation from the recipe.
        sealed: Whether the process of the algorithm never held an answer of meta-test;
            ``None`` in records that are older than the separation.
        code: The sha256 of the code of the algorithm and its networks
            (:func:`metabench.running.code_digest.code_of`); empty if it is unknown, and in records
            that are older than it.
        environment: The machine and the installed software.
        started: Time in ISO 8601, UTC.
        finished: Time in ISO 8601, UTC.
    """

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
    track: Track | None = None
    track_evidence: TrackEvidence | None = None
    notes: list[str] = []
    sealed: bool | None = None
    code: Code = ""
    environment: dict[str, Value | None] = {}
    started: str = ""
    finished: str = ""

    @model_validator(mode="after")
    def _ok_requires_scores(self) -> Record:
        # Tables and charts index the scores of records that are ok without further checks.
        main = self.metrics.get(self.metric)
        if self.status == "ok" and (
            main is None or main.mean is None or len(main.episodes) != self.benchmark.test_episodes
        ):
            raise ValueError(f"its status is ok, but it holds no {self.metric} of every episode")
        return self

    @property
    def metric(self) -> str:
        """The name of the metric that ranks."""
        return self.benchmark.metrics[0]

    @property
    def score(self) -> float | None:
        """The mean of the metric that ranks."""
        main = self.metrics.get(self.metric)
        return None if main is None else main.mean

    @property
    def budget(self) -> int | None:
        """The examples that meta-training could draw; ``None`` in records that do not state it."""
        budget = self.algorithm.hyperparameters.get("budget")
        return budget if type(budget) is int else None

    @property
    def file_name(self) -> str:
        """The path of its file below the records folder."""
        # A plugin chooses the algorithm's name: it must not become a path out of the folder. File
        # systems limit a name to 255 bytes. The key distinguishes hyper-parameters and versions.
        safe = re.sub(r"[^A-Za-z0-9._-]+", "_", self.algorithm.name).strip(".")[:80] or "_"
        return f"{self.benchmark.title}/{safe}-s{self.seed}-{self.key[:10]}.json"


def now() -> str:
    """Returns the time as records state it: ISO 8601, UTC, in seconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def key_of(algorithm: AlgorithmId, benchmark: Benchmark, seed: int, data_digest: str) -> str:
    """Returns the key of a cell: the sha256 of all that its scores depend on."""
    # Not the machine and the versions of libraries: a stored record is not run again elsewhere.
    return digest_of(
        {
            "algorithm": f"{algorithm.distribution}:{algorithm.name}@{algorithm.version}",
            "hyperparameters": algorithm.hyperparameters,
            "benchmark": benchmark.title,  # its version implies its definition
            "seed": seed,
            "data": data_digest,
        }
    )
