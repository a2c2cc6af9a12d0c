"""The configuration file of a run: the options of ``metabench run``, as TOML."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from metabench.errors import ConfigError, UsageError

Value = bool | int | float | str

MOST_SEEDS = 10_000


class RunConfig(BaseModel):
    """What ``metabench run`` can be told in a file.

    ::

        suite = "omniglot"
        seeds = [0, 1, 2]
        data = "data"

        [set.maml]
        inner_lr = 0.4

    Paths are relative to the file. What the command line says goes before what the file says.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    algorithm: tuple[str, ...] = ()
    benchmark: tuple[str, ...] = ()
    suite: str | None = None
    seeds: tuple[int, ...] | None = None
    device: str | None = None
    jobs: int | None = Field(default=None, ge=0)
    threads: int | None = Field(default=None, gt=0)
    precision: str | None = None
    timeout: float | None = Field(default=None, gt=0)
    executor: str | None = None
    results: Path | None = None
    data: Path | None = None
    quick: bool | None = None
    metrics: tuple[str, ...] | None = None
    set: dict[str, dict[str, Value]] = {}


def read_config(path: Path) -> RunConfig:
    """Read a configuration file.

    Raises:
        ConfigError: it cannot be read, has an unknown key, or a value of the wrong type.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"configuration file '{path}' cannot be read: {error}") from error
    try:
        config = RunConfig.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            raise _unknown_key(path, str(first["loc"][0])) from error
        if first["loc"][0] == "set":
            place = ".".join(map(str, first["loc"][:3]))
            raise ConfigError(
                f"configuration file '{path}': {place} = {first['input']!r} cannot be.",
                hint="Hyper-parameters stand in tables [set.ALGORITHM]: numbers, text, true or false.",
            ) from error
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"configuration file '{path}': {key} = {first['input']!r} cannot be: {first['msg']}."
        ) from error
    here: dict[str, Any] = {"results": config.results, "data": config.data}
    if config.suite is not None and config.suite.endswith(".toml"):
        here["suite"] = config.suite
    update = {name: path.parent / place for name, place in here.items() if place is not None}
    return config.model_copy(
        update=update | ({"suite": str(update["suite"])} if "suite" in update else {})
    )


def _unknown_key(path: Path, key: str) -> ConfigError:
    known = sorted(RunConfig.model_fields)
    close = difflib.get_close_matches(key, known, n=1)
    guess = f" Did you mean '{close[0]}'?" if close else ""
    return ConfigError(
        f"configuration file '{path}' has an unknown key '{key}'.{guess}",
        hint=f"The keys are {', '.join(known)}.",
    )


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read ``--seeds``: ``3`` means the three seeds 0, 1, 2; ``0,5,7`` and ``2-4`` name them.

    >>> parse_seeds("3"), parse_seeds("7,"), parse_seeds("0-2,9")
    ((0, 1, 2), (7,), (0, 1, 2, 9))

    Raises:
        UsageError: it is none of these.
    """
    if re.fullmatch(r"[1-9][0-9]{0,8}", text):
        text = f"0-{int(text) - 1}"
    seeds: list[int] = []
    for part in text.removesuffix(",").split(","):
        match = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", part.strip())
        if match is None or (match[2] and int(match[2]) < int(match[1])):
            raise UsageError(
                f"--seeds '{text}' cannot be read.",
                hint="Give a number of seeds (3), a list (0,5,7), a range (2-4), or one seed (7,).",
            )
        named = range(int(match[1]), int(match[2] or match[1]) + 1)
        if len(named) > MOST_SEEDS:
            raise UsageError(
                f"--seeds '{text}' names {len(named):,} seeds.",
                hint=f"{MOST_SEEDS:,} are the most.",
            )
        seeds.extend(named)
    return tuple(dict.fromkeys(seeds))


def parse_settings(texts: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Read ``--set algorithm.parameter=value`` options.

    Raises:
        UsageError: one of them has another form.
    """
    settings: dict[str, dict[str, str]] = {}
    for text in texts:
        place, equals, value = text.partition("=")
        algorithm, dot, parameter = place.rpartition(".")
        if not (equals and dot and algorithm and parameter):
            raise UsageError(
                f"--set '{text}' cannot be read.",
                hint="Its form is --set algorithm.parameter=value.",
            )
        settings.setdefault(algorithm, {})[parameter] = value
    return settings


def merge_settings(*layers: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings of several layers as one; the later layer goes before the earlier."""
    merged: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for algorithm, values in layer.items():
            merged.setdefault(algorithm, {}).update(values)
    return merged
