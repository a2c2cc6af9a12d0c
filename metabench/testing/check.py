"""A named claim about algorithms, and how it is said that it does not hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from metabench.registry import first_line
from metabench.testing.subject import Subject

Precision = Literal["double", "single"]


class CheckFailed(Exception):
    """The claim of a check does not hold; the message says what was seen and what would be right."""


@dataclass(frozen=True)
class Check:
    """One claim.

    Args:
        name: what it is called in reports and in test ids.
        claim: the claim, in a sentence.
        run: returns where the claim holds; raises :class:`CheckFailed` where it does not, and
            :class:`metabench.NotApplicable` where it says nothing about this algorithm.
        precision: ``double`` where numbers are compared: float64 parts rounding from mistakes. An algorithm
            that does not run in float64 is looked at in float32, with a wider tolerance.
    """

    name: str
    claim: str
    run: Callable[[Subject], None]
    precision: Precision = "double"

    @classmethod
    def of(cls, function: Callable[[Subject], None], *, precision: Precision = "double") -> Check:
        """The check that a function makes: its name with hyphens, and the first line of its docstring."""
        claim = first_line(function.__doc__ or "")
        return cls(function.__name__.replace("_", "-"), claim, function, precision)
