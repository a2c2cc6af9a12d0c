"""The search space: how a trial changes the hyper-parameters of the default recipe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from metabench.errors import ConfigError
from metabench.utils.toml_files import UnreadableFile, read_toml
from metabench.utils.validation import explain
from metabench.utils.values import Value

SHIPPED = Path(__file__).with_name("space.toml")

SIGNIFICANT_DIGITS = 2
"""Digits of a drawn number. More would suggest a precision that no study of this size has."""


class Space(BaseModel):
    """A search space by the names of hyper-parameters, the same for all algorithms.

    Attributes:
        factors: The largest factor by which a number is multiplied or divided.
        choices: The values that a hyper-parameter may have.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    factors: dict[str, Annotated[float, Field(gt=1.0, allow_inf_nan=False)]] = {}
    choices: dict[str, Annotated[tuple[bool | int | float | str, ...], Field(min_length=2)]] = {}

    @property
    def names(self) -> frozenset[str]:
        """The names of all hyper-parameters that it varies."""
        return frozenset(self.factors) | frozenset(self.choices)

    def draw(self, defaults: Mapping[str, Value], rng: np.random.Generator) -> dict[str, Value]:
        """Draw the hyper-parameters of a trial.

        Args:
            defaults: All hyper-parameters of the default recipe.
            rng: The source of random numbers. One number is drawn for each name in the space, also
                where it leaves the value as it is, so that a new default does not move the others.

        Returns:
            The values that differ from the defaults.
        """
        drawn: dict[str, Value] = {}
        for name, default in defaults.items():
            if name in self.choices:
                options = self.choices[name]
                drawn[name] = options[int(rng.integers(len(options)))]
            elif name in self.factors:
                limit = math.log(self.factors[name])
                drawn[name] = _scaled(default, math.exp(rng.uniform(-limit, limit)))
        return {name: value for name, value in drawn.items() if value != defaults[name]}


def read_space(path: Path = SHIPPED) -> Space:
    """Read a search space from a TOML file.

    Raises:
        ConfigError: If the file cannot be read, or has unknown keys or invalid values.
    """
    try:
        content = read_toml(path)
    except UnreadableFile as error:
        raise ConfigError(f"search space '{path}' cannot be read: {error.reason}.") from error
    try:
        return Space.model_validate(content)
    except ValidationError as error:
        wrong = explain(error.errors(), content).items()
        lines = [
            f"       {'.'.join(map(str, place)) or 'the file'}: {what}" for place, what in wrong
        ]
        raise ConfigError("\n".join([f"search space '{path}' is not valid:", *lines])) from error


def _scaled(value: Value, factor: float) -> Value:
    """Returns a number times a factor; anything else unchanged."""
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, int):
        # 0 is "as the benchmark" or "off", and 1 the least of anything that is counted.
        return max(1, round(value * factor)) if value > 0 else value
    return float(f"{value * factor:.{SIGNIFICANT_DIGITS}g}")
