"""Benchmarks and suites: TOML files, checked when they are read."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from metabench.errors import ConfigError, MetabenchError
from metabench.registry import Registry

if TYPE_CHECKING:
    from metabench.episodes.protocol import NWayKShot

OptionValue = bool | int | Annotated[float, Field(allow_inf_nan=False)] | str
"""What an option of a metric may be; or a list of these."""

QUICK_SHRINK = 36
QUICK_TEST_EPISODES = 12
QUICK_VALIDATION_EPISODES = 5
QUICK_VALIDATIONS = 1


class Benchmark(BaseModel):
    """A data set, a protocol, a backbone, a budget and metrics, named and versioned.

    Attributes:
        name: for example ``omniglot-5w1s``.
        version: raised whenever its scores would change.
        dataset: the name of the data set.
        dataset_options: keyword arguments of the data set, such as its split.
        test_dataset: the data set of meta-test, where it is another than that of meta-training.
        test_dataset_options: its keyword arguments.
        ways: classes in a test episode; 0 for regression.
        shots: support examples for each class.
        queries: query examples for each class.
        backbone: the network below the head, where an algorithm's recipe does not ask for another.
        budget: examples that meta-training may draw.
        validations: how often meta-validation is run; the best state of them is kept.
        validation_episodes: frozen episodes for meta-validation.
        test_episodes: frozen episodes for meta-test.
        metrics: what is measured; the first is the one that ranks.
        metric_options: keyword arguments of metrics, by metric; for those too that ``--metrics`` adds.
        quick: whether this is the shrunken form that ``--quick`` runs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=80)
    version: str = Field(default="1", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=40)
    dataset: str
    dataset_options: dict[str, str | int | float | bool] = {}
    test_dataset: str = ""
    test_dataset_options: dict[str, str | int | float | bool] = {}
    ways: int = Field(ge=0)
    shots: int = Field(ge=1)
    queries: int = Field(default=15, ge=1)
    backbone: str
    budget: int = Field(gt=0)
    validations: int = Field(default=10, gt=0)
    validation_episodes: int = Field(default=200, gt=1)
    test_episodes: int = Field(default=600, gt=1)
    metrics: tuple[str, ...] = Field(min_length=1)
    metric_options: dict[str, dict[str, OptionValue | tuple[OptionValue, ...]]] = {}
    quick: bool = False

    @field_validator("ways")
    @classmethod
    def _more_than_one(cls, ways: int) -> int:
        if ways == 1:
            raise ValueError("an episode has at least 2 ways, or 0 in regression")
        return ways

    @model_validator(mode="after")
    def _options_of_something(self) -> Benchmark:
        if self.test_dataset_options and not self.test_dataset:
            raise ValueError(
                "test_dataset_options need a test_dataset; it may be the same data set again"
            )
        return self

    @property
    def title(self) -> str:
        """``name@version``, with ``+quick`` for the shrunken form."""
        return f"{self.name}@{self.version}{'+quick' if self.quick else ''}"

    @cached_property
    def protocol(self) -> NWayKShot:
        """The shape of its episodes."""
        from metabench.episodes.protocol import (
            NWayKShot,
        )  # here: listing benchmarks imports no torch

        return NWayKShot(self.ways, self.shots, self.queries)

    @property
    def scored(self) -> Benchmark:
        """What its score depends on: the same without the metrics beside the one that ranks."""
        main = self.metrics[0]
        options = {main: self.metric_options[main]} if main in self.metric_options else {}
        return self.model_copy(update={"metrics": (main,), "metric_options": options})

    def quickened(self) -> Benchmark:
        """The same with a small budget, few episodes and the metric that ranks: to see that things work."""
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


class Suite(BaseModel):
    """A named list of benchmarks.

    Attributes:
        name: what ``--suite`` calls it.
        summary: one line for listings.
        version: for listings; each benchmark has a version of its own, which is the one that counts.
        benchmark: the benchmarks.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    summary: str = ""
    version: str = "1"
    benchmark: tuple[Benchmark, ...] = Field(min_length=1)


def read_suite(path: Path) -> Suite:
    """Read a suite file.

    Raises:
        ConfigError: it cannot be read, has an unknown key, or an impossible value; all of them are named.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"suite file '{path}' cannot be read: {error}") from error
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"suite file '{path}' is not valid:\n{explain(error)}") from error


def load_suites(registry: Registry) -> dict[str, Suite]:
    """Every suite by name; one that cannot be used is left out and reported as its plugin's fault."""
    suites: dict[str, Suite] = {}
    for spec in registry.specs("suite", as_added=True):
        try:
            suite = _read_named(spec.load()).model_copy(update={"name": spec.name})
            collect_benchmarks([*suites.values(), suite])
        except MetabenchError as error:
            registry.on_broken("suite", spec, f"suite '{spec.name}' is left out: {error.message}")
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
    """All benchmarks of some suites by name; two suites may list the same one, not two by one name.

    Raises:
        ConfigError: two different benchmarks have the same name.
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


def explain(error: ValidationError) -> str:
    """A validation error as one line for each thing that is wrong."""
    return "\n".join(f"       {_place(e['loc'])}: {_say(e)}" for e in error.errors())


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "the file"


def _say(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "there is no such key"
    return f"{error['msg'][:1].lower()}{error['msg'][1:]} (it is {error['input']!r})"
