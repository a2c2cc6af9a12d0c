"""Types of metric options with their bounds, which are checked before anything runs."""

from __future__ import annotations

import itertools
from typing import Annotated

from pydantic import AfterValidator, Field

Count = Annotated[int, Field(ge=1)]
"""A number of episodes, steps or the like."""

CountOrNone = Annotated[int, Field(ge=0)]
"""A count that may be 0, which means none or the default."""

Positive = Annotated[float, Field(gt=0)]
"""A radius, a factor or a standard deviation."""

Share = Annotated[float, Field(ge=0, le=1)]
"""A part of a whole."""


def _ascending_from_zero(steps: tuple[int, ...]) -> tuple[int, ...]:
    # One number of steps is no curve: its area would be 0 divided by 0.
    ascending = all(a < b for a, b in itertools.pairwise(steps))
    if len(steps) < 2 or steps[0] != 0 or not ascending:
        raise ValueError("it must be at least two ascending integers, the first 0")
    return steps


Steps = Annotated[tuple[int, ...], AfterValidator(_ascending_from_zero)]
"""Numbers of inner steps of a curve."""
