"""All checks, in the order that they are run in; one file for each family."""

from __future__ import annotations

from metabench.testing.check import Check
from metabench.testing.checks import (
    agreement,
    construction,
    gradients,
    independence,
    prediction,
    resources,
    storage,
)

ESSENTIAL: tuple[Check, ...] = (*construction.CHECKS, *prediction.CHECKS)
"""What the other checks build upon: where one of these fails, those after it say nothing."""

CHECKS: tuple[Check, ...] = (
    *ESSENTIAL,
    *independence.CHECKS,
    *agreement.CHECKS,
    *storage.CHECKS,
    *gradients.CHECKS,
    *resources.CHECKS,
)
