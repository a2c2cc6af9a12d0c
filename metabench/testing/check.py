"""A check: a named claim about algorithms and the function that tests it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from metabench.registry import first_line
from metabench.testing.subject import Subject

Precision = Literal["double", "single"]


class CheckFailed(Exception):
    """Raised by a check whose claim does not hold; the message says what was found."""


@dataclass(frozen=True)
class Check:
    """One claim about an algorithm.

    Args:
        name: Name in reports and test ids.
        claim: The claim, in a sentence.
        run: Returns if the claim holds. Raises :class:`CheckFailed` if it does not, and
            :class:`metabench.NotApplicable` if it does not apply to the algorithm.
        precision: ``double`` for checks that compare numbers: float64 separates rounding from
            errors. An algorithm that does not run in float64 is checked in float32, with a larger
            tolerance.
    """

    name: str
    claim: str
    run: Callable[[Subject], None]
    precision: Precision = "double"

    @classmethod
    def of(cls, function: Callable[[Subject], None], *, precision: Precision = "double") -> Check:
        """Make a check of a function: its name with hyphens, its docstring's first line."""
        claim = first_line(function.__doc__ or "")
        return cls(function.__name__.replace("_", "-"), claim, function, precision)
