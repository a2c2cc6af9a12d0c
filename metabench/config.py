"""The settings of a run: each is stated once, with its type, default, bounds and description.

These dataclasses are read by the options of ``metabench run``, the TOML file of ``--config``,
:func:`metabench.run` and the worker processes. pydantic validates and serialises them.
"""

# They are dataclasses and not pydantic models because `metabench run --help` reads them too, in
# less than 0.1 s: importing pydantic alone takes 0.09 s.
from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

from metabench.errors import ConfigError, UnknownName, UsageError, did_you_mean
from metabench.utils.text import counted
from metabench.utils.toml_files import UnreadableFile, read_toml
from metabench.utils.validation import explain, toml_text
from metabench.utils.values import Value

Precision = Literal["highest", "tf32", "bf16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

MAX_SEEDS = 10_000

SALT_VARIABLE = "METABENCH_EPISODES_SALT"
"""The environment variable of ``--episodes-salt``: a command line is visible to all users."""

DEFAULT_RECIPE = "default"
"""The recipe of hyper-parameters that a run uses unless it names another."""

S = TypeVar("S", bound="CellSettings | Selection")


def parse_seeds(text: str) -> tuple[int, ...]:
    """Parse ``--seeds``: ``3`` means the three seeds 0, 1, 2; ``0,5,7`` and ``2-4`` list them.

    >>> parse_seeds("3"), parse_seeds("7,"), parse_seeds("0-2,9")
    ((0, 1, 2), (7,), (0, 1, 2, 9))

    Raises:
        UsageError: If the text has another form, or a range is longer than :data:`MAX_SEEDS`.
    """
    # ASCII digits only, and at most nine: int() would also read other scripts and huge numbers.
    if re.fullmatch(r"[1-9][0-9]{0,8}", text):
        text = f"0-{int(text) - 1}"
    seeds: list[int] = []
    for item in text.removesuffix(",").split(","):
        match = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", item.strip())
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            raise UsageError(
                f"--seeds '{text}' is not valid.",
                hint="Give a number of seeds (3), a list (0,5,7), a range (2-4), or one seed (7,).",
            )
        span = range(int(match[1]), int(match[2] or match[1]) + 1)
        if len(span) > MAX_SEEDS:
            raise UsageError(
                f"--seeds '{text}' lists {counted(len(span), 'seed')}.",
                hint=f"The maximum is {MAX_SEEDS:,}.",
            )
        seeds.extend(span)
    return tuple(dict.fromkeys(seeds))


def parse_list(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list of names; spaces and empty items are ignored."""
    return tuple(name for name in map(str.strip, text.split(",")) if name)


def parse_hyperparameters(texts: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Parse the ``--set algorithm.parameter=value`` options.

    Raises:
        UsageError: If one of them has another form.
    """
    parsed: dict[str, dict[str, str]] = {}
    for text in texts:
        target, equals, value = text.partition("=")
        algorithm, dot, parameter = target.rpartition(".")  # a plugin's name may contain dots
        if not (equals and dot and algorithm and parameter):
            raise UsageError(
                f"--set '{text}' is not valid.",
                hint="The form is --set algorithm.parameter=value.",
            )
        parsed.setdefault(algorithm, {})[parameter] = value
    return parsed


@dataclass(frozen=True)
class Option:
    """The command-line option of a setting.

    Args:
        help: What the setting does.
        metavar: How its value is called in the help text.
        short: The short form of the option, such as ``-a``.
        env: The environment variable that sets it too.
        parse: Converts the text, or the texts of a repeatable option, to the setting's type.
        ge: The least valid number; of an array, that of each item.
        gt: A number that the value must exceed.
    """

    help: str
    metavar: str = ""
    short: str = ""
    env: str = ""
    parse: Callable[[Any], object] | None = None
    ge: int | None = None
    gt: int | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        """Add the bounds to pydantic's schema of the type, and make numbers and flags strict."""
        # Not annotated_types' Ge and Gt, which pydantic reads by itself: importing them takes
        # 10 ms of the 0.1 s that `--help` may take.
        schema = handler(source)
        item = schema["schema"] if schema["type"] == "nullable" else schema
        item = item["items_schema"][0] if item["type"] == "tuple" else item
        item |= {name: b for name in ("ge", "gt") if (b := getattr(self, name)) is not None}
        if item["type"] in ("int", "float", "bool"):  # "yes" is not true, and true is not 1
            item["strict"] = True
        return schema


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which cells a run consists of."""

    # pydantic reads this from a dataclass; "always" makes it check instances from Python too.
    __pydantic_config__: ClassVar[Any] = {"extra": "forbid", "revalidate_instances": "always"}

    algorithm: Annotated[
        tuple[str, ...], Option("Run these algorithms; repeatable.", "GLOB", "-a")
    ] = ()
    benchmark: Annotated[
        tuple[str, ...], Option("Run on these benchmarks; repeatable.", "GLOB", "-b")
    ] = ()
    suite: Annotated[
        str,
        Option("A suite, or the path of its .toml file; `core` unless -b is given.", "NAME"),
    ] = ""
    recipe: Annotated[
        str,
        Option(
            "The recipe of hyper-parameters: `metabench list recipes`; `default` by default.",
            "NAME",
        ),
    ] = DEFAULT_RECIPE
    seeds: Annotated[
        tuple[int, ...],
        Option(
            "3 (three seeds), 0,5,7 or 2-4; a single seed ends in a comma: 7,. Seed 0 by default.",
            "SEEDS",
            parse=parse_seeds,
            ge=0,
        ),
    ] = (0,)
    metrics: Annotated[
        tuple[str, ...],
        Option(
            "Measure these (accuracy,noise,cost) instead of what the benchmark names.",
            "NAMES",
            parse=parse_list,
        ),
    ] = ()
    set: Annotated[
        dict[str, dict[str, Value]],
        Option(
            "Set a hyper-parameter; repeatable.",
            "ALGORITHM.PARAMETER=VALUE",
            parse=parse_hyperparameters,
        ),
    ] = field(default_factory=dict)
    quick: Annotated[bool, Option("Use a small budget and few episodes: a smoke test.")] = False


@dataclass(frozen=True, kw_only=True)
class CellSettings:
    """How a cell is run. None of it is part of the cell's key, but the digest of a salt."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid", "revalidate_instances": "always"}

    device: Annotated[str, Option("cpu, cuda, cuda:0 or auto.")] = "cpu"
    # One by default, whatever the number of jobs: the number of threads can change last bits.
    threads: Annotated[
        int,
        Option(
            "Threads of each cell, or processes that share its outer steps where they can.", ge=1
        ),
    ] = 1
    precision: Annotated[
        Precision, Option("Precision of products: highest (float32), tf32 or bf16.", "NAME")
    ] = "highest"
    data: Annotated[Path | None, Option("The folder with one folder for each data set.")] = None
    episodes_salt: Annotated[
        str,
        Option(
            "Test on other episodes, drawn with this secret; or set METABENCH_EPISODES_SALT.",
            "SECRET",
            env=SALT_VARIABLE,
        ),
    ] = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class Resources(CellSettings):
    """What a run may use, besides the settings of each cell."""

    jobs: Annotated[int, Option("Cells at a time; 0 means one for each core.", ge=0)] = 0
    timeout: Annotated[float | None, Option("Seconds that a cell may take.", gt=0)] = None
    executor: Annotated[str, Option("Where cells run; see `metabench list executors`.", "NAME")] = (
        "processes"
    )


@dataclass(frozen=True, kw_only=True)
class RunSettings(Resources, Selection):
    """Everything that ``metabench run`` and its configuration file can set.

    ::

        suite = "omniglot"
        seeds = [0, 1, 2]
        data = "data"

        [set.maml]
        inner_lr = 0.4
    """

    results: Annotated[Path, Option("The results folder.")] = Path("results")


def validate(cls: type[S], values: Mapping[str, Any] | S) -> S:
    """Returns settings with every value checked and converted to its type.

    Args:
        cls: The class of the settings.
        values: The values by name, or an instance.

    Raises:
        UsageError: If a name is unknown, or a value has the wrong type or is out of bounds.
    """
    from pydantic import TypeAdapter, ValidationError  # not at the top, see above

    try:
        return TypeAdapter(cls).validate_python(values)
    except ValidationError as error:
        content = values if isinstance(values, Mapping) else vars(values)
        raise _usage_error(cls, error.errors(), dict(content)) from error


def narrow(cls: type[S], settings: CellSettings | Selection, **others: Any) -> S:
    """Returns the subset of some settings that another class of settings has.

    Args:
        cls: The class of the result.
        settings: Settings that include those of ``cls``.
        others: The fields of ``cls`` that ``settings`` lacks.
    """
    names = [f.name for f in fields(cls) if f.name not in others and hasattr(settings, f.name)]
    return cls(**{name: getattr(settings, name) for name in names}, **others)


def read_config(path: Path) -> dict[str, Any]:
    """Read a configuration file. Paths in it are relative to its folder.

    Returns:
        The settings that the file contains, by name.

    Raises:
        ConfigError: If the file cannot be read, or has an unknown key or an invalid value.
    """
    try:
        content = read_toml(path)
    except UnreadableFile as error:
        raise ConfigError(
            f"configuration file '{path}' cannot be read: {error.reason}.",
            hint="--config takes the path of a TOML file with options, such as seeds = [0, 1].",
        ) from error
    try:
        settings = validate(RunSettings, content)
    except UsageError as error:
        message = f"configuration file '{path}': {error.message}"
        raise ConfigError(message, hint=error.hint) from error
    # Only the keys in the file: a default must not take precedence over the command line.
    values = {name: getattr(settings, name) for name in content}
    for name in ("results", "data"):
        if name in values:
            values[name] = path.parent / values[name]
    if settings.suite.endswith(".toml"):
        values["suite"] = str(path.parent / settings.suite)
    return values


def merge_hyperparameters(*layers: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Merge hyper-parameters by algorithm; a later layer takes precedence."""
    merged: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for algorithm, values in layer.items():
            merged.setdefault(algorithm, {}).update(values)
    return merged


def _usage_error(
    cls: type[Any], details: Sequence[Mapping[str, Any]], content: dict[str, Any]
) -> UsageError:
    """Returns the error that describes the first validation error of pydantic."""
    detail = details[0]
    name, value = str(detail["loc"][0]), detail["input"]
    if detail["type"] == "unexpected_keyword_argument":
        known = sorted(f.name for f in fields(cls))
        return UsageError(
            f"unknown key '{name}'.{did_you_mean(name, known)}",
            hint=f"The keys are {', '.join(known)}.",
        )
    if detail["type"] == "literal_error" and name == "precision":
        choices = f"They are {', '.join(PRECISIONS)}."
        return UnknownName("precision", str(value), PRECISIONS, hint=choices)
    if name == "set":
        return UsageError(
            f"{'.'.join(map(str, detail['loc'][:3]))} = {toml_text(value)} is not valid.",
            hint="A table [set.ALGORITHM] holds hyper-parameters: numbers, text, true or false.",
        )
    # The values are in the message already.
    place, wrong = next(iter(explain(details, content, values=False).items()))
    key = ".".join(map(str, place or (name,)))
    return UsageError(f"{key} = {toml_text(value)} is not valid: {wrong}.")
