"""Conditions on one integer, such as ``20`` or ``">=5,<20"``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

FORM = 'an integer, or comparisons joined by commas such as ">=5,<20"'
"""The right form, for error messages."""

_OPERATORS: dict[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
# Digits may be grouped by underscores, as in TOML's own integers.
_COMPARISON = re.compile(r"\s*(>=|<=|>|<)\s*([0-9](?:_?[0-9])*)\s*")


@dataclass(frozen=True)
class Comparison:
    """A condition on a non-negative integer.

    Attributes:
        terms: pairs of an operator (``==``, ``>=``, ``<=``, ``>`` or ``<``) and a bound; the
            condition holds where all of them do.
    """

    terms: tuple[tuple[str, int], ...]

    @classmethod
    def parse(cls, value: object) -> Comparison:
        """Read a condition from a TOML value.

        Args:
            value: an integer, or text of comparisons joined by commas.

        Raises:
            ValueError: If the value has neither form, or no integer satisfies it.
        """
        # bool is a subclass of int, and `ways = true` is a mistake.
        if isinstance(value, int) and not isinstance(value, bool):
            return cls((("==", value),))
        matches = [_COMPARISON.fullmatch(term) for term in str(value).split(",")]
        if not isinstance(value, str) or None in matches:
            raise ValueError("It is not a condition on a number.")
        parsed = cls(tuple((m[1], int(m[2])) for m in matches if m is not None))
        if not parsed._is_satisfiable():
            raise ValueError("No number satisfies all its comparisons.")
        return parsed

    def holds(self, number: int) -> bool:
        """Returns whether a number satisfies the condition."""
        return all(number == b if o == "==" else _OPERATORS[o](number, b) for o, b in self.terms)

    def _is_satisfiable(self) -> bool:
        # The terms bound one interval, whose ends are a bound or its neighbour.
        ends = {max(bound + step, 0) for _, bound in self.terms for step in (-1, 0, 1)}
        return any(map(self.holds, ends))

    def describe(self, name: str) -> str:
        """Returns the condition on a named number, such as ``ways>=5 ways<20`` or ``ways=5``."""
        return " ".join(f"{name}{'=' if o == '==' else o}{b}" for o, b in self.terms)
