"""The model of a benchmark and of a suite, and the TOML files of suites."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from metabench.errors import ConfigError, MetabenchError, did_you_mean
from metabench.registry import Registry
from metabench.utils.toml_files import UnreadableFile, read_toml
from metabench.utils.validation import NO_SUCH_KEY, Place, explain

if TYPE_CHECKING:
    from metabench.episodes.protocol import NWayKShot

OptionValue = bool | int | Annotated[float, Field(allow_inf_nan=False)] | str
"""The value of a metric's option; lists of these are allowed too."""

# The sizes of --quick: a cell of the suite `core` then takes seconds.
QUICK_SHRINK = 36
QUICK_TEST_EPISODES = 12
QUICK_VALIDATION_EPISODES = 5
QUICK_VALIDATIONS = 1


class Augmentation(BaseModel):
    """Random changes of training images, the same for all algorithms.

    Attributes:
        shift: The largest translation along each axis, in pixels.
        mirror: Whether a random half of the classes of each episode is mirrored, which makes new
            classes of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    shift: int = Field(default=0, ge=0, strict=True)
    mirror: bool = Field(default=False, strict=True)

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return self.shift > 0 or self.mirror


class Benchmark(BaseModel):
    """A data set, a protocol, a backbone, a budget and metrics, with a name and a version.

    Attributes:
        name: For example ``omniglot-5w1s``.
        version: Increased whenever its scores would change.
        dataset: The name of the data set.
        dataset_options: Keyword arguments of the data set, such as its split.
        test_dataset: The data set of meta-test, if it differs from that of meta-training.
        test_dataset_options: Its keyword arguments; requires ``test_dataset``.
        ways: Classes in a test episode: 0 for regression, else at least 2.
        shots: Support examples per class.
        queries: Query examples per class.
        backbone: The network below the head, unless an algorithm's recipe names another.
        budget: Examples that meta-training may draw.
        augmentation: Random changes of training images.
        validations: The number of meta-validations; the best state is kept.
        validation_episodes: Frozen episodes of meta-validation.
        test_episodes: Frozen episodes of meta-test.
        metrics: The metrics, each once; the first one ranks.
        metric_options: Keyword arguments by metric, also for metrics that ``--metrics`` adds.
        scored_on: The split of the scored episodes: ``validation`` in a trial of a study.
        quick: Whether this is the reduced form that ``--quick`` runs.
        episodes_salt: The digest of the secret that its test episodes are drawn with; empty for
            the public episodes.
    """

    # forbid: a misspelt key would otherwise leave its default in force without a word.
    model_config = ConfigDict(extra="forbid", frozen=True)

    # The patterns keep names usable as folders; records of all benchmarks are stored by title.
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)
    version: str = Field(default="1", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=40)
    dataset: str
    dataset_options: dict[str, str | int | float | bool] = {}
    test_dataset: str = ""
    test_dataset_options: dict[str, str | int | float | bool] = {}
    # strict: 5.0 and "5" are not integers in TOML, and `quick = "yes"` is not true.
    ways: int = Field(ge=0, strict=True)
    shots: int = Field(ge=1, strict=True)
    queries: int = Field(default=15, ge=1, strict=True)
    backbone: str
    budget: int = Field(gt=0, strict=True)
    augmentation: Augmentation = Augmentation()
    validations: int = Field(default=10, gt=0, strict=True)
    validation_episodes: int = Field(default=200, gt=1, strict=True)
    test_episodes: int = Field(default=600, gt=1, strict=True)
    metrics: tuple[str, ...] = Field(min_length=1)
    metric_options: dict[str, dict[str, OptionValue | tuple[OptionValue, ...]]] = {}
    scored_on: Literal["test", "validation"] = "test"
    quick: bool = Field(default=False, strict=True)
    episodes_salt: str = ""

    @field_validator("ways")
    @classmethod
    def _at_least_two(cls, ways: int) -> int:
        if ways == 1:
            raise ValueError("an episode has at least 2 ways, or 0 in regression")
        return ways

    @model_validator(mode="after")
    def _options_need_a_dataset(self) -> Benchmark:
        if self.test_dataset_options and not self.test_dataset:
            raise ValueError(
                "test_dataset_options need a test_dataset; it may be the same data set again"
            )
        return self

    @model_validator(mode="after")
    def _augmentation_is_for_classes(self) -> Benchmark:
        if self.augmentation and not self.ways:
            raise ValueError("augmentation is for images of classes, and this is regression")
        return self

    @property
    def title(self) -> str:
        """``name@version``, with ``+quick`` for the reduced form and the salt of its episodes."""
        quick = "+quick" if self.quick else ""
        salt = f"+salt-{self.episodes_salt[:8]}" if self.episodes_salt else ""
        return f"{self.name}@{self.version}{quick}{salt}"

    @property
    def public(self) -> Benchmark:
        """The same with the public test episodes. Meta-training depends on nothing else."""
        return self.salted("") if self.episodes_salt else self

    def salted(self, digest: str) -> Benchmark:
        """Returns the same with other test episodes, drawn with the secret of this digest."""
        return self.model_copy(update={"episodes_salt": digest})

    @cached_property
    def protocol(self) -> NWayKShot:
        """The shape of its episodes."""
        # Not at the top: listing benchmarks must not import torch.
        from metabench.episodes.protocol import NWayKShot

        return NWayKShot(self.ways, self.shots, self.queries)

    @property
    def scored(self) -> Benchmark:
        """The part that its score depends on: without any metric but the one that ranks."""
        main = self.metrics[0]  # the other metrics look at the same trained algorithm
        options = {main: self.metric_options[main]} if main in self.metric_options else {}
        return self.model_copy(update={"metrics": (main,), "metric_options": options})

    def quickened(self) -> Benchmark:
        """Returns a reduced form: small budget, few episodes, only the metric that ranks."""
        return self.model_copy(
            update={
                "quick": True,
                "metrics": self.metrics[:1],
                "budget": max(1, self.budget // QUICK_SHRINK),
                "validations": min(self.validations, QUICK_VALIDATIONS),
                "validation_episodes": min(self.validation_episodes, QUICK_VALIDATION_EPISODES),
                "test_episodes": min(self.test_episodes, QUICK_TEST_EPISODES),
            }
        )

    def for_tuning(self, fraction: float, episodes: int) -> Benchmark:
        """Returns the benchmark of a trial: a part of the budget, scored on meta-validation.

        Args:
            fraction: The part of the budget, in (0, 1].
            episodes: The number of meta-validation episodes that are scored.
        """
        return self.model_copy(
            update={
                # Records of trials never stand among those of the benchmark.
                "version": f"{self.version}-tuning",
                "scored_on": "validation",
                "metrics": self.metrics[:1],
                "budget": max(1, round(self.budget * fraction)),
                # The last state is scored. Choosing among several by the same split would favour
                # methods that validate often.
                "validations": 1,
                "validation_episodes": 2,
                "test_episodes": episodes,
            }
        )


class Suite(BaseModel):
    """A named list of benchmarks.

    Attributes:
        name: The name for ``--suite``.
        summary: One line for listings.
        version: For listings only; results depend on the version of each benchmark.
        benchmark: The benchmarks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    # A name is typed after --suite, and a plugin's is the stem of a file.
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$", max_length=80)
    summary: str = ""
    version: str = "1"
    benchmark: tuple[Benchmark, ...] = Field(min_length=1)


def read_suite(path: Path, *, hint: str = "") -> Suite:
    """Read a suite file.

    Args:
        path: The file.
        hint: What to do if it does not exist.

    Raises:
        ConfigError: If the file cannot be read, or has unknown keys or invalid values; the message
            lists all of them.
    """
    try:
        content = read_toml(path)
    except UnreadableFile as error:
        message = f"suite file '{path}' cannot be read: {error.reason}."
        raise ConfigError(message, hint=hint if error.missing else "") from error
    wrong = _only_in_records(content)
    try:
        suite = Suite.model_validate(content)
    except ValidationError as error:
        wrong = explain(error.errors(), content) | wrong
    if wrong:
        lines = [_line(place, what, content) for place, what in wrong.items()]
        raise ConfigError("\n".join([f"suite file '{path}' is not valid:", *lines]))
    return suite


def load_suites(registry: Registry) -> dict[str, Suite]:
    """Returns all suites by name; an invalid one is omitted, and its plugin is marked as broken."""
    suites: dict[str, Suite] = {}
    # Built-ins first: of two suites that contradict each other, the plugin's is omitted.
    for spec in registry.specs("suite", as_added=True):
        try:
            suite = _read_named(spec.load()).model_copy(update={"name": spec.name})
            collect_benchmarks([*suites.values(), suite])
        except MetabenchError as error:
            registry.on_broken("suite", spec, f"suite '{spec.name}' is omitted: {error.message}")
        else:
            suites[spec.name] = suite
    return {name: suites[name] for name in registry.names("suite") if name in suites}


def _read_named(path: Path) -> Suite:
    suite = read_suite(path)
    if suite.name != path.stem:
        raise ConfigError(
            f"suite file '{path}' has the name '{suite.name}', which must be that of the file"
        )
    return suite


def collect_benchmarks(suites: Iterable[Suite]) -> dict[str, Benchmark]:
    """Returns all benchmarks of some suites by name. Two suites may contain the same benchmark.

    Raises:
        ConfigError: If two different benchmarks have the same name.
    """
    found: dict[str, Benchmark] = {}
    for suite in suites:
        for benchmark in suite.benchmark:
            known = found.setdefault(benchmark.name, benchmark)
            if known != benchmark:
                raise ConfigError(
                    f"two suites define the benchmark '{benchmark.name}' differently.",
                    hint="Give one of them another name or version.",
                )
    return found


def _only_in_records(content: dict[str, Any]) -> dict[Place, str]:
    """Returns what is wrong with a suite file that is valid in a stored record."""
    wrong: dict[Place, str] = {}
    benchmarks = content.get("benchmark")
    for number, benchmark in enumerate(benchmarks if isinstance(benchmarks, list) else []):
        if not isinstance(benchmark, dict):
            continue
        # The program sets it; in a file it would mark a whole benchmark as a smoke test.
        if "quick" in benchmark:
            wrong["benchmark", number, "quick"] = "there is no such key; `--quick` is an option"
        metrics = benchmark.get("metrics")
        names = metrics if isinstance(metrics, list) else []
        if twice := [name for i, name in enumerate(names) if name in names[:i]]:
            wrong["benchmark", number, "metrics"] = f"'{twice[0]}' is in it twice"
    return wrong


def _line(place: Place, what: str, content: dict[str, Any]) -> str:
    """Returns a line that says where a value is, with the name of its benchmark, and its error."""
    keys, where = place, ""
    if len(place) > 1 and place[0] == "benchmark":
        table = content["benchmark"][place[1]]
        name = table.get("name") if isinstance(table, dict) else None
        keys = place[2:]
        # By its number, from one, if the name is what is wrong.
        named = isinstance(name, str) and name and keys != ("name",)
        where = f"benchmark '{name}'" if named else f"benchmark {int(place[1]) + 1}"
    key = ".".join(map(str, keys))
    if what == NO_SUCH_KEY:
        what += did_you_mean(str(keys[-1]), _known_keys(keys, in_benchmark=bool(where))).replace(
            " ", ". ", 1
        )
    return f"       {', '.join(filter(None, [where, key])) or 'the file'}: {what}"


def _known_keys(keys: Place, *, in_benchmark: bool) -> list[str]:
    """Returns the keys that may stand where an unknown one stands."""
    if not in_benchmark:
        return sorted(Suite.model_fields)
    if len(keys) > 1:
        return sorted(Augmentation.model_fields) if keys[0] == "augmentation" else []
    return sorted(Benchmark.model_fields.keys() - {"quick"})
